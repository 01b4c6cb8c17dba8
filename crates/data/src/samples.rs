mod grouped;
mod relabelled;

use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

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
    key::{AtKey, KeyError, KeyPath},
    labels::shown,
    row_groups::RowGroups,
    settings::Files,
};

pub use grouped::GroupedSamples;

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
    /// A class number below `classes` at each position.
    Positions {
        /// The number of classes.
        classes: usize,
        /// The number of positions.
        positions: usize,
        /// The number that marks positions without a class.
        ignore: Option<i64>,
    },
    /// This many numbers.
    Values {
        /// The number of outputs of the model.
        outputs: usize,
    },
    /// This many numbers from 0 to 1.
    Probabilities {
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
    pub(super) row_groups: RowGroups,
    pub(super) classes: Option<Arc<[String]>>,
    /// Of each input.
    pub(super) columns: Vec<Option<Arc<[String]>>>,
    /// Of each field; that of the targets, if there are some, is the last.
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
        self.check_columns(target)?;
        let shapes = self.data.shapes();
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

    /// Checks that there are as many numbers in a target as the model has outputs or positions.
    fn check_columns(&self, target: Target) -> Result<()> {
        let (outputs, targets, what) = match target {
            Target::Values { outputs } => (outputs, "mse", "number for each output"),
            Target::Probabilities { outputs } => {
                (outputs, "binary-cross-entropy", "number for each output")
            }
            Target::Positions { positions, .. } => {
                (positions, "this loss", "class for each position")
            }
            _ => return Ok(()),
        };
        let Some((field, path)) = self.targets() else {
            return Ok(());
        };
        let columns = self.shape_of(field)[1..].iter().product::<usize>();
        ensure!(
            columns == outputs,
            KeyError::worded(
                "targets",
                format!(
                    "{path}: targets of {targets} have shape (n, {outputs}), with a {what} of the model, got {:?}",
                    self.data.shapes()[field]
                )
            )
        );
        Ok(())
    }

    /// Checks that the numbers of an input are rows of a table of this many entries.
    ///
    /// # Errors
    /// The first row that holds another, with its file.
    pub fn check_entries(&self, input: usize, entries: usize) -> Result<()> {
        let row = self.shape_of(input)[1..].iter().product::<usize>().max(1);
        let step = (SCANNED_NUMBERS / row).max(1);
        let outside = |index: i64| !usize::try_from(index).is_ok_and(|index| index < entries);
        for start in (0..self.len()).step_by(step) {
            let batch = self.batch(start..(start + step).min(self.len()))?;
            let found = batch.fields()[input]
                .integers()
                .enumerate()
                .find(|(_, index)| outside(*index));
            let Some((place, index)) = found else {
                continue;
            };
            let outside = KeyError::worded(
                KeyPath::default(),
                format!(
                    "{}: row {} holds {index}, but the embedding that looks it up has rows 0 to {}",
                    self.path(input),
                    self.identity.row(start + place / row),
                    entries - 1
                ),
            );
            return match self.files.inputs.iter().nth(input) {
                Some(file) => of_input(&file.key, Err(outside)),
                None => Err(outside.into()),
            };
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

    /// The number of inputs; in a batch the targets follow them, if there are some.
    pub fn inputs(&self) -> usize {
        self.columns.len()
    }

    /// The field of the targets and where they are, if there are some.
    fn targets(&self) -> Option<(usize, &ArrayPath)> {
        self.files
            .targets
            .as_ref()
            .map(|path| (self.inputs(), path))
    }

    /// Where a field is.
    fn path(&self, field: usize) -> &ArrayPath {
        let inputs = self.files.inputs.iter().map(|file| &file.array);
        let mut files = inputs.chain(&self.files.targets);
        files.nth(field).expect("every field has a file")
    }

    /// Class numbers that come from names are right only if every output of the model has a name.
    fn check_classes(&self, target: Target) -> Result<()> {
        let (Some(names), Some((_, path))) = (&self.classes, self.targets()) else {
            return Ok(());
        };
        match target {
            Target::Class { classes } | Target::Positions { classes, .. }
                if classes != names.len() =>
            {
                bail!(
                    "{path}: the model has {classes} outputs, expected one for each of the {} classes: {}; if they are some of the model's classes, \
                 list the names of all {classes} in data.classes, in the order of the outputs",
                    names.len(),
                    shown(names)
                )
            }
            Target::Values { .. } => bail!(
                "{path}: targets of mse are numbers, got names of classes: {}",
                shown(names)
            ),
            Target::Probabilities { .. } => bail!(
                "{path}: targets of binary-cross-entropy are numbers from 0 to 1, got names of classes: {}",
                shown(names)
            ),
            Target::Class { .. } | Target::Positions { .. } | Target::Any => Ok(()),
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
        let Some((field, path)) = self.targets() else {
            return Ok(());
        };
        let targets = &batch.fields()[field];
        let row = (targets.len() / range.len()).max(1);
        match target {
            Target::Class { classes } => self.check_classes_of(targets, range.start, classes),
            Target::Positions {
                classes, ignore, ..
            } => {
                let outside = |class| !below(class, classes) && Some(class) != ignore;
                let found = targets.integers().position(outside);
                let Some(place) = found else { return Ok(()) };
                let class = targets.integers().nth(place).unwrap_or_default();
                bail!(KeyError::worded(
                    "targets",
                    format!(
                        "{path}: row {}, position {} (both counted from 0) has class {class}, but the model has outputs for classes 0 to {}; a number that marks positions without a class is model.ignore",
                        self.identity.row(range.start + place / row),
                        place % row,
                        classes - 1
                    )
                ))
            }
            Target::Probabilities { .. } => {
                let outside = |value: &f64| !(0.0..=1.0).contains(value);
                let mut values = targets.floats().enumerate();
                match values.find(|(_, value)| outside(value)) {
                    None => Ok(()),
                    Some((place, value)) => bail!(KeyError::worded(
                        "targets",
                        format!(
                            "{path}: row {} (counted from 0) holds {value}, but targets of binary-cross-entropy are from 0 to 1",
                            self.identity.row(range.start + place / row)
                        )
                    )),
                }
            }
            Target::Values { .. } | Target::Any => Ok(()),
        }
    }

    /// Refuses a class for which the model has no output.
    fn check_classes_of(&self, targets: &Values, start: usize, classes: usize) -> Result<()> {
        let mut numbered = targets.integers().enumerate();
        let Some((place, class)) = numbered.find(|(_, class)| !below(*class, classes)) else {
            return Ok(());
        };
        let all = self.batch(0..self.len())?;
        let all = all.fields().last().into_iter().flat_map(Values::integers);
        bail!(KeyError::worded(
            "targets",
            format!(
                "{}: row {} (counted from 0) has class {class}, but the model has outputs for classes 0 to {}{}",
                self.path(self.inputs()),
                self.identity.row(start + place),
                classes - 1,
                of_classes(&all.collect::<Vec<_>>(), classes)
            )
        ))
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
                FieldKind::Int => values,
                FieldKind::Bool => match values {
                    Values::I64(array) => Values::Bool(array.mapv(|number| number != 0)),
                    other => other,
                },
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

/// Samples in memory.
impl Gather for Batch {
    fn count(&self) -> usize {
        self.len()
    }

    fn gather(&self, points: &[usize]) -> Result<Batch> {
        Ok(self.select(points))
    }
}

/// Some of the samples, under the numbers that they have among those chosen.
#[derive(Clone, Copy)]
pub struct ChosenSamples<'a> {
    /// Those among which they are chosen.
    pub all: &'a dyn Gather,
    /// Their positions there.
    pub points: &'a [usize],
}

impl Debug for ChosenSamples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChosenSamples({})", self.points.len())
    }
}

impl Gather for ChosenSamples<'_> {
    fn count(&self) -> usize {
        self.points.len()
    }

    fn gather(&self, points: &[usize]) -> Result<Batch> {
        let chosen: Vec<usize> = points.iter().map(|&point| self.points[point]).collect();
        self.all.gather(&chosen)
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
        let start = range.start;
        Ok(self.formed(self.data.batch(range)?)?.starting_at(start))
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

/// Whether a class has an output.
fn below(class: i64, classes: usize) -> bool {
    usize::try_from(class).is_ok_and(|class| class < classes)
}

/// Whether an array is a single column of integers, where the task reads one for each sample.
pub(super) fn is_column(shape: &[usize], form: FieldForm) -> bool {
    form.kind == FieldKind::Int && form.rank == 1 && matches!(shape, [_, 1])
}
