use std::{ops::Range, sync::Arc};

use anyhow::{Result, bail, ensure};
use influence_core::{
    Batch, Dataset, Error as CoreError, FieldForm, FieldKind, FieldSource, Labels, Precision,
    Result as CoreResult, Selected, Values,
};

use crate::{
    array_path::ArrayPath,
    fields::FieldDataset,
    hints::of_classes,
    identity::SampleIds,
    input_files::of_input,
    key::{AtKey, KeyError},
    labels::shown,
    settings::Files,
};

/// How many numbers are in memory at a time while files are checked.
const SCANNED_NUMBERS: usize = 1 << 20;

/// The requirement on the values of targets, beyond their form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A class number below `classes`.
    Class {
        /// The number of outputs of the model.
        classes: usize,
    },
    /// This many numbers.
    Values {
        /// The number of outputs of the model.
        outputs: usize,
    },
    /// No requirement: the task decides.
    Any,
}

/// Samples that can be read in any order.
pub trait Gather {
    /// The number of samples.
    fn count(&self) -> usize;

    /// Some of the samples, in this order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn gather(&self, points: &[usize]) -> Result<Batch>;
}

/// Samples in the form in which a task reads them, every number of them finite.
#[derive(Debug, Clone)]
pub struct Samples {
    pub(super) data: FieldDataset,
    pub(super) files: Files,
    pub(super) identity: SampleIds,
    pub(super) classes: Option<Arc<[String]>>,
    /// Of each input.
    pub(super) columns: Vec<Option<Arc<[String]>>>,
    /// Of each field; that of the targets is the last.
    pub(super) forms: Arc<[FieldForm]>,
    pub(super) precision: Precision,
}

impl Samples {
    /// Checks every number: inputs and targets are finite in the precision, and targets are what
    /// the model needs.
    ///
    /// # Errors
    /// The first row that does not fit, with its file.
    pub fn check(&self, target: Target) -> Result<()> {
        self.check_classes(target).at_unsaid_key("targets")?;
        let shapes = self.data.shapes();
        let last = self.targets();
        if let (Target::Values { outputs }, [_, columns]) = (target, &self.shape_of(last)[..]) {
            ensure!(
                *columns == outputs,
                KeyError::worded(
                    "targets",
                    format!(
                        "{}: targets of mse have shape (n, {outputs}), with a number for each output of the model, got {:?}",
                        self.files.targets, shapes[last]
                    )
                )
            );
        }
        let numbers = |shape: &&[usize]| shape[1..].iter().product::<usize>();
        let row: usize = shapes.iter().map(numbers).sum();
        let step = (SCANNED_NUMBERS / row.max(1)).max(1);
        for start in (0..self.len()).step_by(step) {
            self.check_rows(target, start..(start + step).min(self.len()))?;
        }
        Ok(())
    }

    /// The names of the classes in the order of their numbers, where targets are names.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Checks that the numbers of the first input are rows of a table of this many entries.
    ///
    /// # Errors
    /// The first row that holds another, with its file.
    pub fn check_entries(&self, entries: usize) -> Result<()> {
        let row = self.shape_of(0)[1..].iter().product::<usize>().max(1);
        let step = (SCANNED_NUMBERS / row).max(1);
        let outside = |index: i64| !usize::try_from(index).is_ok_and(|index| index < entries);
        for start in (0..self.len()).step_by(step) {
            let batch = self.batch(start..(start + step).min(self.len()))?;
            let found = batch.fields()[0]
                .integers()
                .enumerate()
                .find(|(_, index)| outside(*index));
            if let Some((place, index)) = found {
                bail!(KeyError::worded(
                    "inputs",
                    format!(
                        "{}: row {} holds {index}, but the embedding that looks it up has rows 0 to {}",
                        self.path(0),
                        self.identity.row(start + place / row),
                        entries - 1
                    )
                ));
            }
        }
        Ok(())
    }

    /// The name of a point, where it is not just its number.
    pub fn id(&self, point: usize) -> Option<String> {
        self.identity.id(point)
    }

    /// Whether they are a selection of the rows of their files.
    pub fn is_selected(&self) -> bool {
        self.identity.is_selected()
    }

    /// The row of a point in its files.
    pub fn row(&self, point: usize) -> usize {
        self.identity.row(point)
    }

    /// The names of the points, where they are not just their numbers.
    pub fn labels(&self) -> Option<Labels> {
        self.identity.labels(self.len())
    }

    /// The names of the columns of the inputs, where these are one table.
    pub fn columns(&self) -> Option<&[String]> {
        match self.columns.as_slice() {
            [only] => only.as_deref(),
            _ => None,
        }
    }

    /// The number of inputs; in a batch the targets follow them.
    pub fn inputs(&self) -> usize {
        self.columns.len()
    }

    /// The field of the targets.
    fn targets(&self) -> usize {
        self.inputs()
    }

