//! Results that are described but not yet computed.

mod factors;
mod influences;
mod self_influences;

use influence_core::ChunkGrid;

use crate::{Error, Result};

pub use factors::LazyFactors;
pub use influences::LazyInfluences;
pub use self_influences::LazySelfInfluences;

/// Test rows solved together unless told otherwise.
const TEST_CHUNK: usize = 64;
/// Train rows whose gradients are in memory together unless told otherwise.
const TRAIN_CHUNK: usize = 512;
/// Bytes of factors in memory unless told otherwise: 1 GiB.
const FACTOR_MEMORY: usize = 1 << 30;

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

/// The grid, with chunks no larger than the whole.
fn grid(shape: [usize; 2], chunk_shape: [usize; 2]) -> ChunkGrid {
    let side = |axis: usize| chunk_shape[axis].min(shape[axis]).max(1);
    ChunkGrid::new(shape, [side(0), side(1)]).expect("both sides of the chunks are at least 1")
}

/// Writes the setters that all lazy results share.
macro_rules! watched {
    ($name:ident) => {
        impl<'a, M: InfluenceModel> $name<'a, M> {
            /// Lets `observer` watch the computation.
            pub fn with_observer(mut self, observer: &'a dyn crate::Observer) -> Self {
                self.watch.observer = Some(observer);
                self
            }

            /// Takes test rows that the solver did not solve as they are, instead of ending with [`Error::Unsolved`](crate::Error::Unsolved).
            pub fn accepting_unsolved(mut self) -> Self {
                self.watch.accepts_unsolved = true;
                self
            }
        }

        impl<M: InfluenceModel> $name<'_, M> {
            /// Lets the token end the computation early.
            pub fn with_cancellation(mut self, cancellation: &crate::Cancellation) -> Self {
                self.watch.cancellation = cancellation.clone();
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
