//! What a network in a file is, before any data are read.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result};
use burn::tensor::{Device, TensorData};
use influence_backend_burn::{ArrayDataset, Fit};
use influence_core::{FieldKind, solver::Identity};
use influence_onnx::{
    AxisLength, InputForm, LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask,
    ReadSettings, TargetForm,
};
use serde::Serialize;

use crate::weights::Weights;

/// The samples of a made-up batch.
const SAMPLES: usize = 3;
/// The length of an axis that may have any.
const ANY: usize = 8;

/// A network in a file.
#[derive(Debug, Serialize)]
pub struct NetworkFacts {
    /// What it reads.
    pub inputs: Vec<InputFacts>,
    /// The names of its outputs, that of which the loss is taken first.
    pub outputs: Vec<String>,
    /// The shape of one sample of the first output, where it could be computed.
    pub output_shape: Option<Vec<usize>>,
    /// How many nodes there are of each operator.
    pub operators: BTreeMap<String, usize>,
    /// Its parameters.
    pub parameters: Vec<ParameterFacts>,
    /// How many numbers are trained.
    pub trained: usize,
    /// The parameters whose gradients take one backward pass for each sample, where it could be
    /// tried on made-up samples.
    pub untapped: Option<Vec<String>>,
    /// Why it could not be tried, or what else should be known, in sentences.
    pub remarks: Vec<String>,
}

/// An input of a network.
#[derive(Debug, Serialize)]
pub struct InputFacts {
    /// Its name.
    pub name: String,
    /// Its shape in words, such as `(n, 3, 32, 32)`.
    pub shape: String,
    /// `float`, `integer` or `boolean`.
    pub kind: &'static str,
    /// The rows of the embedding that its numbers index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
}

/// A parameter of a network.
#[derive(Debug, Serialize)]
pub struct ParameterFacts {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it is trained.
    pub trained: bool,
    /// Why it is not trained, or how its name was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl NetworkFacts {
    /// Reads a file, with the state dict that it was exported with if that is given.
    ///
    /// # Errors
    /// When a file cannot be read, or the network is refused; the message says how to export it.
    pub fn read(path: &Path, weights: Option<&Path>) -> Result<Self> {
        let settings = settings(weights, None)?;
        Ok(Self::of(&NetworkFile::read(path, &settings)?))
    }

    fn of(network: &NetworkFile) -> Self {
        let entries: BTreeMap<usize, usize> = network.entries().into_iter().collect();
        let inputs = network.inputs.iter().enumerate();
        let inputs = inputs.map(|(place, input)| InputFacts {
            name: input.name.clone(),
            shape: input.shape(),
            kind: match input.kind {
                FieldKind::Float => "float",
                FieldKind::Int => "integer",
                FieldKind::Bool => "boolean",
            },
            entries: entries.get(&place).copied(),
        });
        let parameters = network.parameters.iter().map(|parameter| ParameterFacts {
            name: parameter.name.clone(),
            shape: parameter.data.shape().to_vec(),
            trained: parameter.trained,
            remark: parameter.remark.clone(),
        });
        let parameters: Vec<ParameterFacts> = parameters.collect();
        let trained = parameters.iter().filter(|parameter| parameter.trained);
        let trained = trained.map(|parameter| parameter.shape.iter().product::<usize>());
        let mut remarks = network.remarks.clone();
        let tried = tried(network, &entries).map_err(|error| {
            remarks.push(format!(
                "it could not be tried on made-up samples: {error:#}"
            ));
        });
        let (output_shape, untapped) = tried.ok().unzip();
        Self {
            inputs: inputs.collect(),
            outputs: network.outputs.clone(),
            output_shape,
            operators: network.operators.clone(),
            trained: trained.sum(),
            parameters,
            untapped,
            remarks,
        }
    }
}

/// How a network is read with a state dict, if there is one.
///
/// # Errors
/// When the state dict cannot be read.
pub(crate) fn settings(weights: Option<&Path>, state: Option<&str>) -> Result<ReadSettings> {
    let read = weights.map(|path| Weights::of_network(path, state));
    Ok(ReadSettings {
        weights: read.transpose()?.map(Weights::into_tensors),
        weights_file: weights.map(Path::to_owned).unwrap_or_default(),
        ..ReadSettings::default()
    })
}

/// The shape of a sample of the output, and the parameters without taps, found on made-up samples.
fn tried(
    network: &NetworkFile,
    entries: &BTreeMap<usize, usize>,
) -> Result<(Vec<usize>, Vec<String>)> {
    let samples: Vec<Vec<usize>> = network.inputs.iter().map(sample).collect();
    // A squared error is defined for outputs of any shape.
    let loss = NetworkLoss::new(LossKind::MeanSquaredError);
    let task = NetworkTask::new(network, loss, Measurement::Loss, &samples)?;
    let output = task.output_shape().to_vec();
    let inputs = network.inputs.iter().zip(&samples).enumerate();
    let mut fields: Vec<TensorData> = inputs
        .map(|(place, (input, sample))| made_up(input.kind, sample, entries.get(&place).copied()))
        .collect();
    if let TargetForm::Numbers { shape } = task.targets() {
        fields.push(made_up(FieldKind::Float, shape, None));
    }
    let batch = Arc::new(ArrayDataset::new(fields)?);
    let fit = Fit::new(task).with_solver(Identity);
    let fitted = fit.fit(&network.network(&Device::flex()), batch);
    let fitted = fitted.context("gradients")?;
    let untapped = fitted.source().untapped().map(ToOwned::to_owned);
    Ok((output, untapped.collect()))
}

/// The shape of a made-up sample.
fn sample(input: &InputForm) -> Vec<usize> {
    let sides = input.sides.iter().flat_map(|sides| sides.iter().skip(1));
    sides
        .map(|side| match side {
            AxisLength::Fixed(length) => *length,
            AxisLength::Free(_) => ANY,
        })
        .collect()
}

/// Made-up samples: floats that differ, rows of a table, or ones.
fn made_up(kind: FieldKind, sample: &[usize], entries: Option<usize>) -> TensorData {
    let count = SAMPLES * sample.iter().product::<usize>();
    let shape = [&[SAMPLES], sample].concat();
    match (kind, entries) {
        (FieldKind::Float, _) => {
            let numbers = (0..count).map(|index| (1.7 * index as f64).sin());
            TensorData::new(numbers.collect(), shape).convert::<f32>()
        }
        (FieldKind::Int, Some(rows)) => {
            let numbers = (0_i64..).zip(0..count);
            let rows = i64::try_from(rows.max(1)).unwrap_or(i64::MAX);
            TensorData::new(numbers.map(|(index, _)| index % rows).collect(), shape)
        }
        (FieldKind::Int, None) => TensorData::new(vec![1_i64; count], shape),
        (FieldKind::Bool, _) => TensorData::new(vec![true; count], shape),
    }
}
