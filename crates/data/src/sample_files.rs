use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use anyhow::{Context, Error, Result, bail, ensure};
use influence_core::{
    Dataset, FieldForm, FieldKind, FieldSource, Labels, Precision, Scale, Scaled, Selected, Values,
};

use crate::{
    array_path::ArrayPath,
    fields::FieldDataset,
    formats::{self, Unclear},
    hints::{self, hint},
    identity::SampleIds,
    labels::{ClassOrder, shown},
    names,
    open::{self, Opened},
    readers::Readers,
    samples::{Samples, is_column, shaped},
    settings::Files,
    targets::{self, Targets},
};

/// Inputs and targets that belong together, opened; their numbers have not been read yet.
#[derive(Clone)]
pub struct SampleFiles {
    pub(super) files: Files,
    pub(super) inputs: Arc<dyn FieldSource>,
    targets: Arc<dyn FieldSource>,
    identity: SampleIds,
    classes: Option<Arc<[String]>>,
    columns: Option<Arc<[String]>>,
    remarks: Vec<String>,
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
        let (inputs, targets) = pair(files, readers, &mut remarks)?;
        let mut files = files.clone();
        remark(&mut remarks, &files.inputs, inputs.remarks);
        files.inputs.form = inputs.form;
        let (classes, targets, form, more) = match targets {
            Targets::Numbers(opened) => (None, opened.field, opened.form, opened.remarks),
            Targets::Names {
                labels,
                form,
                remarks,
            } => {
                let mut remarks = remarks;
                let own = matches!(order, ClassOrder::Own);
                let (classes, targets) = labels.numbered(order)?;
                if own {
                    remarks.push(format!(
                        "classes are numbered in the order of their names: {}; where the outputs of the model have another order, list them as data.classes",
                        shown(&classes)
                    ));
                }
                let targets: Arc<dyn FieldSource> = Arc::new(targets);
                (Some(classes), targets, form, remarks)
            }
        };
        remark(&mut remarks, &files.targets, more);
        files.targets.form = form;
        let survey = formats::image_survey(&files.inputs.path);
        let left_out = survey.and_then(|(_, left_out)| left_out);
        remark(&mut remarks, &files.inputs, left_out.into_iter().collect());
        let (inputs, columns) = (inputs.field, inputs.columns);
        let data = FieldDataset::new([inputs.clone(), targets.clone()]).map_err(|error| {
            // The choices may be the reason why they do not fit.
            let chosen = remarks.iter().cloned();
            chosen.fold(Error::from(error), Error::context)
        })?;
        ensure!(data.len() > 0, "{}: there are no samples", files.inputs);
        ensure!(
            !inputs.shape()[1..].contains(&0),
            "{}: the samples hold no numbers",
            files.inputs
        );
        let names = match &files.ids {
            Some(ids) => Some(labels(ids, readers, data.len(), &mut remarks).context("ids")?),
            None => formats::image_names(&files.inputs.path).map(Labels::Names),
        };
        let source = Self {
            identity: SampleIds::new(names),
            inputs,
            targets,
            classes,
            columns: columns.map(Into::into),
            remarks,
            files,
        };
        let Some(subset) = &source.files.subset else {
            return Ok(source);
        };
        let (rows, more) = names::rows(subset, readers).context("subset")?;
        ensure!(!rows.is_empty(), "subset: {subset} lists no rows");
        let mut selected = source
            .select(&rows)
            .with_context(|| format!("subset: {subset}"))?;
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

    /// The names of the columns of the inputs, where these are a table.
    pub(super) fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Choices that nobody configured and parts of files that are not used, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// A summary of the files in sentences: the numbers of images and classes, and the
    /// [`remarks`](Self::remarks).
    pub fn found(&self) -> Vec<String> {
        let survey = formats::image_survey(&self.files.inputs.path);
        let counts = survey.map(|(counts, _)| format!("{}: {counts}", self.files.inputs));
        counts.into_iter().chain(self.remarks()).collect()
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

    /// Whether inputs, and targets, are stored as integers, such as pixels and class numbers.
    ///
    /// # Errors
    /// When the first sample cannot be read.
    pub fn are_integers(&self) -> Result<[bool; 2]> {
        let integers = |field: &dyn FieldSource| -> Result<bool> {
            Ok(matches!(field.rows(0..1)?, Values::I64(_)))
        };
        Ok([integers(&*self.inputs)?, integers(&*self.targets)?])
    }

    /// All targets as integers, the numbers of classes among them.
    ///
    /// # Errors
    /// When they are not stored as integers, or cannot be read.
    pub fn integer_targets(&self) -> Result<Vec<i64>> {
        match self.targets.rows(0..self.len())? {
            Values::I64(values) => Ok(values.into_iter().collect()),
            _ => bail!("{}: class numbers are integers", self.files.targets),
        }
    }

    /// A hint for targets that look like classes but are stored as something else.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn may_be_classes(&self) -> Result<Option<&'static str>> {
        hints::may_be_classes(&*self.targets)
    }

