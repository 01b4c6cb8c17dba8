use std::{collections::BTreeMap, ops::Range, sync::Arc};

use influence_core::{
    Result as CoreResult,
    summation::{Alone, DataPass, Subtree, Summation, Sums, added, subtrees, value},
};

use super::messages::Messages;
use crate::digest::of_arrays;

/// Sums that the processes of a job add up together.
#[derive(Debug)]
pub(super) struct WorldSums(Arc<Messages>);

impl WorldSums {
    pub(super) fn new(messages: Arc<Messages>) -> Self {
        Self(messages)
    }

    /// Refuses a pass that is not that of rank 0.
    fn check_pass(&self, pass: &DataPass<'_>) -> CoreResult<()> {
        Ok(self.0.check_same(&[
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
        let (place, range) = (self.0.place(), subtree.range(leaves));
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
        let rank = self.0.place().rank;
        if to == from {
            return Ok(sums);
        }
        if rank == to {
            return self.0.receive_sums(from).map(Some);
        }
        if let Some(sums) = sums.filter(|_| rank == from) {
            self.0.send_sums(to, &sums);
        }
        Ok(None)
    }
}

impl Summation for WorldSums {
    fn begin(
        &self,
        identity: &dyn Fn() -> CoreResult<Vec<(&'static str, String)>>,
    ) -> CoreResult<()> {
        Ok(self.0.check_same(&identity()?)?)
    }

    fn sum(&self, pass: &DataPass<'_>) -> CoreResult<Sums> {
        if self.0.place().size == 1 || pass.leaves == 0 {
            return Alone.sum(pass);
        }
        self.check_pass(pass)?;
        let mut own = self.own_sums(pass)?;
        let sum = self.joined(Subtree::root(pass.leaves), pass.leaves, &mut own)?;
        let root = self.0.place().owner(0, pass.leaves);
        self.0.broadcast_sums(root, sum)
    }

    fn own(&self, leaves: usize) -> Range<usize> {
        self.0.place().share().of(leaves)
    }
}
