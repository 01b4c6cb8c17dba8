//! The processes of an MPI job.

mod messages;
#[cfg(feature = "mpi")]
mod mpi;
mod sums;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use influence_core::{Share, summation::Summation};

use crate::{Error, Result};
use messages::Messages;
use sums::WorldSums;
use transport::{RankPlace, Transport};

/// The exit code of a job in which a process panicked or was left otherwise than by
/// [`World::end`]: `EX_SOFTWARE` of `sysexits.h`.
const LEFT_EARLY: u8 = 70;

/// The largest message, in bytes. MPI counts what it sends in 32 bits with a sign.
const LARGEST: usize = (1 << 31) - 1;

/// All processes of an MPI job, each known by its *rank*, as one of them sees them.
///
/// They share sums over data through messages, which takes microseconds where
/// [`StoredSums`](crate::StoredSums) takes a round of processes; in return all of them have to be
/// there from the start to the end, and one that is lost ends the job.
///
/// Whoever has joined has to [end](Self::end) it. MPI lets a process that goes away wait until all
/// others do, which never comes while they wait for its messages. So a `World` that is dropped in
/// any other way, by a panic or an error that is passed on, ends all processes, with exit code 70.
///
/// Calls may come from any thread, one at a time, but in the same order in all processes.
#[derive(Debug)]
pub struct World {
    messages: Arc<Messages>,
    in_step: Arc<AtomicBool>,
    /// Whether all processes know that they end, so that none waits for another.
    agreed: AtomicBool,
    ended: AtomicBool,
}

impl World {
    /// Joins the job that this process was started in, by `mpirun` for example; a process that was
    /// started alone is a job of one.
    ///
    /// # Errors
    /// [`Error::WithoutMpi`] unless the feature `mpi` is on; [`Error::Mpi`] when this process has
    /// joined before, or MPI cannot be called from threads.
    pub fn join() -> Result<Self> {
        Ok(Self::of(connect()?, LARGEST))
    }

    /// Sends no message of more bytes than `cut`.
    fn of(transport: Arc<dyn Transport>, cut: usize) -> Self {
        Self {
            messages: Arc::new(Messages::new(transport, cut)),
            in_step: Arc::default(),
            agreed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// The number of this process, counted from 0.
    pub fn rank(&self) -> usize {
        self.place().rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.place().size
    }

    /// How many of them are on this machine.
    pub fn local_size(&self) -> usize {
        self.place().local_size
    }

    /// Whether it is the process that speaks for all of them.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The share of the work that is this process's.
    pub fn share(&self) -> Share {
        self.place().share()
    }

    /// Sums that all processes add up together; all of them have to the last bit what one process
    /// [alone](influence_core::summation::Alone) has.
    ///
    /// A process adds up the largest subtrees within its leaves, and their sums go from process to
    /// process in the order of the tree; the last one is sent to all. A fit that differs from that
    /// of rank 0, or a pass that applies something else, is refused with [`Error::Different`].
    pub fn summation(&self) -> Arc<dyn Summation> {
        let in_step = Arc::clone(&self.in_step);
        Arc::new(WorldSums::new(Arc::clone(&self.messages), in_step))
    }

    /// Computes something in step with all other processes: what is asked of the
    /// [summation](Self::summation) [in order](Summation::in_order) meanwhile, by each of them the
    /// same, they compute together.
    pub fn in_step<T>(&self, compute: impl FnOnce() -> T) -> T {
        self.in_step.store(true, Ordering::Relaxed);
        let computed = compute();
        self.in_step.store(false, Ordering::Relaxed);
        computed
    }

    /// Whether this is true in all processes.
    pub fn all(&self, own: bool) -> bool {
        self.messages.first_with(!own).is_none()
    }

    /// Compares what this process has, by name, with what rank 0 has.
    ///
    /// # Errors
    /// [`Error::Different`], in the process that has something else.
    pub fn check_same(&self, entries: &[(&str, String)]) -> Result<()> {
        self.messages.check_same(entries)
    }

    /// Tells whether a step went well in all processes, and gives its outcome if it did.
    ///
    /// Where it did not, all processes know, and may end without harm to one another.
    ///
    /// # Errors
    /// That of the outcome in the first process that has one, [`Error::Elsewhere`] in all others.
    pub fn agree<T, E: From<Error>>(&self, outcome: Result<T, E>) -> Result<T, E> {
        let Some(rank) = self.messages.first_with(outcome.is_err()) else {
            return outcome;
        };
        self.agreed.store(true, Ordering::Relaxed);
        match outcome {
            Err(error) if rank == self.rank() => Err(error),
            _ => Err(Error::Elsewhere { rank }.into()),
        }
    }

    /// Waits until all processes are here.
    pub fn barrier(&self) {
        self.transport().barrier();
    }

    /// Ends the part of this process in the job: in peace with code 0, or when all
    /// [know](Self::agree) that they end; otherwise all processes are ended, with this code.
    pub fn end(&self, code: u8) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        if code == 0 || self.agreed.load(Ordering::Relaxed) {
            self.transport().finalize();
        } else {
            self.transport().abort(code);
        }
    }

    fn place(&self) -> RankPlace {
        self.transport().place()
    }

    fn transport(&self) -> &dyn Transport {
        self.messages.transport()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            self.transport().abort(LEFT_EARLY);
        }
    }
}

#[cfg(feature = "mpi")]
fn connect() -> Result<Arc<dyn Transport>> {
    mpi::connect()
}

#[cfg(not(feature = "mpi"))]
fn connect() -> Result<Arc<dyn Transport>> {
    Err(Error::WithoutMpi)
}
