//! Ending a computation early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Error, Result};

/// Ends computations early: its clones are one token, and once cancelled it stays so.
///
/// A computation that holds the token finishes the tasks that it has begun, begins no further one,
/// and returns [`Error::Cancelled`]. The chunks written stay valid, and the output can be resumed.
/// May be cancelled from a signal handler's thread.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/setup.rs")]
/// use influence_calculators::{Calculator, Cancellation, Error, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let (calculator, cancellation) = (Sequential::new(model), Cancellation::new());
/// let influences = calculator.influences(&test, &train).with_cancellation(&cancellation);
/// cancellation.cancel();
/// assert!(matches!(influences.compute(Concatenate::new()), Err(Error::Cancelled)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels.
    pub fn cancel(&self) {
        // Nothing is published through the flag.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Cancelled`] once it is cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}
