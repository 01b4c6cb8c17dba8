mod form;
mod joined;

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use anyhow::{Context, Error, Result, bail, ensure};
use influence_core::{Dataset, FieldForm, FieldSource, Labels, Scale, Scaled, Selected, Values};

use crate::{
    array_path::ArrayPath,
    fields::FieldDataset,
    formats, hints,
    identity::SampleIds,
    input_files::InputKey,
    key::{AtKey, KeyError},
    labels::{ClassOrder, shown},
    names,
    open::{self, OpenedArray},
    readers::Readers,
    row_groups::RowGroups,
    samples::shaped,
    settings::Files,
    targets::Targets,
};
pub use form::SampleForm;
use joined::joined;

/// Inputs and targets that belong together, opened; their numbers have not been read yet. There may
/// be no targets.
#[derive(Clone)]
pub struct SampleFiles {
    pub(super) files: Files,
    /// In the order of those of the files.
    pub(super) inputs: Vec<Input>,
    targets: Option<Arc<dyn FieldSource>>,
    identity: SampleIds,
    row_groups: RowGroups,
    classes: Option<Arc<[String]>>,
    remarks: Vec<String>,
}

/// The numbers of one input.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) field: Arc<dyn FieldSource>,
    /// What its columns are called, if it is a table.
    pub(super) columns: Option<Arc<[String]>>,
}

impl Input {
    /// With other numbers in place of its own.
    fn with(&self, field: impl FieldSource + 'static) -> Self {
        Self {
            field: Arc::new(field),
            columns: self.columns.clone(),
        }
    }

    /// The shape of one sample; a single number has one axis.
    fn sample_shape(&self) -> Vec<usize> {
        match &self.field.shape()[1..] {
            [] => vec![1],
            shape => shape.to_vec(),
        }
    }
}

/// An input of a data set, and the shape of one sample of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// Which input it is.
    pub key: InputKey,
    /// The shape of one sample; a single number has one axis.
    pub shape: Vec<usize>,
}

impl InputShape {
    /// The shape in which a task reads one sample, if it can read an array of this shape.
    pub fn formed(&self, form: FieldForm) -> Option<Vec<usize>> {
        // A single number may have no axis.
        if (form.rank, self.shape.as_slice()) == (1, &[1]) {
            return Some(Vec::new());
        }
        let one = [&[1], self.shape.as_slice()].concat();
        shaped(&one, form).map(|shape| shape[1..].to_vec())
    }
}

