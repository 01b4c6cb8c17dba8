//! The folder of a pass.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use influence_core::{
    Result as CoreResult,
    summation::{DataPass, Subtree, Sums, value},
};
use sha2::{Digest, Sha256};

use super::file::{self, SumHeader};
use crate::{Error, Result};

const SUFFIX: &str = ".safetensors";

/// The sums of subtrees of one pass, in files.
pub(super) struct PassFolder<'a> {
    number: usize,
    pass: &'a DataPass<'a>,
    /// The folder of all passes, and that of this one.
    all: &'a Path,
    folder: PathBuf,
    header: SumHeader,
}

/// The names of files that are there.
pub(super) type Names = BTreeSet<String>;

impl<'a> PassFolder<'a> {
    pub(super) fn new(
        all: &'a Path,
        number: usize,
        fit: String,
        pass: &'a DataPass<'a>,
    ) -> CoreResult<Self> {
        let mut operand = Sha256::new();
        for array in (pass.operand)()? {
            file::hash(&mut operand, &array);
        }
        Ok(Self {
            folder: all.join(format!("{number:05}")),
            header: SumHeader::new(&[
                ("fit", fit),
                ("pass", pass.name.to_owned()),
                ("parts", pass.leaves.to_string()),
                ("operand", file::shown(operand)),
            ]),
            number,
            pass,
            all,
        })
    }

    fn path(&self, subtree: Subtree) -> PathBuf {
        self.folder.join(format!("{subtree}{SUFFIX}"))
    }

    /// The sum of a subtree, if it is kept and whole.
    pub(super) fn read(&self, subtree: Subtree) -> CoreResult<Option<Sums>> {
        let path = self.path(subtree);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path, source }.into()),
        };
        let Some((kept, sums)) = file::decoded(&bytes) else {
            return Ok(None);
        };
        match self.header.difference(&kept) {
            None => Ok(Some(sums)),
            Some((key, kept, now)) => Err(Error::Foreign {
                path,
                folder: self.all.to_owned(),
                key,
                kept,
                now,
            }
            .into()),
        }
    }

    /// Keeps the sum of a subtree.
    pub(super) fn write(&self, subtree: Subtree, sums: &Sums) -> CoreResult<()> {
        let path = self.path(subtree);
        let encoded = file::encoded(&self.header, sums);
        let bytes = encoded.map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        Ok(file::write(&path, &bytes)?)
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
        let io = |source| Error::Io {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Names::new()),
            Err(source) => return Err(io(source)),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>().map_err(io)?;
        let names = names.iter().filter_map(|name| name.strip_suffix(SUFFIX));
        Ok(names.map(str::to_owned).collect())
    }

    /// What is missing, as an error.
    pub(super) fn waiting(&self, kept: &Names) -> Error {
        let leaves = self.pass.leaves;
        let mut there = vec![false; leaves];
        for (first, width) in kept.iter().filter_map(|name| name.split_once('+')) {
            if let (Ok(first), Ok(width)) = (first.parse::<usize>(), width.parse::<usize>()) {
                let end = first.saturating_add(width).min(leaves);
                there[first.min(end)..end].fill(true);
            }
        }
        Error::Waiting {
            pass: self.number,
            name: self.pass.name.to_owned(),
            there: there.iter().filter(|there| **there).count(),
            leaves,
        }
    }
}
