use std::{fs::File, path::Path};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
    schema::types::Type,
};
use serde_json::Value;

use super::columns::{Cell, Columns, NotANumber, Table, Texts, choose, is_index, left_out};
use crate::{
    array_path::{ArrayPath, Decimal, TableForm},
    labels::shown,
};

/// The metadata that pandas leaves: which columns are its index, and its own types.
const PANDAS: &str = "pandas";
/// How the time between two moments is called there; in the file it is an integer.
const DURATION: &str = "timedelta";

/// Opens columns of a Parquet file: of numbers, or of lists of numbers, which lie side by side.
///
/// # Errors
/// When the file cannot be read, a column is not there or holds dates or times, or a value is no
/// number ([`NotANumber`]); the message names row and column.
pub(crate) fn open(at: &ArrayPath) -> Result<Columns> {
    table(at).with_context(|| at.path.display().to_string())
}

/// The texts of one column, of text or of integers, by its name unless it is the only one.
///
/// # Errors
/// When the file cannot be read, the column is not there, or a value is neither.
pub(crate) fn texts(at: &ArrayPath) -> Result<Texts> {
    let read = || -> Result<Texts> {
        let file = ParquetFile::read(&at.path)?;
        let chosen = choose(at.part.as_deref(), &file.names, |name| file.is_index(name))?;
        let [column] = chosen.columns[..] else {
            bail!(
                "name one column, such as FILE.parquet#{}; there are {}",
                file.names[0],
                shown(&file.names)
            );
        };
        if let Some(what) = file.no_number(column).filter(|what| *what != TEXT) {
            bail!("column `{}` has {what}, not text", file.names[column]);
        }
        let mut texts = Vec::new();
        for record in file.rows(&[column])? {
            let text = record?
                .get_column_iter()
                .next()
                .and_then(|(_, field)| text(field));
            let row = texts.len();
            texts.push(text.with_context(|| {
                format!(
                    "row {row} (counted from 0), column `{}`: expected text or an integer",
                    file.names[column]
                )
            })?);
        }
        let remarks = left_out(&chosen.left_out).into_iter().collect();
        Ok(Texts {
            rows: texts,
            form: TableForm::default(),
            remarks,
        })
    };
    read().with_context(|| at.path.display().to_string())
}

fn table(at: &ArrayPath) -> Result<Columns> {
    let choice = at.part.as_deref();
    let file = ParquetFile::read(&at.path)?;
    let chosen = choose(choice, &file.names, |name| file.is_index(name))?;
    for &column in &chosen.columns {
        file.check(column)?;
    }
    let names: Vec<String> = chosen
        .columns
        .iter()
        .map(|&it| file.names[it].clone())
        .collect();
    // They come in the order of the file, each once.
    let mut sorted = chosen.columns.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let places = chosen
        .columns
        .iter()
        .map(|column| sorted.partition_point(|it| it < column));
    let places: Vec<usize> = places.collect();
    let (mut table, mut row) = (Table::new()?, Vec::new());
    let mut lists = false;
    for record in file.rows(&sorted)? {
        let record = record?;
        let fields: Vec<&Field> = record.get_column_iter().map(|(_, field)| field).collect();
        ensure!(
            fields.len() == sorted.len(),
            "row {} (counted from 0) lacks columns",
            table.rows()
        );
        row.clear();
        for (&place, name) in places.iter().zip(&names) {
            lists |= matches!(fields[place], Field::ListInternal(_));
            push(fields[place], &mut row).map_err(|got| NotANumber {
                place: format!("row {} (counted from 0), column `{name}`", table.rows()),
                got,
            })?;
        }
        table.push(&row)?;
    }
    let single = choice.is_some_and(|choice| !choice.starts_with('-'));
    let mut remarks: Vec<String> = left_out(&chosen.left_out).into_iter().collect();
    if !single && !lists {
        remarks.extend(table.counting_remark(&names));
    }
    Ok(Columns {
        field: table.finish(single && !lists, at.to_string())?,
        names,
        form: TableForm::default(),
        remarks,
    })
}

/// A file with the names of its columns.
struct ParquetFile {
    reader: SerializedFileReader<File>,
    names: Vec<String>,
    /// The metadata of pandas on its columns.
    pandas: Value,
}

impl ParquetFile {
    fn read(path: &Path) -> Result<Self> {
        let reader = SerializedFileReader::new(File::open(path)?).context("not a Parquet file")?;
        let about = reader.metadata().file_metadata();
        let names = about.schema().get_fields().iter();
        let pandas = about.key_value_metadata().into_iter().flatten();
        let mut pandas = pandas.filter(|entry| entry.key == PANDAS);
        Ok(Self {
            names: names.map(|field| field.name().to_owned()).collect(),
            pandas: pandas
                .find_map(|entry| serde_json::from_str(entry.value.as_deref()?).ok())
                .unwrap_or_default(),
            reader,
        })
    }

    fn schema(&self) -> &Type {
        self.reader.metadata().file_metadata().schema()
    }

