//! A share of the work: the part of one of several processes that do it together.

use std::{
    fmt::{self, Display},
    num::NonZero,
    ops::Range,
    str::FromStr,
};

use crate::{Error, Result};

/// One of several equal parts of the work, numbered from 0; written `2/8`.
///
/// # Examples
/// ```
/// use influence_core::Share;
///
/// let share: Share = "2/3".parse()?;
/// assert_eq!(share, Share::new(2, 3)?);
/// assert_eq!(share.to_string(), "2/3");
/// assert_eq!(share.of(10), 6..10);
/// assert_eq!(Share::WHOLE.of(10), 0..10);
/// assert!("3/3".parse::<Share>().is_err());
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: NonZero<usize>,
}

impl Share {
    /// All of the work.
    pub const WHOLE: Self = Self {
        index: 0,
        of: NonZero::<usize>::MIN,
    };

    /// Share `index`, counted from 0, of `of` shares.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `index` is less than `of`.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        match NonZero::new(of) {
            Some(of) if index < of.get() => Ok(Self { index, of }),
            _ => Err(refused(&format!("{index}/{of}"))),
        }
    }

    /// The tasks of this share, of tasks numbered from 0. The shares cover all tasks, and differ in
    /// length by one at most.
    pub fn of(self, tasks: usize) -> Range<usize> {
        // A product of two numbers of 64 bits fits; the quotient is at most `tasks`.
        let first = |index: usize| {
            let before = index as u128 * tasks as u128 / self.of.get() as u128;
            usize::try_from(before).unwrap_or(tasks)
        };
        first(self.index)..first(self.index + 1)
    }

    /// Whether it is all of the work.
    pub fn is_whole(self) -> bool {
        self.of == NonZero::<usize>::MIN
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Share {
    type Err = Error;

    /// # Errors
    /// [`Error::Setting`], which says what to write.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) = numbers.ok_or_else(|| refused(text))?;
        Self::new(index, of)
    }
}

fn refused(got: &str) -> Error {
    Error::Setting {
        name: "share",
        requirement: "a number and a count, 0/4 to 3/4 for four shares",
        got: got.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_tasks_once_and_evenly() -> Result<()> {
        for tasks in [0, 1, 2, 7, 10, 60] {
            for of in 1..9 {
                let shares: Result<Vec<Share>> =
                    (0..of).map(|index| Share::new(index, of)).collect();
                let ranges: Vec<_> = shares?.iter().map(|share| share.of(tasks)).collect();
                let covered: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(covered, (0..tasks).collect::<Vec<_>>());
                let even = tasks / of..=tasks.div_ceil(of);
                assert!(ranges.iter().all(|range| even.contains(&range.len())));
            }
        }
        assert_eq!(
            Share::new(usize::MAX - 1, usize::MAX)?.of(usize::MAX).len(),
            1
        );
        Ok(())
    }

    #[test]
    fn what_is_no_share_is_refused_with_an_example() {
        for text in ["", "2", "2/", "/8", "8/8", "0/0", "-1/2", "1/2/3", "1 of 2"] {
            let error = text.parse::<Share>().expect_err(text).to_string();
            let expected = "share must be a number and a count, 0/4 to 3/4 for four shares, got ";
            assert_eq!(error, format!("{expected}{text}"));
        }
    }
}
