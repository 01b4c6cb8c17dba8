//! The folder of a pass.

use std::collections::BTreeSet;

use influence_core::{
    Result as CoreResult,
    summation::{DataPass, Subtree, Sums, value},
};

use super::{
    file::{self, SumHeader},
    store::SumStore,
};
use crate::{Error, Result, digest::of_arrays};

const SUFFIX: &str = ".safetensors";

/// The sums of subtrees of one pass, in a folder of the store.
pub(super) struct PassFolder<'a> {
    number: usize,
    pass: &'a DataPass<'a>,
    store: &'a dyn SumStore,
    folder: String,
    header: SumHeader,
}

/// The names of files that are there.
pub(super) type Names = BTreeSet<String>;

impl<'a> PassFolder<'a> {
    pub(super) fn new(
        store: &'a dyn SumStore,
        number: usize,
        fit: String,
        pass: &'a DataPass<'a>,
    ) -> CoreResult<Self> {
        Ok(Self {
            folder: format!("{number:05}"),
            header: SumHeader::new(&[
                ("fit", fit),
                ("pass", pass.name.to_owned()),
                ("parts", pass.leaves.to_string()),
                ("operand", of_arrays(&(pass.operand)()?)),
            ]),
            number,
            pass,
            store,
        })
    }

    fn key(&self, subtree: Subtree) -> String {
        format!("{}/{subtree}{SUFFIX}", self.folder)
    }

    /// The sum of a subtree, if it is kept and whole.
    pub(super) fn read(&self, subtree: Subtree) -> CoreResult<Option<Sums>> {
        let key = self.key(subtree);
        let read = self.store.read(&key);
        let bytes = read.map_err(|source| self.store.failed(&key, source))?;
        let Some((kept, sums)) = bytes.and_then(|bytes| file::decoded(&bytes)) else {
            return Ok(None);
        };
        match self.header.difference(&kept) {
            None => Ok(Some(sums)),
            Some(difference) => Err(self.store.foreign(&key, difference).into()),
        }
    }

    /// Keeps the sum of a subtree.
    pub(super) fn write(&self, subtree: Subtree, sums: &Sums) -> CoreResult<()> {
        let key = self.key(subtree);
        let encoded = file::encoded(&self.header, sums);
        let written = encoded.and_then(|bytes| self.store.write(&key, &bytes));
        Ok(written.map_err(|source| self.store.failed(&key, source))?)
    }

    /// Adds up a subtree and keeps the sum, unless it is kept already.
    pub(super) fn add(&self, subtree: Subtree) -> CoreResult<()> {
        if self.read(subtree)?.is_some() {
            return Ok(());
        }
        let kept = self.kept()?;
        let known = &mut |subtree: Subtree| match self.look(subtree, &kept)? {
            None if subtree.is_leaf() => {
                let leaf = subtree.range(self.pass.leaves).start;
                (self.pass.leaf)(leaf).map(Some)
            }
            found => Ok(found),
        };
        match value(subtree, self.pass.leaves, known)? {
            Some(sum) => self.write(subtree, &sum),
            None => Ok(()),
        }
    }

    /// The sum of a subtree from what is kept, if that is enough.
    pub(super) fn joined(&self, subtree: Subtree, kept: &Names) -> CoreResult<Option<Sums>> {
        let known = &mut |subtree| self.look(subtree, kept);
        value(subtree, self.pass.leaves, known)
    }

    fn look(&self, subtree: Subtree, kept: &Names) -> CoreResult<Option<Sums>> {
        if kept.contains(&subtree.to_string()) {
            self.read(subtree)
        } else {
            Ok(None)
        }
    }

    /// The subtrees that are kept. One look at the folder costs less than one at each file.
    pub(super) fn kept(&self) -> Result<Names> {
        let names = self.store.names(&self.folder);
        let names = names.map_err(|source| self.store.failed(&self.folder, source))?;
        let names = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
        Ok(names.map(str::to_owned).collect())
    }

    /// Whether these subtrees have every leaf.
    pub(super) fn is_covered(&self, kept: &Names) -> bool {
        self.covered(kept) == self.pass.leaves
    }

    /// What is missing, as an error.
    pub(super) fn waiting(&self, kept: &Names) -> Error {
        Error::Waiting {
            pass: self.number,
            name: self.pass.name.to_owned(),
            there: self.covered(kept),
            leaves: self.pass.leaves,
        }
    }

    /// How many leaves these subtrees have.
    fn covered(&self, kept: &Names) -> usize {
        let leaves = self.pass.leaves;
        let mut there = vec![false; leaves];
        for (first, width) in kept.iter().filter_map(|name| name.split_once('+')) {
            if let (Ok(first), Ok(width)) = (first.parse::<usize>(), width.parse::<usize>()) {
                let end = first.saturating_add(width).min(leaves);
                there[first.min(end)..end].fill(true);
            }
        }
        there.iter().filter(|there| **there).count()
    }
}
