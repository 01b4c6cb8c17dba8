use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::{FieldDataset, FieldForm, FieldKind};
use influence_calculators::Labels;
use influence_core::{Dataset, FieldSource, Precision, Scale, Scaled, Selected, Values};

use super::{Samples, formats, identity::Identity, names, open, samples::shaped};
use crate::{
    config::{ArrayPath, Files},
    weights::float_dtype,
};

/// Inputs and targets that belong together; their numbers are not yet looked at.
#[derive(Clone)]
pub struct Source {
    pub(super) files: Files,
    pub(super) inputs: Arc<dyn FieldSource>,
    targets: Arc<dyn FieldSource>,
    identity: Identity,
}

impl Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    pub(super) fn select(&self, points: &[usize]) -> Result<Self> {
        let chosen: Arc<[usize]> = points.into();
        Ok(Self {
            files: self.files.clone(),
            inputs: Arc::new(Selected::new(self.inputs.clone(), chosen.clone())?),
            targets: Arc::new(Selected::new(self.targets.clone(), chosen)?),
            identity: self.identity.select(points),
        })
    }

    pub(super) fn scaled(self, scale: &Scale) -> Result<Self> {
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
            ensure!(
                integers || form.kind == FieldKind::Float,
                "{path}: {what} must be integers of shape {expected}, got floating-point numbers of shape {shape:?}"
            );
            ensure!(
                shaped(shape, form).is_some() && (may_be_flattened || shape.len() <= form.rank),
                "{path}: {what} must have shape {expected}, got {shape:?}"
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
