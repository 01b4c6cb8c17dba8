//! What targets are taken for: class numbers or numbers. Integers may be either, so the guess is
//! told.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::points::PointsFound;

/// More values than this, few points for each and gaps between them look like numbers rather than
/// classes.
const MANY: usize = 20;
/// So few points for each value are few.
const FEW: usize = 10;

/// What targets are taken for, and why.
#[derive(Debug, Default)]
pub(super) struct TargetGuess {
    /// Whether they are class numbers.
    pub(super) classes: bool,
    /// As many outputs as there are classes, or numbers in a target.
    pub(super) outputs: usize,
    /// What the configuration says of them.
    pub(super) comment: String,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

impl TargetGuess {
    /// Looks at the targets of both sides; `outputs` are those of the weights, where they are
    /// known, and a model may be still `untrained`.
    ///
    /// # Errors
    /// When they cannot be read, or a classifier cannot be made of them.
    pub(super) fn of(
        train: &PointsFound,
        test: Option<&PointsFound>,
        outputs: Option<usize>,
        untrained: bool,
    ) -> Result<Self> {
        let numbers: usize = train.target_shape.iter().flatten().product();
        if !train.integers[1] {
            let mut targets = Self::numbers(numbers, "targets are numbers");
            let hint = train.source.may_be_classes()?;
            targets.warnings.extend(hint.map(|hint| {
                format!(
                    "{}: targets are floating-point numbers, for mse; {hint}",
                    train.targets()
                )
            }));
            return Ok(targets);
        }
        if numbers > 1 {
            return Ok(Self::numbers(
                numbers,
                "a guess: targets are several integers for each point; rows of 0 and 1 may be classes, then save their argmax",
            ));
        }
        let values = train.source.integer_targets()?;
        let distinct: BTreeSet<i64> = values.iter().copied().collect();
        ensure!(
            distinct.len() > 1 || !untrained,
            "{}: all {} targets are {}, and a classifier cannot be trained on a single class; give points of at least two, or numbers as floats for mse",
            train.targets(),
            values.len(),
            train.named(values[0])
        );
        if let Some(names) = &train.names {
            return Ok(Self::classes(names.len(), "targets are names of classes"));
        }
        let described = described(&distinct);
        if let Some(why) = look_like_numbers(&distinct, values.len(), outputs) {
            let comment = format!("a guess: targets are {described}, and {why}");
            return Ok(Self::numbers(1, &comment));
        }
        let comment = match outputs {
            Some(_) => format!("targets are {described}, class numbers"),
            None => format!(
                "a guess: targets are {described}, taken as class numbers; \"mse\" for numbers"
            ),
        };
        let tested = test.filter(|test| test.integers[1]);
        let tested = tested
            .map(|test| test.source.integer_targets())
            .transpose()?;
        let tested: BTreeSet<i64> = tested.into_iter().flatten().collect();
        let last = distinct.iter().chain(&tested).max().copied();
        let count = last.and_then(|last| usize::try_from(last).ok());
        let mut targets = Self::classes(count.unwrap_or(0) + 1, &comment);
        let unknown: Vec<String> = tested
            .difference(&distinct)
            .map(ToString::to_string)
            .collect();
        if distinct.first() == Some(&1) && outputs.is_none() {
            targets.warnings.push(format!(
                "{}: no point is of class 0; where classes are counted from 1, subtract 1",
                train.targets()
            ));
        }
        if !unknown.is_empty() {
            targets.warnings.push(format!(
                "no training point is of class {}, but test points are; are classes numbered the same on both sides?",
                unknown.join(", ")
            ));
        }
        Ok(targets)
    }

    fn classes(outputs: usize, comment: &str) -> Self {
        Self {
            classes: true,
            ..Self::numbers(outputs, comment)
        }
    }

    fn numbers(outputs: usize, comment: &str) -> Self {
        Self {
            outputs,
            comment: comment.to_owned(),
            ..Self::default()
        }
    }
}

/// Why integers are no class numbers, if they look so.
fn look_like_numbers(
    distinct: &BTreeSet<i64>,
    points: usize,
    outputs: Option<usize>,
) -> Option<&'static str> {
    let first = distinct.first().copied().unwrap_or(0);
    let last = distinct.last().copied().unwrap_or(0);
    let count = distinct.len();
    let gaps = usize::try_from(last).is_ok_and(|last| last >= count);
    match outputs {
        Some(1) => Some("the model has one output: taken as numbers"),
        None if first < 0 => Some(
            "some are negative: taken as numbers; classes are counted from 0, with \"cross-entropy\"",
        ),
        None if count > MANY && points < FEW * count && gaps => {
            Some("few points share one: taken as numbers; \"cross-entropy\" for class numbers")
        }
        _ => None,
    }
}

fn described(distinct: &BTreeSet<i64>) -> String {
    let ends = distinct.first().zip(distinct.last());
    let (first, last) = ends.map_or((0, 0), |(first, last)| (*first, *last));
    format!("{} integers from {first} to {last}", distinct.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(values: impl IntoIterator<Item = i64>, outputs: Option<usize>) -> bool {
        let values: Vec<i64> = values.into_iter().collect();
        let distinct = values.iter().copied().collect();
        look_like_numbers(&distinct, values.len(), outputs).is_some()
    }

    #[test]
    fn integers_are_classes_unless_they_look_like_numbers() {
        let ages = (0..300).map(|point| 18 + point * 7 % 60);
        for (numbers, values, outputs) in [
            (false, (0..100).map(|point| point % 10).collect(), None),
            // A few points of each of many classes.
            (false, (0..300).map(|point| point % 100).collect(), None),
            (true, ages.clone().collect::<Vec<i64>>(), None),
            // The weights know better.
            (false, ages.collect(), Some(78)),
            (true, vec![0, 1, 0, 1], Some(1)),
            (true, vec![-1, 1, 1], None),
            (false, vec![1, 2, 3, 1, 2, 3], None),
        ] {
            assert_eq!(guess(values.clone(), outputs), numbers, "{values:?}");
        }
    }
}
