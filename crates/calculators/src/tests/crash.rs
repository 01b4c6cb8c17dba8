//! A run that ends at any one of its writes.

use std::{io, sync::atomic::Ordering::Relaxed};

use zarrs::storage::ReadableWritableListableStorage;

use super::{
    failing::{Failing, Room},
    job::{
        AnyCalculator, Contents, Data, JOBS, Job, Outcome, SCRATCH, SHAPE, Work, data, parallel,
        sequential, values,
    },
    memory,
};
use crate::{Error, Result, Side, SolveSummary, ZarrOptions};

fn resuming() -> ZarrOptions {
    ZarrOptions::default().resuming()
}

/// Runs a job on a store that fails when there is no more room.
fn run_within(
    room: Room,
    store: &ReadableWritableListableStorage,
    (job, data): (&Job, &Data),
    calculator: &AnyCalculator,
    options: &ZarrOptions,
) -> Result<SolveSummary> {
    let failing: ReadableWritableListableStorage = Failing::after(store, room);
    job.run(calculator, data, failing.into(), options)
}

#[test]
fn a_run_that_ends_at_any_write_can_be_resumed() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &resuming())?;
        let model = job.model();
        // Several threads shuffle the writes: once will do.
        let threads =
            (job.work == Work::Influences && job.held == Side::Train).then(|| parallel(&model, 2));
        for calculator in [Ok(sequential(&model))].into_iter().chain(threads) {
            let calculator = calculator?;
            for writes in 0.. {
                let store = memory();
                let room = Room::Writes(writes);
                let first = run_within(room, &store, (&job, &data), &calculator, &resuming());
                let there = job.chunks(&values(&store));
                model.scored.store(0, Relaxed);
                model.solved.store(0, Relaxed);
                job.run(&calculator, &data, store.clone().into(), &resuming())?;
                assert!(values(&store) == expected, "{job:?} after {writes}");
                let computed = job.computed(&model);
                assert_eq!(
                    computed,
                    expected_chunks(&job) - there,
                    "{job:?} after {writes}"
                );
                if first.is_ok() {
                    assert!(writes > expected.len(), "every write was the last once");
                    break;
                }
            }
        }
    }
    Ok(())
}

fn expected_chunks(job: &Job) -> usize {
    if job.work == Work::Factors { 6 } else { 60 }
}

/// An output of other data, which has more chunks, and whose run ended with a scratch array in
/// place.
fn earlier_output()
-> std::result::Result<ReadableWritableListableStorage, Box<dyn std::error::Error>> {
    let (store, model, larger) = (memory(), SCRATCH.model(), data([13, 36])?);
    model.lasts.store(50, Relaxed);
    let options = ZarrOptions::default();
    let refused = SCRATCH.run(&sequential(&model), &larger, store.clone().into(), &options);
    assert!(matches!(refused, Err(Error::Core { .. })));
    Ok(store)
}

fn copy(store: &ReadableWritableListableStorage) -> ReadableWritableListableStorage {
    let copy = memory();
    for key in store.list().expect("a store in memory") {
        if let Ok(Some(value)) = store.get(&key) {
            copy.set(&key, value).expect("a store in memory");
        }
    }
    copy
}

#[test]
fn nothing_of_an_output_survives_its_being_overwritten() -> Outcome {
    let (data, earlier) = (data(SHAPE)?, earlier_output()?);
    let untouched = values(&earlier);
    for job in [SCRATCH, JOBS[4], JOBS[6]] {
        let expected = job.expected(&data, &ZarrOptions::default())?;
        let model = job.model();
        let calculator = parallel(&model, 2)?;
        let overwriting = ZarrOptions::default().overwriting();
        for writes in 0.. {
            let store = copy(&earlier);
            let room = Room::Writes(writes);
            let first = run_within(room, &store, (&job, &data), &calculator, &overwriting);
            // Before the first write the earlier output is as it was, and to go on with it as the
            // new one is refused.
            let is_untouched = values(&store) == untouched;
            assert_eq!(is_untouched, writes == 0);
            let second = job.run(&calculator, &data, store.clone().into(), &resuming());
            assert_eq!(second.is_err(), is_untouched, "{job:?} after {writes}");
            assert!(
                is_untouched || values(&store) == expected,
                "{job:?} after {writes}"
            );
            if first.is_ok() {
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn of_an_output_of_the_same_settings_no_number_is_taken_over() -> Outcome {
    let (data, mut other) = (data(SHAPE)?, data(SHAPE)?);
    other.test.0.targets.fill(2.0);
    let (job, settings) = (JOBS[0], ZarrOptions::default());
    let expected = job.expected(&data, &settings)?;
    let model = job.model();
    let calculator = sequential(&model);
    for writes in 1.. {
        let store = memory();
        job.run(&calculator, &other, store.clone().into(), &settings)?;
        let options = settings.clone().overwriting();
        let room = Room::Writes(writes);
        let first = run_within(room, &store, (&job, &data), &calculator, &options);
        job.run(&calculator, &data, store.clone().into(), &resuming())?;
        assert!(values(&store) == expected, "after {writes}");
        if first.is_ok() {
            break;
        }
    }
    Ok(())
}

fn bytes(contents: &Contents) -> usize {
    contents.values().map(Vec::len).sum()
}

#[test]
fn a_full_disk_is_named_and_the_run_goes_on_when_there_is_room() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &resuming())?;
        let model = job.model();
        let calculator = parallel(&model, 2)?;
        for share in 0..10 {
            let store = memory();
            let room = Room::Bytes(bytes(&expected) * share / 10);
            let error = run_within(room, &store, (&job, &data), &calculator, &resuming())
                .expect_err("there is no room");
            assert!(
                error.to_string().contains("in group / of a store"),
                "{error}"
            );
            assert!(is_full(&error), "{error:?}");
            job.run(&calculator, &data, store.clone().into(), &resuming())?;
            assert!(values(&store) == expected, "{job:?} at {share}");
        }
    }
    Ok(())
}

/// Whether a full disk is among the causes of an error.
fn is_full(error: &Error) -> bool {
    let (first, full): (&dyn std::error::Error, _) = (
        error,
        io::Error::from(io::ErrorKind::StorageFull).to_string(),
    );
    std::iter::successors(Some(first), |error| error.source())
        .any(|cause| cause.to_string().contains(&full))
}
