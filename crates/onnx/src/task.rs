//! The losses, the measurement and the outputs of a network.

mod arguments;
mod classes;
mod counted;
mod fields;
mod logits;
mod measured;
mod numbers;
mod probe;
mod settings;
mod targets;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use burn::tensor::Tensor;
use influence_backend_burn::{OutputLoss, Outputs, Task};
use influence_core::FieldForm;

use crate::{Error, Network, NetworkFile, Result, network::Program};

use arguments::LossArguments;
use tokens::Tokens;

pub use fields::Fields;
pub use settings::{LossKind, Measurement, NetworkLoss};
pub use targets::TargetForm;

/// The task of a network: a loss of its output, and what is measured.
///
/// A batch has the inputs in the order of the network, then the targets, if there are any
/// ([`targets`](Self::targets)).
#[derive(Debug)]
pub struct NetworkTask {
    loss: NetworkLoss,
    measurement: Measurement,
    /// What computes the measurement, if the file does.
    measured: Option<Arc<Program>>,
    /// The shape of one sample of the output.
    output: Vec<usize>,
    /// Probabilities that the file computes: the loss is taken of the logits before them.
    probabilities: Option<String>,
    targets: TargetForm,
    /// Where the targets are among the inputs, for next tokens.
    tokens: Option<Tokens>,
    forms: Vec<FieldForm>,
    remarks: Vec<String>,
}

impl NetworkTask {
    /// Tries a network on one, two and three made-up samples, whose inputs have these shapes (the
    /// axis of the samples left out), and binds it to a loss.
    ///
    /// The samples are computed on the CPU. Whatever would fail on data of these shapes fails here.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) when a setting is out of its range, or the loss or
    /// the measurement is not defined for the output; [`Error::Input`](crate::Error::Input) when
    /// the number or the shapes of the inputs are not those of the network;
    /// [`Error::Node`](crate::Error::Node) when a node cannot be computed;
    /// [`Error::Samples`](crate::Error::Samples) when samples are not along the first axis of
    /// inputs and outputs, their number was written into the file, or they depend on each other.
    /// Messages say what to do.
    pub fn new(
        model: &NetworkFile,
        loss: NetworkLoss,
        measurement: Measurement,
        inputs: &[Vec<usize>],
    ) -> Result<Self> {
        loss.check()?;
        measurement.check(loss.kind)?;
        let probed = probe::probed(model, model.program(), inputs)?;
        let output = probed.shape.clone();
        let targets = TargetForm::new(&loss, &output)?;
        measurement.check_output(loss.kind, &output)?;
        let measured = match measurement {
            Measurement::InFile => Some(measured(model, inputs)?),
            _ => None,
        };
        let probabilities = logits::probabilities(model.program(), loss.kind, output.len() + 1);
        let tokens = match (loss.kind, &output[..]) {
            (LossKind::NextToken, &[positions, _]) => {
                Some(Tokens::find(&model.inputs, inputs, positions)?)
            }
            _ => None,
        };
        let of_tokens = tokens.and_then(|tokens| tokens.remark(&model.inputs, inputs));
        let of_inputs = model.inputs.iter().zip(inputs);
        let of_inputs = of_inputs.map(|(input, sample)| FieldForm {
            kind: input.kind,
            rank: sample.len() + 1,
        });
        let forms = of_inputs.chain(targets.field()).collect();
        Ok(Self {
            targets,
            tokens,
            forms,
            remarks: probed
                .remark(probabilities, loss.kind)
                .into_iter()
                .chain(of_tokens)
                .collect(),
            probabilities: probabilities.and_then(|node| node.outputs.first().cloned()),
            output,
            measurement,
            measured,
            loss,
        })
    }

    /// The loss.
    pub fn loss(&self) -> &NetworkLoss {
        &self.loss
    }

    /// The measurement.
    pub fn measurement(&self) -> Measurement {
        self.measurement
    }

    /// The shape of one sample of the output, such as `[10]` for ten classes.
    pub fn output_shape(&self) -> &[usize] {
        &self.output
    }

    /// What the targets of samples must be.
    pub fn targets(&self) -> &TargetForm {
        &self.targets
    }

