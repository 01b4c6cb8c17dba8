//! Sums over data whose bits do not depend on who adds what.
//!
//! # The formula
//! The data fall into leaves, numbered `0..n`. With `W` the smallest power of two that is at least
//! `n`, the sum is the value of the root `0+W` of a binary tree:
//!
//! ```text
//! value(a+1) = leaf(a)
//! value(a+w) = value(a+w/2)                          where a + w/2 ≥ n: nothing is to the right
//!            = value(a+w/2) + value((a+w/2)+w/2)     else
//! ```
//!
//! `a+w` is the subtree of the leaves from `a` to `a + w`, as far as there are any.
//!
//! # Why the bits are always the same
//! Addition of floating-point numbers is not associative, so a sum has bits only once the order of
//! its additions is fixed. Here the tree fixes it, and the tree depends on `n` alone: the value of
//! a subtree is made of the leaves below it and of nothing else, whoever adds them, whenever, and
//! how often. A process that has some of the leaves adds the subtrees that lie within them; all
//! that is left to do is to add the values of these subtrees, in the order of the tree. So one
//! process and a hundred have the same bits, provided that a leaf has the same bits everywhere.
//!
//! # What it takes
//! A range of leaves falls into at most `2 log₂ W` subtrees, at most two of each width, and their
//! values are all that a process hands to the others. Going through the tree depth first keeps one
//! value per level: `log₂ W` and the one at hand. Rounding grows with `log₂ n`, where it would grow
//! with `n` if leaves were added one after another (Higham, *The accuracy of floating point
//! summation*, 1993).

use std::{
    fmt::{self, Debug, Display},
    ops::Range,
};

use ndarray::ArrayD;

use crate::{Error, Result};

/// The arrays that are summed together: the covariances of several layers, say.
pub type Sums = Vec<ArrayD<f64>>;

/// Sums over data in the order of a fixed tree, alone or with other processes.
///
/// A fit asks for one sum after another, and what it asks for next follows from the sums before:
/// all processes of a fit ask for the same passes in the same order.
pub trait Summation: Debug + Send + Sync {
    /// A fit begins, and passes are counted from here. `identity` gives what the fit depends on, by
    /// name; it is called where there is something to compare it with.
    ///
    /// # Errors
    /// When others fit something else, or whatever `identity` reports.
    fn begin(&self, identity: &dyn Fn() -> Result<Vec<(&'static str, String)>>) -> Result<()>;

    /// The sum over all leaves of a pass.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pass without leaves, [`Error::Shape`] when leaves differ in shape,
    /// otherwise whatever a leaf or the connection to others reports.
    fn sum(&self, pass: &DataPass<'_>) -> Result<Sums>;

    /// Gives `visit` the value of every leaf of a pass, in order, where processes compute the
    /// leaves together though the pass is no part of a fit, and returns whether they do; where they
    /// do not, nothing is computed.
    ///
    /// Whoever adds the values one after another has the bits of a process that computes all of
    /// them. This costs a message for each leaf, where a [sum](Self::sum) costs a few.
    ///
    /// # Errors
    /// Whatever a leaf, `visit` or the connection to others reports.
    fn in_order(
        &self,
        pass: &DataPass<'_>,
        visit: &mut dyn FnMut(Sums) -> Result<()>,
    ) -> Result<bool> {
        let _ = (pass, visit);
        Ok(false)
    }

    /// The leaves that this process will be asked for, of this number: what is worth keeping
    /// between passes.
    fn own(&self, leaves: usize) -> Range<usize> {
        0..leaves
    }
}

/// A pass over the data: what is summed.
pub struct DataPass<'a> {
    /// What is computed, for people: `kronecker covariances`.
    pub name: &'a str,
    /// What is applied to the data: all processes must have the same.
    pub operand: &'a dyn Fn() -> Result<Sums>,
    /// The number of leaves.
    pub leaves: usize,
    /// The value of a leaf, the same arrays for each.
    pub leaf: &'a dyn Fn(usize) -> Result<Sums>,
}

impl Debug for DataPass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPass")
            .field("name", &self.name)
            .field("leaves", &self.leaves)
            .finish_non_exhaustive()
    }
}

/// One process adds everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone;

