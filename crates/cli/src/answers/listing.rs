use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value};

/// In what form an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table to be read.
    #[default]
    Table,
    /// A list of objects.
    Json,
    /// Comma-separated values with a heading.
    Csv,
}

/// Records of the same named values, for other programs.
#[derive(Debug)]
pub(super) struct Listing<const C: usize> {
    columns: [&'static str; C],
    records: Vec<[Value; C]>,
}

impl<const C: usize> Listing<C> {
    pub(super) fn new(
        columns: [&'static str; C],
        records: impl IntoIterator<Item = [Value; C]>,
    ) -> Self {
        Self {
            columns,
            records: records.into_iter().collect(),
        }
    }

    /// One object for each record.
    pub(super) fn write_json(&self, out: &mut impl Write) -> Result<()> {
        let object = |record: &[Value; C]| {
            let named = self.columns.iter().zip(record);
            let named = named.map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(named.collect::<Map<_, _>>())
        };
        let objects: Vec<Value> = self.records.iter().map(object).collect();
        serde_json::to_writer_pretty(&mut *out, &objects)?;
        Ok(writeln!(out)?)
    }

    /// One line for each record, after one of the names; what is absent is empty.
    pub(super) fn write_csv(&self, out: &mut impl Write) -> Result<()> {
        let mut lines = csv::Writer::from_writer(out);
        lines.write_record(self.columns)?;
        for record in &self.records {
            lines.write_record(record.each_ref().map(|value| match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }))?;
        }
        Ok(lines.flush()?)
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
        let listing = Listing::new(["number", "text"], records);
        let (mut csv, mut objects) = (Vec::new(), Vec::new());
        listing.write_csv(&mut csv)?;
        listing.write_json(&mut objects)?;
        let csv = String::from_utf8(csv)?;
        assert_eq!(csv, "number,text\n3,\"a \"\"b\"\", c\"\n0.1,\n");
        let objects: Value = serde_json::from_slice(&objects)?;
        let expected = json!([{"number": 3, "text": "a \"b\", c"}, {"number": 0.1, "text": null}]);
        assert_eq!(objects, expected);
        Ok(())
    }
}
