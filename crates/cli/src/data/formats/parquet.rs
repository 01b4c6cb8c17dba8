use std::{fs::File, path::Path};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::NpyField;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};

use super::columns::{Cell, Table, choose};

/// Opens columns of a Parquet file: of numbers, or of lists of numbers, which lie side by side.
///
/// # Errors
/// When the file cannot be read, a column is not there, or a value is no number; the message names row and column, rows counted from 0.
pub(in crate::data) fn open(path: &Path, choice: Option<&str>) -> Result<NpyField> {
    let shown = path.display().to_string();
    table(path, choice, &shown).with_context(|| shown.clone())
}

fn table(path: &Path, choice: Option<&str>, shown: &str) -> Result<NpyField> {
    let reader = SerializedFileReader::new(File::open(path)?).context("not a Parquet file")?;
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<String> = schema
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let columns = choose(choice, &names)?;
    let (mut table, mut row) = (Table::new()?, Vec::new());
    let mut lists = false;
    for record in reader.get_row_iter(None)? {
        let record = record?;
        let fields: Vec<&Field> = record.get_column_iter().map(|(_, field)| field).collect();
        ensure!(
            fields.len() == names.len(),
            "row {} lacks columns",
            table.rows()
        );
        row.clear();
        for &column in &columns {
            lists |= matches!(fields[column], Field::ListInternal(_));
            push(fields[column], &mut row)
                .with_context(|| format!("row {}, column `{}`", table.rows(), names[column]))?;
        }
        table.push(&row)?;
    }
    let single = choice.is_some_and(|choice| !choice.starts_with('-')) && !lists;
    let name = choice.map_or_else(|| shown.to_owned(), |choice| format!("{shown}#{choice}"));
    table.finish(single, name)
}

fn push(field: &Field, row: &mut Vec<Cell>) -> Result<()> {
    let cell = match *field {
        Field::Bool(value) => Cell::Integer(value.into()),
        Field::Byte(value) => Cell::Integer(value.into()),
        Field::Short(value) => Cell::Integer(value.into()),
        Field::Int(value) => Cell::Integer(value.into()),
        Field::Long(value) => Cell::Integer(value),
        Field::UByte(value) => Cell::Integer(value.into()),
        Field::UShort(value) => Cell::Integer(value.into()),
        Field::UInt(value) => Cell::Integer(value.into()),
        Field::ULong(value) => Cell::Integer(value.try_into().context("too large an integer")?),
        Field::Float16(value) => Cell::Float(value.into()),
        Field::Float(value) => Cell::Float(value.into()),
        Field::Double(value) => Cell::Float(value),
        Field::ListInternal(ref list) => {
            return list
                .elements()
                .iter()
                .try_for_each(|element| push(element, row));
        }
        ref other => bail!("expected a number or a list of numbers, got {other}"),
    };
    row.push(cell);
    Ok(())
}
