use anyhow::{Context, Result, ensure};
use burn::tensor::{Tensor, TensorData};
use influence_calculators::Prefetch;
use influence_core::Dataset;
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use crate::{data::Samples, plan::Plan};

/// Points of which everything is read at a time.
const BATCH: usize = 1024;

/// The points on one side of an output.
#[derive(Debug)]
pub(super) struct Points<'a> {
    samples: &'a Prefetch<Samples>,
    targets: Targets,
}

/// What the model was to say of each point.
#[derive(Debug)]
pub(super) enum Targets {
    Classes(Vec<usize>),
    Values(Array2<f64>),
}

impl<'a> Points<'a> {
    /// Reads the targets of all points.
    pub(super) fn read(samples: &'a Prefetch<Samples>) -> Result<Self> {
        let mut classes = Vec::new();
        let mut values = Vec::new();
        for start in (0..samples.len()).step_by(BATCH) {
            let [_, targets] = fields(samples, start..(start + BATCH).min(samples.len()))?;
            if targets.dtype().is_int() {
                let numbers = targets.iter::<i64>().map(usize::try_from);
                classes.extend(numbers.collect::<Result<Vec<_>, _>>()?);
            } else {
                values.extend(targets.iter::<f64>());
            }
        }
        let targets = if values.is_empty() {
            Targets::Classes(classes)
        } else {
            let columns = values.len() / samples.len();
            Targets::Values(Array2::from_shape_vec((samples.len(), columns), values)?)
        };
        Ok(Self { samples, targets })
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The numbers of one input.
    pub(super) fn input(&self, point: usize) -> Result<Vec<f64>> {
        let [inputs, _] = fields(self.samples, point..point + 1)?;
        Ok(inputs.iter::<f64>().collect())
    }

    /// What the model was to say of a point.
    pub(super) fn target(&self, point: usize) -> Value {
        match &self.targets {
            Targets::Classes(classes) => json!(classes[point]),
            Targets::Values(values) => numbers(values.row(point).iter().copied()),
        }
    }

    /// What the model says of the points.
    pub(super) fn predictions(&self, plan: &Plan) -> Result<Predictions> {
        let mut outputs = Vec::new();
        for start in (0..self.len()).step_by(BATCH) {
            let [inputs, _] = fields(self.samples, start..(start + BATCH).min(self.len()))?;
            let inputs: Tensor<2> = Tensor::from_data(inputs, &plan.device);
            outputs.extend(plan.model.forward(inputs).into_data().iter::<f64>());
        }
        let columns = outputs.len() / self.len();
        let outputs = Array2::from_shape_vec((self.len(), columns), outputs)?;
        let losses = outputs.rows().into_iter().enumerate();
        let losses = losses.map(|(point, outputs)| match &self.targets {
            Targets::Classes(classes) => {
                let largest = outputs.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                let sum = outputs.fold(0.0, |sum, &output| sum + (output - largest).exp());
                largest + sum.ln() - outputs[classes[point]]
            }
            Targets::Values(values) => {
                let errors = &outputs - &values.row(point);
                errors.pow2().mean().unwrap_or(0.0)
            }
        });
        Ok(Predictions {
            losses: losses.collect(),
            classes: matches!(self.targets, Targets::Classes(_)),
            outputs,
        })
    }
}

/// What a model says of points.
#[derive(Debug)]
pub(super) struct Predictions {
    outputs: Array2<f64>,
    classes: bool,
    /// The training loss of each point.
    pub(super) losses: Vec<f64>,
}

impl Predictions {
    /// The class with the largest output, or the outputs.
    pub(super) fn of(&self, point: usize) -> Value {
        let outputs = self.outputs.index_axis(Axis(0), point);
        if !self.classes {
            return numbers(outputs.iter().copied());
        }
        let first = outputs.iter().enumerate().reduce(
            |best, other| {
                if other.1 > best.1 { other } else { best }
            },
        );
        json!(first.map(|(class, _)| class))
    }

    /// The points in the order of their loss, the largest first.
    pub(super) fn by_loss(&self) -> Vec<usize> {
        let mut points: Vec<usize> = (0..self.losses.len()).collect();
        points.sort_by(|&a, &b| self.losses[b].total_cmp(&self.losses[a]).then(a.cmp(&b)));
        points
    }
}

/// A value as it is read: whole or to four digits, several of them in brackets.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(number)) => format!("{number:.4}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One number by itself, several as a list.
fn numbers(values: impl Iterator<Item = f64>) -> Value {
    let values: Vec<f64> = values.collect();
    match values.as_slice() {
        [value] => json!(value),
        values => json!(values),
    }
}

fn fields(samples: &Prefetch<Samples>, range: std::ops::Range<usize>) -> Result<[TensorData; 2]> {
    let fields = samples.batch(range)?.into_fields();
    fields
        .try_into()
        .ok()
        .context("a sample has inputs and targets")
}

/// The points asked for: those named, or the first so many of a proposal.
pub(super) fn select(named: &[usize], proposed: Vec<usize>, count: usize) -> Result<Vec<usize>> {
    let len = proposed.len();
    if let Some(point) = named.iter().find(|&&point| point >= len) {
        ensure!(
            *point < len,
            "--points: there is no test point {point}, there are {len}, counted from 0"
        );
    }
    Ok(if named.is_empty() {
        proposed.into_iter().take(count).collect()
    } else {
        named.to_vec()
    })
}
