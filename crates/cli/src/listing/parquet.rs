use std::sync::Arc;

use anyhow::Result;
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};
use serde_json::Value;

use super::{ColumnType, Listing, text};

impl<const C: usize> Listing<C> {
    /// The bytes of a Parquet file of one row group: integers of 64 bits, doubles and text, any of
    /// which may be absent. Lists are text, as JSON.
    pub(super) fn parquet(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("influence ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut file = SerializedFileWriter::new(&mut bytes, self.schema()?, Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for column in 0..C {
            self.write_column(column, &mut group)?;
        }
        group.close()?;
        file.close()?;
        Ok(bytes)
    }

    fn schema(&self) -> Result<TypePtr> {
        let fields = (0..C).map(|column| -> Result<TypePtr> {
            let (physical, logical) = match self.column(column).0 {
                ColumnType::Integer => (Physical::INT64, None),
                ColumnType::Number => (Physical::DOUBLE, None),
                ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            };
            let field = Type::primitive_type_builder(self.columns[column].0, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical);
            Ok(Arc::new(field.build()?))
        });
        let schema =
            Type::group_type_builder("influence").with_fields(fields.collect::<Result<_>>()?);
        Ok(Arc::new(schema.build()?))
    }

    fn write_column(
        &self,
        column: usize,
        group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    ) -> Result<()> {
        let (kind, values) = self.column(column);
        match kind {
            ColumnType::Integer => write::<Int64Type>(group, values.map(Value::as_i64)),
            ColumnType::Number => write::<DoubleType>(group, values.map(Value::as_f64)),
            ColumnType::Text => {
                let texts = values.map(|value| (!value.is_null()).then(|| text(value)));
                write::<ByteArrayType>(
                    group,
                    texts.map(|text| text.map(|text| ByteArray::from(text.into_bytes()))),
                )
            }
        }
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<T>()
            .write_batch(&present, Some(&levels), None)?;
        column.close()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_every_type_are_read_back() -> Result<()> {
        let columns = [
            ("integer", ColumnType::Integer),
            ("widened", ColumnType::Integer),
            ("number", ColumnType::Number),
            ("mixed", ColumnType::Integer),
            ("absent", ColumnType::Integer),
        ];
        let records = [
            [
                json!(3),
                json!(0.5),
                json!(1.0),
                json!([1, 0.5]),
                Value::Null,
            ],
            [Value::Null, json!(2), Value::Null, json!("a"), Value::Null],
        ];
        let bytes = Listing::new(columns, records).parquet()?;
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        let reader = SerializedFileReader::new(file)?;
        let rows: Vec<Vec<Field>> = reader
            .get_row_iter(None)?
            .map(|row| {
                Ok(row?
                    .get_column_iter()
                    .map(|(_, field)| field.clone())
                    .collect())
            })
            .collect::<Result<_>>()?;
        let text = |text: &str| Field::Str(text.into());
        let expected = [
            vec![
                Field::Long(3),
                Field::Double(0.5),
                Field::Double(1.0),
                text("[1,0.5]"),
                Field::Null,
            ],
            vec![
                Field::Null,
                Field::Double(2.0),
                Field::Null,
                text("a"),
                Field::Null,
            ],
        ];
        assert_eq!(rows, expected);
        Ok(())
    }
}
