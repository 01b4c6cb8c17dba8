use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use influence_core::{
    Result as CoreResult,
    summation::{Alone, DataPass, Subtree, Summation, Sums, added, subtrees, value},
};

use super::messages::Messages;
use crate::digest::of_arrays;

/// Sums that the processes of a job add up together.
#[derive(Debug)]
pub(super) struct WorldSums {
    messages: Arc<Messages>,
    /// Whether processes compute together what is no part of a fit.
    in_step: Arc<AtomicBool>,
}

impl WorldSums {
    pub(super) fn new(messages: Arc<Messages>, in_step: Arc<AtomicBool>) -> Self {
        Self { messages, in_step }
    }

    /// Refuses a pass that is not that of rank 0.
    fn check_pass(&self, pass: &DataPass<'_>) -> CoreResult<()> {
        Ok(self.messages.check_same(&[
            ("pass", pass.name.to_owned()),
            ("parts", pass.leaves.to_string()),
            ("operand", of_arrays(&(pass.operand)()?)),
        ])?)
    }

    /// The sums of the largest subtrees within the leaves of this process. All of them are there
    /// before the first is sent, so that no process waits for the leaves of another in between.
    fn own_sums(&self, pass: &DataPass<'_>) -> CoreResult<BTreeMap<Subtree, Sums>> {
        let leaf = &mut |subtree: Subtree| {
            let leaf = subtree.is_leaf().then(|| subtree.range(pass.leaves).start);
            leaf.map(pass.leaf).transpose()
        };
        let mut sums = BTreeMap::new();
        for subtree in subtrees(self.own(pass.leaves), pass.leaves) {
            if let Some(sum) = value(subtree, pass.leaves, leaf)? {
                sums.insert(subtree, sum);
            }
        }
        Ok(sums)
    }

    /// The sum of a subtree, in the process that has its first leaf; nothing in others.
    ///
    /// All processes go through the tree in the same order, so a process that waits for another
    /// never waits for one that waits for it.
    fn joined(
        &self,
        subtree: Subtree,
        leaves: usize,
        own: &mut BTreeMap<Subtree, Sums>,
    ) -> CoreResult<Option<Sums>> {
        let (place, range) = (self.messages.place(), subtree.range(leaves));
        if range.is_empty() {
            return Ok(None);
        }
        let owner = |leaf| place.owner(leaf, leaves);
        if !(owner(range.start)..=owner(range.end - 1)).contains(&place.rank) {
            return Ok(None);
        }
        if let Some(sum) = own.remove(&subtree) {
            return Ok(Some(sum));
        }
        if subtree.is_leaf() {
            return Ok(None);
        }
        let [left, right] = subtree.halves();
        let sum = self.joined(left, leaves, own)?;
        if right.range(leaves).is_empty() {
            return Ok(sum);
        }
        let other = self.joined(right, leaves, own)?;
        let [to, from] = [left, right].map(|half| owner(half.range(leaves).start));
        match (sum, self.moved(to, from, other)?) {
            (Some(sum), Some(other)) => added(sum, &other).map(Some),
            _ => Ok(None),
        }
    }

    /// Moves what one process has to another, where it comes out.
    fn moved(&self, to: usize, from: usize, sums: Option<Sums>) -> CoreResult<Option<Sums>> {
        let rank = self.messages.place().rank;
        if to == from {
            return Ok(sums);
        }
        if rank == to {
            return self.messages.receive_sums(from).map(Some);
        }
        if let Some(sums) = sums.filter(|_| rank == from) {
            self.messages.send_sums(to, &sums);
        }
        Ok(None)
    }
}

impl Summation for WorldSums {
    fn begin(
        &self,
        identity: &dyn Fn() -> CoreResult<Vec<(&'static str, String)>>,
    ) -> CoreResult<()> {
        Ok(self.messages.check_same(&identity()?)?)
    }

    fn sum(&self, pass: &DataPass<'_>) -> CoreResult<Sums> {
        if self.messages.place().size == 1 || pass.leaves == 0 {
            return Alone.sum(pass);
        }
        self.check_pass(pass)?;
        let mut own = self.own_sums(pass)?;
        let sum = self.joined(Subtree::root(pass.leaves), pass.leaves, &mut own)?;
        let root = self.messages.place().owner(0, pass.leaves);
        self.messages.broadcast_sums(root, sum)
    }

    fn own(&self, leaves: usize) -> Range<usize> {
        self.messages.place().share().of(leaves)
    }

    /// Leaves are dealt out one by one, so that no process holds more than one of its own, and none
    /// waits longer than a leaf takes.
    fn in_order(
        &self,
        pass: &DataPass<'_>,
        visit: &mut dyn FnMut(Sums) -> CoreResult<()>,
    ) -> CoreResult<bool> {
        let place = self.messages.place();
        if place.size == 1 || !self.in_step.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.check_pass(pass)?;
        for first in (0..pass.leaves).step_by(place.size) {
            let own = Some(first + place.rank).filter(|&leaf| leaf < pass.leaves);
            let mut own = own.map(pass.leaf).transpose()?;
            for (rank, _) in (0..place.size).zip(first..pass.leaves) {
                let sums = own.take_if(|_| rank == place.rank);
                visit(self.messages.broadcast_sums(rank, sums)?)?;
            }
        }
        Ok(true)
    }
}
