use std::{cell::Cell, collections::HashMap, fs, io};

use influence_core::{Error as CoreError, summation::Alone};
use ndarray::Array2;
use tempfile::TempDir;

use super::*;
use crate::Error;

const LEAVES: usize = 23;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn leaf(leaf: usize, vector: f64) -> Sums {
    let value = |(i, j): (usize, usize)| ((i * 7 + j) as f64 * (leaf as f64 + vector)).sin().exp();
    vec![Array2::from_shape_fn((3, 2), value).into_dyn()]
}

/// Four passes of which each depends on the one before, counting the leaves that are computed.
fn fit(summation: &dyn Summation, seed: f64, computed: &Cell<usize>) -> CoreResult<Vec<u64>> {
    summation.begin(&|| Ok(vec![("method", "test".into()), ("seed", seed.to_string())]))?;
    let mut vector = seed;
    let mut bits = Vec::new();
    for _ in 0..4 {
        let sum = summation.sum(&DataPass {
            name: "products",
            operand: &|| Ok(vec![ndarray::arr0(vector).into_dyn()]),
            leaves: LEAVES,
            leaf: &|index| {
                computed.set(computed.get() + 1);
                Ok(leaf(index, vector))
            },
        })?;
        bits.extend(sum.iter().flatten().map(|value| value.to_bits()));
        vector = sum[0].sum() / LEAVES as f64;
    }
    Ok(bits)
}

fn alone() -> Vec<u64> {
    fit(&Alone, 0.3, &Cell::new(0)).expect("a fit")
}

/// Calls the shares in turn until one comes to the end; gives its bits and the leaves computed.
fn in_turn(folder: &Path, of: usize) -> (Vec<u64>, usize) {
    let computed = Cell::new(0);
    for _ in 0..10 {
        for index in 0..of {
            let share = Share::new(index, of).expect("a share");
            match fit(&StoredSums::new(folder, share), 0.3, &computed) {
                Ok(bits) => return (bits, computed.get()),
                Err(error) => assert!(is_waiting(&error), "{error}"),
            }
        }
    }
    panic!("the fit does not end");
}

fn is_waiting(error: &CoreError) -> bool {
    matches!(Error::of(error), Some(Error::Waiting { .. }))
}

/// Every file below a folder, by its name.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn shares_come_to_the_bits_of_one_process_and_compute_each_leaf_once() {
    let expected = alone();
    for of in [1, 2, 3, 5, 7, 23, 40] {
        let folder = folder();
        assert_eq!(in_turn(folder.path(), of), (expected.clone(), 4 * LEAVES));
    }
}

#[test]
fn the_number_of_shares_may_change() {
    let folder = folder();
    let computed = Cell::new(0);
    for (index, of) in [(1, 3), (0, 2), (4, 7), (2, 3)] {
        let share = Share::new(index, of).expect("a share");
        match fit(&StoredSums::new(folder.path(), share), 0.3, &computed) {
            Ok(bits) => assert_eq!(bits, alone()),
            Err(error) => assert!(is_waiting(&error), "{error}"),
        }
    }
    assert_eq!(in_turn(folder.path(), 5).0, alone());
}

#[test]
fn a_kept_sum_is_not_computed_again_and_a_lost_or_damaged_one_is() {
    let folder = folder();
    let (expected, all) = in_turn(folder.path(), 3);
    assert_eq!(in_turn(folder.path(), 3), (expected.clone(), 0));
    let before = files(folder.path());
    let sums = before
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|it| it == "safetensors"));
    for (path, bytes) in sums {
        let mut flipped = bytes.clone();
        let last = flipped.len() - 3;
        flipped[last] ^= 1;
        for damaged in [
            None,
            Some(&flipped[..]),
            Some(&bytes[..bytes.len() / 2]),
            Some(b""),
        ] {
            match damaged {
                None => fs::remove_file(path).expect("removed"),
                Some(damaged) => fs::write(path, damaged).expect("written"),
            }
            let (bits, computed) = in_turn(folder.path(), 3);
            assert_eq!(bits, expected, "{}", path.display());
            assert!(computed < all / 4, "{computed}");
        }
        fs::write(path, bytes).expect("written");
    }
    assert_eq!(files(folder.path()), before);
}

#[test]
fn nothing_comes_out_without_each_of_the_subtrees() {
    let folder = folder();
    in_turn(folder.path(), 3);
    let first = folder.path().join("00000");
    fs::remove_file(first.join("0+32.safetensors")).expect("the whole");
    for (path, bytes) in files(&first) {
        fs::remove_file(&path).expect("removed");
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let from: usize = name
            .split_once('+')
            .expect("a subtree")
            .0
            .parse()
            .expect("a number");
        // A share that has none of it.
        let other = if from < LEAVES / 2 { 22 } else { 0 };
        let share = StoredSums::new(folder.path(), Share::new(other, LEAVES).expect("a share"));
        let outcome = fit(&share, 0.3, &Cell::new(0)).expect_err("a part is missing");
        let message = outcome.to_string();
        assert!(message.contains("pass 0 (products) has "), "{message}");
        assert!(
            message.contains(" of 23 parts, and waits for other shares"),
            "{message}"
        );
        fs::write(&path, bytes).expect("written");
    }
}

