//! The calculator: it holds a model and runs work on it.

use std::sync::Arc;

use influence_core::{Dataset, InfluenceModel};

use crate::{
    LazyFactors, LazyInfluences, LazySelfInfluences, Result, RowSource, SampleSource, SideSource,
    queries::{FactorQuery, InfluenceQuery, SelfInfluenceQuery},
};

/// The batches of a calculator's model.
type Batch<C> = <<C as Calculator>::Model as InfluenceModel>::Batch;

/// Holds a model and runs work on it; everything else is provided.
///
/// The provided methods return lazy queries: nothing runs before their `compute` or `to_zarr`.
/// A `Box<dyn Calculator<Model = M>>` is a calculator too, for a choice at run time.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/setup.rs")]
/// use influence_calculators::{Calculator, Parallel, Sequential};
///
/// let calculator: Box<dyn Calculator<Model = _>> = match std::env::args().len() {
///     1 => Box::new(Sequential::new(model)),
///     _ => Box::new(Parallel::new(model, None)?),
/// };
/// let influences = calculator.influences(&test, &train).with_chunks(2, 4)?;
/// assert_eq!(influences.plan()?.grid().len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Calculator {
    /// The model.
    type Model: InfluenceModel;

    /// Calls `work(model, task)` for each of `0..tasks`, once each, no more than `workers` (at
    /// least 1) at a time, and waits.
    ///
    /// Tasks are begun in order of their number, on any thread. After a task has failed no further
    /// one is begun.
    ///
    /// # Errors
    /// The error of the failed task with the lowest number, or that the workers could not be set
    /// up.
    fn run(
        &self,
        tasks: usize,
        workers: usize,
        work: &(dyn Fn(&Self::Model, usize) -> Result<()> + Sync),
    ) -> Result<()>;

    /// How many tasks can run at a time.
    fn threads(&self) -> usize {
        1
    }

    /// Does `work` so that parallel loops in it run on the threads of this calculator, and waits;
    /// for reading outputs, which needs no model.
    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    /// The influences `(k, n)` of train points on test points, lazily.
    fn influences<'a>(
        &'a self,
        test: &'a dyn Dataset<Batch = Batch<Self>>,
        train: &'a dyn Dataset<Batch = Batch<Self>>,
    ) -> LazyInfluences<'a, Self::Model>
    where
        Self: Sized,
    {
        <&Self as Calculator>::into_influences(
            self,
            SideSource::compute(test),
            SideSource::compute(train),
        )
    }

    /// The factors `(k, dim)` of test points, lazily.
    fn influence_factors<'a>(
        &'a self,
        test: &'a dyn Dataset<Batch = Batch<Self>>,
    ) -> LazyFactors<'a, Self::Model>
    where
        Self: Sized,
    {
        <&Self as Calculator>::into_factors(self, SampleSource::each(test))
    }

    /// The factors of test points, or of groups of them, lazily; the result owns the calculator and
    /// the points.
    fn into_factors<'a>(self, test: SampleSource<'a, Batch<Self>>) -> LazyFactors<'a, Self::Model>
    where
        Self: Sized + 'a,
    {
        LazyFactors::new(self, FactorQuery::new(test))
    }

    /// The influences `(k, n)` of train points on the test points whose factors are given, lazily.
    fn influences_from_factors<'a>(
        &'a self,
        factors: &'a dyn RowSource,
        train: &'a dyn Dataset<Batch = Batch<Self>>,
    ) -> LazyInfluences<'a, Self::Model>
    where
        Self: Sized,
    {
        <&Self as Calculator>::into_influences(
            self,
            SideSource::read(factors),
            SideSource::compute(train),
        )
    }

    /// The influences `(k, n)` of two sides of which each is computed or read, lazily.
    ///
    /// The result owns the calculator and the sides: an [`Arc`] of each, and it outlives whoever
    /// made it.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/setup.rs")]
    /// use std::sync::Arc;
    /// use influence_calculators::{Calculator, LazyInfluences, Sequential, SideSource};
    /// use influence_core::aggregate::Concatenate;
    ///
    /// let calculator = Arc::new(Sequential::new(model));
    /// let expected = calculator.influences(&test, &train).compute(Concatenate::new())?;
    /// let owned: LazyInfluences<'static, _> =
    ///     calculator.into_influences(SideSource::compute(test), SideSource::compute(train));
    /// assert_eq!(owned.compute(Concatenate::new())?, expected);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn into_influences<'a>(
        self,
        test: SideSource<'a, Batch<Self>>,
        train: SideSource<'a, Batch<Self>>,
    ) -> LazyInfluences<'a, Self::Model>
    where
        Self: Sized + 'a,
    {
        LazyInfluences::new(self, InfluenceQuery::new(test, train))
    }

    /// The influence of each train point on itself, `⟨(H + λI)⁻¹ g_i, g_i⟩`, lazily.
    ///
    /// The left gradient is that of the measurement, as everywhere; where the measurement is the
    /// loss this is the self-influence.
    fn self_influences<'a>(
        &'a self,
        train: &'a dyn Dataset<Batch = Batch<Self>>,
    ) -> LazySelfInfluences<'a, Self::Model>
    where
        Self: Sized,
    {
        LazySelfInfluences::new(self, SelfInfluenceQuery::new(train))
    }
}

/// Runs on the calculator that it points to.
macro_rules! forward {
    ($($pointer:ty),+) => {
        $(impl<C: Calculator + ?Sized> Calculator for $pointer {
            type Model = C::Model;

            fn run(
                &self,
                tasks: usize,
                workers: usize,
                work: &(dyn Fn(&Self::Model, usize) -> Result<()> + Sync),
            ) -> Result<()> {
                (**self).run(tasks, workers, work)
            }

            fn threads(&self) -> usize {
                (**self).threads()
            }

            fn install(&self, work: &mut (dyn FnMut() + Send)) {
                (**self).install(work);
            }
        })+
    };
}

forward!(&C, Box<C>, Arc<C>);

// Named by its path: were the trait in scope, its methods would be those of calculators too.
impl<C: Calculator + ?Sized> crate::engine::Runner for C {
    type Model = C::Model;

    fn run(
        &self,
        tasks: usize,
        workers: usize,
        work: &(dyn Fn(&Self::Model, usize) -> Result<()> + Sync),
    ) -> Result<()> {
        Calculator::run(self, tasks, workers, work)
    }

    fn threads(&self) -> usize {
        Calculator::threads(self)
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        Calculator::install(self, work);
    }
}
