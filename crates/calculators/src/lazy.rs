//! Results that are described but not yet computed.

mod factors;
mod influences;
mod self_influences;

use influence_core::InfluenceModel;

use crate::{Budget, Calculator, Error, Result, engine::Watch};

pub use factors::LazyFactors;
pub use influences::LazyInfluences;
pub use self_influences::LazySelfInfluences;

/// Settings that all lazy results share.
#[derive(Default)]
struct Common<'a> {
    watch: Watch<'a>,
    memory: Option<usize>,
    taken: usize,
}

impl Common<'_> {
    /// What a computation in chunks of these sizes may use.
    fn budget<M>(&self, calculator: &dyn Calculator<Model = M>, chunk: [Option<usize>; 2]) -> Budget
    where
        M: InfluenceModel,
    {
        Budget {
            chunk,
            memory: self.memory,
            taken: self.taken,
            threads: calculator.threads(),
        }
    }
}

fn check_chunk(size: usize) -> Result<usize> {
    if size > 0 {
        return Ok(size);
    }
    Err(Error::Option {
        name: "chunk size",
        requirement: "at least 1",
        got: size.to_string(),
    })
}

/// Writes the setters that all lazy results share.
macro_rules! watched {
    ($name:ident) => {
        impl<'a, M: InfluenceModel> $name<'a, M> {
            /// Lets `observer` watch the computation.
            pub fn with_observer(mut self, observer: &'a dyn crate::Observer) -> Self {
                self.common.watch.observer = Some(observer);
                self
            }

            /// Keeps within this many bytes for factors, gradients and scores, 1 GiB by default, as far as the model can tell what it needs.
            ///
            /// Chunks that are not given are cut for it, and so are the panels and the number of tasks at a time. A bound that is set
            /// and does not suffice for a single chunk is [`Error::Memory`](crate::Error::Memory).
            pub fn with_memory(mut self, bytes: usize) -> Self {
                self.common.memory = Some(bytes);
                self
            }

            /// Says how many bytes of the memory are taken already, by the model for one.
            ///
            /// They are left out of account when chunks are cut, so that the chunks depend on nothing that differs from run to run.
            pub fn with_memory_taken(mut self, bytes: usize) -> Self {
                self.common.taken = bytes;
                self
            }

            /// Takes test rows that the solver did not solve as they are, instead of ending with [`Error::Unsolved`](crate::Error::Unsolved).
            pub fn accepting_unsolved(mut self) -> Self {
                self.common.watch.accepts_unsolved = true;
                self
            }
        }

        impl<M: InfluenceModel> $name<'_, M> {
            /// Lets the token end the computation early.
            pub fn with_cancellation(mut self, cancellation: &crate::Cancellation) -> Self {
                self.common.watch.cancellation = cancellation.clone();
                self
            }
        }

        impl<M: InfluenceModel> std::fmt::Debug for $name<'_, M> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("chunk", &self.chunk)
                    .finish_non_exhaustive()
            }
        }
    };
}
use watched;
