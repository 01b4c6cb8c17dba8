use anyhow::{Context, Result};
use burn::tensor::TensorData;
use influence_backend_burn::OutputLoss;
use influence_calculators::Prefetch;
use influence_core::Dataset;
use influence_data::{Samples, Target};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::{plan::Plan, prediction::largest};

/// Points of which everything is read at a time.
const BATCH: usize = 1024;

/// The points on one side of an output.
#[derive(Debug)]
pub(super) struct Points<'a> {
    samples: &'a Prefetch<Samples>,
    targets: Targets,
    names: Option<&'a [String]>,
}

/// What the model was to say of each point.
#[derive(Debug)]
pub(super) enum Targets {
    Classes(Vec<usize>),
    Values(Array2<f64>),
}

impl<'a> Points<'a> {
    /// Reads the targets of all points on one side of a plan.
    pub(super) fn read(samples: &'a Prefetch<Samples>, plan: &'a Plan) -> Result<Self> {
        let mut classes = Vec::new();
        let mut values = Vec::new();
        for start in (0..samples.len()).step_by(BATCH) {
            let [_, targets] = fields(samples, start..(start + BATCH).min(samples.len()))?;
            if matches!(plan.target, Target::Class { .. }) {
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
        Ok(Self {
            samples,
            targets,
            names: plan.classes.as_deref(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The numbers of one input.
    pub(super) fn input(&self, point: usize) -> Result<Vec<f64>> {
        let [inputs, _] = fields(self.samples, point..point + 1)?;
        Ok(inputs.iter::<f64>().collect())
    }

    /// The names of the numbers of an input, where the file has them.
    pub(super) fn columns(&self) -> Option<&[String]> {
        self.samples.inner().columns()
    }

    /// The id of a point, if it has one other than its number.
    pub(super) fn id(&self, point: usize) -> Option<String> {
        self.samples.inner().id(point)
    }

    /// A class by its name, or by its number where it has none.
    pub(super) fn named(&self, class: usize) -> Value {
        named(class, self.names)
    }

    /// The number of the class of a point, if points have classes.
    pub(super) fn class(&self, point: usize) -> Option<usize> {
        match &self.targets {
            Targets::Classes(classes) => classes.get(point).copied(),
            Targets::Values(_) => None,
        }
    }

    /// What the model was to say of a point.
    pub(super) fn target(&self, point: usize) -> Value {
        match &self.targets {
            Targets::Classes(classes) => named(classes[point], self.names),
            Targets::Values(values) => numbers(values.row(point).iter().copied()),
        }
    }

    /// What the model says of the points.
    pub(super) fn predictions(&self, plan: &'a Plan) -> Result<Predictions<'a>> {
        let (mut losses, mut outputs, mut loss) = (Vec::new(), Vec::new(), None);
        for start in (0..self.len()).step_by(BATCH) {
            let batch = self.samples.batch(start..(start + BATCH).min(self.len()))?;
            losses.extend(plan.subject.losses(&batch)?);
            if let Some((values, kind)) = plan.subject.outputs(&batch)? {
                outputs.extend(values.rows().into_iter().map(|row| row.to_vec()));
                loss = Some(kind);
            }
        }
        Ok(Predictions {
            losses,
            outputs,
            loss,
            names: self.names,
        })
    }
}

/// Points with what the model says of them.
#[derive(Debug)]
pub(super) struct Evaluated<'a> {
    pub(super) points: Points<'a>,
    pub(super) predictions: Predictions<'a>,
}

impl<'a> Evaluated<'a> {
    /// Reads the targets of the points on one side of a plan, and evaluates the model on them.
    pub(super) fn read(samples: &'a Prefetch<Samples>, plan: &'a Plan) -> Result<Self> {
        let points = Points::read(samples, plan)?;
        Ok(Self {
            predictions: points.predictions(plan)?,
            points,
        })
    }

    /// The share of points whose class the model predicts, if points have classes.
    pub(super) fn accuracy(&self) -> Option<f64> {
        self.points.class(0)?;
        let right = |&point: &usize| self.predictions.of(point) == self.points.target(point);
        let right = (0..self.points.len()).filter(right).count();
        Some(right as f64 / self.points.len() as f64)
    }
}

/// What a model says of points.
#[derive(Debug)]
pub(super) struct Predictions<'a> {
    /// The outputs of each point, if the task declares them.
    outputs: Vec<Vec<f64>>,
    loss: Option<OutputLoss>,
    names: Option<&'a [String]>,
    /// The training loss of each point.
    pub(super) losses: Vec<f64>,
}

impl Predictions<'_> {
    /// The class with the largest output, or the outputs.
    pub(super) fn of(&self, point: usize) -> Value {
        let Some(outputs) = self.outputs.get(point) else {
            return Value::Null;
        };
        if self.loss != Some(OutputLoss::CrossEntropy) {
            return numbers(outputs.iter().copied());
        }
        let class = largest(outputs.iter().copied());
        class.map_or(Value::Null, |class| named(class, self.names))
    }

    /// What losses are measured in.
    pub(super) fn unit(&self) -> &'static str {
        match self.loss {
            Some(OutputLoss::CrossEntropy) => "nats",
            _ => "units of the loss",
        }
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

fn fields(samples: &Prefetch<Samples>, range: std::ops::Range<usize>) -> Result<[TensorData; 2]> {
    let fields = samples.batch(range)?.into_fields();
    fields
        .try_into()
        .ok()
        .context("a sample has inputs and targets")
}

/// The test points asked for, by their ids, or by their numbers where they have none; or else the first so many of a proposal.
pub(super) fn select(
    named: &[String],
    test: Option<&Points<'_>>,
    proposed: Vec<usize>,
    count: usize,
) -> Result<Vec<usize>> {
    let len = proposed.len();
    if named.is_empty() {
        return Ok(proposed.into_iter().take(count).collect());
    }
    let example = test.and_then(|test| test.id(0));
    let called = |name: &str| {
        let test = test?;
        (0..len).find(|&point| test.id(point).as_deref() == Some(name))
    };
    let find = |name: &String| {
        if let Some(example) = &example {
            return called(name).with_context(|| {
                format!("--points: no test point is called `{name}`; they have ids, as `{example}`")
            });
        }
        let number = name.parse().ok().filter(|&number: &usize| number < len);
        number.with_context(|| {
            format!("--points: there is no test point {name}, there are {len}, counted from 0")
        })
    };
    let mut names = Vec::new();
    for text in named {
        if called(text).is_some() {
            names.push(text.clone());
        } else {
            names.extend(split(text)?);
        }
    }
    names.iter().map(find).collect()
}

/// Names between commas, in quotes where they have one.
fn split(text: &str) -> Result<Vec<String>> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut names = Vec::new();
    for record in reader.into_records() {
        names.extend(record.context("--points")?.iter().map(ToOwned::to_owned));
    }
    if names.is_empty() {
        names.push(text.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_between_commas_or_in_quotes() -> Result<()> {
        assert_eq!(split("0,17,4")?, ["0", "17", "4"]);
        assert_eq!(split("\"Ada, Countess\",Bob")?, ["Ada, Countess", "Bob"]);
        assert_eq!(split(" Ada ,\"a \"\"b\"\"\"")?, ["Ada", "a \"b\""]);
        Ok(())
    }
}
