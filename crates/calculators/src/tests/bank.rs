//! Banks of retrainings: opened again, grown, damaged, and of something else.

use std::{fs, path::Path};

use ndarray::{Array2, s};
use serde_json::{Map, Value, json};

use crate::{
    Error, Location,
    zarr::{StoredBank, StoredRetraining, StudyDesign},
};

const TEST: usize = 3;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn attributes(rate: f64) -> Map<String, Value> {
    let attributes = json!({ "train": { "epochs": 2, "rate": rate }, "version": "1" });
    attributes.as_object().cloned().unwrap_or_default()
}

fn open(folder: &Path, rate: f64) -> crate::Result<StoredBank> {
    StoredBank::open(&Location::folder(folder), &attributes(rate))
}

/// Three subsets of five points.
fn kept() -> Array2<bool> {
    Array2::from_shape_fn((3, 5), |(subset, point)| (point + subset) % 2 == 0)
}

fn design<'a>(kept: &'a Array2<bool>, subsets: usize, seeds: &'a [u64]) -> StudyDesign<'a> {
    StudyDesign {
        name: "halves",
        kept: kept.slice(s![..subsets, ..]),
        seeds,
        test: TEST,
    }
}

fn retraining([subset, seed]: [usize; 2]) -> StoredRetraining {
    let losses = (0..TEST).map(|test| (100 * subset + 10 * seed + test) as f64 / 3.0);
    StoredRetraining {
        losses: losses.collect(),
        classes: (subset < 2).then(|| vec![7, -1, 2]),
    }
}

fn difference(error: &Error) -> (&str, &str, &str) {
    match error {
        Error::Differs {
            setting,
            stored,
            given,
            ..
        } => (setting, stored, given),
        other => panic!("{other}"),
    }
}

#[test]
fn retrainings_are_read_as_they_were_written_and_studies_grow() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("bank.zarr");
    let kept = kept();
    let study = open(&folder, 0.5)?.study(&design(&kept, 2, &[4, 1]))?;
    assert_eq!(study.read([1, 1])?, None);
    study.write([1, 1], &retraining([1, 1]))?;
    // Longer along both axes, then along one, then as it was.
    for (subsets, seeds) in [(3, vec![4, 1, 9]), (2, vec![4, 1, 9]), (2, vec![4, 1])] {
        let study = open(&folder, 0.5)?.study(&design(&kept, subsets, &seeds))?;
        assert_eq!(study.read([1, 1])?, Some(retraining([1, 1])));
        assert_eq!(study.read([1, 0])?, None);
        if subsets == 3 {
            study.write([2, 2], &retraining([2, 2]))?;
        }
    }
    let study = open(&folder, 0.5)?.study(&design(&kept, 3, &[4, 1, 9]))?;
    assert_eq!(study.read([2, 2])?, Some(retraining([2, 2])));
    Ok(())
}

#[test]
fn what_is_another_bank_or_study_is_refused_with_the_first_difference() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("bank.zarr");
    let kept = kept();
    open(&folder, 0.5)?.study(&design(&kept, 2, &[4, 1]))?;
    let error = open(&folder, 0.25).expect_err("another rate");
    assert_eq!(difference(&error), ("train.rate", "0.5", "0.25"));
    let bank = open(&folder, 0.5)?;
    let mut other = kept.clone();
    other[[1, 3]] = !other[[1, 3]];
    let error = bank
        .study(&design(&other, 2, &[4, 1]))
        .expect_err("another subset");
    assert_eq!(difference(&error), ("kept[1][3]", "true", "false"));
    let error = bank
        .study(&design(&kept, 2, &[4, 2]))
        .expect_err("another seed");
    assert_eq!(difference(&error), ("seeds[1]", "1", "2"));
    let more = StudyDesign {
        test: TEST + 1,
        ..design(&kept, 2, &[4, 1])
    };
    let error = bank.study(&more).expect_err("more test points");
    assert_eq!(difference(&error), ("the number of test points", "3", "4"));
    let away = StudyDesign {
        name: "../halves",
        ..design(&kept, 2, &[4, 1])
    };
    assert!(matches!(bank.study(&away), Err(Error::Option { .. })));
    fs::write(folder.join("zarr.json"), "{\"node_type\": \"group\"}")?;
    assert!(matches!(open(&folder, 0.5), Err(Error::NotZarr { .. })));
    Ok(())
}

#[test]
fn a_damaged_chunk_is_missing_and_a_damaged_subset_written_again() -> Result {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("bank.zarr");
    let kept = kept();
    let damage = |name: &str| -> Result<Vec<u8>> {
        let path = folder.join("halves").join(name);
        let whole = fs::read(&path)?;
        let mut bytes = whole.clone();
        bytes[0] ^= 1;
        fs::write(&path, &bytes)?;
        Ok(whole)
    };
    for name in ["losses/c/0/1/0", "classes/c/0/1/0"] {
        let study = open(&folder, 0.5)?.study(&design(&kept, 2, &[4, 1]))?;
        study.write([0, 1], &retraining([0, 1]))?;
        assert_eq!(study.read([0, 1])?, Some(retraining([0, 1])));
        damage(name)?;
        assert_eq!(study.read([0, 1])?, None, "{name}");
    }
    for name in ["kept/c/1/0", "seeds/c/0"] {
        let whole = damage(name)?;
        open(&folder, 0.5)?.study(&design(&kept, 2, &[4, 1]))?;
        assert_eq!(fs::read(folder.join("halves").join(name))?, whole, "{name}");
    }
    Ok(())
}
