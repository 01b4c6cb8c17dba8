//! Arrays as zarr-python, numcodecs and xarray write them, against the numbers that these read.

use std::{fs, path::PathBuf};

use influence_core::{FieldSource, Values};
use serde_json::{Map, Value, json};
use zarrs::{
    array::{ArrayBuilder, data_type},
    storage::ReadableWritableListableStorage,
};

use super::memory;
use crate::{Error, ZarrField};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/formats")
        .join(name)
}

fn floats(values: &Values) -> Vec<f64> {
    values.floats().collect()
}

/// What `make_formats.py` writes: 70 rows of 9 numbers, of version 2 without the second chunk.
fn counting(name: &str) -> Vec<f64> {
    let modulus = if name.ends_with("blosc_blosclz") {
        7
    } else {
        101
    };
    (0..630)
        .map(|place| {
            let (number, filled) = (f64::from(place * 37 / 5 % modulus), place >= 64 * 9);
            match name {
                "v2.zarr/scaled" if !filled => number / 10.0 + 0.1,
                "v2.zarr/scaled_integers" if !filled => number + f64::from(1 << 27),
                _ if filled && name.starts_with("v2") => fill(name),
                _ => number,
            }
        })
        .collect()
}

fn fill(name: &str) -> f64 {
    let text = fs::read(golden(name).join(".zarray")).expect("the fixtures ship");
    let text: Value = serde_json::from_slice(&text).expect("JSON");
    text["fill_value"].as_f64().expect("a number")
}

