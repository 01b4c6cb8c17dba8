//! Samples in files and folders, checked whole before the first use and read range by range.

mod formats;
mod open;

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use influence_backend_burn::{Batch, FieldDataset};
use influence_core::{
    Dataset, Error as CoreError, FieldSource, Precision, Result as CoreResult, Values,
};

use crate::{
    config::{ArrayPath, Files, Loss},
    weights::float_dtype,
};

/// How many numbers are in memory at a time while files are checked.
const SCANNED_NUMBERS: usize = 1 << 20;

/// A pair of arrays whose shapes fit each other; their numbers are not yet looked at.
#[derive(Debug, Clone)]
pub struct Source {
    files: Files,
    data: FieldDataset,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A class number below this.
    Class { classes: usize },
    /// This many numbers.
    Values { outputs: usize },
}

/// Samples whose every number was checked: inputs as rows `(n, inputs)` of floats, targets as the loss takes them.
#[derive(Debug, Clone)]
pub struct Samples {
    source: Source,
    target: Target,
    dtype: DType,
}

impl Source {
    /// Opens inputs and targets.
    ///
    /// # Errors
    /// When one of them is missing or no numeric array, the two differ in length, or hold no sample.
    pub fn open(files: &Files) -> Result<Self> {
        let data = FieldDataset::new([open::array(&files.inputs)?, open::array(&files.targets)?])?;
        ensure!(data.len() > 0, "{}: there are no samples", files.inputs);
        ensure!(
            !data.shapes()[0][1..].contains(&0),
            "{}: the samples hold no numbers",
            files.inputs
        );
        Ok(Self {
            files: files.clone(),
            data,
        })
    }

    /// The shape of one input; a sample of a single number has one axis.
    pub fn sample_shape(&self) -> Vec<usize> {
        match &self.data.shapes()[0][1..] {
            [] => vec![1],
            shape => shape.to_vec(),
        }
    }

    /// Whether targets are stored as integers, as class numbers are.
    ///
    /// # Errors
    /// When the first target cannot be read.
    pub fn has_integer_targets(&self) -> Result<bool> {
        let fields = self.data.batch(0..1)?.into_fields();
        Ok(fields
            .last()
            .is_some_and(|targets| targets.dtype().is_int()))
    }

    /// Checks every number against a model with this many outputs.
    ///
    /// # Errors
    /// When targets do not fit the loss or the outputs, or a number is not finite in the precision; the message names file and row.
    pub fn check(self, loss: Loss, outputs: usize, precision: Precision) -> Result<Samples> {
        let target = match loss {
            Loss::CrossEntropy => Target::Class { classes: outputs },
            Loss::Mse => Target::Values { outputs },
        };
        self.check_target_shape(target)?;
        let samples = Samples {
            source: self,
            target,
            dtype: float_dtype(precision),
        };
        let row = samples.source.sample_shape().iter().product::<usize>() + outputs;
        let step = (SCANNED_NUMBERS / row).max(1);
        for start in (0..samples.len()).step_by(step) {
            samples.check_rows(start..(start + step).min(samples.len()))?;
        }
        Ok(samples)
    }

    fn check_target_shape(&self, target: Target) -> Result<()> {
        let (path, shapes) = (&self.files.targets, self.data.shapes());
        match (target, &shapes[1][1..]) {
            (Target::Class { .. } | Target::Values { outputs: 1 }, []) => Ok(()),
            (Target::Class { .. }, _) => bail!(
                "{path}: targets of cross-entropy have shape (n), got {:?}",
                shapes[1]
            ),
            (Target::Values { outputs }, [columns]) if *columns == outputs => Ok(()),
            (Target::Values { outputs }, _) => {
                bail!(
                    "{path}: targets of mse have shape (n, {outputs}), as the model has outputs, got {:?}",
                    shapes[1]
                )
            }
        }
    }
}

/// All classes of an array.
///
/// # Errors
/// When there is no such array, it has more axes than one, or holds anything but class numbers.
pub fn classes(path: &ArrayPath) -> Result<Vec<usize>> {
    let array = open::array(path)?;
    ensure!(
        array.shape().len() == 1,
        "{path}: expected class numbers of shape (n), got {:?}",
        array.shape()
    );
    let Values::I64(values) = array.rows(0..array.shape()[0])? else {
        bail!("{path}: class numbers are integers");
    };
    let class = |(row, value): (usize, i64)| {
        usize::try_from(value).with_context(|| format!("{path}: row {row} has class {value}"))
    };
    values.into_iter().enumerate().map(class).collect()
}

impl Samples {
    /// Inputs and targets as they are stored.
    fn raw(&self, range: Range<usize>) -> CoreResult<[TensorData; 2]> {
        let fields = self.source.data.batch(range)?.into_fields();
        fields
            .try_into()
            .map_err(|fields: Vec<_>| CoreError::Shape {
                op: "read samples",
                axis: "fields",
                expected: 2,
                got: fields.len(),
            })
    }

    fn check_rows(&self, range: Range<usize>) -> Result<()> {
        let [inputs, targets] = self.raw(range.clone())?;
        let files = &self.source.files;
        check_finite(&files.inputs, &inputs.convert_dtype(self.dtype), &range)?;
        match self.target {
            Target::Values { .. } => {
                check_finite(&files.targets, &targets.convert_dtype(self.dtype), &range)
            }
            Target::Class { classes } => {
                let path = &files.targets;
                ensure!(
                    targets.dtype().is_int(),
                    "{path}: targets of cross-entropy are integers, got {:?}",
                    targets.dtype()
                );
                let outside =
                    |class: i64| usize::try_from(class).is_ok_and(|class| class < classes);
                let Some((row, class)) = range
                    .zip(targets.iter::<i64>())
                    .find(|(_, class)| !outside(*class))
                else {
                    return Ok(());
                };
                bail!(
                    "{path}: row {row} has class {class}, but the model has outputs for classes 0 to {}",
                    classes - 1
                )
            }
        }
    }
}

fn check_finite(path: &ArrayPath, values: &TensorData, range: &Range<usize>) -> Result<()> {
    let row_length = (values.num_elements() / range.len()).max(1);
    match values.iter::<f64>().position(|value| !value.is_finite()) {
        Some(index) => bail!(
            "{path}: row {} holds a number that is not finite in {:?}",
            range.start + index / row_length,
            values.dtype()
        ),
        None => Ok(()),
    }
}

impl Dataset for Samples {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.source.data.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        let rows = range.len();
        let [inputs, targets] = self.raw(range)?;
        let inputs = rows_of(inputs.convert_dtype(self.dtype), rows);
        let targets = match self.target {
            Target::Class { .. } => targets,
            Target::Values { .. } => rows_of(targets.convert_dtype(self.dtype), rows),
        };
        Ok(Batch::new(vec![inputs, targets])?)
    }
}

/// The same numbers as a matrix of so many rows.
fn rows_of(data: TensorData, rows: usize) -> TensorData {
    let columns = data.num_elements().checked_div(rows).unwrap_or(0);
    let (bytes, _, dtype) = data.into_parts();
    TensorData::from_bytes(bytes, [rows, columns], dtype)
}

#[cfg(test)]
mod tests;
