//! Names and row numbers, from text or from arrays.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use influence_calculators::Labels;
use influence_core::Values;

use super::{formats, open};
use crate::config::{ArrayPath, ClassNames};

/// What the rows of a data set are called: the lines of a text file, a column of a table, or an array of integers.
pub(super) fn labels(at: &ArrayPath) -> Result<Labels> {
    if ends_in(&at.path, "txt") {
        return Ok(Labels::Names(lines(&at.path)?));
    }
    if ends_in(&at.path, "csv") {
        let texts = formats::csv_texts(&at.path, at.part.as_deref())?;
        let numbers: Option<Vec<i64>> = texts.iter().map(|text| text.parse().ok()).collect();
        return Ok(numbers.map_or(Labels::Names(texts), Labels::Numbers));
    }
    integers(at).map(Labels::Numbers)
}

/// Rows counted from 0: the lines of a text file, or an array of integers.
pub(super) fn rows(at: &ArrayPath) -> Result<Vec<usize>> {
    let numbers = if ends_in(&at.path, "txt") {
        let number = |(line, text): (usize, String)| {
            text.trim()
                .parse()
                .with_context(|| format!("{at}: line {}: expected a row, got `{text}`", line + 1))
        };
        let lines = lines(&at.path)?.into_iter().enumerate();
        lines.map(number).collect::<Result<Vec<i64>>>()?
    } else {
        integers(at)?
    };
    let row = |number: i64| {
        usize::try_from(number)
            .with_context(|| format!("{at}: expected rows counted from 0, got {number}"))
    };
    numbers.into_iter().map(row).collect()
}

/// The names of classes in the order of their numbers.
pub(super) fn classes(names: &ClassNames) -> Result<Vec<String>> {
    match names {
        ClassNames::Listed(names) => Ok(names.clone()),
        ClassNames::File(at) => lines(&at.path),
    }
}

fn integers(at: &ArrayPath) -> Result<Vec<i64>> {
    let array = open::array(at)?;
    let shape = array.shape().to_vec();
    ensure!(
        shape.len() == 1,
        "{at}: expected integers of shape (n), got {shape:?}"
    );
    match array.rows(0..shape[0])? {
        Values::I64(values) => Ok(values.into_iter().collect()),
        Values::F32(_) | Values::F64(_) => {
            anyhow::bail!("{at}: expected integers, got floating-point numbers")
        }
    }
}

/// The lines of a text file, without what surrounds them.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}
