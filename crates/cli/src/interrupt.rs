//! Signals that end a command: Ctrl-C, SIGTERM and SIGHUP.

use std::{
    io, process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use influence_calculators::{Cancellation, zarr::Claim};

use crate::{
    error::{Ending, INTERRUPTED},
    progress::Progress,
};

const FINISHING: &str =
    "interrupted: finishing the chunks in progress; interrupt again to stop at once";
const NOTHING_WRITTEN: &str = "interrupted: nothing was written";

/// Keeps SIGHUP from ending the process where it was started to outlive its terminal, as by
/// `nohup`.
///
/// Has to be called before the first thread is started: threads have the signal mask of the one
/// that starts them. Known on Linux only.
pub fn keep_hangup_ignored() {
    #[cfg(target_os = "linux")]
    if is_hangup_ignored().unwrap_or_default() {
        // To ignore it once more would not last, because listening replaces that.
        let _ = nix::sys::signal::SigSet::from(nix::sys::signal::SIGHUP).thread_block();
    }
}

/// Whether SIGHUP is ignored, if the system tells: it is the lowest bit of a hexadecimal number.
#[cfg(target_os = "linux")]
fn is_hangup_ignored() -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored & 1 == 1)
}

/// What a first signal does: ends the process at once as long as nothing is being written, else
/// lets it finish what it has begun. A second one ends the process at once.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    progress: Arc<Progress>,
    cancellation: Cancellation,
    signalled: AtomicBool,
    at: Mutex<At>,
}

/// Where a command is, as far as signals care.
#[derive(Debug)]
enum At {
    /// Nothing is being written: what there is to say of what is, and the place that is claimed for
    /// what will be.
    Rest(String, Option<Box<Claim>>),
    /// Chunks are being written.
    Writing,
}

impl Interrupt {
    /// For a command that has not written anything; it listens to no signal.
    pub fn new(progress: Arc<Progress>) -> Self {
        Self(Arc::new(Inner {
            progress,
            cancellation: Cancellation::new(),
            signalled: AtomicBool::new(false),
            at: Mutex::new(At::Rest(NOTHING_WRITTEN.to_owned(), None)),
        }))
    }

    /// Listens to the signals from now on.
    ///
    /// # Errors
    /// When the system refuses, or the process listens already.
    pub fn listen(&self) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        let listening = ctrlc::set_handler(move || {
            if inner.signalled.swap(true, Ordering::Relaxed) {
                process::exit(INTERRUPTED.into());
            }
            inner.cancellation.cancel();
            // Telling may take long, where stderr is not read, and a second signal must get through
            // all the same.
            let inner = Arc::clone(&inner);
            drop(thread::Builder::new().spawn(move || inner.first()));
        });
        listening.map_err(io::Error::other)
    }

    /// The token that a computation looks at.
    pub fn cancellation(&self) -> &Cancellation {
        &self.0.cancellation
    }

    /// Keeps the place of an output until it is written; a signal gives it back, so that nothing is
    /// left behind.
    pub fn claimed(&self, claim: Claim) {
        *self.0.at() = At::Rest(NOTHING_WRITTEN.to_owned(), Some(Box::new(claim)));
    }

    /// Chunks are written from now on, to the place that was claimed if one was.
    pub fn writing(&self) -> Option<Claim> {
        match std::mem::replace(&mut *self.0.at(), At::Writing) {
            At::Rest(_, claim) => claim.map(|claim| *claim),
            At::Writing => None,
        }
    }

    /// All is written; `message` says so.
    pub fn written(&self, message: String) {
        *self.0.at() = At::Rest(message, None);
    }

    /// Gives back the place that is claimed, unless something was written to it.
    pub fn release(&self) {
        if let At::Rest(_, claim) = &mut *self.0.at() {
            drop(claim.take());
        }
    }
}

impl Inner {
    fn first(&self) {
        // While this is held the command does not get from one state to the other.
        match &mut *self.at() {
            At::Writing => self.progress.interrupting(FINISHING),
            At::Rest(message, claim) => {
                drop(claim.take());
                self.progress.end(&Ending::Interrupted(message.clone()));
                process::exit(INTERRUPTED.into());
            }
        }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
