//! Groups of samples.

use std::ops::Range;

use crate::{Error, Result};

/// Groups of consecutive samples, in which each sample counts with a weight: a group stands for the
/// weighted sum of its samples.
///
/// # Examples
/// ```
/// use influence_core::Groups;
///
/// let groups = Groups::means([2, 1])?;
/// assert_eq!((groups.len(), groups.samples()), (2, 3));
/// assert_eq!(groups.weights(), [0.5, 0.5, 1.0]);
/// assert_eq!(groups.samples_of(&(1..2)), 2..3);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Where each group ends; it begins where the one before it ends.
    ends: Vec<usize>,
    weights: Vec<f64>,
}

impl Groups {
    /// Groups of these many samples, with the weight of each sample.
    ///
    /// # Errors
    /// [`Error::Setting`] for a group without samples or a weight that is not finite,
    /// [`Error::Shape`] when there is not one weight for each sample.
    pub fn new(sizes: impl IntoIterator<Item = usize>, weights: Vec<f64>) -> Result<Self> {
        let refuse = |name, requirement, got: String| Error::Setting {
            name,
            requirement,
            got,
        };
        let (mut ends, mut samples) = (Vec::new(), 0);
        for (group, size) in sizes.into_iter().enumerate() {
            if size == 0 {
                let got = format!("none in group {group}");
                return Err(refuse("group", "at least one sample", got));
            }
            samples += size;
            ends.push(samples);
        }
        Error::check_size("groups", "weights", samples, weights.len())?;
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
            return Err(refuse("weight", "finite", weight.to_string()));
        }
        Ok(Self { ends, weights })
    }

    /// Groups of these many samples, each the sum of its samples.
    ///
    /// # Errors
    /// [`Error::Setting`] for a group without samples.
    pub fn sums(sizes: impl IntoIterator<Item = usize>) -> Result<Self> {
        let sizes: Vec<usize> = sizes.into_iter().collect();
        let weights = vec![1.0; sizes.iter().sum()];
        Self::new(sizes, weights)
    }

    /// Groups of these many samples, each the mean of its samples.
    ///
    /// # Errors
    /// [`Error::Setting`] for a group without samples.
    pub fn means(sizes: impl IntoIterator<Item = usize>) -> Result<Self> {
        let sizes: Vec<usize> = sizes.into_iter().collect();
        let of_group = |&size: &usize| vec![1.0 / size as f64; size];
        let weights = sizes.iter().flat_map(of_group).collect();
        Self::new(sizes, weights)
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of samples of all groups together.
    pub fn samples(&self) -> usize {
        self.weights.len()
    }

    /// The weight of each sample.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The samples of a range of groups, which must be there.
    pub fn samples_of(&self, groups: &Range<usize>) -> Range<usize> {
        let start = |group: usize| group.checked_sub(1).map_or(0, |before| self.ends[before]);
        start(groups.start)..start(groups.end)
    }

    /// The group of a sample, which must be there.
    pub fn group_of(&self, sample: usize) -> usize {
        self.ends.partition_point(|&end| end <= sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_each_other() -> Result<()> {
        let groups = Groups::sums([2, 1, 3])?;
        let of_samples: Vec<usize> = (0..6).map(|sample| groups.group_of(sample)).collect();
        assert_eq!(of_samples, [0, 0, 1, 2, 2, 2]);
        assert_eq!(groups.samples_of(&(0..1)), 0..2);
        assert_eq!(groups.samples_of(&(1..3)), 2..6);
        assert_eq!(groups.samples_of(&(3..3)), 6..6);
        assert!(Groups::sums([])?.is_empty());
        Ok(())
    }

    #[test]
    fn what_is_no_group_is_refused() {
        assert!(Groups::means([1, 0]).is_err());
        assert!(Groups::new([2], vec![1.0]).is_err());
        assert!(Groups::new([2], vec![1.0, f64::NAN]).is_err());
    }
}
