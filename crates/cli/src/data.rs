//! Samples in files and folders, checked whole before the first use and read range by range.

mod formats;
mod identity;
mod names;
mod open;
mod split;

use std::{ops::Range, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use influence_backend_burn::{Batch, FieldDataset, FieldForm, FieldKind};
use influence_calculators::Labels;
use influence_core::{
    Dataset, Error as CoreError, FieldSource, Precision, Result as CoreResult, Scale, Scaled,
    Selected, Values,
};

use crate::{
    config::{ArrayPath, Data, Files, ScaleValue, Sides},
    train::Gather,
    weights::float_dtype,
};
use identity::Identity;

/// How many numbers are in memory at a time while files are checked.
const SCANNED_NUMBERS: usize = 1 << 20;

/// Inputs and targets that belong together; their numbers are not yet looked at.
#[derive(Clone)]
pub struct Source {
    files: Files,
    inputs: Arc<dyn FieldSource>,
    targets: Arc<dyn FieldSource>,
    identity: Identity,
}

/// What targets must be, beyond their form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A class number below this.
    Class {
        /// As many as the model has outputs.
        classes: usize,
    },
    /// So many numbers.
    Values {
        /// As many as the model has outputs.
        outputs: usize,
    },
    /// Whatever the task makes of it.
    Any,
}

/// Samples in the form in which a task reads them, every number of them finite.
#[derive(Debug, Clone)]
pub struct Samples {
    data: FieldDataset,
    files: Files,
    identity: Identity,
    forms: [FieldForm; 2],
    dtype: DType,
}

/// Opens both sides of a configuration: training and test points, split and scaled as it says.
///
/// # Errors
/// As [`Source::open`]; when the two sides have samples of different shapes, or a selection or scale does not fit.
pub fn open(data: &Data) -> Result<[Source; 2]> {
    let [train, test] = match data.sides()? {
        Sides::Apart { train, test } => [
            Source::open(train).context("data.train")?,
            Source::open(test).context("data.test")?,
        ],
        Sides::Together { all, split } => {
            let all = Source::open(all).context("data.all")?;
            let [train, test] = split::split(all.len(), split)?;
            [all.select(&train)?, all.select(&test)?]
        }
    };
    let shape = train.sample_shape();
    ensure!(
        test.sample_shape() == shape,
        "data.test: samples have shape {:?} in {}, but {shape:?} in {}",
        test.sample_shape(),
        test.files.inputs,
        train.files.inputs
    );
    let Some(scale) = &data.scale else {
        return Ok([train, test]);
    };
    let scale = match scale {
        ScaleValue::Standard => Scale::standard(&*train.inputs),
        ScaleValue::MinMax => Scale::min_max(&*train.inputs),
        ScaleValue::Given(given) => Scale::new(given.subtract.0.clone(), given.divide.0.clone()),
    };
    let scale = scale.context("data.scale")?;
    let scaled = |side: Source| side.scaled(&scale).context("data.scale");
    Ok([scaled(train)?, scaled(test)?])
}

