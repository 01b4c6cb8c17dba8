use std::{fs, sync::Arc};

use half::{bf16, f16};
use influence_core::{Error as CoreError, FieldSource, Values};
use ndarray::{Array2, ArrayD};
use zarrs::{
    array::{ArrayBuilder, CodecOptions, DataType, Element, FillValue, data_type},
    group::GroupBuilder,
    storage::ReadableWritableListableStorage,
};

use super::{Folder, memory};
use crate::{
    Error, Location, ZarrField,
    zarr::{Compression, DurableStore, ZarrOptions},
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Writes an array of three rows and two columns in chunks of two rows.
fn write<T: Element>(
    store: &ReadableWritableListableStorage,
    path: &str,
    of: (DataType, impl Into<FillValue>),
    values: &[T; 6],
) -> Outcome {
    let mut builder = ArrayBuilder::new(vec![3, 2], vec![2, 1], of.0, of.1.into());
    let codecs = ZarrOptions::default().with_compression(Compression::Zstd(1));
    let array = builder
        .bytes_to_bytes_codecs(codecs.codecs()?)
        .build(store.clone(), path)?;
    array.store_metadata()?;
    let values = ArrayD::from_shape_vec(vec![3, 2], values.to_vec())?;
    let options = CodecOptions::default().with_store_empty_chunks(true);
    Ok(array.store_array_subset_opt(&array.subset_all(), values, &options)?)
}

fn floats(values: [f32; 6]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(vec![3, 2], values.to_vec()).expect("six numbers")
}

fn integers(values: [i64; 6]) -> ArrayD<i64> {
    ArrayD::from_shape_vec(vec![3, 2], values.to_vec()).expect("six numbers")
}

#[test]
fn every_type_is_read_by_range() -> Outcome {
    let store = memory();
    let some = [1.5_f32, -2.0, 0.25, 8.0, -0.5, 3.0];
    let whole = [1_i64, 2, 3, 4, 5, 6];
    let bytes = [1_u8, 2, 3, 4, 5, 6];
    write(&store, "/f32", (data_type::float32(), 0.0_f32), &some)?;
    write(
        &store,
        "/f64",
        (data_type::float64(), 0.0_f64),
        &some.map(f64::from),
    )?;
    write(
        &store,
        "/f16",
        (data_type::float16(), f16::ZERO),
        &some.map(f16::from_f32),
    )?;
    write(
        &store,
        "/bf16",
        (data_type::bfloat16(), bf16::ZERO),
        &some.map(bf16::from_f32),
    )?;
    write(
        &store,
        "/bool",
        (data_type::bool(), false),
        &bytes.map(|byte| byte > 3),
    )?;
    write(
        &store,
        "/i8",
        (data_type::int8(), 0_i8),
        &bytes.map(u8::cast_signed),
    )?;
    write(
        &store,
        "/i16",
        (data_type::int16(), 0_i16),
        &bytes.map(i16::from),
    )?;
    write(
        &store,
        "/i32",
        (data_type::int32(), 0_i32),
        &bytes.map(i32::from),
    )?;
    write(&store, "/i64", (data_type::int64(), 0_i64), &whole)?;
    write(&store, "/u8", (data_type::uint8(), 0_u8), &bytes)?;
    write(
        &store,
        "/u16",
        (data_type::uint16(), 0_u16),
        &bytes.map(u16::from),
    )?;
    write(
        &store,
        "/u32",
        (data_type::uint32(), 0_u32),
        &bytes.map(u32::from),
    )?;
    write(
        &store,
        "/u64",
        (data_type::uint64(), 0_u64),
        &bytes.map(u64::from),
    )?;
    let read = |name: &str| -> std::result::Result<Values, Box<dyn std::error::Error>> {
        Ok(ZarrField::open(store.clone(), name)?.rows(0..3)?)
    };
    for name in ["f32", "f16", "bf16"] {
        assert_eq!(read(name)?, Values::F32(floats(some)), "{name}");
    }
    assert_eq!(read("f64")?, Values::F64(floats(some).mapv(f64::from)));
    assert_eq!(read("bool")?, Values::I64(integers([0, 0, 0, 1, 1, 1])));
    for name in ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"] {
        assert_eq!(read(name)?, Values::I64(integers(whole)), "{name}");
        let field = ZarrField::open(store.clone(), name)?;
        assert_eq!(
            field.rows(1..3)?,
            Values::new(whole[2..].to_vec(), &[2, 2])?,
            "{name}"
        );
        assert_eq!(field.rows(1..1)?.shape(), [0, 2]);
    }
    Ok(())
}