    /// What a user should know of how the loss is taken, in sentences: that it is taken of the
    /// logits from which the file computes probabilities, for example.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What the file computes as the measurement of each sample, `(n)`.
    ///
    /// # Panics
    /// As [`arguments`](Self::arguments).
    fn measured(&self, program: &Program, network: &Network, mut fields: Fields) -> Tensor<1> {
        if self.targets != TargetForm::None {
            fields.take_targets();
        }
        let measured = network.computed(program, fields.inputs(), fields.device(), None);
        match measured.and_then(arguments::of_samples) {
            Ok(measured) => measured,
            Err(error) => panic!("{error}"),
        }
    }

    /// The output of the network on a batch, beside its targets.
    ///
    /// # Panics
    /// When a node cannot be computed, or the batch is not of the declared forms: `new` has tried
    /// the network, and whoever records it turns panics into errors.
    fn arguments(&self, network: &Network, mut fields: Fields) -> LossArguments {
        let targets = match self.targets {
            TargetForm::None => None,
            _ => fields.take_targets(),
        };
        let arguments = network
            .forward_past(
                fields.inputs(),
                fields.device(),
                self.probabilities.as_deref(),
            )
            .and_then(|output| match self.tokens {
                Some(tokens) => LossArguments::of_next(output, &fields, tokens, &self.loss),
                None => LossArguments::new(output, targets, &self.targets, &self.loss),
            });
        match arguments {
            Ok(arguments) => arguments,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What computes the tensor of a file that is measured, tried on samples of these shapes.
fn measured(model: &NetworkFile, inputs: &[Vec<usize>]) -> Result<Arc<Program>> {
    let program = model.measured().ok_or_else(|| {
        Error::Setting("the measurement is a tensor of the file, and none is named".into())
    })?;
    let shape = probe::probed(model, program, inputs)?.shape;
    if shape.iter().product::<usize>() == 1 {
        return Ok(program.clone());
    }
    Err(Error::Setting(format!(
        "the measured tensor `{}` has shape {} and must have one number for each sample, (n) or (n, 1): let the network compute the number that is to be explained, and export it as another output",
        program.output(),
        targets::of_samples(&shape)
    )))
}

impl Task for NetworkTask {
    type Module = Network;
    type Inputs = Fields;

    fn forms(&self) -> Vec<FieldForm> {
        self.forms.clone()
    }

    fn loss(&self, network: &Network, fields: Fields) -> Tensor<1> {
        match self.arguments(network, fields) {
            LossArguments::Choices(choices) => choices.loss(&self.loss),
            LossArguments::Numbers(numbers) => numbers.loss(&self.loss),
            LossArguments::Losses(losses) => losses,
        }
    }

    fn measurement(&self, network: &Network, fields: Fields) -> Tensor<1> {
        if let Some(program) = &self.measured {
            return self.measured(program, network, fields);
        }
        match self.arguments(network, fields) {
            LossArguments::Choices(choices) => choices.measured(self.measurement, &self.loss),
            LossArguments::Numbers(numbers) => numbers.measured(self.measurement, &self.loss),
            LossArguments::Losses(losses) => losses,
        }
    }

    fn outputs(&self, network: &Network, fields: Fields) -> Option<Outputs> {
        let (outputs, weights) = match self.arguments(network, fields) {
            LossArguments::Choices(choices) => {
                let loss = match choices.logits.dims() {
                    [_, 1, _] => OutputLoss::CrossEntropy,
                    [_, _, classes] => OutputLoss::SequenceCrossEntropy { classes },
                };
                let weights = choices.weights(&self.loss);
                let outputs = Outputs::new(choices.logits.flatten(1, 2), loss);
                let outputs = match self.tokens {
                    Some(_) => outputs.with_targets(choices.labels),
                    None => outputs,
                };
                (outputs, weights)
            }
            LossArguments::Numbers(numbers) => {
                let loss = match self.loss.kind {
                    LossKind::BinaryCrossEntropy => OutputLoss::BinaryCrossEntropy,
                    _ => OutputLoss::MeanSquaredError,
                };
                let weights = numbers.weights();
                (Outputs::new(numbers.outputs, loss), weights)
            }
            LossArguments::Losses(_) => return None,
        };
        Some(match weights {
            Some(weights) => outputs.with_weights(weights),
            None => outputs,
        })
    }
}
