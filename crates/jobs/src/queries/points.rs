//! The points that an output is about, and what the model says of them.

use std::ops::Range;

use anyhow::Result;
use influence_backend_burn::OutputLoss;
use influence_calculators::Prefetch;
use influence_core::{Dataset, Values};
use influence_data::{Samples, Target};
use ndarray::{Array2, ArrayView1};
use serde_json::{Value, json};

use crate::{
    groups::PointGroups,
    job::Job,
    prediction::{batch_size, largest},
};

/// The most points of which everything is read at a time.
const BATCH: usize = 1024;

/// The points on one side of an output, or groups of them.
#[derive(Debug)]
pub struct Points<'a> {
    samples: &'a Prefetch<Samples>,
    /// The groups of these samples, if they are in some: then a point here is a group, which has a
    /// name and a loss, but neither a target nor an input.
    groups: Option<&'a PointGroups>,
    targets: TargetValues,
    names: Option<&'a [String]>,
}

/// The targets of the points.
#[derive(Debug)]
enum TargetValues {
    /// Class numbers.
    Classes(Vec<usize>),
    /// Class numbers at each position, or the number that marks those without a class.
    Positions(Vec<Vec<i64>>),
    /// Numbers `(n, outputs)`.
    Values(Array2<f64>),
    /// The model reads none.
    None,
}

impl<'a> Points<'a> {
    /// Reads the targets of all points on one side of a job.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(samples: &'a Prefetch<Samples>, job: &'a Job) -> Result<Self> {
        let mut classes = Vec::new();
        let mut values = Vec::new();
        let mut positions = Vec::new();
        for start in (0..samples.len()).step_by(BATCH) {
            let (_, targets) = fields(samples, start..(start + BATCH).min(samples.len()))?;
            let Some(targets) = targets else { break };
            match job.target {
                Target::Class { .. } => {
                    let numbers = targets.integers().map(usize::try_from);
                    classes.extend(numbers.collect::<Result<Vec<_>, _>>()?);
                }
                Target::Positions { positions: row, .. } => {
                    let numbers: Vec<i64> = targets.integers().collect();
                    positions.extend(numbers.chunks(row.max(1)).map(<[i64]>::to_vec));
                }
                _ => values.extend(targets.floats()),
            }
        }
        let targets = if !classes.is_empty() {
            TargetValues::Classes(classes)
        } else if !positions.is_empty() {
            TargetValues::Positions(positions)
        } else if values.is_empty() {
            TargetValues::None
        } else {
            let columns = values.len() / samples.len();
            TargetValues::Values(Array2::from_shape_vec((samples.len(), columns), values)?)
        };
        Ok(Self {
            samples,
            groups: None,
            targets,
            names: job.classes.as_deref(),
        })
    }

    /// Groups on one side of a job, each of which takes the place of a point.
    pub fn of_groups(groups: &'a PointGroups, job: &'a Job) -> Self {
        Self {
            samples: &groups.samples,
            groups: Some(groups),
            targets: TargetValues::None,
            names: job.classes.as_deref(),
        }
    }

    /// The columns of an output: training points, or groups of them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_columns(job: &'a Job) -> Result<Self> {
        match &job.train_groups {
            Some(groups) => Ok(Self::of_groups(groups, job)),
            None => Self::read(&job.train, job),
        }
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.groups
            .map_or_else(|| self.samples.len(), PointGroups::len)
    }

    /// Whether they are groups of points.
    pub fn are_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the inputs of a point; a group has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn input(&self, point: usize) -> Result<Option<Vec<f64>>> {
        if self.are_groups() {
            return Ok(None);
        }
        let (inputs, _) = fields(self.samples, point..point + 1)?;
        Ok(Some(inputs.iter().flat_map(Values::floats).collect()))
    }

    /// The names of the numbers of an input, where the file has them.
    pub fn columns(&self) -> Option<&[String]> {
        self.samples.inner().columns()
    }

    /// The id of a point, if it has one other than its number; the label of a group.
    pub fn id(&self, point: usize) -> Option<String> {
        match self.groups {
            Some(groups) => Some(groups.labels.get(point)),
            None => self.samples.inner().id(point),
        }
    }

    /// A class by its name, or by its number where it has none.
    pub fn named(&self, class: usize) -> Value {
        named(class, self.names)
    }

    /// The number of the class of a point, if points have classes.
    pub fn class(&self, point: usize) -> Option<usize> {
        match &self.targets {
            TargetValues::Classes(classes) => classes.get(point).copied(),
            _ => None,
        }
    }

    /// The target of a point, null if the model reads none, and of a group.
    pub fn target(&self, point: usize) -> Value {
        match &self.targets {
            TargetValues::Classes(classes) => named(classes[point], self.names),
            TargetValues::Positions(positions) => json!(positions[point]),
            TargetValues::Values(values) => numbers(values.row(point).iter().copied()),
            TargetValues::None => Value::Null,
        }
    }

    /// The predictions of the model on the points; of groups the weighted sums of the losses alone.
    ///
    /// # Errors
    /// When the points cannot be read, or the model cannot be evaluated.
    pub fn predictions(&self, job: &Job) -> Result<Predictions> {
        let (mut losses, mut predicted, mut loss) = (Vec::new(), Vec::new(), None);
        // One point shows how many outputs each has.
        let (mut start, mut size) = (0, 1);
        while start < self.samples.len() {
            let end = (start + size).min(self.samples.len());
            let batch = self.samples.batch(start..end)?;
            losses.extend(job.model.losses(&batch)?);
            (start, size) = (start + batch.len(), BATCH);
            if let Some(outputs) = job.model.outputs(&batch)? {
                size = batch_size(outputs.values.ncols(), BATCH);
                loss = Some(outputs.loss);
                let rows = outputs.values.rows().into_iter();
                predicted.extend(rows.map(|row| prediction(&row, outputs.loss, self.names)));
            }
        }
        if let Some(groups) = self.groups {
            losses = groups.sums(&losses);
            predicted.clear();
        }
        Ok(Predictions {
            predicted,
            loss,
            losses,
        })
    }
}

