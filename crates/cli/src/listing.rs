//! Listings for other programs: named columns of values.

mod parquet;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use influence_jobs::output::{check_file, write_whole};
use serde_json::{Map, Value};

/// The format of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListingFormat {
    /// A table to be read.
    #[default]
    Table,
    /// A list of objects.
    Json,
    /// Comma-separated values with a heading.
    Csv,
    /// Columns of a Parquet file; needs --output.
    Parquet,
}

impl ListingFormat {
    /// The format that is given, or else that of the ending of the file.
    fn of(format: Option<Self>, file: Option<&Path>) -> Result<Self> {
        let Some(path) = file else {
            let format = format.unwrap_or_default();
            ensure!(
                format != Self::Parquet,
                "--format parquet: Parquet is not text for a terminal; name a file with --output FILE.parquet"
            );
            return Ok(format);
        };
        if let Some(format) = format {
            return Ok(format);
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        Ok(match ending.to_lowercase().as_str() {
            "json" => Self::Json,
            "csv" => Self::Csv,
            "parquet" => Self::Parquet,
            _ => bail!(
                "--output {}: expected the ending .csv, .json or .parquet, or a format with --format",
                path.display()
            ),
        })
    }
}

/// The destination of a listing, and its format.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) format: ListingFormat,
    file: Option<&'a Path>,
}

impl<'a> Destination<'a> {
    /// A file or else stdout, in a format or else in that of the ending of the file.
    ///
    /// # Errors
    /// When the form and the file do not fit, or a file is in the way.
    pub(crate) fn new(
        format: Option<ListingFormat>,
        file: Option<&'a Path>,
        overwrite: bool,
    ) -> Result<Self> {
        let format = ListingFormat::of(format, file)?;
        if let Some(path) = file {
            check_free(path, overwrite).context("--output")?;
            check_file(path).context("--output")?;
        }
        Ok(Self { format, file })
    }

    /// Writes to the file, whole or not at all, or else to `out`.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let Some(path) = self.file else {
            return write(out);
        };
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        write_whole(path, &bytes)?;
        Ok(writeln!(out, "wrote {}", path.display())?)
    }
}

/// Refuses a file that is there, unless it is to be replaced, and a folder that is not.
pub(crate) fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    let shown = path.display();
    ensure!(!path.is_dir(), "{shown} is a folder; name a file");
    ensure!(
        overwrite || !fs::exists(path).with_context(|| shown.to_string())?,
        "{shown} exists; choose another path, or replace it with --overwrite"
    );
    Ok(())
}

/// Of what type the values of a column are; of mixed ones the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColumnType {
    Integer,
    Number,
    Text,
}

impl ColumnType {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Number(number) if number.as_i64().is_some() => Some(Self::Integer),
            Value::Number(_) => Some(Self::Number),
            _ => Some(Self::Text),
        }
    }
}

/// A name, and the type of the values where there are none.
pub(crate) type Column = (&'static str, ColumnType);

/// Records of the same named values.
#[derive(Debug)]
pub(crate) struct Listing<const C: usize> {
    columns: [Column; C],
    records: Vec<[Value; C]>,
}

impl<const C: usize> Listing<C> {
    pub(crate) fn new(columns: [Column; C], records: impl IntoIterator<Item = [Value; C]>) -> Self {
        Self {
            columns,
            records: records.into_iter().collect(),
        }
    }

    /// Writes it in a format other than a table.
    pub(crate) fn write(&self, format: ListingFormat, out: &mut dyn Write) -> Result<()> {
        match format {
            ListingFormat::Json => self.write_json(out),
            ListingFormat::Csv => self.write_csv(out),
            ListingFormat::Parquet => Ok(out.write_all(&self.parquet()?)?),
            ListingFormat::Table => bail!("a table is made by the command"),
        }
    }

    /// One object for each record.
    fn write_json(&self, out: &mut dyn Write) -> Result<()> {
        let object = |record: &[Value; C]| {
            let named = self.columns.iter().zip(record);
            let named = named.map(|((name, _), value)| ((*name).to_owned(), value.clone()));
            Value::Object(named.collect::<Map<_, _>>())
        };
        let objects: Vec<Value> = self.records.iter().map(object).collect();
        serde_json::to_writer_pretty(&mut *out, &objects)?;
        Ok(writeln!(out)?)
    }

    /// One line for each record, after one of the names; null is empty.
    fn write_csv(&self, out: &mut dyn Write) -> Result<()> {
        let mut lines = csv::Writer::from_writer(out);
        lines.write_record(self.columns.map(|(name, _)| name))?;
        for record in &self.records {
            lines.write_record(record.each_ref().map(|value| match value {
                Value::Null => String::new(),
                other => text(other),
            }))?;
        }
        Ok(lines.flush()?)
    }

    /// The values of a column, and the type that holds them all.
    fn column(&self, column: usize) -> (ColumnType, impl Iterator<Item = &Value>) {
        let values = || self.records.iter().map(move |record| &record[column]);
        let kind = self.columns[column].1;
        (
            values()
                .filter_map(ColumnType::of)
                .fold(kind, ColumnType::max),
            values(),
        )
    }
}

/// Text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_come_out_whole_in_either_form() -> Result<()> {
        let records = [
            [json!(3), json!("a \"b\", c")],
            [json!(0.1_f64), Value::Null],
        ];
        let listing = Listing::new(
            [("number", ColumnType::Number), ("text", ColumnType::Text)],
            records,
        );
        let (mut csv, mut objects) = (Vec::new(), Vec::new());
        listing.write(ListingFormat::Csv, &mut csv)?;
        listing.write(ListingFormat::Json, &mut objects)?;
        let csv = String::from_utf8(csv)?;
        assert_eq!(csv, "number,text\n3,\"a \"\"b\"\", c\"\n0.1,\n");
        let objects: Value = serde_json::from_slice(&objects)?;
        let expected = json!([{"number": 3, "text": "a \"b\", c"}, {"number": 0.1, "text": null}]);
        assert_eq!(objects, expected);
        Ok(())
    }

    #[test]
    fn the_form_is_the_one_asked_for_or_that_of_the_file() {
        let format =
            |format, output: Option<&str>| ListingFormat::of(format, output.map(Path::new));
        for (asked, output, expected) in [
            (None, None, ListingFormat::Table),
            (Some(ListingFormat::Csv), None, ListingFormat::Csv),
            (None, Some("a.JSON"), ListingFormat::Json),
            (None, Some("a.parquet"), ListingFormat::Parquet),
            (Some(ListingFormat::Csv), Some("a.json"), ListingFormat::Csv),
            (
                Some(ListingFormat::Table),
                Some("a.txt"),
                ListingFormat::Table,
            ),
        ] {
            let got = format(asked, output);
            assert!(got.is_ok_and(|got| got == expected), "{output:?}");
        }
        for (asked, output, part) in [
            (
                Some(ListingFormat::Parquet),
                None,
                "name a file with --output",
            ),
            (None, Some("a.txt"), "expected the ending"),
            (None, Some("a"), "expected the ending"),
        ] {
            let error = format(asked, output).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
