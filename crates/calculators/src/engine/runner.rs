use crate::Result;

/// Runs tasks on a model: all that the engine needs of a [`Calculator`](crate::Calculator).
///
/// Every calculator is one. The engine does not name the calculator's trait, whose methods describe
/// computations that the engine carries out: the arrow between them points one way.
pub(crate) trait Runner {
    /// The model.
    type Model;

    /// As [`Calculator::run`](crate::Calculator::run).
    fn run(
        &self,
        tasks: usize,
        workers: usize,
        work: &(dyn Fn(&Self::Model, usize) -> Result<()> + Sync),
    ) -> Result<()>;

    /// As [`Calculator::threads`](crate::Calculator::threads).
    fn threads(&self) -> usize;

    /// As [`Calculator::install`](crate::Calculator::install).
    fn install(&self, work: &mut (dyn FnMut() + Send));
}
