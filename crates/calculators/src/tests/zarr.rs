use std::{num::NonZero, sync::Arc};

use influence_core::{Precision, aggregate::Concatenate};
use ndarray::{Array2, ArrayD, s};
use serde_json::Value;
use zarrs::{
    array::{Array, ArraySubset},
    group::Group,
    storage::{
        Bytes, ReadableStorageTraits, ReadableWritableListableStorage, StoreKey,
        WritableStorageTraits,
    },
};

use super::{
    Folder, memory,
    model::{Fault, Watched},
    problem, whole,
};
use crate::{
    Calculator, Error, Labels, Location, Parallel, RowSource, Sequential, StoredFactors,
    ZarrOptions,
    zarr::{Compression, DurableStore},
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

fn open(
    store: &ReadableWritableListableStorage,
    path: &str,
) -> Result<
    Array<dyn zarrs::storage::ReadableWritableListableStorageTraits>,
    zarrs::array::ArrayCreateError,
> {
    Array::open(store.clone(), path)
}

fn own(store: &ReadableWritableListableStorage) -> Result<Value, zarrs::group::GroupCreateError> {
    Ok(Group::open(store.clone(), "/")?.attributes()["influence"].clone())
}

#[test]
fn influences_survive_the_round_trip() -> Outcome {
    let (problem, folder) = (problem(5, 11)?, Folder::new("round-trip"));
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 4])?;
    let on_disk: ReadableWritableListableStorage = Arc::new(DurableStore::new(&folder.0)?);
    for (store, location) in [(memory(), None), (on_disk, Some(Location::from(&folder.0)))] {
        let calculator = Parallel::new(&problem.model, NonZero::new(2))?;
        let options = ZarrOptions::default().with_attribute("damping", 0.1);
        let lazy = calculator
            .influences(&problem.test, &problem.train)
            .with_chunks(2, 4)?;
        let summary = lazy.to_zarr(location.unwrap_or_else(|| store.clone().into()), &options)?;
        assert_eq!(summary.rows_by_status()["converged"], 5);

        let array = open(&store, "/influences")?;
        assert_eq!(
            (array.shape(), array.chunk_shape_usize(&[0, 0])?),
            (&[5, 11][..], vec![2, 4])
        );
        let names: Vec<_> = array
            .dimension_names()
            .iter()
            .flatten()
            .flatten()
            .cloned()
            .collect();
        assert_eq!(names, ["test", "train"]);
        assert_eq!(
            array.retrieve_array_subset::<ArrayD<f64>>(&array.subset_all())?,
            expected
        );
        let group = Group::open(store.clone(), "/")?;
        assert_eq!(group.attributes()["damping"], 0.1);
        let consolidated = group
            .consolidated_metadata()
            .ok_or("consolidated metadata")?;
        assert_eq!(consolidated.metadata.len(), 6);
        let own = own(&store)?;
        assert_eq!(
            (&own["complete"], &own["chunks"]),
            (&Value::Bool(true), &serde_json::json!([2, 4]))
        );
        assert_eq!(own["solver"]["rows"]["converged"], 5);
        let train = open(&store, "/train")?;
        assert_eq!(
            train.retrieve_array_subset::<Vec<i64>>(&train.subset_all())?,
            (0..11).collect::<Vec<i64>>()
        );
    }
    Ok(())
}

#[test]
fn points_are_called_as_the_labels_say() -> Outcome {
    let (problem, store) = (problem(3, 5)?, memory());
    let calculator = Sequential::new(&problem.model);
    let names = ["a", "b", "long name", "", "e"].map(str::to_owned).to_vec();
    let options = ZarrOptions::default()
        .with_test_labels(Labels::Numbers(vec![7, -2, 9]))
        .with_train_labels(Labels::Names(names.clone()));
    let write = |options: &ZarrOptions| {
        let lazy = calculator.influences(&problem.test, &problem.train);
        lazy.to_zarr(store.clone(), options)
    };
    write(&options)?;
    let test = open(&store, "/test")?;
    let numbers = test.retrieve_array_subset::<Vec<i64>>(&test.subset_all())?;
    assert_eq!(numbers, [7, -2, 9]);
    let train = open(&store, "/train")?;
    let texts = train.retrieve_array_subset::<Vec<String>>(&train.subset_all())?;
    assert_eq!(texts, names);
    // As many labels as points, or none.
    let few = ZarrOptions::default()
        .overwriting()
        .with_test_labels(Labels::Numbers(vec![7]));
    let error = write(&few).expect_err("a label for three points");
    assert!(
        error.to_string().contains("1 labels for 3 test points"),
        "{error}"
    );
    Ok(())
}

#[test]
fn the_edge_is_padded_and_a_missing_chunk_reads_as_nan() -> Outcome {
    let (problem, store) = (problem(3, 5)?, memory());
    let calculator = Sequential::new(&problem.model);
    calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 4)?
        .to_zarr(store.clone(), &ZarrOptions::default())?;
    let array = open(&store, "/influences")?;
    let corner = array.retrieve_chunk::<Array2<f64>>(&[1, 1])?;
    assert_eq!(corner.dim(), (2, 4));
    assert!(
        corner
            .indexed_iter()
            .all(|(index, value)| value.is_nan() == (index != (0, 0)))
    );
    store.erase(&StoreKey::new("influences/c/0/0")?)?;
    let values =
        array.retrieve_array_subset::<Array2<f64>>(&ArraySubset::new_with_shape(vec![3, 5]))?;
    assert!(
        values
            .slice(s![..2, ..4])
            .iter()
            .all(|value| value.is_nan())
    );
    assert!(!values[[0, 4]].is_nan() && !values[[2, 0]].is_nan());
    Ok(())
}

