//! A configuration to begin with, proposed from the weights and the data that are there.

mod activation;
mod data;
mod flow;
mod groups;
mod layers;
mod lines;
mod method;
mod names;
mod network;
mod norms;
mod order;
mod points;
mod proposal;
mod request;
mod targets;
mod written;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use influence_core::Precision;
use toml::Table;

use crate::{choice::Problem, config::Config, job::Job, models::Models, weights::Weights};
use layers::{
    ProposedLayers, is_one_linear_layer, multiplications, of_weights, outputs, parameters_to_train,
    to_train,
};
use order::OutputCount;
use points::GivenPoints;
use proposal::WEIGHT_DECAY;
use targets::TargetGuess;
use written::relative;

pub use activation::Activation;
pub use proposal::Proposal;
pub use request::Request;

/// Where weights that are to be trained will be.
const WEIGHTS: &str = "model.safetensors";

/// A configuration from the files of a request, with defaults where they say nothing.
///
/// # Errors
/// When the files cannot be read, or the weights are of no kind of layer that is known.
pub fn propose(request: &Request, models: &dyn Models) -> Result<Proposal> {
    let base = std::path::absolute(&request.config)?;
    let base = base.parent().unwrap_or(Path::new("/"));
    let sides = GivenPoints::open(request)?;
    if let Some(onnx) = &request.onnx {
        ensure!(
            models.are_configured(),
            "--onnx: the program has a model of its own; leave it out, or run `influence` itself"
        );
        return network::propose(request, onnx, &sides, base);
    }
    let mut found = sides.found();
    let (first, data) = (&sides.train, sides.data(request, base, Clone::clone));
    let [train, test] = sides.points(request);
    let problem = |parameters, multiplications, layers: Option<&[String]>, weight_decay| Problem {
        parameters,
        multiplications,
        train,
        test,
        convex: layers.is_some_and(is_one_linear_layer),
        has_outputs: true,
        weight_decay,
    };
    let Some(weights) = &request.weights else {
        let targets = TargetGuess::of(first, sides.test.as_ref(), None, true)?;
        let parameters = parameters_to_train(&first.shape, targets.outputs);
        let layers = to_train(&first.shape, targets.outputs, request.activation);
        let layers = models.are_configured().then_some(layers);
        let decay = Some(request.weight_decay.unwrap_or(WEIGHT_DECAY));
        return Ok(Proposal {
            weights: WEIGHTS.into(),
            state: None,
            problem: problem(parameters, parameters, lines(layers.as_ref()), decay),
            layers,
            data,
            names: first.names.clone(),
            targets,
            untrained: true,
            integers: first.integers[0],
            found,
            network: None,
        });
    };
    let read = Weights::read(weights, request.state.as_deref(), Precision::F32);
    let read = read.context("--weights")?;
    let remarks = read.remarks().into_iter();
    found.extend(remarks.map(|remark| format!("weights: {remark}")));
    let sizes = read.names().filter_map(|name| read.shape(name));
    let parameters = sizes.map(|shape| shape.iter().product::<usize>()).sum();
    let layers = if models.are_configured() {
        let expected = TargetGuess::of(first, sides.test.as_ref(), None, false)?;
        let expected = match (first.integers[1], expected.classes) {
            (true, true) => OutputCount::AtLeast(expected.outputs),
            // Whole numbers may still be those of many classes.
            (true, false) => OutputCount::AtLeast(1),
            (false, _) => OutputCount::Exactly(expected.outputs),
        };
        Some(of_weights(
            &read,
            &first.shape,
            expected,
            request.activation,
        )?)
    } else {
        None
    };
    let targets = match &layers {
        Some(layers) => {
            let outputs = outputs(&layers.lines, &read);
            TargetGuess::of(first, sides.test.as_ref(), outputs, false)?
        }
        // The task of the program says what they are.
        None => TargetGuess::default(),
    };
    let work = multiplications(&read, &first.shape);
    Ok(Proposal {
        weights: relative(weights, base),
        state: request.state.clone(),
        problem: problem(
            parameters,
            work,
            lines(layers.as_ref()),
            request.weight_decay,
        ),
        layers,
        data,
        names: first.names.clone(),
        targets,
        untrained: false,
        integers: first.integers[0],
        found,
        network: None,
    })
}

fn lines(layers: Option<&ProposedLayers>) -> Option<&[String]> {
    layers.map(|layers| &layers.lines[..])
}

/// Checks a configuration as if it were in its place.
///
/// # Errors
/// Whatever a run would find wrong with it.
pub fn check(text: &str, path: &Path, models: &dyn Models) -> Result<Job> {
    let table: Table = text.parse().context("the configuration")?;
    let base = path.parent().unwrap_or(Path::new(""));
    Job::of_inputs(Config::from_table(table)?.resolved(base), models)
}
