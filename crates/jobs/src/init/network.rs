//! What is proposed for a network in a file.

mod inputs;
mod loss;
mod section;

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Shape;
use influence_core::FieldKind;
use influence_data::{ArrayPath, InputFiles};
use influence_onnx::{LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask};

use super::{
    points::GivenPoints, proposal::Proposal, request::Request, targets::TargetGuess,
    written::relative,
};
use crate::{
    choice::{Problem, multiplications_of},
    config::Loss,
    networks::settings,
};
use inputs::{found, ordered};
use loss::LossGuess;

pub(super) use section::ProposedNetwork;

/// A configuration for the network of a request.
///
/// # Errors
/// When the file cannot be read, or the data do not fit the network.
pub(super) fn propose(
    request: &Request,
    onnx: &Path,
    sides: &GivenPoints,
    base: &Path,
) -> Result<Proposal> {
    let network = read(request, onnx)?;
    let first = &sides.train;
    let shapes = first.source.input_shapes();
    let integers = first.source.have_integers()?;
    let order = ordered(&network.inputs, &shapes, &integers).context("--train")?;
    let samples: Vec<Vec<usize>> = order.iter().map(|(_, sample)| sample.clone()).collect();
    // A squared error is defined for outputs of any shape.
    let any = NetworkLoss::new(LossKind::MeanSquaredError);
    let task = NetworkTask::new(&network, any, Measurement::Loss, &samples).context("--onnx")?;
    let loss = LossGuess::of(first, &network, task.output_shape())?;
    let keyed = |inputs: &InputFiles| {
        let arrays: Vec<&ArrayPath> = inputs.iter().map(|input| &input.array).collect();
        let named = network.inputs.iter().zip(&order);
        let named = named.map(|(input, (place, _))| (input.name.clone(), arrays[*place].clone()));
        match network.inputs.as_slice() {
            [_] => inputs.clone(),
            _ => InputFiles::named(named),
        }
    };
    let [train, test] = sides.points(request);
    let trained = network
        .parameters
        .iter()
        .filter(|parameter| parameter.trained);
    let trained: Vec<Shape> = trained
        .map(|parameter| parameter.data.shape().clone())
        .collect();
    let tokens = network.inputs.iter().zip(&samples);
    let tokens = tokens.filter(|(input, _)| input.kind == FieldKind::Int);
    let positions = tokens.map(|(_, sample)| sample.iter().product()).max();
    let shapes = || trained.iter().map(|shape| &shape[..]);
    let work = multiplications_of(shapes(), &samples[0]);
    Ok(Proposal {
        weights: String::new(),
        state: None,
        problem: Problem {
            parameters: shapes().map(|shape| shape.iter().product::<usize>()).sum(),
            multiplications: work.saturating_mul(positions.unwrap_or(1)),
            train,
            test,
            convex: false,
            has_outputs: loss.loss != Loss::Output,
            weight_decay: request.weight_decay,
        },
        layers: None,
        data: sides.data(request, base, keyed),
        names: first.names.clone(),
        targets: TargetGuess {
            warnings: loss.warnings.clone(),
            ..TargetGuess::default()
        },
        untrained: false,
        integers: first.integers[0],
        found: [sides.found(), found(&network, onnx)].concat(),
        network: Some(ProposedNetwork {
            onnx: relative(onnx, base),
            weights: request.weights.as_ref().map(|path| relative(path, base)),
            state: request.state.clone(),
            loss,
            embeds: !network.entries().is_empty(),
            reads_integers: network
                .inputs
                .first()
                .is_some_and(|it| it.kind != FieldKind::Float),
        }),
    })
}

fn read(request: &Request, onnx: &Path) -> Result<NetworkFile> {
    let settings = settings(request.weights.as_deref(), request.state.as_deref());
    NetworkFile::read(onnx, &settings.context("--weights")?).context("--onnx")
}
