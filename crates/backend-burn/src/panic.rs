//! Panics of code that is not ours, turned into errors.
//!
//! Tensor libraries panic on what they cannot do, for example a class index out of range; models,
//! tasks and readers of data are the user's code and may panic too. All of them are called through
//! this module, so that a fit ends in an error and not in an abort.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Error, Result};

/// The result of `work`, or the message of its panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What `work` leaves half done is not looked at again: whoever catches the panic gives up.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// The result of `work`; a panic in it becomes an [`Error::Engine`].
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(work).unwrap_or_else(|message| Err(Error::Engine { message }))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}
