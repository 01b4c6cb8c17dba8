//! Outputs, read back and held against the same chunks computed again.

use std::sync::atomic::Ordering::Relaxed;

use ndarray::Array2;
use zarrs::{array::Array, storage::ReadableWritableListableStorage};

use super::{
    failing::{Failing, Room},
    job::{
        CHUNKS, Home, JOBS, Job, Outcome, SCRATCH, SHAPE, Work, data, parallel, sequential, values,
    },
    memory,
};
use crate::{Error, StoredFactors, ZarrOptions, zarr};

fn complete(job: &Job) -> Result<Home, Box<dyn std::error::Error>> {
    let home = Home::memory();
    let options = ZarrOptions::default();
    job.run(
        &sequential(&job.model()),
        &data(SHAPE)?,
        home.location(),
        &options,
    )?;
    Ok(home)
}

#[test]
fn what_is_missing_or_damaged_is_told_by_position() -> Outcome {
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        let home = complete(&job)?;
        let sound = zarr::verify(home.location())?;
        assert!(sound.is_sound() && sound.complete);
        assert_eq!(sound.chunks, 60);
        home.erase("influences/c/0/9")?;
        home.erase("influences/c/3/0")?;
        let mut bytes = home.contents()["influences/c/2/5"].clone();
        bytes[3] ^= 0x10;
        home.set("influences/c/2/5", bytes)?;
        home.set("influences/c/3/9", Vec::new())?;
        let found = zarr::verify(home.location())?;
        assert_eq!(found.missing, [[0, 9], [3, 0]]);
        assert_eq!(found.damaged, [[2, 5], [3, 9]]);
        assert!(found.complete && !found.is_sound());
    }
    let home = complete(&JOBS[6])?;
    home.erase("factors/c/1/0")?;
    assert_eq!(zarr::verify(home.location())?.missing, [[1, 0]]);
    Ok(())
}

#[test]
fn reports_that_came_to_harm_are_told_by_row() -> Outcome {
    let job = JOBS[0];
    let home = complete(&job)?;
    home.erase("solver_residual/c/2")?;
    home.set("solver_status/c/0", vec![7])?;
    let found = zarr::verify(home.location())?;
    assert_eq!(found.without_reports, [0, 2]);
    assert!(found.missing.is_empty() && found.damaged.is_empty() && !found.is_sound());
    Ok(())
}

#[test]
fn an_interrupted_output_is_not_sound_until_it_is_resumed() -> Outcome {
    let (data, home, model) = (data(SHAPE)?, Home::memory(), SCRATCH.model());
    let options = ZarrOptions::default().resuming();
    let calculator = sequential(&model);
    let run = || SCRATCH.run(&calculator, &data, home.location(), &options);
    model.lasts.store(25, Relaxed);
    assert!(run().is_err());
    let found = zarr::verify(home.location())?;
    assert_eq!((found.missing.len(), found.damaged.len()), (35, 0));
    assert!(!found.complete && !found.is_sound());
    model.lasts.store(usize::MAX, Relaxed);
    run()?;
    assert!(zarr::verify(home.location())?.is_sound());
    Ok(())
}

#[test]
fn an_output_is_not_read_before_it_is_declared() -> Outcome {
    let (job, data) = (JOBS[6], data(SHAPE)?);
    let (store, calculator) = (memory(), sequential(&job.model()));
    job.run(
        &calculator,
        &data,
        store.clone().into(),
        &ZarrOptions::default(),
    )?;
    // Ends with the mark of the new output beside the numbers of the old one.
    let failing: ReadableWritableListableStorage = Failing::after(&store, Room::Writes(1));
    let options = ZarrOptions::default().overwriting();
    assert!(
        job.run(&calculator, &data, failing.into(), &options)
            .is_err()
    );
    assert!(values(&store).contains_key("factors/c/0/0"));
    assert!(matches!(
        StoredFactors::open(store.clone()),
        Err(Error::NotZarr { .. })
    ));
    assert!(matches!(zarr::verify(store), Err(Error::NotZarr { .. })));
    Ok(())
}

#[test]
fn chunks_computed_again_are_the_same_to_the_bit() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        let (home, model) = (complete(&job)?, job.model());
        for calculator in [sequential(&model), parallel(&model, 3)?] {
            for chunks in [0, 1, 7, 60, 1000] {
                model.scored.store(0, Relaxed);
                let lazy = job.influences(&calculator, &data, &data.train)?;
                let found = lazy.compare(home.location(), chunks)?;
                assert_eq!(found.chunks.len(), chunks.min(60));
                assert_eq!(model.scored.load(Relaxed), chunks.min(60));
                assert_eq!(found.differing, 0, "{found:?}");
                assert_eq!(found.largest_value > 0.0, chunks > 0);
            }
        }
    }
    Ok(())
}

#[test]
fn a_number_that_was_changed_is_found_though_its_checksum_is_right() -> Outcome {
    let (data, job) = (data(SHAPE)?, JOBS[0]);
    let home = complete(&job)?;
    let Home::Memory(store) = &home else {
        return Ok(());
    };
    let array = Array::open(store.clone(), "/influences")?;
    let mut chunk = array.retrieve_chunk::<Array2<f64>>(&[1, 4])?;
    chunk[[1, 2]] += 0.5;
    array.store_chunk(&[1, 4], chunk)?;
    assert!(zarr::verify(home.location())?.is_sound());
    let model = job.model();
    let calculator = sequential(&model);
    let found = job
        .influences(&calculator, &data, &data.train)?
        .compare(home.location(), 60)?;
    assert_eq!(found.differing, 1);
    assert!((found.largest_difference - 0.5).abs() < 1e-12);
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_refused() -> Outcome {
    let (job, data, other) = (JOBS[0], data(SHAPE)?, data([11, 31])?);
    let (home, model) = (complete(&job)?, job.model());
    let calculator = sequential(&model);
    let differs = |outcome: crate::Result<zarr::Comparison>, setting: &str| {
        assert!(
            matches!(&outcome, Err(Error::Differs { setting: named, .. }) if named == setting),
            "{outcome:?}"
        );
    };
    let lazy = job.influences(&calculator, &other, &other.train)?;
    differs(lazy.compare(home.location(), 3), "influence.shape");
    // The bits depend on the chunks, and so does what a position means.
    let lazy = job.influences(&calculator, &data, &data.train)?;
    let lazy = lazy.with_chunks(CHUNKS[0] + 1, CHUNKS[1])?;
    differs(lazy.compare(home.location(), 3), "influence.chunks");
    assert_eq!(model.counts(), [0, 0]);
    Ok(())
}
