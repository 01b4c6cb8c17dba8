//! Targets: numbers, or classes by name.

use anyhow::{Result, bail};

use crate::{
    array_path::{ArrayPath, TableForm},
    formats::{self, NotANumber, Texts},
    labels::NamedLabels,
    open::{self, OpenedArray},
    readers::Readers,
};

/// Targets, before classes that have names have numbers.
pub(super) enum Targets {
    /// Numbers, of classes or others.
    Numbers(OpenedArray),
    /// Classes by their names.
    Names {
        /// The name of each point.
        labels: NamedLabels,
        /// How the table is written: what was configured, and what was found out.
        form: TableForm,
        /// Choices that nobody configured and a reader should know of, in sentences.
        remarks: Vec<String>,
    },
}

impl Targets {
    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(opened) => opened.field.shape()[0],
            Self::Names { labels, .. } => labels.len(),
        }
    }
}

/// Opens targets: names of classes where folders of images, text files or columns of text have
/// them, else an array.
///
/// # Errors
/// As [`open::array`]; when names are mixed with numbers, or one is missing.
pub(super) fn targets(at: &ArrayPath, readers: Readers) -> Result<Targets> {
    if formats::is_images(&at.path)
        && let Some(labels) = formats::image_labels(&at.path, at.part.as_deref())?
    {
        return Ok(Targets::Names {
            labels,
            form: TableForm::default(),
            remarks: Vec::new(),
        });
    }
    if open::is_text(at) {
        let Some(texts) = open::texts(at)? else {
            bail!("{at}: expected a line for each point");
        };
        return of_lines(texts, at);
    }
    let error = match open::array(at, readers) {
        Ok(opened) => return Ok(Targets::Numbers(opened)),
        Err(error) if error.is::<NotANumber>() => error,
        Err(error) => return Err(error),
    };
    // Several columns are not labels.
    match open::texts(at) {
        Ok(Some(texts)) => by_name(texts, at),
        _ => Err(error),
    }
}

/// The lines of a text file: class numbers, or names.
fn of_lines(texts: Texts, at: &ArrayPath) -> Result<Targets> {
    let numbers: Option<Vec<i64>> = texts.rows.iter().map(|text| text.parse().ok()).collect();
    match numbers {
        Some(numbers) => Ok(Targets::Numbers(OpenedArray::plain(formats::integers(
            &numbers,
            at.to_string(),
        )?))),
        None => by_name(texts, at),
    }
}

fn by_name(texts: Texts, at: &ArrayPath) -> Result<Targets> {
    let Texts {
        rows: texts,
        form,
        remarks,
    } = texts;
    let no_name = |text: &String| text.is_empty() || text.parse::<f64>().is_ok();
    if let Some(row) = texts.iter().position(no_name) {
        bail!(
            "{at}: labels are all numbers or all names, row {row} (counted from 0) has `{}` among names",
            texts[row]
        );
    }
    Ok(Targets::Names {
        labels: NamedLabels::new(at.to_string(), texts),
        form,
        remarks,
    })
}
