use std::sync::Arc;

use influence_core::{FieldSource, Values};
use parquet::{
    basic::Compression,
    data_type::{
        ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
    },
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::*;

/// Two rows of every kind of column; -12.55 and 0.07 as decimals.
const SCHEMA: &str = "message t {
    required int32 d32 (DECIMAL(9, 2));
    required int64 d64 (DECIMAL(18, 2));
    required fixed_len_byte_array(16) d128 (DECIMAL(38, 2));
    required fixed_len_byte_array(32) d256 (DECIMAL(76, 2));
    required int64 whole (DECIMAL(18, 0));
    required int32 date (DATE);
    required int64 nanos (TIMESTAMP(NANOS, true));
    required int64 wait;
    required int64 id;
    required binary label (UTF8);
}";
const PANDAS_SAYS: &str =
    r#"{"index_columns": ["id"], "columns": [{"name": "wait", "numpy_type": "timedelta64[ns]"}]}"#;

fn write(compression: Compression) -> (tempfile::TempDir, ArrayPath) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.parquet");
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let pandas = KeyValue::new("pandas".to_owned(), PANDAS_SAYS.to_owned());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata(Some(vec![pandas]))
        .build();
    let file = File::create(&path).expect("a file");
    let mut file = SerializedFileWriter::new(file, schema, Arc::new(properties)).expect("a writer");
    let mut group = file.next_row_group().expect("a group");
    let mut next = 0;
    while let Some(mut column) = group.next_column().expect("open") {
        let written = match next {
            0 => column
                .typed::<Int32Type>()
                .write_batch(&[-1255, 7], None, None),
            1 => column
                .typed::<Int64Type>()
                .write_batch(&[-1255, 7], None, None),
            2 | 3 => {
                let bytes = [-1255, 7].map(|value| wide(value, [16, 32][next - 2]));
                let column = column.typed::<FixedLenByteArrayType>();
                column.write_batch(&bytes, None, None)
            }
            4 => column
                .typed::<Int64Type>()
                .write_batch(&[-12, 5], None, None),
            5 => column.typed::<Int32Type>().write_batch(&[1, 2], None, None),
            6..9 => column
                .typed::<Int64Type>()
                .write_batch(&[70, 90], None, None),
            _ => {
                let texts = ["b", "a"].map(ByteArray::from);
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&texts, None, None)
            }
        };
        assert_eq!(written.expect("written"), 2);
        column.close().expect("closed");
        next += 1;
    }
    group.close().expect("closed");
    file.close().expect("closed");
    let at = ArrayPath {
        path,
        ..ArrayPath::default()
    };
    (folder, at)
}

/// A number in this many bytes, the highest first.
fn wide(value: i64, bytes: usize) -> FixedLenByteArray {
    let fill = if value < 0 { 0xff } else { 0 };
    let mut wide = vec![fill; bytes - 8];
    wide.extend(value.to_be_bytes());
    ByteArray::from(wide).into()
}

fn part(at: &ArrayPath, part: &str) -> ArrayPath {
    ArrayPath {
        part: Some(part.into()),
        ..at.clone()
    }
}

fn values(at: &ArrayPath) -> Result<Vec<f64>> {
    let field = open(at)?.field;
    Ok(match field.rows(0..field.shape()[0])? {
        Values::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::F64(values) => values.into_iter().collect(),
        _ => panic!("tables are of 64 bits"),
    })
}

#[test]
fn decimals_are_the_nearest_floats() -> Result<()> {
    let (_folder, at) = write(Compression::UNCOMPRESSED);
    for name in ["d32", "d64", "d128", "d256"] {
        assert_eq!(values(&part(&at, name))?, [-12.55, 0.07], "{name}");
    }
    let whole = open(&part(&at, "whole"))?.field.rows(0..2)?;
    assert_eq!(whole, Values::I64(ndarray::array![-12, 5].into_dyn()));
    Ok(())
}

#[test]
fn columns_come_in_the_order_in_which_they_are_named() -> Result<()> {
    let (_folder, at) = write(Compression::SNAPPY);
    assert_eq!(values(&part(&at, "whole,d32"))?, [-12.0, -12.55, 5.0, 0.07]);
    assert_eq!(
        values(&part(&at, "d32,whole,d32"))?[..3],
        [-12.55, -12.0, -12.55]
    );
    Ok(())
}

#[test]
fn codecs_give_the_same_numbers() -> Result<()> {
    for codec in [
        Compression::SNAPPY,
        Compression::LZ4_RAW,
        Compression::LZ4,
        Compression::BROTLI(parquet::basic::BrotliLevel::default()),
        Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        Compression::GZIP(parquet::basic::GzipLevel::default()),
    ] {
        let (_folder, at) = write(codec);
        assert_eq!(values(&part(&at, "d64"))?, [-12.55, 0.07], "{codec:?}");
    }
    Ok(())
}

#[test]
fn moments_and_waits_are_no_numbers() {
    let (_folder, at) = write(Compression::UNCOMPRESSED);
    for (name, expected) in [
        ("date", "dates"),
        ("nanos", "timestamps"),
        ("wait", "times"),
    ] {
        let error = format!("{:#}", open(&part(&at, name)).expect_err(expected));
        let expected = format!("column `{name}`: expected numbers, got {expected}");
        assert!(error.contains(&expected), "{error}");
    }
    let error = open(&part(&at, "label")).expect_err("text");
    assert!(error.is::<NotANumber>(), "{error:#}");
}

#[test]
fn the_index_of_pandas_is_left_out_and_told() -> Result<()> {
    let (_folder, at) = write(Compression::UNCOMPRESSED);
    let all = open(&part(&at, "-date,nanos,wait,label"))?;
    assert_eq!(all.names, ["d32", "d64", "d128", "d256", "whole"]);
    assert!(
        all.remarks[0].contains("`id` is an index and is left out"),
        "{:?}",
        all.remarks
    );
    assert_eq!(values(&part(&at, "id"))?, [70.0, 90.0]);
    Ok(())
}

#[test]
fn texts_and_integers_are_names() -> Result<()> {
    let (_folder, at) = write(Compression::UNCOMPRESSED);
    assert_eq!(texts(&part(&at, "label"))?.rows, ["b", "a"]);
    assert_eq!(texts(&part(&at, "id"))?.rows, ["70", "90"]);
    for name in ["d32", "nanos"] {
        assert!(texts(&part(&at, name)).is_err(), "{name}");
    }
    Ok(())
}
