use std::{fs::File, path::Path};

use anyhow::{Context, Result, ensure};
use csv::ReaderBuilder;
use influence_backend_burn::NpyField;

use super::columns::{Cell, Table, choose};

/// Opens columns of a table of comma-separated numbers, with a heading or without.
///
/// Without a heading columns are called `0`, `1` and so on. Headings are those whose first line is not all numbers.
///
/// # Errors
/// When the file cannot be read, a column is not there, or a field is no number; the message names row and column, rows counted from 0.
pub(in crate::data) fn open(path: &Path, choice: Option<&str>) -> Result<NpyField> {
    let shown = path.display().to_string();
    table(path, choice, &shown).with_context(|| shown.clone())
}

/// The texts of one column, by its name unless it is the only one.
///
/// # Errors
/// When the file cannot be read, or the column is not there.
pub(in crate::data) fn texts(path: &Path, column: Option<&str>) -> Result<Vec<String>> {
    let shown = path.display().to_string();
    let read = || {
        let mut lines = Lines::open(path)?;
        let columns = choose(column, &lines.names)?;
        ensure!(
            columns.len() == 1,
            "name one column, as FILE.csv#{}; there are {}",
            lines.names[0],
            lines.names.join(", ")
        );
        let mut texts = Vec::new();
        while let Some(record) = lines.next()? {
            let text = record.get(columns[0]).unwrap_or_default();
            texts.push(text.trim().to_owned());
        }
        Ok(texts)
    };
    read().with_context(|| shown.clone())
}

/// The lines of a table behind its heading.
struct Lines {
    reader: csv::Reader<File>,
    names: Vec<String>,
    record: csv::StringRecord,
    /// Whether the record is the first line, and one of numbers.
    first: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let mut reader = ReaderBuilder::new().has_headers(false).from_path(path)?;
        let mut record = csv::StringRecord::new();
        ensure!(reader.read_record(&mut record)?, "the file is empty");
        let headed = record.iter().any(|field| Cell::parse(field).is_none());
        let names = if headed {
            record.iter().map(|name| name.trim().to_owned()).collect()
        } else {
            (0..record.len()).map(|column| column.to_string()).collect()
        };
        Ok(Self {
            reader,
            names,
            record,
            first: !headed,
        })
    }

    fn next(&mut self) -> Result<Option<&csv::StringRecord>> {
        let more = std::mem::take(&mut self.first) || self.reader.read_record(&mut self.record)?;
        Ok(more.then_some(&self.record))
    }
}

fn table(path: &Path, choice: Option<&str>, shown: &str) -> Result<NpyField> {
    let mut lines = Lines::open(path)?;
    let names = lines.names.clone();
    let columns = choose(choice, &names)?;
    let (mut table, mut row) = (Table::new()?, Vec::with_capacity(columns.len()));
    while let Some(record) = lines.next()? {
        row.clear();
        for &column in &columns {
            let field = record.get(column).unwrap_or_default();
            row.push(Cell::parse(field).with_context(|| {
                format!(
                    "row {}, column `{}`: expected a number, got `{field}`",
                    table.rows(),
                    names[column]
                )
            })?);
        }
        table.push(&row)?;
    }
    let single = choice.is_some_and(|choice| !choice.starts_with('-'));
    table.finish(single, named(shown, choice))
}

fn named(shown: &str, choice: Option<&str>) -> String {
    choice.map_or_else(|| shown.to_owned(), |choice| format!("{shown}#{choice}"))
}
