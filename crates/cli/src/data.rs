//! Samples in files and folders, checked whole before the first use and read range by range.

mod formats;
mod identity;
mod names;
mod open;
mod samples;
mod source;
mod split;

use anyhow::{Context, Result, bail, ensure};
use influence_core::{FieldSource, Scale, Values};

use crate::config::{ArrayPath, Data, ScaleValue, Sides};

pub use samples::Samples;
pub use source::Source;

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

#[cfg(test)]
mod tests;