    /// Where a field is.
    fn path(&self, field: usize) -> &ArrayPath {
        let input = self.files.inputs.iter().nth(field);
        input.map_or(&self.files.targets, |file| &file.array)
    }

    /// Class numbers that come from names are right only if every output of the model has a name.
    fn check_classes(&self, target: Target) -> Result<()> {
        let (Some(names), path) = (&self.classes, &self.files.targets) else {
            return Ok(());
        };
        match target {
            Target::Class { classes } if classes != names.len() => bail!(
                "{path}: the model has {classes} outputs, expected one for each of the {} classes: {}; if they are some of the model's classes, \
                 list the names of all {classes} in data.classes, in the order of the outputs",
                names.len(),
                shown(names)
            ),
            Target::Values { .. } => bail!(
                "{path}: targets of mse are numbers, got names of classes: {}",
                shown(names)
            ),
            Target::Class { .. } | Target::Any => Ok(()),
        }
    }

    fn check_rows(&self, target: Target, range: Range<usize>) -> Result<()> {
        let batch = self.batch(range.clone())?;
        for (field, values) in batch.fields().iter().enumerate() {
            let checked = self.check_finite(field, values, &range);
            match self.files.inputs.iter().nth(field) {
                Some(file) => of_input(&file.key, checked)?,
                None => checked.at_unsaid_key("targets")?,
            }
        }
        let Target::Class { classes } = target else {
            return Ok(());
        };
        let (path, targets) = (&self.files.targets, &batch.fields()[self.targets()]);
        let outside = |class: i64| !usize::try_from(class).is_ok_and(|class| class < classes);
        let mut classes_of = range.zip(targets.integers());
        match classes_of.find(|(_, class)| outside(*class)) {
            None => Ok(()),
            Some((point, class)) => bail!(KeyError::worded(
                "targets",
                format!(
                    "{path}: row {} (counted from 0) has class {class}, but the model has outputs for classes 0 to {}{}",
                    self.identity.row(point),
                    classes - 1,
                    of_classes(&self.all_classes()?, classes)
                )
            )),
        }
    }

    fn all_classes(&self) -> Result<Vec<i64>> {
        let batch = self.batch(0..self.len())?;
        Ok(batch.fields()[self.targets()].integers().collect())
    }

    fn check_finite(&self, field: usize, values: &Values, range: &Range<usize>) -> Result<()> {
        let row_length = (values.len() / range.len()).max(1);
        match values.floats().position(|value| !value.is_finite()) {
            Some(index) => bail!(
                "{}: row {} (counted from 0){} holds a number that is not finite in {:?}",
                self.path(field),
                self.identity.row(range.start + index / row_length),
                self.column(field, index % row_length, row_length),
                self.precision
            ),
            None => Ok(()),
        }
    }

    /// A number of a row in words, if the row has others: by the name of its column, or by its
    /// place.
    fn column(&self, field: usize, place: usize, of: usize) -> String {
        let names = self.columns.get(field).and_then(Option::as_ref);
        let names = names.filter(|names| names.len() == of);
        match names {
            Some(names) => format!(", column `{}`,", names[place]),
            None if of > 1 => format!(", number {place} (counted from 0)"),
            None => String::new(),
        }
    }

    /// A batch in the form in which the task reads it.
    fn formed(&self, batch: Batch) -> CoreResult<Batch> {
        let fields = batch.into_fields().into_iter();
        let formed = fields.zip(&*self.forms).map(|(values, &form)| {
            let values = match form.kind {
                FieldKind::Float => values.in_precision(self.precision),
                FieldKind::Int | FieldKind::Bool => values,
            };
            let shape = shaped(values.shape(), form).ok_or_else(|| CoreError::Shape {
                op: "read samples",
                axis: "axes",
                expected: form.rank,
                got: values.shape().len(),
            })?;
            values.reshaped(&shape)
        });
        let batch = Batch::new(formed.collect::<CoreResult<_>>()?)?;
        match self.data.names() {
            Some(names) => batch.named(names.clone()),
            None => Ok(batch),
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

/// The shape in which a task reads an array, samples first, if it can.
pub(super) fn shaped(shape: &[usize], form: FieldForm) -> Option<Vec<usize>> {
    let (&samples, sample) = shape.split_first()?;
    match (form.rank, sample) {
        (rank, sample) if rank == sample.len() + 1 => Some(shape.to_vec()),
        // Rows of numbers: all axes behind the samples become one.
        (2, sample) if form.kind != FieldKind::Bool => Some(vec![samples, sample.iter().product()]),
        // A column of class numbers.
        (1, &[1]) if is_column(shape, form) => Some(vec![samples]),
        // Images without an axis for their one channel.
        (4, &[height, width]) => Some(vec![samples, 1, height, width]),
        _ => None,
    }
}

/// Whether an array is a single column of integers, where the task reads one for each sample.
pub(super) fn is_column(shape: &[usize], form: FieldForm) -> bool {
    form.kind == FieldKind::Int && form.rank == 1 && matches!(shape, [_, 1])
}
