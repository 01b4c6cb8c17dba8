//! The loss that a network seems to have been trained with.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use influence_core::FieldKind;
use influence_onnx::NetworkFile;

use crate::{config::Loss, init::points::PointsFound};

/// A loss, and why.
#[derive(Debug)]
pub(super) struct LossGuess {
    pub(super) loss: Loss,
    /// What the configuration says of it.
    pub(super) comment: String,
    /// The target that does not count, if there seems to be one.
    pub(super) ignore: Option<i64>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

impl LossGuess {
    /// From the targets, and the shape of the output for one sample.
    ///
    /// # Errors
    /// When they cannot be read, or no loss is known for such outputs and targets.
    pub(super) fn of(train: &PointsFound, network: &NetworkFile, output: &[usize]) -> Result<Self> {
        let outputs = shape(output);
        let Some(target) = &train.target_shape else {
            return Self::without_targets(network, output);
        };
        let column = target.len() == 1 && target[0] == 1;
        let single = target.is_empty() || column;
        let described = |what: &str| format!("a guess: outputs {outputs}, targets {what}");
        if train.integers[1] {
            if single && output.len() == 1 && output[0] > 1 {
                let values: BTreeSet<i64> = train.source.integer_targets()?.into_iter().collect();
                let what = format!("{} class numbers or names", values.len());
                return Ok(Self::new(Loss::CrossEntropy, described(&what)));
            }
            if let (&[positions], &[here, classes]) = (&target[..], output)
                && positions == here
            {
                let what = format!("a class for each of {positions} positions");
                return Ok(Self {
                    ignore: ignored(&train.source.integer_targets()?, classes),
                    ..Self::new(Loss::SequenceCrossEntropy, described(&what))
                });
            }
        }
        let numbers = |sample: &[usize]| sample.iter().product::<usize>();
        if numbers(target) != numbers(output) {
            bail!(
                "outputs are {outputs} and targets {}: no loss is known for these; choose another output of the network by model.output, or other targets",
                shape(target)
            );
        }
        if !train.source.have_binary_targets()? {
            return Ok(Self::new(Loss::Mse, described("are numbers")));
        }
        let warning = format!(
            "{}: targets are 0 and 1, taken for yes and no, with outputs that are logits: binary-cross-entropy; for numbers set model.loss = \"mse\"",
            train.targets()
        );
        Ok(Self {
            warnings: vec![warning],
            ..Self::new(
                Loss::BinaryCrossEntropy,
                described("are 0 and 1; \"mse\" for numbers"),
            )
        })
    }

    fn without_targets(network: &NetworkFile, output: &[usize]) -> Result<Self> {
        let outputs = shape(output);
        let mut inputs = network.inputs.iter();
        let tokens = inputs.any(|input| input.kind == FieldKind::Int);
        match output {
            [_, _] if tokens => Ok(Self::new(
                Loss::NextToken,
                format!("a guess: there are no targets, and outputs {outputs} predict tokens"),
            )),
            [] | [1] => Ok(Self::new(
                Loss::Output,
                format!("a guess: there are no targets, and the output {outputs} is one number"),
            )),
            _ => bail!(
                "there are no targets, and outputs {outputs} are neither those of a language model nor a loss; give the targets after the inputs"
            ),
        }
    }

    fn new(loss: Loss, comment: String) -> Self {
        Self {
            loss,
            comment,
            ignore: None,
            warnings: Vec::new(),
        }
    }
}

/// The only number that is no class, if it is negative.
fn ignored(targets: &[i64], classes: usize) -> Option<i64> {
    let is_class = |target: i64| usize::try_from(target).is_ok_and(|class| class < classes);
    let others = targets.iter().copied().filter(|&target| !is_class(target));
    let others: BTreeSet<i64> = others.collect();
    match others.into_iter().collect::<Vec<_>>()[..] {
        [only] if only < 0 => Some(only),
        _ => None,
    }
}

/// A shape with the samples first.
fn shape(sample: &[usize]) -> String {
    let sides = sample.iter().map(|side| format!(", {side}"));
    format!("(n{})", sides.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_negative_number_among_classes_is_ignored() {
        for (targets, expected) in [
            (&[0_i64, 2, -100][..], Some(-100)),
            (&[0, 1], None),
            (&[0, -1, -2], None),
            (&[0, 9], None),
        ] {
            assert_eq!(ignored(targets, 3), expected, "{targets:?}");
        }
    }
}
