use std::fs;

use zarrs::storage::{
    Bytes, ListableStorageTraits, ReadableStorageTraits, StoreKey, StorePrefix,
    WritableStorageTraits,
};

use super::Folder;
use crate::zarr::DurableStore;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn a_durable_store_commits_by_renaming() -> Outcome {
    let folder = Folder::new("durable");
    let (store, key) = (DurableStore::new(&folder.0)?, StoreKey::new("a/b/c")?);
    // What a crash left behind, under the very name that would come next, and under one that zarrs
    // would use.
    fs::create_dir_all(folder.0.join("a/b"))?;
    for sequence in 0..2_000 {
        fs::write(
            folder
                .0
                .join(format!("a/b/.c.{}-{sequence}.partial", std::process::id())),
            "torn",
        )?;
    }
    fs::write(folder.0.join("a/b/c.tmp"), "torn")?;
    assert_eq!(store.get(&key)?, None);
    store.set(&key, Bytes::from_static(b"first"))?;
    store.set(&key, Bytes::from_static(b"second"))?;
    assert_eq!(store.get(&key)?, Some(Bytes::from_static(b"second")));
    let expected = [key.clone(), StoreKey::new("a/b/c.tmp")?];
    assert_eq!(store.list()?, expected);
    assert_eq!(store.list_dir(&StorePrefix::new("a/b/")?)?.keys().len(), 2);
    assert_eq!(
        fs::read(folder.0.join("a/b/.c.").with_file_name("c.tmp"))?,
        b"torn"
    );
    store.erase_prefix(&StorePrefix::new("a/")?)?;
    assert_eq!(store.get(&key)?, None);
    Ok(())
}

#[test]
fn a_value_that_cannot_be_written_leaves_the_old_one() -> Outcome {
    let folder = Folder::new("durable-failure");
    let store = DurableStore::new(&folder.0)?;
    store.set(&StoreKey::new("a/b")?, Bytes::from_static(b"whole"))?;
    // A folder stands where the value should go.
    assert!(
        store
            .set(&StoreKey::new("a")?, Bytes::from_static(b"other"))
            .is_err()
    );
    assert_eq!(
        store.get(&StoreKey::new("a/b")?)?,
        Some(Bytes::from_static(b"whole"))
    );
    assert_eq!(
        fs::read_dir(&folder.0)?.count(),
        1,
        "the temporary file is cleared up"
    );
    let numbers = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let key = StoreKey::new("same").map_err(|error| error.to_string())?;
                    store
                        .set(&key, Bytes::from(vec![number; 10_000]))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        writers
            .into_iter()
            .filter_map(|writer| writer.join().ok()?.ok())
            .count()
    });
    assert_eq!(numbers, 8);
    let value = store.get(&StoreKey::new("same")?)?.ok_or("the value")?;
    assert!(value.len() == 10_000 && value.iter().all(|byte| *byte == value[0]));
    Ok(())
}