/// What the classes of a configuration are called, if they have names.
///
/// # Errors
/// When the file with the names cannot be read, or there are not as many names as classes.
pub fn class_names(data: &Data, target: Target) -> Result<Option<Vec<String>>> {
    let files = match data.sides()? {
        Sides::Apart { train, .. } => train,
        Sides::Together { all, .. } => all,
    };
    let names = match &data.classes {
        Some(names) => Some(names::classes(names).context("data.classes")?),
        None => formats::image_classes(&files.targets.path),
    };
    let (Target::Class { classes }, Some(names)) = (target, &names) else {
        return Ok(names);
    };
    ensure!(
        names.len() == classes || data.classes.is_none(),
        "data.classes: expected {classes} names, as the model has outputs, got {}",
        names.len()
    );
    Ok(Some(names.clone()).filter(|names| names.len() == classes))
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("files", &self.files)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Opens inputs and targets, with their names and the rows that are used.
    ///
    /// # Errors
    /// When one of them is missing or no numeric array, they differ in length, there is no sample, or a row is asked for that is not there.
    pub fn open(files: &Files) -> Result<Self> {
        let [inputs, targets] = [open::array(&files.inputs)?, open::array(&files.targets)?];
        let data = FieldDataset::new([inputs.clone(), targets.clone()])?;
        ensure!(data.len() > 0, "{}: there are no samples", files.inputs);
        ensure!(
            !inputs.shape()[1..].contains(&0),
            "{}: the samples hold no numbers",
            files.inputs
        );
        let names = match &files.ids {
            Some(ids) => Some(labels(ids, data.len()).context("ids")?),
            None => formats::image_names(&files.inputs.path).map(Labels::Names),
        };
        let source = Self {
            files: files.clone(),
            inputs,
            targets,
            identity: Identity::new(names),
        };
        let Some(subset) = &files.subset else {
            return Ok(source);
        };
        let rows = names::rows(subset).context("subset")?;
        ensure!(!rows.is_empty(), "subset: {subset} lists no rows");
        source
            .select(&rows)
            .with_context(|| format!("subset: {subset}"))
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    /// Whether there are no samples; there always are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one input; a sample of a single number has one axis.
    pub fn sample_shape(&self) -> Vec<usize> {
        match &self.inputs.shape()[1..] {
            [] => vec![1],
            shape => shape.to_vec(),
        }
    }

    /// The shape of one target; a single number has no axis.
    pub fn target_shape(&self) -> Vec<usize> {
        self.targets.shape()[1..].to_vec()
    }

    /// Whether inputs, and targets, are stored as integers, as pixels and class numbers are.
    ///
    /// # Errors
    /// When the first sample cannot be read.
    pub fn are_integers(&self) -> Result<[bool; 2]> {
        let integers = |field: &dyn FieldSource| -> Result<bool> {
            Ok(matches!(field.rows(0..1)?, Values::I64(_)))
        };
        Ok([integers(&*self.inputs)?, integers(&*self.targets)?])
    }

    fn select(&self, points: &[usize]) -> Result<Self> {
        let chosen: Arc<[usize]> = points.into();
        Ok(Self {
            files: self.files.clone(),
            inputs: Arc::new(Selected::new(self.inputs.clone(), chosen.clone())?),
            targets: Arc::new(Selected::new(self.targets.clone(), chosen)?),
            identity: self.identity.select(points),
        })
    }

    fn scaled(self, scale: &Scale) -> Result<Self> {
        let inputs = Arc::new(Scaled::new(self.inputs, scale.clone())?);
        Ok(Self { inputs, ..self })
    }

    /// Gives the samples the form in which a task reads them.
    ///
    /// Inputs become rows where the task reads those, and images get an axis of one channel where it wants one; targets `(n)` become `(n, 1)`.
    ///
    /// # Errors
    /// When the task reads anything else than inputs and targets, or the arrays have another kind or rank.
    pub fn in_form(self, forms: &[FieldForm], precision: Precision) -> Result<Samples> {
        let &[input, target] = forms else {
            bail!(
                "the task reads {} fields, a configuration has two: inputs and targets",
                forms.len()
            );
        };
        let fields = [
            (&self.files.inputs, &self.inputs, input, "inputs"),
            (&self.files.targets, &self.targets, target, "targets"),
        ];
        for ((path, array, form, what), integers) in fields.into_iter().zip(self.are_integers()?) {
            let shape = array.shape();
            let flattened = what == "targets" && shape.len() > form.rank;
            ensure!(
                form.kind != FieldKind::Bool && (integers || form.kind == FieldKind::Float),
                "{path}: {what} must be integers of rank {}, samples included, got floating-point numbers of shape {shape:?}",
                form.rank
            );
            ensure!(
                shaped(shape, form).is_some() && !flattened,
                "{path}: {what} must have rank {}, samples included, got shape {shape:?}",
                form.rank
            );
        }
        Ok(Samples {
            data: FieldDataset::new([self.inputs, self.targets])?,
            files: self.files,
            identity: self.identity,
            forms: [input, target],
            dtype: float_dtype(precision),
        })
    }
}

/// All names in a file, as many as there are samples.
fn labels(ids: &ArrayPath, expected: usize) -> Result<Labels> {
    let labels = names::labels(ids)?;
    ensure!(
        labels.len() == expected,
        "{ids}: expected {expected} names, as there are samples, got {}",
        labels.len()
    );
    Ok(labels)
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
    /// Checks every number: inputs and targets are finite in the precision, and targets are what the model needs.
    ///
    /// # Errors
    /// The first row that does not fit, with its file.
    pub fn check(&self, target: Target) -> Result<()> {
        let shapes = self.data.shapes();
        if let (Target::Values { outputs }, [_, columns]) = (target, &self.shape_of(1)[..]) {
            ensure!(
                *columns == outputs,
                "{}: targets of mse have shape (n, {outputs}), as the model has outputs, got {:?}",
                self.files.targets,
                shapes[1]
            );
        }
        let row: usize = shapes.iter().flat_map(|shape| &shape[1..]).product();
        let step = (SCANNED_NUMBERS / row.max(1)).max(1);
        for start in (0..self.len()).step_by(step) {
            self.check_rows(target, start..(start + step).min(self.len()))?;
        }
        Ok(())
    }

    /// What a point is called, where that is not just its number.
    pub fn id(&self, point: usize) -> Option<String> {
        self.identity.id(point)
    }

    /// Whether they are some of the rows of their files.
    pub fn is_selected(&self) -> bool {
        self.identity.is_selected()
    }

    /// The row of a point in its files.
    pub fn row(&self, point: usize) -> usize {
        self.identity.row(point)
    }

    /// What the points are called, where that is not just their numbers.
    pub fn labels(&self) -> Option<Labels> {
        self.identity.labels(self.len())
    }

    fn check_rows(&self, target: Target, range: Range<usize>) -> Result<()> {
        let batch = self.batch(range.clone())?;
        let [inputs, targets] = batch.fields() else {
            bail!("a sample has inputs and targets");
        };
        self.check_finite(&self.files.inputs, inputs, &range)?;
        let path = &self.files.targets;
        let Target::Class { classes } = target else {
            return self.check_finite(path, targets, &range);
        };
        let outside = |class: i64| !usize::try_from(class).is_ok_and(|class| class < classes);
        let mut classes_of = range.zip(targets.iter::<i64>());
        match classes_of.find(|(_, class)| outside(*class)) {
            None => Ok(()),
            Some((point, class)) => bail!(
                "{path}: row {} has class {class}, but the model has outputs for classes 0 to {}",
                self.identity.row(point),
                classes - 1
            ),
        }
    }

    fn check_finite(
        &self,
        path: &ArrayPath,
        values: &TensorData,
        range: &Range<usize>,
    ) -> Result<()> {
        let row_length = (values.num_elements() / range.len()).max(1);
        match values.iter::<f64>().position(|value| !value.is_finite()) {
            Some(index) => bail!(
                "{path}: row {} holds a number that is not finite in {:?}",
                self.identity.row(range.start + index / row_length),
                values.dtype()
            ),
            None => Ok(()),
        }
    }

    /// The shape in which the task reads a field, for as many samples as there are.
    fn shape_of(&self, field: usize) -> Vec<usize> {
        let shape = self.data.shapes()[field].to_vec();
        shaped(&shape, self.forms[field]).unwrap_or(shape)
    }
}

impl Gather for Samples {
    fn count(&self) -> usize {
        self.len()
    }

    fn gather(&self, points: &[usize]) -> Result<Batch> {
        let chosen: Arc<[usize]> = points.into();
        let select = |field: &Arc<dyn FieldSource>| -> Result<Arc<dyn FieldSource>> {
            Ok(Arc::new(Selected::new(field.clone(), chosen.clone())?))
        };
        let fields = self.data.fields().iter().map(select);
        let fields = FieldDataset::new(fields.collect::<Result<Vec<_>>>()?)?;
        Ok(self.formed(fields.batch(0..points.len())?)?)
    }
}

impl Dataset for Samples {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.data.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        self.formed(self.data.batch(range)?)
    }
}

