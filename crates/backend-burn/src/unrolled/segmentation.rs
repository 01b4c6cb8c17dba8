use std::ops::Range;

use influence_core::{Error as CoreError, Result as CoreResult};

/// How a training is cut into segments, and where its checkpoints are; see
/// [`Fit::segmented`](crate::Fit::segmented).
///
/// Segments have the same number of steps, but for one. The checkpoints of a segment are at the
/// ends of parts of it, as many as there are checkpoints and of the same number of steps, so that
/// the last one of the training is its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segmentation {
    /// The number of segments.
    pub segments: usize,
    /// The number of checkpoints in each segment.
    pub checkpoints: usize,
}

impl Segmentation {
    /// The steps of each segment, of a training of this many steps, and the numbers of steps after
    /// which its checkpoints are.
    pub(crate) fn of(self, steps: usize) -> CoreResult<Vec<(Range<usize>, Vec<usize>)>> {
        let all = self.segments.saturating_mul(self.checkpoints);
        if all == 0 || all > steps {
            return Err(CoreError::Setting {
                name: "segments",
                requirement: "at least 1, each with at least 1 checkpoint, and not more checkpoints than the training has steps",
                got: format!(
                    "{} segments of {} checkpoints for {steps} steps",
                    self.segments, self.checkpoints
                ),
            });
        }
        let end = |checkpoint: usize| steps * checkpoint / all;
        let segment = |segment: usize| {
            let first = segment * self.checkpoints;
            let last = first + self.checkpoints;
            (end(first)..end(last), (first + 1..=last).map(end).collect())
        };
        Ok((0..self.segments).map(segment).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_each_other_and_the_last_checkpoint_is_the_end() {
        let of = |segments, checkpoints, steps| {
            Segmentation {
                segments,
                checkpoints,
            }
            .of(steps)
        };
        let cut = of(3, 2, 20).expect("enough steps");
        assert_eq!(
            cut,
            [
                (0..6, vec![3, 6]),
                (6..13, vec![10, 13]),
                (13..20, vec![16, 20])
            ]
        );
        assert_eq!(of(1, 1, 7).expect("enough"), [(0..7, vec![7])]);
        for (segments, checkpoints) in [(3, 3), (0, 1), (1, 0)] {
            assert!(of(segments, checkpoints, 8).is_err());
        }
    }
}