#[test]
fn ranges_outside_and_numbers_too_large_are_refused() -> Outcome {
    let store = memory();
    write(
        &store,
        "/x",
        (data_type::uint64(), 0_u64),
        &[1, 2, 3, 4, 5, u64::MAX],
    )?;
    let field = ZarrField::open(store, "x")?;
    assert!(matches!(
        field.rows(2..4),
        Err(CoreError::OutOfRange { len: 3, .. })
    ));
    assert!(field.rows(0..2).is_ok());
    let error = field.rows(2..3).expect_err("too large").to_string();
    assert!(error.contains("64 signed bits"), "{error}");
    Ok(())
}

#[test]
fn what_is_no_array_of_numbers_says_what_it_is() -> Outcome {
    let store = memory();
    GroupBuilder::new()
        .build(store.clone(), "/g")?
        .store_metadata()?;
    write(
        &store,
        "/g/x",
        (data_type::float32(), 0.0_f32),
        &[0.0_f32; 6],
    )?;
    let complex = (data_type::complex64(), FillValue::from(vec![0_u8; 8]));
    ArrayBuilder::new(vec![1], vec![1], complex.0, complex.1)
        .build(store.clone(), "/c")?
        .store_metadata()?;
    ArrayBuilder::new(vec![], Vec::<u64>::new(), data_type::int8(), 0_i8)
        .build(store.clone(), "/s")?
        .store_metadata()?;
    for (name, part) in [
        (
            "g",
            "a zarr group, not an array; its arrays: group / of a store/g/x",
        ),
        ("none", "neither zarr.json nor .zarray"),
        ("c", "an array of type"),
        ("s", "a single number"),
    ] {
        let error = ZarrField::open(store.clone(), name).expect_err(name);
        assert!(matches!(error, Error::NotZarr { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let in_group = ZarrField::open(Location::in_store(store, "g"), "x")?;
    assert_eq!(in_group.shape(), [3, 2]);
    Ok(())
}

#[test]
fn a_damaged_chunk_is_an_error_and_one_left_out_holds_fill_values() -> Outcome {
    let folder = Folder::new("field");
    let store: ReadableWritableListableStorage = Arc::new(DurableStore::new(&folder.0)?);
    let ones = [1.0_f32; 6];
    write(&store, "/", (data_type::float32(), 0.0_f32), &ones)?;
    let field = ZarrField::open(&folder.0, "")?;
    assert_eq!(field.rows(0..3)?, Values::F32(floats(ones)));
    let chunk = folder.0.join("c/1/0");
    let mut bytes = fs::read(&chunk)?;
    bytes[6] ^= 1;
    fs::write(&chunk, bytes)?;
    let error = field.rows(1..3).expect_err("damaged").to_string();
    assert!(
        error.contains("could not read samples") && error.contains("field"),
        "{error}"
    );
    fs::remove_file(&chunk)?;
    let filled = Array2::from_shape_vec((2, 2), vec![1.0, 1.0, 0.0, 1.0])?;
    assert_eq!(field.rows(1..3)?, Values::F32(filled.into_dyn()));
    Ok(())
}

#[test]
fn version_2_is_read() -> Outcome {
    let folder = Folder::new("version-2");
    fs::create_dir_all(&folder.0)?;
    fs::write(
        folder.0.join(".zarray"),
        r#"{"zarr_format": 2, "shape": [2, 2], "chunks": [2, 2], "dtype": "<i4", "compressor": null,
            "fill_value": 0, "order": "C", "filters": null}"#,
    )?;
    let bytes: Vec<u8> = [7_i32, 8, -9, 10]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(folder.0.join("0.0"), bytes)?;
    let field = ZarrField::open(&folder.0, "")?;
    let expected = Array2::from_shape_vec((1, 2), vec![-9_i64, 10])?;
    assert_eq!(field.rows(1..2)?, Values::I64(expected.into_dyn()));
    Ok(())
}
