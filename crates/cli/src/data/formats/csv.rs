use std::path::Path;

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

fn table(path: &Path, choice: Option<&str>, shown: &str) -> Result<NpyField> {
    let mut lines = ReaderBuilder::new().has_headers(false).from_path(path)?;
    let mut record = csv::StringRecord::new();
    ensure!(lines.read_record(&mut record)?, "the file is empty");
    let headed = record.iter().any(|field| Cell::parse(field).is_none());
    let names: Vec<String> = if headed {
        record.iter().map(|name| name.trim().to_owned()).collect()
    } else {
        (0..record.len()).map(|column| column.to_string()).collect()
    };
    let columns = choose(choice, &names)?;
    let (mut table, mut row) = (Table::new()?, Vec::with_capacity(columns.len()));
    let mut more = if headed {
        lines.read_record(&mut record)?
    } else {
        true
    };
    while more {
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
        more = lines.read_record(&mut record)?;
    }
    let single = choice.is_some_and(|choice| !choice.starts_with('-'));
    table.finish(single, named(shown, choice))
}

fn named(shown: &str, choice: Option<&str>) -> String {
    choice.map_or_else(|| shown.to_owned(), |choice| format!("{shown}#{choice}"))
}
