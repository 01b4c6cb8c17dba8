use std::fmt::Debug;

use influence_core::Share;

/// The place of a process among those of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RankPlace {
    pub(super) rank: usize,
    pub(super) size: usize,
    /// The processes on the same machine.
    pub(super) local_size: usize,
}

impl RankPlace {
    pub(super) fn share(self) -> Share {
        Share::new(self.rank, self.size).unwrap_or(Share::WHOLE)
    }

    /// The process that has a leaf, of this number of leaves.
    pub(super) fn owner(self, leaf: usize, leaves: usize) -> usize {
        ((leaf + 1) * self.size - 1) / leaves
    }
}

/// Messages between the processes of a job. All of them ask for the same ones in the same order;
/// whoever sends may wait for whoever receives.
pub(super) trait Transport: Debug + Send + Sync {
    /// The place of this process.
    fn place(&self) -> RankPlace;

    /// Sends bytes to a process.
    fn send(&self, to: usize, bytes: &[u8]);

    /// Receives as many bytes as there is room for, from a process that sends this number.
    fn receive(&self, from: usize, bytes: &mut [u8]);

    /// Gives all processes the bytes of one.
    fn broadcast(&self, from: usize, bytes: &mut [u8]);

    /// Waits until all processes are here.
    fn barrier(&self);

    /// Leaves the job, once all others do.
    fn finalize(&self);

    /// Ends all processes.
    fn abort(&self, code: u8);
}
