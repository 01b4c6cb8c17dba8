use std::{collections::BTreeMap, num::NonZero};

use tokio::runtime::Builder;
use zarrs::storage::{
    Bytes, ListableStorageTraits, ReadableStorageTraits, ReadableWritableListableStorage, StoreKey,
    StorePrefix, WritableStorageTraits,
};

use super::{Folder, Problem, memory, problem};
use crate::{
    Calculator, Error, Location, Parallel, RowSource, Sequential, StoredFactors, ZarrOptions,
};

type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Names the place of the S3 test, such as `s3://bucket/prefix`; the rest of the environment says
/// how to get there.
#[cfg(feature = "s3")]
const S3_URL: &str = "INFLUENCE_S3_URL";

/// Every key below a place, with its value.
fn contents(storage: &ReadableWritableListableStorage) -> Outcome<BTreeMap<String, Bytes>> {
    let mut contents = BTreeMap::new();
    for key in storage.list_prefix(&StorePrefix::root())? {
        let value = storage.get(&key)?.ok_or("a listed key")?;
        assert_eq!(storage.size_key(&key)?, Some(value.len() as u64));
        contents.insert(key.to_string(), value);
    }
    Ok(contents)
}

fn write(
    problem: &Problem,
    location: impl Into<Location>,
    options: &ZarrOptions,
) -> crate::Result<()> {
    let calculator = Parallel::new(&problem.model, NonZero::new(3))?;
    let lazy = calculator.influences(&problem.test, &problem.train);
    lazy.with_chunks(2, 4)?.to_zarr(location, options).map(drop)
}

/// What the same computation leaves in the memory store of `zarrs`.
fn expected(problem: &Problem) -> Outcome<BTreeMap<String, Bytes>> {
    let store = memory();
    write(problem, store.clone(), &ZarrOptions::default())?;
    contents(&store)
}

/// Everything that is done with a place which is empty at first.
fn exercise(location: &Location) -> Outcome {
    let (large, small) = (problem(5, 11)?, problem(2, 3)?);
    let options = ZarrOptions::default();
    let storage = location.open()?.storage;
    location.check(&options)?;
    assert!(contents(&storage)?.is_empty());

    write(&large, location.clone(), &options)?;
    assert_eq!(contents(&storage)?, expected(&large)?);
    let refused = write(&small, location.clone(), &options);
    assert!(matches!(refused, Err(Error::Exists { .. })));

    let options = options.overwriting();
    write(&small, location.clone(), &options)?;
    assert_eq!(contents(&storage)?, expected(&small)?, "nothing else stays");

    let calculator = Sequential::new(&large.model);
    let lazy = calculator.influence_factors(&large.test).with_chunks(2)?;
    lazy.to_zarr(location.clone(), &options)?;
    let factors = StoredFactors::open(location.clone())?;
    let in_memory = calculator
        .influence_factors(&large.test)
        .with_chunks(2)?
        .to_array()?;
    assert!(factors.is_complete()?);
    assert_eq!(factors.rows(1..5)?, in_memory.rows(1..5)?);
    storage.erase(&StoreKey::new("factors/c/1/0")?)?;
    assert!(matches!(factors.rows(0..5), Err(Error::Missing { rows, .. }) if rows == (2..4)));
    foreign(&storage, location)
}

/// Empties the place, and finds it protected as soon as it holds something that is not ours.
fn foreign(storage: &ReadableWritableListableStorage, location: &Location) -> Outcome {
    storage.erase_prefix(&StorePrefix::root())?;
    let options = ZarrOptions::default().overwriting();
    location.check(&options)?;
    let nested = StoreKey::new("thesis/chapter.tex")?;
    storage.set(&nested, Bytes::from_static(b"years of work"))?;
    assert!(matches!(
        location.check(&options),
        Err(Error::NotZarr { .. })
    ));
    assert!(matches!(
        StoredFactors::open(location.clone()),
        Err(Error::NotZarr { .. })
    ));
    storage.erase(&nested)?;
    Ok(())
}

#[test]
fn memory_holds_the_same_bytes() -> Outcome {
    exercise(&Location::parse("memory://")?)?;
    exercise(&Location::parse("memory:///runs/first")?)
}

#[test]
fn files_hold_the_same_bytes() -> Outcome {
    // What a URL or an object store would escape must not change the names of files.
    let folder = Folder::new("object store~ä");
    let url = format!("file://{}", folder.0.display());
    exercise(&Location::parse(&url)?)?;
    write(
        &problem(5, 11)?,
        Location::parse(&url)?,
        &ZarrOptions::default(),
    )?;
    let read_as_folder = Location::folder(&folder.0).open()?.storage;
    assert_eq!(contents(&read_as_folder)?, expected(&problem(5, 11)?)?);
    Ok(())
}

#[test]
fn each_parse_has_a_memory_of_its_own_which_clones_share() -> Outcome {
    let [first, second] = [Location::parse("memory://")?, Location::parse("memory://")?];
    write(&problem(2, 3)?, first.clone(), &ZarrOptions::default())?;
    let again = ZarrOptions::default();
    assert!(matches!(first.check(&again), Err(Error::Exists { .. })));
    second.check(&again)?;
    Ok(())
}

#[test]
fn a_store_is_reached_from_within_any_runtime() -> Outcome {
    let (problem, folder) = (problem(12, 12)?, Folder::new("runtimes"));
    let url = format!("file://{}", folder.0.display());
    let write = || {
        let calculator = Sequential::new(&problem.model);
        let lazy = calculator.influences(&problem.test, &problem.train);
        // More requests than a task may make before it has to yield.
        let options = ZarrOptions::default().overwriting();
        lazy.with_chunks(1, 1)?
            .to_zarr(Location::parse(&url)?, &options)
    };
    for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let mut builder = builder;
        builder.build()?.block_on(async { write() })?;
    }
    Ok(())
}

#[cfg(feature = "s3")]
#[test]
fn s3_holds_the_same_bytes() -> Outcome {
    let Ok(url) = std::env::var(S3_URL) else {
        eprintln!("skipped: the S3 test, because {S3_URL} is not set");
        return Ok(());
    };
    let url = format!("{url}/influence-test-{}", std::process::id());
    exercise(&Location::parse(&url)?)
}

#[test]
fn of_two_processes_that_find_nothing_one_begins() -> Outcome {
    let folder = Folder::new("creation");
    for url in [
        "memory:///output".to_owned(),
        format!("file://{}", folder.0.display()),
    ] {
        std::fs::create_dir_all(&folder.0)?;
        let group = Location::parse(&url)?.open()?;
        let creation = group.creation.ok_or("a store that creates")?;
        let key = StoreKey::new("zarr.json")?;
        let create = |value: &'static str| {
            let created = creation.create(&key, Bytes::from(value));
            created.map_err(|error| error.to_string())
        };
        assert!(create("first")?);
        assert!(!create("second")?);
        assert_eq!(group.storage.get(&key)?, Some(Bytes::from("first")));
    }
    Ok(())
}
