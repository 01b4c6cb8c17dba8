//! The only code that names MPI.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::mpi::{
    Rank, Threading,
    environment::Universe,
    initialize_with_threading,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Destination, Root, Source},
};

use super::transport::{RankPlace, Transport};
use crate::{Error, Result};

/// Messages through MPI. An error of MPI ends the job: that is its default, and there is no other
/// way to go on.
struct Mpi {
    /// What keeps MPI up, and the right to call it.
    universe: Mutex<Option<Universe>>,
    place: RankPlace,
}

/// Joins the job.
pub(super) fn connect() -> Result<Arc<dyn Transport>> {
    let started = initialize_with_threading(Threading::Serialized);
    let (universe, threading) = started.ok_or(Error::Mpi {
        problem: "was started before, and can be started once in a process",
    })?;
    if threading < Threading::Serialized {
        return Err(Error::Mpi {
            problem: "was built without threads (MPI_THREAD_SERIALIZED), of which a fit has many",
        });
    }
    let world = universe.world();
    let place = RankPlace {
        rank: count(world.rank()),
        size: count(world.size()),
        local_size: count(world.split_shared(world.rank()).size()),
    };
    Ok(Arc::new(Mpi {
        universe: Mutex::new(Some(universe)),
        place,
    }))
}

impl Mpi {
    fn turn(&self) -> MutexGuard<'_, Option<Universe>> {
        self.universe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls MPI, unless it is no longer there.
    fn call(&self, call: impl FnOnce(&SimpleCommunicator)) {
        if let Some(universe) = &*self.turn() {
            call(&universe.world());
        }
    }
}

impl Transport for Mpi {
    fn place(&self) -> RankPlace {
        self.place
    }

    fn send(&self, to: usize, bytes: &[u8]) {
        self.call(|world| world.process_at_rank(rank(to)).send(bytes));
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) {
        self.call(|world| {
            world.process_at_rank(rank(from)).receive_into(bytes);
        });
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) {
        self.call(|world| world.process_at_rank(rank(from)).broadcast_into(bytes));
    }

    fn barrier(&self) {
        self.call(CommunicatorCollectives::barrier);
    }

    fn finalize(&self) {
        drop(self.turn().take());
    }

    fn abort(&self, code: u8) {
        // Not in turn: whoever has it may be waiting for a message that does not come.
        SimpleCommunicator::world().abort(code.into());
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpi")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn count(number: Rank) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn rank(number: usize) -> Rank {
    Rank::try_from(number).unwrap_or(Rank::MAX)
}