    pub(super) fn select(&self, points: &[usize]) -> Result<Self> {
        let chosen: Arc<[usize]> = points.into();
        Ok(Self {
            inputs: Arc::new(Selected::new(self.inputs.clone(), chosen.clone())?),
            targets: Arc::new(Selected::new(self.targets.clone(), chosen)?),
            identity: self.identity.select(points),
            ..self.clone()
        })
    }

    pub(super) fn scaled(self, scale: &Scale) -> Result<Self> {
        let inputs = Arc::new(Scaled::new(self.inputs, scale.clone())?);
        Ok(Self { inputs, ..self })
    }

    /// Gives the samples the form in which a task reads them.
    ///
    /// Inputs become rows where the task reads those, and images get an axis of one channel where
    /// it wants one; targets `(n)` become `(n, 1)`.
    ///
    /// # Errors
    /// When the task reads anything else than inputs and targets, or the arrays have another kind
    /// or rank.
    pub fn in_form(self, forms: &[FieldForm], precision: Precision) -> Result<Samples> {
        let &[input, target] = forms else {
            bail!(
                "the task reads {} fields, a configuration has two: inputs and targets",
                forms.len()
            );
        };
        let fields = [
            (&self.files.inputs, &self.inputs, input, "inputs", true),
            (&self.files.targets, &self.targets, target, "targets", false),
        ];
        for ((path, array, form, what, may_be_flattened), integers) in
            fields.into_iter().zip(self.are_integers()?)
        {
            let shape = array.shape();
            // (n, _, _) for rank 3.
            let expected = format!("(n{})", ", _".repeat(form.rank - 1));
            ensure!(
                form.kind != FieldKind::Bool,
                "the task reads truth values as its {what}; arrays hold numbers, so read integers"
            );
            let fits = shaped(shape, form).is_some_and(|formed| {
                may_be_flattened || formed.len() >= shape.len() || is_column(shape, form)
            });
            ensure!(
                integers || form.kind == FieldKind::Float,
                "{path}: {what} must be integers of shape {expected}, got floating-point numbers of shape {shape:?}{}",
                hint(&**array, form)?
            );
            ensure!(
                fits,
                "{path}: {what} must have shape {expected}, got {shape:?}{}",
                hint(&**array, form)?
            );
        }
        Ok(Samples {
            data: FieldDataset::new([self.inputs, self.targets])?,
            files: self.files,
            identity: self.identity,
            classes: self.classes,
            columns: self.columns,
            forms: [input, target],
            precision,
        })
    }
}

/// Opens inputs and targets; where one of them does not tell whether its first line is a point, the
/// number of the others does.
fn pair(files: &Files, readers: Readers, remarks: &mut Vec<String>) -> Result<(Opened, Targets)> {
    let inputs = |at: &ArrayPath| -> Result<(Opened, usize)> {
        let opened = open::array(at, readers)?;
        let rows = opened.field.shape()[0];
        Ok((opened, rows))
    };
    let targets = |at: &ArrayPath| -> Result<(Targets, usize)> {
        let targets = targets::targets(at, readers)?;
        let rows = targets.len();
        Ok((targets, rows))
    };
    match inputs(&files.inputs) {
        Ok((opened, rows)) => {
            let targets = open::beside(&files.targets, rows, remarks, targets)?;
            Ok((opened, targets))
        }
        Err(error) if error.is::<Unclear>() => {
            let (targets, rows) = targets(&files.targets)?;
            let opened = open::beside(&files.inputs, rows, remarks, inputs)?;
            Ok((opened, targets))
        }
        Err(error) => Err(error),
    }
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
        let (labels, remarks) = names::labels(at, readers)?;
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
