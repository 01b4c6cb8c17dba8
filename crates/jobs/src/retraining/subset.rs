use anyhow::{Result, ensure};

/// How a training is without the points that a [`Subset`] leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// As if they had never been there: batches are drawn from the points that are kept, and the
    /// objective is the mean loss of these.
    Removed,
    /// They keep their places in the batches and weigh nothing: every step takes the other samples
    /// that it takes in the training on all points, and divides by as many. The objective keeps the
    /// weight 1/n of each point that stays.
    Weightless,
}

/// Some of the training points, by their numbers in ascending order: those that a retraining keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset(Vec<usize>);

impl Subset {
    /// These points, in any order.
    ///
    /// # Errors
    /// When there are none, or one is named twice.
    pub fn new(mut points: Vec<usize>) -> Result<Self> {
        points.sort_unstable();
        ensure!(!points.is_empty(), "a subset has at least one point");
        let twice = points.windows(2).find(|pair| pair[0] == pair[1]);
        ensure!(
            twice.is_none(),
            "a subset has point {} twice",
            twice.map_or(0, |pair| pair[0])
        );
        Ok(Self(points))
    }

    /// All points but some.
    ///
    /// # Errors
    /// When none is left.
    pub fn without(points: usize, removed: &[usize]) -> Result<Self> {
        let mut kept = vec![true; points];
        for &point in removed {
            if let Some(kept) = kept.get_mut(point) {
                *kept = false;
            }
        }
        Self::new((0..points).filter(|&point| kept[point]).collect())
    }

    /// The points, in ascending order.
    pub fn points(&self) -> &[usize] {
        &self.0
    }

    /// Refuses points that there are not.
    pub(super) fn check(&self, points: usize) -> Result<()> {
        let last = self.0.last().copied().unwrap_or(0);
        ensure!(
            last < points,
            "a subset has point {last}, but there are {points} training points, counted from 0"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_sorted_and_each_is_there_once() -> Result<()> {
        assert_eq!(Subset::new(vec![2, 0])?.points(), [0, 2]);
        assert_eq!(Subset::without(4, &[1, 3, 9])?, Subset::new(vec![0, 2])?);
        let refused = |points| Subset::new(points).map_err(|error| error.to_string());
        assert_eq!(
            refused(vec![1, 4, 1]),
            Err("a subset has point 1 twice".into())
        );
        assert!(refused(vec![]).is_err());
        assert!(Subset::new(vec![3])?.check(4).is_ok());
        assert!(Subset::new(vec![4])?.check(4).is_err());
        Ok(())
    }
}
