use std::fs;

use ndarray::Array2;
use zarrs::{
    array::Array,
    storage::{
        Bytes, ListableStorageTraits, ReadableStorageTraits, StoreKey, StorePrefix,
        WritableStorageTraits,
    },
};

use super::{Folder, memory, problem};
use crate::{
    Calculator, Error, Location, Sequential, StoredFactors, ZarrOptions, zarr::Compression,
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn an_output_is_replaced_only_on_request() -> Outcome {
    let store = memory();
    let location = || Location::in_store(store.clone(), "runs/first");
    let (large, small) = (problem(5, 11)?, problem(2, 3)?);
    let calculator = Sequential::new(&large.model);
    let options = ZarrOptions::default();
    calculator
        .influences(&large.test, &large.train)
        .with_chunks(1, 1)?
        .to_zarr(location(), &options)?;
    let refused = calculator
        .influences(&small.test, &small.train)
        .to_zarr(location(), &options);
    assert!(matches!(refused, Err(Error::Exists { .. })));
    assert_eq!(
        Array::open(store.clone(), "/runs/first/influences")?.shape(),
        [5, 11]
    );
    store.set(
        &StoreKey::new("runs/first/notes.txt")?,
        Bytes::from_static(b"mine"),
    )?;
    let options = options.overwriting();
    calculator
        .influences(&small.test, &small.train)
        .to_zarr(location(), &options)?;
    assert_eq!(
        Array::open(store.clone(), "/runs/first/influences")?.shape(),
        [2, 3]
    );
    assert_eq!(
        store
            .list_prefix(&StorePrefix::new("runs/first/influences/")?)?
            .len(),
        2
    );
    assert!(
        store
            .get(&StoreKey::new("runs/first/notes.txt")?)?
            .is_some(),
        "what is not ours stays"
    );
    calculator
        .influence_factors(&small.test)
        .to_zarr(location(), &options)?;
    assert!(
        Array::open(store.clone(), "/runs/first/influences").is_err(),
        "nothing of the former output stays"
    );
    Ok(())
}

#[test]
fn what_is_not_ours_is_never_overwritten() -> Outcome {
    let (problem, folder) = (problem(2, 3)?, Folder::new("foreign"));
    let calculator = Sequential::new(&problem.model);
    let options = ZarrOptions::default().overwriting();
    let write = |location: Location| {
        calculator
            .influences(&problem.test, &problem.train)
            .to_zarr(location, &options)
    };
    fs::create_dir_all(&folder.0)?;
    let note = folder.0.join("thesis.tex");
    fs::write(&note, "years of work")?;
    assert!(matches!(
        write(Location::from(&folder.0)),
        Err(Error::NotZarr { .. })
    ));
    assert!(matches!(
        write(Location::from(&note)),
        Err(Error::NotZarr { .. })
    ));
    assert_eq!(fs::read_dir(&folder.0)?.count(), 1);
    assert!(matches!(
        StoredFactors::open(&folder.0),
        Err(Error::NotZarr { .. })
    ));
    let store = memory();
    zarrs::group::GroupBuilder::new()
        .build(store.clone(), "/")?
        .store_metadata()?;
    assert!(matches!(
        write(store.clone().into()),
        Err(Error::NotZarr { .. })
    ));
    assert_eq!(store.list()?.len(), 1);
    fs::remove_file(&note)?;
    write(Location::from(&folder.0))?;
    Ok(())
}

#[test]
fn bad_arguments_write_nothing() -> Outcome {
    let (problem, folder) = (problem(2, 3)?, Folder::new("arguments"));
    let calculator = Sequential::new(&problem.model);
    let narrow = Array2::zeros((2, 1));
    let lazy = calculator.influences_from_factors(&narrow, &problem.train);
    assert!(matches!(
        lazy.to_zarr(&folder.0, &ZarrOptions::default()),
        Err(Error::Core { .. })
    ));
    for options in [
        ZarrOptions::default().with_compression(Compression::Zstd(99)),
        ZarrOptions::default().with_compression(Compression::Gzip(10)),
        ZarrOptions::default().with_attribute("influence", "mine"),
    ] {
        let refused = calculator
            .influences(&problem.test, &problem.train)
            .to_zarr(&folder.0, &options);
        assert!(matches!(refused, Err(Error::Option { .. })));
    }
    assert!(!folder.0.exists());
    Ok(())
}
