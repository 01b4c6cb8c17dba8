use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Error, Result, Step};

/// Runs code of others; a panic in it becomes an error that names the step.
pub(crate) fn guarded<T>(step: impl Fn() -> Step, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // State that the step left half done is not used again: the computation ends here.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Panicked {
            step: step(),
            message: message(panic.as_ref()),
        })
    })
}

/// As [`guarded`], for a step whose errors are those of the core.
pub(crate) fn core_step<T>(
    step: impl Fn() -> Step,
    work: impl FnOnce() -> influence_core::Result<T>,
) -> Result<T> {
    guarded(&step, || {
        work().map_err(|source| Error::core(step(), source))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (_, Some(message)) => message.clone(),
        _ => "without a message".to_owned(),
    }
}
