//! Names and row numbers, from text or from arrays.

use anyhow::{Context, Result, bail, ensure};
use influence_core::{Labels, Values};

use crate::{
    array_path::ArrayPath,
    labels::twice,
    open::{self, OpenedArray},
    readers::Readers,
    settings::ClassNames,
    text,
};

/// The name of each row of a data set, which no other row has; and remarks on how they were read.
///
/// # Errors
/// As [`labels`]; when two rows have the same name.
pub(super) fn ids(at: &ArrayPath, readers: Readers) -> Result<(Labels, Vec<String>)> {
    let (labels, remarks) = labels(at, readers)?;
    let names: Vec<String> = (0..labels.len()).map(|row| labels.get(row)).collect();
    if let Some([first, second]) = twice(&names) {
        bail!(
            "{at}: rows {first} and {second} (counted from 0) are both called `{}`; names tell points from each other, so give each its own, or leave them out",
            names[first]
        );
    }
    Ok((labels, remarks))
}

/// The labels of the rows of a data set: the lines of a text file, a column of a table, or an array
/// of integers; and remarks on how they were read.
///
/// # Errors
/// When they cannot be read.
pub(super) fn labels(at: &ArrayPath, readers: Readers) -> Result<(Labels, Vec<String>)> {
    if let Some(texts) = open::texts(at)? {
        return Ok((of_texts(texts.rows), texts.remarks));
    }
    let (numbers, remarks) = integers(at, readers)?;
    Ok((Labels::Numbers(numbers), remarks))
}

/// Numbers where all are written as numbers are, else names.
fn of_texts(texts: Vec<String>) -> Labels {
    let number = |text: &String| {
        let number: i64 = text.parse().ok()?;
        (number.to_string() == *text).then_some(number)
    };
    let numbers: Option<Vec<i64>> = texts.iter().map(number).collect();
    numbers.map_or(Labels::Names(texts), Labels::Numbers)
}

/// Rows counted from 0: the lines of a text file, or an array of integers; and remarks on how they
/// were read.
pub(super) fn rows(at: &ArrayPath, readers: Readers) -> Result<(Vec<usize>, Vec<String>)> {
    let (numbers, remarks) = if open::is_text(at) {
        let number = |(line, text): (usize, String)| {
            text.parse()
                .with_context(|| format!("{at}: line {}: expected a row, got `{text}`", line + 1))
        };
        let lines = text::lines(&at.path)?.into_iter().enumerate();
        (lines.map(number).collect::<Result<Vec<i64>>>()?, Vec::new())
    } else {
        integers(at, readers)?
    };
    let row = |number: i64| {
        usize::try_from(number)
            .with_context(|| format!("{at}: expected rows counted from 0, got {number}"))
    };
    let rows: Result<Vec<usize>> = numbers.into_iter().map(row).collect();
    Ok((rows?, remarks))
}

/// The names of classes in the order of their numbers.
pub(super) fn classes(names: &ClassNames) -> Result<Vec<String>> {
    match names {
        ClassNames::Listed(names) => Ok(names.clone()),
        ClassNames::File(at) => text::lines(&at.path),
    }
}

fn integers(at: &ArrayPath, readers: Readers) -> Result<(Vec<i64>, Vec<String>)> {
    let OpenedArray { field, remarks, .. } = open::array(at, readers)?;
    let shape = field.shape().to_vec();
    ensure!(
        matches!(shape[..], [_] | [_, 1]),
        "{at}: expected integers of shape (n), got {shape:?}"
    );
    match field.rows(0..shape[0])? {
        Values::I64(values) => Ok((values.into_iter().collect(), remarks)),
        _ => bail!("{at}: expected integers, got floating-point numbers"),
    }
}