    /// Whether a column is the index of a table, by the metadata of pandas or by its name.
    fn is_index(&self, name: &str) -> bool {
        let index = self.pandas["index_columns"].as_array();
        is_index(name) || index.is_some_and(|columns| columns.iter().any(|column| column == name))
    }

    /// The rows of some columns, which are in the order of the file.
    fn rows(&self, columns: &[usize]) -> Result<impl Iterator<Item = Result<Row>> + '_> {
        let fields = self.schema().get_fields();
        let fields = columns
            .iter()
            .map(|&column| fields[column].clone())
            .collect();
        let projection = Type::group_type_builder(self.schema().name()).with_fields(fields);
        let rows = self.reader.get_row_iter(Some(projection.build()?));
        let rows = rows.map_err(unreadable)?;
        Ok(rows.map(|row| row.map_err(unreadable)))
    }

    /// The contents of a column that holds no numbers, in words.
    fn no_number(&self, column: usize) -> Option<&'static str> {
        let of_pandas = self.pandas["columns"].as_array().into_iter().flatten();
        let mut of_pandas = of_pandas.filter(|about| about["name"] == *self.names[column]);
        let duration = |about: &Value| {
            let kind = about["numpy_type"].as_str();
            kind.is_some_and(|kind| kind.starts_with(DURATION))
        };
        if of_pandas.any(duration) {
            Some("times")
        } else {
            no_number(&self.schema().get_fields()[column])
        }
    }

    /// Refuses a column of which no value is a number.
    fn check(&self, column: usize) -> Result<()> {
        let name = &self.names[column];
        match self.no_number(column) {
            None => Ok(()),
            Some(TEXT) => Err(anyhow!(NotANumber {
                place: format!("column `{name}`"),
                got: TEXT.into(),
            })),
            Some(what) => bail!(
                "column `{name}`: expected numbers, got {what}; write numbers instead, such as days or seconds since a date"
            ),
        }
    }
}

/// The contents of a column of text, in words.
const TEXT: &str = "text";

/// An error of unpacking, which may be that a codec is not built in.
fn unreadable(error: ParquetError) -> Error {
    match error
        .to_string()
        .split_once("Disabled feature at compile time: ")
    {
        Some((_, codec)) => anyhow!(
            "it is compressed by {codec}, which is not read; write it with snappy, gzip, zstd, lz4 or brotli"
        ),
        None => error.into(),
    }
}

/// The contents of a column that holds no numbers, in words.
fn no_number(column: &Type) -> Option<&'static str> {
    if column.is_group() {
        return column
            .get_fields()
            .iter()
            .find_map(|field| no_number(field));
    }
    let about = column.get_basic_info();
    match (about.logical_type_ref(), about.converted_type()) {
        (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => return Some("dates"),
        (Some(LogicalType::Timestamp(_)), _)
        | (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => {
            return Some("timestamps");
        }
        (Some(LogicalType::Time(_)), _)
        | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS | ConvertedType::INTERVAL) => {
            return Some("times");
        }
        (_, ConvertedType::DECIMAL) | (Some(LogicalType::Float16), _) => return None,
        _ => {}
    }
    match column.get_physical_type() {
        Physical::INT96 => Some("timestamps"),
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Some(TEXT),
        _ => None,
    }
}

/// The numbers of a value, or a name for what it is instead.
fn push(field: &Field, row: &mut Vec<Cell>) -> Result<(), String> {
    let cell = match *field {
        Field::Bool(value) => Cell::Integer(value.into()),
        Field::Byte(value) => Cell::Integer(value.into()),
        Field::Short(value) => Cell::Integer(value.into()),
        Field::Int(value) => Cell::Integer(value.into()),
        Field::Long(value) => Cell::Integer(value),
        Field::UByte(value) => Cell::Integer(value.into()),
        Field::UShort(value) => Cell::Integer(value.into()),
        Field::UInt(value) => Cell::Integer(value.into()),
        Field::ULong(value) => {
            let integer = value.try_into().map(Cell::Integer);
            integer.map_err(|_| format!("{value}, which is too large"))?
        }
        Field::Float16(value) => Cell::Float(value.into()),
        Field::Float(value) => Cell::Float(value.into()),
        Field::Double(value) => Cell::Float(value),
        // Written with all its digits, and read to the nearest float.
        Field::Decimal(_) => {
            let text = field.to_string();
            let cell = Cell::parse(text.trim_end_matches('.'), Decimal::Point);
            cell.ok_or(text)?
        }
        Field::ListInternal(ref list) => {
            return list
                .elements()
                .iter()
                .try_for_each(|element| push(element, row));
        }
        Field::Null => return Err("no value (null)".into()),
        ref other => return Err(other.to_string()),
    };
    row.push(cell);
    Ok(())
}

/// A value as a name.
fn text(field: &Field) -> Option<String> {
    if let Field::Str(text) = field {
        return Some(text.clone());
    }
    if let Field::Bytes(bytes) = field {
        return String::from_utf8(bytes.data().to_vec()).ok();
    }
    let mut cells = Vec::new();
    push(field, &mut cells).ok()?;
    match cells[..] {
        [Cell::Integer(number)] => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