#[test]
fn every_codec_of_python_is_read() -> Outcome {
    let mut read = 0;
    for group in ["v2.zarr", "v3.zarr"] {
        for entry in fs::read_dir(golden(group))? {
            let entry = entry?;
            if !entry.path().is_dir() {
                continue;
            }
            let name = format!("{group}/{}", entry.file_name().to_string_lossy());
            let field =
                ZarrField::open(entry.path(), "").map_err(|error| format!("{name}: {error:?}"))?;
            let expected = counting(&name);
            let all = field
                .rows(0..70)
                .map_err(|error| format!("{name}: {error:?}"))?;
            assert_eq!(floats(&all), expected, "{name}");
            assert_eq!(floats(&field.rows(3..5)?), expected[27..45], "{name}");
            assert_eq!(floats(&field.rows(65..66)?), expected[585..594], "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 23);
    Ok(())
}

#[test]
fn numbers_mean_what_xarray_reads() -> Outcome {
    let expected: Map<String, Value> = serde_json::from_slice(&fs::read(golden("xarray.json"))?)?;
    assert_eq!(expected.len(), 12);
    for (name, numbers) in expected {
        let field = ZarrField::open(golden(&name), "")?;
        let numbers: Vec<Option<f64>> = serde_json::from_value(numbers)?;
        for (row, numbers) in numbers.chunks(2).enumerate() {
            match (field.rows(row..row + 1), numbers) {
                (Ok(read), [Some(a), Some(b)]) => assert_eq!(floats(&read), [*a, *b], "{name}"),
                (Err(error), _) if numbers.contains(&None) => {
                    let expected = format!("row {row} holds -1, which stands for a missing number");
                    assert!(error.to_string().contains(&expected), "{error}");
                }
                (read, _) => panic!("{name}, row {row}: {read:?}, expected {numbers:?}"),
            }
        }
    }
    Ok(())
}

/// An array of six integers of 16 bits with these attributes.
fn with(
    attributes: &Value,
) -> std::result::Result<ReadableWritableListableStorage, Box<dyn std::error::Error>> {
    let store = memory();
    let array = ArrayBuilder::new(vec![6], vec![4], data_type::int16(), 0_i16)
        .attributes(attributes.as_object().cloned().unwrap_or_default())
        .build(store.clone(), "/x")?;
    array.store_metadata()?;
    array.store_array_subset(&array.subset_all(), vec![-3_i16, 0, 1, 2, 100, -128])?;
    Ok(store)
}

#[test]
fn attributes_are_decoded_or_refused() -> Outcome {
    // As xarray 2026.9 reads them.
    for (attributes, expected) in [
        (
            json!({ "scale_factor": 0.001 }),
            [-0.003, 0.0, 0.001, 0.002, 0.1, -0.128],
        ),
        (
            json!({ "scale_factor": 2 }),
            [-6.0, 0.0, 2.0, 4.0, 200.0, -256.0],
        ),
        (
            json!({ "scale_factor": 0.5, "add_offset": 3.25 }),
            [1.75, 3.25, 3.75, 4.25, 53.25, -60.75],
        ),
        (
            json!({ "scale_factor": [0.5] }),
            [-1.5, 0.0, 0.5, 1.0, 50.0, -64.0],
        ),
        (
            json!({ "add_offset": 2 }),
            [-1.0, 2.0, 3.0, 4.0, 102.0, -126.0],
        ),
        (
            json!({ "_FillValue": 7, "units": "days" }),
            [-3.0, 0.0, 1.0, 2.0, 100.0, -128.0],
        ),
        (json!({ "dtype": "bool" }), [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
        (
            json!({ "_Unsigned": "false", "valid_range": [0, 3] }),
            [-3.0, 0.0, 1.0, 2.0, 100.0, -128.0],
        ),
        (
            json!({ "flag_values": [1, 2] }),
            [-3.0, 0.0, 1.0, 2.0, 100.0, -128.0],
        ),
    ] {
        let field = ZarrField::open(with(&attributes)?, "x")?;
        assert_eq!(floats(&field.rows(0..6)?), expected, "{attributes}");
        assert_eq!(floats(&field.rows(4..6)?), expected[4..], "{attributes}");
    }
    for (attributes, row) in [
        (json!({ "_FillValue": 100 }), 4),
        (json!({ "missing_value": [7, 2] }), 3),
        (json!({ "missing_value": -128.0, "scale_factor": 0.5 }), 5),
    ] {
        let field = ZarrField::open(with(&attributes)?, "x")?;
        assert!(field.rows(0..row).is_ok(), "{attributes}");
        let error = field.rows(1..6).expect_err("missing").to_string();
        assert!(error.contains(&format!("row {row} holds")), "{error}");
    }
    for (attributes, part) in [
        (json!({ "_Unsigned": "true" }), "_Unsigned"),
        (
            json!({ "units": "days since 2000-01-01" }),
            "times (days since 2000-01-01)",
        ),
        (json!({ "dtype": "timedelta64[ns]" }), "times"),
        (
            json!({ "scale_factor": "0.1" }),
            "`scale_factor` that is not a number",
        ),
        (
            json!({ "add_offset": [1.0, 2.0] }),
            "`add_offset` that is not a number",
        ),
        (
            json!({ "missing_value": "none" }),
            "`missing_value` that is not a number",
        ),
    ] {
        let error = ZarrField::open(with(&attributes)?, "x").expect_err(part);
        assert!(matches!(error, Error::NotZarr { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn damaged_chunks_are_refused() -> Outcome {
    let folder = super::Folder::new("damaged-codecs");
    for name in [
        "blosc_lz4",
        "blosc_blosclz",
        "blosc_zlib",
        "blosc_zstd",
        "lz4",
        "scaled",
    ] {
        let place = folder.0.join(name);
        fs::create_dir_all(&place)?;
        let source = golden("v2.zarr").join(name);
        fs::copy(source.join(".zarray"), place.join(".zarray"))?;
        let chunk = fs::read(source.join("0.0"))?;
        let field = ZarrField::open(&place, "")?;
        let expected = counting(&format!("v2.zarr/{name}"));
        for length in [0, 3, 15, 16, 20, chunk.len() / 2, chunk.len() - 1] {
            fs::write(place.join("0.0"), &chunk[..length])?;
            let error = field.rows(0..64).expect_err("cut short").to_string();
            assert!(
                error.contains("could not read samples"),
                "{name}, {length}: {error}"
            );
        }
        // Every byte of the beginning turned over: an error or other numbers, and no panic.
        for place_of_byte in 0..chunk.len().min(200) {
            let mut bytes = chunk.clone();
            bytes[place_of_byte] ^= 0xff;
            fs::write(place.join("0.0"), &bytes)?;
            drop(field.rows(0..64));
        }
        fs::write(place.join("0.0"), &chunk)?;
        assert_eq!(floats(&field.rows(0..64)?), expected[..576]);
    }
    Ok(())
}