impl Debug for SampleFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampleFiles")
            .field("files", &self.files)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl SampleFiles {
    /// Opens inputs and targets, with their names and the rows that are used; classes that have
    /// names get their numbers from `order`.
    ///
    /// # Errors
    /// When one of them is missing or not a numeric array, they differ in length, there is no
    /// sample, a class has no number, two points have one name, or a row of the subset does not
    /// exist.
    pub fn open(files: &Files, order: ClassOrder<'_>, readers: Readers) -> Result<Self> {
        let mut remarks = Vec::new();
        let (opened, targets) = joined(files, readers, &mut remarks)?;
        let mut files = files.clone();
        let mut inputs = Vec::with_capacity(opened.len());
        for (file, input) in files.inputs.iter_mut().zip(opened) {
            remark(&mut remarks, &file.array, input.remarks);
            file.array.form = input.form;
            inputs.push(Input {
                field: input.field,
                columns: input.columns.map(Into::into),
            });
        }
        let (mut classes, mut numbers) = (None, None);
        if let (Some(targets), Some(file)) = (targets, &mut files.targets) {
            let (names, opened) = numbered(targets, order)?;
            remark(&mut remarks, file, opened.remarks);
            file.form = opened.form;
            (classes, numbers) = (names, Some(opened.field));
        }
        for file in &files.inputs {
            let survey = formats::image_survey(&file.array.path);
            let left_out = survey.and_then(|(_, left_out)| left_out);
            remark(&mut remarks, &file.array, left_out.into_iter().collect());
        }
        let fields = inputs.iter().map(|input| input.field.clone());
        let data = FieldDataset::new(fields.chain(numbers.clone())).map_err(|error| {
            // The choices may be the reason why they do not fit.
            let chosen = remarks.iter().cloned();
            chosen.fold(Error::from(error), Error::context)
        })?;
        ensure!(data.len() > 0, "{}: there are no samples", files.inputs);
        for (file, input) in files.inputs.iter().zip(&inputs) {
            ensure!(
                !input.field.shape()[1..].contains(&0),
                "{}: the samples hold no numbers",
                file.array
            );
        }
        let names = if let Some(ids) = &files.ids {
            Some(labels(ids, readers, data.len(), &mut remarks).at_key("ids")?)
        } else {
            let mut paths = files.inputs.iter().map(|file| &file.array.path);
            let names = paths.find_map(|path| formats::image_names(path));
            names.map(Labels::Names)
        };
        let grouping = files.group.as_ref();
        let row_groups = grouping.map(|it| RowGroups::open(it, data.len(), readers, &mut remarks));
        let source = Self {
            identity: SampleIds::new(names),
            row_groups: row_groups.transpose().at_key("group")?.unwrap_or_default(),
            inputs,
            targets: numbers,
            classes,
            remarks,
            files,
        };
        let Some(subset) = &source.files.subset else {
            return Ok(source);
        };
        let (rows, more) = names::rows(subset, readers).at_key("subset")?;
        ensure!(
            !rows.is_empty(),
            KeyError::new("subset", format!("{subset} lists no rows"))
        );
        let mut selected = source
            .select(&rows)
            .with_context(|| subset.to_string())
            .at_key("subset")?;
        remark(&mut selected.remarks, subset, more);
        Ok(selected)
    }

    /// The files, with how tables are written filled in where it was found out.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The names of the classes in the order of their numbers, where targets are names.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Choices that nobody configured and parts of files that are not used, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// A summary of the files in sentences: the numbers of images and classes, and the
    /// [`remarks`](Self::remarks).
    pub fn found(&self) -> Vec<String> {
        let counts = self.files.inputs.iter().filter_map(|file| {
            let (counts, _) = formats::image_survey(&file.array.path)?;
            Some(format!("{}: {counts}", file.array))
        });
        counts.chain(self.remarks()).collect()
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        // Of several arrays all have as many.
        self.inputs
            .first()
            .map_or(0, |input| input.field.shape()[0])
    }

    /// Whether there are no samples; there always are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inputs with the shapes of one sample, in the order of the files.
    pub fn input_shapes(&self) -> Vec<InputShape> {
        let each = self.files.inputs.iter().zip(&self.inputs);
        each.map(|(file, input)| InputShape {
            key: file.key.clone(),
            shape: input.sample_shape(),
        })
        .collect()
    }

    /// The shape of one sample: that of its input, a single number with one axis; where there are
    /// several inputs, how many numbers they have together.
    pub fn sample_shape(&self) -> Vec<usize> {
        let mut shapes: Vec<_> = self.inputs.iter().map(Input::sample_shape).collect();
        match shapes.as_mut_slice() {
            [only] => std::mem::take(only),
            several => {
                let numbers = several.iter().map(|shape| shape.iter().product::<usize>());
                vec![numbers.sum()]
            }
        }
    }

    /// The shape of one target, if there are some; a single number has no axis.
    pub fn target_shape(&self) -> Option<Vec<usize>> {
        let targets = self.targets.as_ref()?;
        Some(targets.shape()[1..].to_vec())
    }

    /// Whether each of the inputs is stored as integers, such as pixels and tokens.
    ///
    /// # Errors
    /// When the first sample cannot be read.
    pub fn have_integers(&self) -> Result<Vec<bool>> {
        self.inputs
            .iter()
            .map(|input| has_integers(&*input.field))
            .collect()
    }

    /// Whether there are targets that are stored as integers, such as class numbers.
    ///
    /// # Errors
    /// When the first sample cannot be read.
    pub fn has_integer_targets(&self) -> Result<bool> {
        self.targets.as_deref().map_or(Ok(false), has_integers)
    }

    /// All targets as integers, the numbers of classes among them; none where there are none.
    ///
    /// # Errors
    /// When they are not stored as integers, or cannot be read.
    pub fn integer_targets(&self) -> Result<Vec<i64>> {
        let (Some(targets), Some(file)) = (&self.targets, &self.files.targets) else {
            return Ok(Vec::new());
        };
        match targets.rows(0..self.len())? {
            Values::I64(values) => Ok(values.into_iter().collect()),
            _ => bail!("{file}: class numbers are integers"),
        }
    }

    /// Whether there are targets, and all of them are 0 or 1.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn have_binary_targets(&self) -> Result<bool> {
        let Some(targets) = &self.targets else {
            return Ok(false);
        };
        let values = targets.rows(0..self.len())?;
        Ok(values.floats().all(|value| [0.0, 1.0].contains(&value)))
    }

    /// A hint for targets that look like classes but are stored as something else.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn may_be_classes(&self) -> Result<Option<&'static str>> {
        let targets = self.targets.as_deref();
        targets.map_or(Ok(None), hints::may_be_classes)
    }

    pub(super) fn select(&self, points: &[usize]) -> Result<Self> {
        let chosen: Arc<[usize]> = points.into();
        let select = |field: &Arc<dyn FieldSource>| Selected::new(field.clone(), chosen.clone());
        let inputs = self.inputs.iter().map(|input| {
            let selected = select(&input.field)?;
            Ok(input.with(selected))
        });
        Ok(Self {
            inputs: inputs.collect::<Result<_>>()?,
            targets: match &self.targets {
                Some(targets) => Some(Arc::new(select(targets)?)),
                None => None,
            },
            identity: self.identity.select(points),
            ..self.clone()
        })
    }

    /// With the inputs scaled that have a scale, in their order.
    pub(super) fn scaled(self, scales: &[Option<Scale>]) -> Result<Self> {
        let each = self.inputs.iter().zip(scales).zip(self.files.inputs.iter());
        let inputs = each.map(|((input, scale), file)| match scale {
            None => Ok(input.clone()),
            Some(scale) => {
                let scaled = Scaled::new(input.field.clone(), scale.clone());
                // The scale is at fault: the error is not about the key of the input.
                let scaled = match &file.key {
                    InputKey::Only => scaled?,
                    key => scaled.with_context(|| key.to_string())?,
                };
                Ok(input.with(scaled))
            }
        });
        Ok(Self {
            inputs: inputs.collect::<Result<_>>()?,
            ..self
        })
    }
}