#[test]
fn another_fit_is_refused_by_name() {
    let folder = folder();
    in_turn(folder.path(), 2);
    let said = |summation: StoredSums| {
        let outcome = fit(&summation, 0.4, &Cell::new(0)).expect_err("of something else");
        outcome.to_string()
    };
    let other = said(StoredSums::new(folder.path(), Share::WHOLE));
    assert!(
        other.contains("fit.json is of a fit with seed 0.3, now it is 0.4: remove "),
        "{other}"
    );
    // The same, without the file that has the names, or with one that was cut.
    let names = folder.path().join(IDENTITY);
    fs::remove_file(&names).expect("removed");
    for _ in 0..2 {
        let other = said(StoredSums::new(folder.path(), Share::WHOLE));
        assert!(
            other.contains("safetensors is of a fit with fit sha256:"),
            "{other}"
        );
        fs::write(&names, "{\"method\": ").expect("written");
    }
    let (_, computed) = in_turn(folder.path(), 2);
    assert_eq!(computed, 0);
}

#[test]
fn another_operand_is_refused_by_name() {
    let folder = folder();
    let fit = |vector: f64| {
        let stored = StoredSums::new(folder.path(), Share::WHOLE);
        stored.begin(&|| Ok(Vec::new()))?;
        stored.sum(&DataPass {
            name: "products",
            operand: &|| Ok(vec![ndarray::arr0(vector).into_dyn()]),
            leaves: 3,
            leaf: &|index| Ok(leaf(index, vector)),
        })
    };
    fit(0.1 + 0.2).expect("a sum");
    let other = fit(0.3).expect_err("another operand").to_string();
    assert!(
        other.contains("0+4.safetensors is of a fit with operand sha256:"),
        "{other}"
    );
}

#[test]
fn removing_leaves_nothing_and_needs_nothing() {
    let folder = folder();
    let place = folder.path().join("sums");
    let stored = StoredSums::new(&place, Share::WHOLE);
    stored.remove().expect("nothing there");
    fit(&stored, 0.3, &Cell::new(0)).expect("a fit");
    assert!(place.is_dir());
    stored.remove().expect("removed");
    assert!(!place.exists());
}

#[test]
fn patient_shares_that_run_at_once_come_to_the_end_in_one_call() {
    let folder = folder();
    let call = |index: usize| {
        let share = Share::new(index, 3).expect("a share");
        let stored = StoredSums::new(folder.path(), share).patient();
        fit(&stored, 0.3, &Cell::new(0))
    };
    let call = &call;
    // Whatever else the machine does: one that gave up is called again.
    thread::scope(|scope| {
        let calls =
            [0, 1, 2].map(|index| scope.spawn(move || (0..20).find_map(|_| call(index).ok())));
        for call in calls {
            assert_eq!(call.join().expect("no panic"), Some(alone()));
        }
    });
    // Nobody else is there.
    let share = Share::new(0, 2).expect("a share");
    let lonely = StoredSums::new(folder.path().join("other"), share).patient();
    let begun = Instant::now();
    let outcome = fit(&lonely, 0.3, &Cell::new(0)).expect_err("a part is missing");
    assert!(is_waiting(&outcome) && begun.elapsed() >= Duration::from_millis(500));
}

/// Values in memory, as an object store has them: no folders, and a list that may be in any order.
#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<String, Vec<u8>>>);

impl SumStore for Memory {
    fn place(&self) -> &Path {
        Path::new("memory://sums")
    }

    fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("no panic").get(key).cloned())
    }

    fn write(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.0
            .lock()
            .expect("no panic")
            .insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let values = self.0.lock().expect("no panic");
        let within = values.keys().filter_map(|key| match folder {
            "" => Some(&**key),
            _ => key.strip_prefix(folder)?.strip_prefix('/'),
        });
        Ok(within
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn remove(&self) -> io::Result<()> {
        self.0.lock().expect("no panic").clear();
        Ok(())
    }
}

#[test]
fn another_store_keeps_what_a_folder_keeps() {
    let folder = folder();
    in_turn(folder.path(), 3);
    let memory = Arc::new(Memory::default());
    let stored = |index| {
        let share = Share::new(index, 3).expect("a share");
        StoredSums::within(memory.clone(), share)
    };
    assert!(!stored(0).has_begun().expect("read"));
    let ends = (0..30).find_map(|turn| match fit(&stored(turn % 3), 0.3, &Cell::new(0)) {
        Ok(bits) => Some(bits),
        Err(error) => {
            assert!(is_waiting(&error), "{error}");
            None
        }
    });
    assert_eq!(ends, Some(alone()));
    assert!(stored(0).has_begun().expect("read"));
    for (path, bytes) in files(folder.path()) {
        let key = path
            .strip_prefix(folder.path())
            .expect("within")
            .to_string_lossy();
        assert!(memory.read(&key).expect("read") == Some(bytes), "{key}");
    }
    let other = fit(&stored(0), 0.4, &Cell::new(0))
        .expect_err("of something else")
        .to_string();
    assert!(
        other.contains("memory://sums/fit.json is of a fit with seed 0.3"),
        "{other}"
    );
    assert!(
        other.ends_with("remove memory://sums to begin again"),
        "{other}"
    );
    stored(0).remove().expect("removed");
    assert!(!stored(0).has_begun().expect("read"));
}
