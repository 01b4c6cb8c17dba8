use super::{
    interval::{Interval, bootstrap},
    ordered::Ordered,
};

/// How well a ranking finds some of its points. Ties are broken by no one: they count as in a
/// random order of theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Detection {
    /// The area under the receiver operating characteristic: the share of pairs of one point each
    /// that are in the right order, ties half.
    Auc,
    /// The mean precision at the points that are found, weighted by how much recall each adds.
    AveragePrecision,
    /// The share of the points that is found among this share of all, the first ones.
    FoundAmong(f64),
}

impl Detection {
    /// Of points that count several times or not at all; the largest score comes first.
    fn measure(self, scores: &Ordered, is_wanted: &[bool], weights: &[f64]) -> f64 {
        let groups = groups(scores, is_wanted, weights);
        let [others, wanted] = total(&groups);
        if wanted == 0.0 || others == 0.0 {
            return 0.0;
        }
        match self {
            Self::Auc => right_pairs(&groups) / (wanted * others),
            Self::AveragePrecision => precisions(&groups) / wanted,
            Self::FoundAmong(share) => found(&groups, (share * (wanted + others)).ceil()) / wanted,
        }
    }
}

/// How many other and wanted points have each score, the largest first.
fn groups(scores: &Ordered, is_wanted: &[bool], weights: &[f64]) -> Vec<[f64; 2]> {
    let counts = |group: &[usize]| {
        let mut counts = [0.0; 2];
        for &place in group {
            counts[usize::from(is_wanted[place])] += weights[place];
        }
        counts
    };
    scores.groups().rev().map(counts).collect()
}

/// How many other and wanted points there are.
fn total(groups: &[[f64; 2]]) -> [f64; 2] {
    groups.iter().fold([0.0; 2], |sums, counts| {
        [sums[0] + counts[0], sums[1] + counts[1]]
    })
}

/// Pairs of a wanted and another point with the wanted one first, ties half.
fn right_pairs(groups: &[[f64; 2]]) -> f64 {
    let (mut pairs, mut before) = (0.0, 0.0);
    for [others, wanted] in groups {
        pairs += others * (before + wanted / 2.0);
        before += wanted;
    }
    pairs
}

/// The sum over wanted points of the precision up to the end of their group.
fn precisions(groups: &[[f64; 2]]) -> f64 {
    let (mut sum, mut seen, mut found) = (0.0, 0.0, 0.0);
    for [others, wanted] in groups {
        seen += others + wanted;
        found += wanted;
        if *wanted > 0.0 {
            sum += wanted * found / seen;
        }
    }
    sum
}

/// How many wanted points are expected among the first ones.
fn found(groups: &[[f64; 2]], mut inspected: f64) -> f64 {
    let mut found = 0.0;
    for [others, wanted] in groups {
        let size = others + wanted;
        if size > 0.0 {
            found += wanted * (inspected / size).clamp(0.0, 1.0);
        }
        inspected -= size;
    }
    found
}

/// How well scores, of which the largest come first, find the points that are wanted; intervals
/// resample the points.
pub fn detected<const D: usize>(
    scores: Vec<f64>,
    is_wanted: &[bool],
    detections: [Detection; D],
    seed: u64,
) -> [Interval; D] {
    let scores = Ordered::new(scores);
    detections.map(|detection| {
        bootstrap(is_wanted.len(), seed, |weights| {
            detection.measure(&scores, is_wanted, weights)
        })
    })
}

/// The share of the wanted points that is found among each of these numbers of points, those with
/// the largest scores; 0 where none are wanted.
pub fn found_among(scores: Vec<f64>, is_wanted: &[bool], counts: &[usize]) -> Vec<f64> {
    let groups = groups(
        &Ordered::new(scores),
        is_wanted,
        &vec![1.0; is_wanted.len()],
    );
    let [_, wanted] = total(&groups);
    let share = |&count: &usize| match wanted {
        0.0 => 0.0,
        wanted => found(&groups, count as f64) / wanted,
    };
    counts.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 10] = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.2, 0.1];
    const WANTED: [bool; 10] = [
        true, false, true, true, false, false, true, false, false, false,
    ];

    #[test]
    fn rankings_are_rated_as_by_scikit_learn() {
        // sklearn.metrics.roc_auc_score and average_precision_score, scikit-learn 1.9.1
        let scores = Ordered::new(SCORES.to_vec());
        let plain = [1.0; 10];
        // The same of numpy.repeat(..., w)
        let repeated = [1.0, 2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.0, 2.0, 1.0];
        for (detection, weights, expected) in [
            (Detection::Auc, plain, 0.8125),
            (Detection::AveragePrecision, plain, 0.729_166_666_666_666_6),
            (Detection::Auc, repeated, 0.722_222_222_222_222_2),
            (Detection::AveragePrecision, repeated, 0.611_111_111_111_111),
            // One point, two points and one of a tie of two.
            (Detection::FoundAmong(0.1), plain, 0.25),
            (Detection::FoundAmong(0.2), plain, 0.375),
            (Detection::FoundAmong(0.3), plain, 0.5),
            (Detection::FoundAmong(1.0), plain, 1.0),
        ] {
            let got = detection.measure(&scores, &WANTED, &weights);
            assert!((got - expected).abs() < 1e-14, "{detection:?} {got}");
        }
    }

    #[test]
    fn a_curve_of_what_is_found_takes_ties_in_part() {
        // One point, one and two of a tie of two, one and two of a tie of three, all.
        let got = found_among(SCORES.to_vec(), &WANTED, &[0, 1, 2, 3, 4, 6, 10]);
        let of_tie = 1.0 / 3.0 / 4.0;
        for (got, expected) in got
            .iter()
            .zip([0.0, 0.25, 0.375, 0.5, 0.75, 0.75 + of_tie, 1.0])
        {
            assert!((got - expected).abs() < 1e-14, "{got} {expected}");
        }
        assert_eq!(found_among(SCORES.to_vec(), &[false; 10], &[3]), [0.0]);
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wanted() {
        let [got] = detected(SCORES.to_vec(), &[false; 10], [Detection::Auc], 0);
        assert_eq!(
            got,
            Interval {
                value: 0.0,
                low: 0.0,
                high: 0.0
            }
        );
    }
}