/// Targets as numbers, and the names of classes in the order of theirs, where they have names.
fn numbered(
    targets: Targets,
    order: ClassOrder<'_>,
) -> Result<(Option<Arc<[String]>>, OpenedArray)> {
    let (labels, form, mut remarks) = match targets {
        Targets::Numbers(opened) => return Ok((None, opened)),
        Targets::Names {
            labels,
            form,
            remarks,
        } => (labels, form, remarks),
    };
    let own = matches!(order, ClassOrder::Own);
    let (classes, numbers) = labels.numbered(order).at_unsaid_key("targets")?;
    if own {
        remarks.push(format!(
            "classes are numbered in the order of their names: {}; where the outputs of the model have another order, list them as data.classes",
            shown(&classes)
        ));
    }
    let opened = OpenedArray {
        field: Arc::new(numbers),
        form,
        remarks,
        columns: None,
    };
    Ok((Some(classes), opened))
}

fn has_integers(field: &dyn FieldSource) -> Result<bool> {
    Ok(matches!(field.rows(0..1)?, Values::I64(_)))
}

/// Adds remarks on a file, each once.
fn remark(remarks: &mut Vec<String>, at: &ArrayPath, more: Vec<String>) {
    for remark in more {
        let remark = format!("{}: {remark}", at.path.display());
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
}

/// All names in a file, one for each sample.
fn labels(
    ids: &ArrayPath,
    readers: Readers,
    expected: usize,
    remarks: &mut Vec<String>,
) -> Result<Labels> {
    let open = |at: &ArrayPath| -> Result<((Labels, Vec<String>), usize)> {
        let (labels, remarks) = names::ids(at, readers)?;
        let rows = labels.len();
        Ok(((labels, remarks), rows))
    };
    let (labels, more) = open::beside(ids, expected, remarks, open)?;
    ensure!(
        labels.len() == expected,
        "{ids}: expected {expected} names, one for each sample, got {}",
        labels.len()
    );
    remark(remarks, ids, more);
    Ok(labels)
}