#[test]
fn precision_and_compression_are_as_asked() -> Outcome {
    let problem = problem(3, 5)?;
    let mut model = Watched::new(super::problem(1, 1)?.model);
    let expected = whole(&Sequential::new(&model), &problem, [2, 4])?;
    model.precision = Precision::F32;
    let calculator = Sequential::new(model);
    for compression in [
        Compression::None,
        Compression::Zstd(1),
        Compression::Gzip(6),
    ] {
        let (store, options) = (
            memory(),
            ZarrOptions::default().with_compression(compression),
        );
        let lazy = calculator
            .influences(&problem.test, &problem.train)
            .with_chunks(2, 4)?;
        lazy.to_zarr(store.clone(), &options)?;
        let array = open(&store, "/influences")?;
        let stored = array.retrieve_array_subset::<ArrayD<f32>>(&array.subset_all())?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding is what is tested"
        )]
        let rounded = expected.mapv(|value| value as f32);
        assert_eq!(stored, rounded);
        let metadata = store
            .get(&StoreKey::new("influences/zarr.json")?)?
            .ok_or("metadata")?;
        let metadata: Value = serde_json::from_slice(&metadata)?;
        assert_eq!(metadata["fill_value"], "NaN");
        assert_eq!(
            metadata["codecs"]
                .as_array()
                .and_then(|codecs| codecs.last())
                .ok_or("codecs")?["name"],
            "crc32c"
        );
    }
    Ok(())
}

#[test]
fn a_damaged_chunk_is_noticed() -> Outcome {
    let (problem, store) = (problem(3, 5)?, memory());
    let calculator = Sequential::new(&problem.model);
    calculator
        .influence_factors(&problem.test)
        .with_chunks(2)?
        .to_zarr(store.clone(), &ZarrOptions::default())?;
    let key = StoreKey::new("factors/c/1/0")?;
    let mut bytes = store.get(&key)?.ok_or("the chunk")?.to_vec();
    bytes[5] ^= 1;
    store.set(&key, Bytes::from(bytes))?;
    let factors = StoredFactors::open(store.clone())?;
    assert_eq!(factors.rows(0..2)?.nrows(), 2);
    assert!(matches!(factors.rows(2..3), Err(Error::Store { .. })));
    store.erase(&key)?;
    assert!(matches!(factors.rows(0..3), Err(Error::Missing { rows, .. }) if rows == (2..3)));
    assert!(matches!(factors.rows(2..4), Err(Error::Core { .. })));
    Ok(())
}

#[test]
fn stored_factors_give_the_same_bits() -> Outcome {
    let (problem, folder) = (problem(7, 10)?, Folder::new("factors"));
    let calculator = Parallel::new(&problem.model, NonZero::new(3))?;
    calculator
        .influence_factors(&problem.test)
        .with_chunks(3)?
        .to_zarr(&folder.0, &ZarrOptions::default())?;
    let factors = StoredFactors::open(&folder.0)?;
    assert!(factors.is_complete()?);
    let in_memory = calculator
        .influence_factors(&problem.test)
        .with_chunks(3)?
        .to_array()?;
    for range in [0..7, 2..5, 3..3, 6..7] {
        assert_eq!(factors.rows(range.clone())?, in_memory.rows(range)?);
    }
    let lazy = calculator
        .influences_from_factors(&factors, &problem.train)
        .with_chunks(3, 4)?;
    assert_eq!(
        lazy.compute(Concatenate::new())?,
        whole(&calculator, &problem, [3, 4])?
    );
    Ok(())
}

#[test]
fn after_an_error_the_written_chunks_are_valid_and_the_rest_is_missing() -> Outcome {
    let (problem, store) = (problem(2, 10)?, memory());
    let mut model = Watched::new(super::problem(1, 1)?.model);
    model.faults = vec![(problem.train.0.targets[7], Fault::GradientPanic)];
    let calculator = Sequential::new(model);
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 2)?;
    assert!(matches!(
        lazy.to_zarr(store.clone(), &ZarrOptions::default()),
        Err(Error::Panicked { .. })
    ));
    assert_eq!(own(&store)?["complete"], false);
    let array = open(&store, "/influences")?;
    let values = array.retrieve_array_subset::<Array2<f64>>(&array.subset_all())?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 2])?;
    assert_eq!(
        values.slice(s![.., ..6]).into_dyn(),
        expected.slice(s![.., ..6]).into_dyn()
    );
    assert!(values.slice(s![.., 6..]).iter().all(|value| value.is_nan()));
    Ok(())
}

#[test]
fn an_empty_result_is_written() -> Outcome {
    for (k, n) in [(0, 3), (3, 0)] {
        let (problem, store) = (problem(k, n)?, memory());
        let calculator = Sequential::new(&problem.model);
        calculator
            .influences(&problem.test, &problem.train)
            .to_zarr(store.clone(), &ZarrOptions::default())?;
        assert_eq!(open(&store, "/influences")?.shape(), [k as u64, n as u64]);
        assert_eq!(own(&store)?["complete"], true);
    }
    Ok(())
}
