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

/// Keeps values that are no Zarr, in a place that is empty at first.
fn keep_values(location: &Location) -> Outcome {
    let values = location.values()?;
    values.check_writable()?;
    assert_eq!(values.names("")?, [""; 0]);
    assert_eq!(values.names("sums")?, [""; 0]);
    values.erase()?;
    for (key, value) in [
        ("fit.json", "a fit"),
        ("sums/0+4.x", "first"),
        ("sums/4+1.x", "second"),
    ] {
        assert!(!values.contains(key)?);
        values.set(key, "earlier".into())?;
        values.set(key, value.into())?;
        assert!(values.contains(key)?);
        assert_eq!(values.get(key)?.as_deref(), Some(value.as_bytes()));
    }
    assert_eq!(values.names("")?, ["fit.json"]);
    assert_eq!(values.names("sums")?, ["0+4.x", "4+1.x"]);
    assert_eq!(values.get("sums/8+1.x")?, None);
    values.erase()?;
    assert_eq!((values.names("")?, values.get("fit.json")?), (vec![], None));
    Ok(())
}

/// Keeps a value at a URL, and others in the folder whose name is longer.
fn keep_beside(url: &str) -> Outcome {
    let [fit, sums] = [url, &format!("{url}.shares")].map(Location::parse);
    let (fit, sums) = (fit?.values()?, sums?.values()?);
    assert_eq!((fit.get("")?, fit.contains("")?), (None, false));
    sums.set("0/0+4", "a sum".into())?;
    fit.set("", "a fit".into())?;
    assert_eq!(sums.names("0")?, ["0+4"]);
    sums.erase()?;
    assert_eq!(
        (fit.get("")?, fit.contains("")?),
        (Some("a fit".into()), true)
    );
    assert_eq!(sums.names("0")?, [""; 0]);
    Ok(())
}

#[test]
fn values_are_kept_in_every_kind_of_store() -> Outcome {
    let folder = Folder::new("values");
    let url = format!("file://{}", folder.0.display());
    keep_values(&memory().into())?;
    keep_values(&Location::folder(folder.0.join("folder")))?;
    keep_values(&Location::parse("memory:///values")?)?;
    keep_values(&Location::parse(&format!("{url}/url"))?)?;
    keep_beside(&format!("{url}/a%20fit~1"))
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
    exercise(&Location::parse(&url)?)?;
    keep_values(&Location::parse(&format!("{url}/values"))?)?;
    keep_beside(&format!("{url}/fit"))
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
