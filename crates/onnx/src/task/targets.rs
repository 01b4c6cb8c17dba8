//! What the targets of a task are.

use influence_core::{FieldForm, FieldKind};

use super::settings::{LossKind, NetworkLoss};
use crate::{Error, Result};

/// What the targets of samples must be; they are the last field of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetForm {
    /// There are none: a batch has the inputs only.
    None,
    /// The number of a class below `classes`, or the one that is ignored, `(n)`.
    Class {
        /// The classes of the output.
        classes: usize,
    },
    /// The number of a class at each position, or the one that is ignored, `(n, positions)`.
    ClassSequence {
        /// The classes of the output at each position.
        classes: usize,
        /// The positions of the output, for samples of the shape that was looked at.
        positions: usize,
    },
    /// Numbers, of which a sample has this shape; that of the output, with at least one axis.
    Numbers {
        /// The shape of a sample.
        shape: Vec<usize>,
    },
}

impl TargetForm {
    /// The targets for an output of this shape of one sample.
    ///
    /// # Errors
    /// [`Error::Setting`] when the loss is not defined for such an output.
    pub(super) fn new(loss: &NetworkLoss, output: &[usize]) -> Result<Self> {
        let kind = loss.kind;
        let refuse = |expected: &str| {
            Err(Error::Setting(format!(
                "loss `{kind}` is taken of an output {expected}; that of this network is {}; choose another loss, or another tensor of the file as model.output",
                of_samples(output)
            )))
        };
        if kind.has_classes()
            && let Some(&classes) = output.last()
        {
            check_classes(loss, classes)?;
        }
        let form = match (kind, output) {
            (LossKind::CrossEntropy, &[classes]) => Self::Class { classes },
            (LossKind::CrossEntropy, _) => return refuse("(n, classes)"),
            (LossKind::SequenceCrossEntropy, &[positions, classes]) => {
                Self::ClassSequence { classes, positions }
            }
            (LossKind::NextToken, &[_, _]) | (LossKind::InFile, &[] | &[1]) => Self::None,
            (LossKind::SequenceCrossEntropy | LossKind::NextToken, _) => {
                return refuse("(n, positions, classes)");
            }
            (LossKind::InFile, _) => return refuse("(n) that is the loss of each sample"),
            (LossKind::MeanSquaredError | LossKind::BinaryCrossEntropy, &[]) => {
                Self::Numbers { shape: vec![1] }
            }
            (LossKind::MeanSquaredError | LossKind::BinaryCrossEntropy, shape) => Self::Numbers {
                shape: shape.to_vec(),
            },
        };
        Ok(form)
    }

    /// In what form they are read, if there are any.
    pub(super) fn field(&self) -> Option<FieldForm> {
        let (kind, axes) = match self {
            Self::None => return None,
            Self::Class { .. } => (FieldKind::Int, 0),
            Self::ClassSequence { .. } => (FieldKind::Int, 1),
            Self::Numbers { shape } => (FieldKind::Float, shape.len()),
        };
        Some(FieldForm {
            kind,
            rank: axes + 1,
        })
    }
}

/// Checks that there are classes to choose from, and a weight for each.
fn check_classes(loss: &NetworkLoss, classes: usize) -> Result<()> {
    let kind = loss.kind;
    if classes < 2 {
        return Err(Error::Setting(format!(
            "loss `{kind}` chooses among classes, and the output of this network has {classes}; for a single logit use `binary-cross-entropy`"
        )));
    }
    match &loss.class_weights {
        Some(weights) if weights.len() != classes => Err(Error::Setting(format!(
            "class_weights has one weight for each class: the network has {classes} classes, got {} weights",
            weights.len()
        ))),
        _ => Ok(()),
    }
}

/// The shape of samples in words, such as `(n, 3)`.
pub(super) fn of_samples(sample: &[usize]) -> String {
    let sides = sample.iter().map(|side| format!(", {side}"));
    format!("(n{})", sides.collect::<String>())
}
