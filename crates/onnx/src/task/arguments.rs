//! From the output of a network on a batch, and its targets, to what losses read.

use burn::tensor::{Bool, Int, Tensor};
use influence_core::FieldKind;

use super::{
    classes::Choices, counted::Counted, fields::Fields, numbers::NumberOutputs,
    settings::NetworkLoss, targets::TargetForm, tokens::Tokens,
};
use crate::{Error, Result, value::Value};

/// What a loss or a measurement reads: the output of a network on a batch, beside the targets.
pub(super) enum LossArguments {
    /// Outputs that choose classes.
    Choices(Choices),
    /// Outputs that are lost on one by one.
    Numbers(NumberOutputs),
    /// The loss of each sample, computed in the file.
    Losses(Tensor<1>),
}

impl LossArguments {
    /// The output of a batch beside its targets, which are of this form.
    pub(super) fn new(
        output: Value,
        targets: Option<Value>,
        form: &TargetForm,
        loss: &NetworkLoss,
    ) -> Result<Self> {
        let samples = output.dims().first().copied().unwrap_or(1);
        match (form, targets) {
            (TargetForm::Numbers { .. }, Some(targets)) => {
                let width = output.dims().iter().skip(1).product();
                let shape = [samples, width];
                numbers(output.reshape(&shape)?, targets.reshape(&shape)?, loss).map(Self::Numbers)
            }
            (_, Some(targets)) => {
                let classes = output.dims().last().copied().unwrap_or(1);
                let positions =
                    output.dims().iter().product::<usize>() / (samples * classes).max(1);
                let logits = output.reshape(&[samples, positions, classes])?;
                let labels = integers(targets.reshape(&[samples, positions])?)?;
                let ignored = ignored(&labels, loss);
                Ok(Self::Choices(choices(floats(logits)?, labels, ignored)))
            }
            (_, None) => of_samples(output).map(Self::Losses),
        }
    }

    /// The output `(n, t, c)` of a batch beside its next tokens.
    pub(super) fn of_next(
        output: Value,
        fields: &Fields,
        tokens: Tokens,
        loss: &NetworkLoss,
    ) -> Result<Self> {
        let logits: Tensor<3> = floats(output)?;
        let [_, positions, _] = logits.dims();
        let field = |place: usize| {
            let missing = || Error::Input(format!("a batch has no input {place} (counted from 0)"));
            fields.inputs().get(place).cloned().ok_or_else(missing)
        };
        let next = positions - 1;
        let labels: Tensor<2, Int> = integers(field(tokens.input)?)?.narrow(1, 1, next);
        let mut ignored = ignored(&labels, loss);
        if let Some(mask) = tokens.mask {
            let masked = zeros(field(mask)?).narrow(1, 1, next);
            ignored = Some(match ignored {
                Some(ignored) => ignored.bool_or(masked),
                None => masked,
            });
        }
        let logits = logits.narrow(1, 0, next);
        Ok(Self::Choices(choices(logits, labels, ignored)))
    }
}

/// One number for each sample of a batch.
pub(super) fn of_samples(value: Value) -> Result<Tensor<1>> {
    let samples = value.dims().first().copied().unwrap_or(1);
    floats(value.reshape(&[samples])?)
}

fn choices(logits: Tensor<3>, labels: Tensor<2, Int>, ignored: Option<Tensor<2, Bool>>) -> Choices {
    let Some(ignored) = ignored else {
        return Choices {
            logits,
            labels,
            counted: Counted::all(),
        };
    };
    Choices {
        logits,
        // The first class, since an ignored target may be the number of none.
        labels: labels.mask_fill(ignored.clone(), 0),
        counted: Counted::except(ignored),
    }
}

fn numbers(outputs: Value, targets: Value, loss: &NetworkLoss) -> Result<NumberOutputs> {
    let (outputs, targets): (Tensor<2>, Tensor<2>) = (floats(outputs)?, floats(targets)?);
    let Some(ignore) = loss.ignore else {
        return Ok(NumberOutputs {
            outputs,
            targets,
            counted: Counted::all(),
        });
    };
    let ignored = targets.clone().equal_elem(ignore as f64);
    Ok(NumberOutputs {
        outputs,
        targets: targets.mask_fill(ignored.clone(), 0.0),
        counted: Counted::except(ignored),
    })
}

/// Where labels are the ignored one, if there is one.
fn ignored(labels: &Tensor<2, Int>, loss: &NetworkLoss) -> Option<Tensor<2, Bool>> {
    let ignore = loss.ignore?;
    Some(labels.clone().equal_elem(ignore))
}

/// Where a mask is 0 or false.
fn zeros(mask: Value) -> Tensor<2, Bool> {
    match mask.kind {
        FieldKind::Float => Tensor::<2>::from_dispatch(mask.tensor).equal_elem(0.0),
        FieldKind::Int => Tensor::<2, Int>::from_dispatch(mask.tensor).equal_elem(0),
        FieldKind::Bool => Tensor::<2, Bool>::from_dispatch(mask.tensor).bool_not(),
    }
}

fn floats<const D: usize>(value: Value) -> Result<Tensor<D>> {
    of_kind(&value, FieldKind::Float)?;
    Ok(Tensor::from_dispatch(value.tensor))
}

fn integers(value: Value) -> Result<Tensor<2, Int>> {
    of_kind(&value, FieldKind::Int)?;
    Ok(Tensor::from_dispatch(value.tensor))
}

fn of_kind(value: &Value, expected: FieldKind) -> Result<()> {
    if value.kind == expected {
        return Ok(());
    }
    Err(Error::Input(format!(
        "expected outputs of floats, class numbers that are integers and other targets that are floats, got {:?}",
        value.kind
    )))
}