impl Summation for Alone {
    fn begin(&self, _identity: &dyn Fn() -> Result<Vec<(&'static str, String)>>) -> Result<()> {
        Ok(())
    }

    fn sum(&self, pass: &DataPass<'_>) -> Result<Sums> {
        let leaf = &mut |subtree: Subtree| {
            let value = subtree.is_leaf().then(|| (pass.leaf)(subtree.first));
            value.transpose()
        };
        value(Subtree::root(pass.leaves), pass.leaves, leaf)?.ok_or_else(|| Error::Setting {
            name: "leaves of a sum",
            requirement: "at least 1",
            got: pass.leaves.to_string(),
        })
    }
}

/// The leaves `first..first + width` of a tree, as far as there are any; the width is a power of
/// two, and `first` a multiple of it. Written `first+width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    first: usize,
    width: usize,
}

impl Subtree {
    /// The whole tree of a number of leaves.
    pub fn root(leaves: usize) -> Self {
        Self {
            first: 0,
            width: leaves.next_power_of_two(),
        }
    }

    /// The leaves below it, of this number.
    pub fn range(self, leaves: usize) -> Range<usize> {
        self.first.min(leaves)..(self.first + self.width).min(leaves)
    }

    /// Whether it is a single leaf.
    pub fn is_leaf(self) -> bool {
        self.width == 1
    }

    /// Its left and its right half; a leaf has none.
    #[must_use]
    pub fn halves(self) -> [Self; 2] {
        let (first, width) = (self.first, self.width / 2);
        [first, first + width].map(|first| Self { first, width })
    }
}

impl Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.first, self.width)
    }
}

/// The largest subtrees within a range of leaves, in order: at most two of each width.
///
/// # Examples
/// ```
/// use influence_core::summation::subtrees;
///
/// let names: Vec<String> = subtrees(3..9, 9).iter().map(ToString::to_string).collect();
/// assert_eq!(names, ["3+1", "4+4", "8+8"]);
/// ```
pub fn subtrees(range: Range<usize>, leaves: usize) -> Vec<Subtree> {
    fn within(subtree: Subtree, range: &Range<usize>, leaves: usize, found: &mut Vec<Subtree>) {
        let own = subtree.range(leaves);
        if own.is_empty() || own.end <= range.start || range.end <= own.start {
            return;
        }
        if range.start <= own.start && own.end <= range.end {
            found.push(subtree);
            return;
        }
        for half in subtree.halves() {
            within(half, range, leaves, found);
        }
    }
    let mut found = Vec::new();
    within(Subtree::root(leaves), &range, leaves, &mut found);
    found
}

/// The value of a subtree, from values that are known: `known` gives that of a subtree, or nothing
/// where it has to be added up from its halves. Nothing comes out where a leaf is not known.
///
/// # Errors
/// [`Error::Shape`] when values differ in shape, otherwise whatever `known` reports.
pub fn value(
    subtree: Subtree,
    leaves: usize,
    known: &mut dyn FnMut(Subtree) -> Result<Option<Sums>>,
) -> Result<Option<Sums>> {
    if subtree.range(leaves).is_empty() {
        return Ok(None);
    }
    if let Some(value) = known(subtree)? {
        return Ok(Some(value));
    }
    if subtree.is_leaf() {
        return Ok(None);
    }
    let [left, right] = subtree.halves();
    let Some(sum) = value(left, leaves, known)? else {
        return Ok(None);
    };
    if right.range(leaves).is_empty() {
        return Ok(Some(sum));
    }
    let right = value(right, leaves, known)?;
    right.map(|right| added(sum, &right)).transpose()
}

/// The sum of what the halves of a subtree have.
///
/// # Errors
/// [`Error::Shape`] when they differ in shape.
pub fn added(mut left: Sums, right: &Sums) -> Result<Sums> {
    Error::check_size("sum over data", "arrays", left.len(), right.len())?;
    for (left, right) in left.iter_mut().zip(right) {
        Error::check_size("sum over data", "axes", left.ndim(), right.ndim())?;
        for (&left, &right) in left.shape().iter().zip(right.shape()) {
            Error::check_size("sum over data", "length", left, right)?;
        }
        *left += right;
    }
    Ok(left)
}

#[cfg(test)]
mod tests;