/// Points with the predictions of the model.
#[derive(Debug)]
pub struct Evaluated<'a> {
    /// The points.
    pub points: Points<'a>,
    /// What the model says of them.
    pub predictions: Predictions,
}

impl<'a> Evaluated<'a> {
    /// Reads the targets of the points on one side of a job, and evaluates the model on them.
    ///
    /// # Errors
    /// As [`Points::read`] and [`Points::predictions`].
    pub fn read(samples: &'a Prefetch<Samples>, job: &'a Job) -> Result<Self> {
        let points = Points::read(samples, job)?;
        Ok(Self {
            predictions: points.predictions(job)?,
            points,
        })
    }

    /// The rows of an output: test points, or groups of them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_rows(job: &'a Job) -> Result<Self> {
        let Some(groups) = &job.test_groups else {
            return Self::read(&job.test, job);
        };
        let points = Points::of_groups(groups, job);
        Ok(Self {
            predictions: points.predictions(job)?,
            points,
        })
    }

    /// The share of points whose class the model predicts, if points have classes.
    pub fn accuracy(&self) -> Option<f64> {
        self.points.class(0)?;
        let right = |&point: &usize| self.predictions.of(point) == self.points.target(point);
        let right = (0..self.points.len()).filter(right).count();
        Some(right as f64 / self.points.len() as f64)
    }
}

/// The predictions of a model.
#[derive(Debug)]
pub struct Predictions {
    /// What is predicted for each point, if the task declares its outputs.
    predicted: Vec<Value>,
    loss: Option<OutputLoss>,
    /// The training loss of each point; of a group the weighted sum of those of its points.
    pub losses: Vec<f64>,
}

impl Predictions {
    /// The class with the largest output, or the outputs; null for a sequence.
    pub fn of(&self, point: usize) -> Value {
        self.predicted.get(point).cloned().unwrap_or_default()
    }

    /// The unit of the losses.
    pub fn unit(&self) -> &'static str {
        match self.loss {
            Some(
                OutputLoss::CrossEntropy
                | OutputLoss::SequenceCrossEntropy { .. }
                | OutputLoss::BinaryCrossEntropy,
            ) => "nats",
            _ => "units of the loss",
        }
    }

    /// The points in the order of their loss, the largest first.
    pub fn by_loss(&self) -> Vec<usize> {
        let mut points: Vec<usize> = (0..self.losses.len()).collect();
        points.sort_by(|&a, &b| self.losses[b].total_cmp(&self.losses[a]).then(a.cmp(&b)));
        points
    }
}

/// The most of several values that are shown.
const SHOWN: usize = 8;

/// A value as it is read: whole or to four digits, the first of several of them in brackets.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Array(values) => {
            let more = if values.len() > SHOWN { ", …" } else { "" };
            let values: Vec<String> = values.iter().take(SHOWN).map(shown).collect();
            format!("[{}{more}]", values.join(", "))
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(number)) => format!("{number:.4}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the outputs of a point say.
fn prediction(outputs: &ArrayView1<'_, f64>, loss: OutputLoss, names: Option<&[String]>) -> Value {
    match loss {
        OutputLoss::CrossEntropy => {
            let class = largest(outputs.iter().copied());
            class.map_or(Value::Null, |class| named(class, names))
        }
        OutputLoss::SequenceCrossEntropy { .. } => Value::Null,
        _ => numbers(outputs.iter().copied()),
    }
}

/// A class by its name, or by its number where it has none.
fn named(class: usize, names: Option<&[String]>) -> Value {
    match names.and_then(|names| names.get(class)) {
        Some(name) => json!(name),
        None => json!(class),
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

/// The inputs of a range of points, and their targets if the model reads some.
fn fields(
    samples: &Prefetch<Samples>,
    range: Range<usize>,
) -> Result<(Vec<Values>, Option<Values>)> {
    let mut fields = samples.batch(range)?.into_fields();
    let targets = fields.len() > samples.inner().inputs();
    let targets = if targets { fields.pop() } else { None };
    Ok((fields, targets))
}