impl Samples {
    /// A batch in the form in which the task reads it.
    fn formed(&self, batch: Batch) -> CoreResult<Batch> {
        let fields = batch.into_fields();
        let formed = fields.into_iter().zip(self.forms).map(|(data, form)| {
            let data = match form.kind {
                FieldKind::Float => data.convert_dtype(self.dtype),
                FieldKind::Int | FieldKind::Bool => data,
            };
            let shape = shaped(data.shape(), form).ok_or_else(|| CoreError::Shape {
                op: "read samples",
                axis: "axes",
                expected: form.rank,
                got: data.shape().len(),
            })?;
            let (bytes, _, dtype) = data.into_parts();
            Ok(TensorData::from_bytes(bytes, shape, dtype))
        });
        Ok(Batch::new(formed.collect::<CoreResult<_>>()?)?)
    }
}

/// The shape in which a task reads an array, samples first, if it can.
fn shaped(shape: &[usize], form: FieldForm) -> Option<Vec<usize>> {
    let (&samples, sample) = shape.split_first()?;
    match (form.rank, sample) {
        (rank, sample) if rank == sample.len() + 1 => Some(shape.to_vec()),
        // Rows of floats: what lies behind the samples is one axis.
        (2, sample) if form.kind == FieldKind::Float => {
            Some(vec![samples, sample.iter().product()])
        }
        // Images without an axis for their one channel.
        (4, &[height, width]) => Some(vec![samples, 1, height, width]),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
