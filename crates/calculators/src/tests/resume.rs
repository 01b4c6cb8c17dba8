//! A run that ended early is resumed, and nothing shows it.

use std::{
    io,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use influence_core::{
    Chunk, Dataset, Error as CoreError,
    aggregate::{Aggregator, Along, Concatenate, Mean, Order, TopK},
    testing::{Samples, SamplesDataset},
};

use super::job::{
    Data, Home, JOBS, Job, Outcome, SCRATCH, SHAPE, Work, calculators, data, parallel, sequential,
};
use crate::{Cancellation, Error, Observer, Step, ZarrOptions};

fn options() -> ZarrOptions {
    // A number whose decimal form is long: it must come back to the bit.
    ZarrOptions::default()
        .with_attribute("damping", 0.1 + 0.2)
        .resuming()
}

#[test]
fn after_a_fault_of_the_model_only_what_is_missing_is_computed() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        let expected = job.expected(&data, &options())?;
        let model = job.model();
        for (index, calculator) in calculators(&model)?.into_iter().enumerate() {
            for lasts in [0, 1, 13, 59] {
                // Bringing everything to disk takes its time: once will do.
                let [memory, folder] = Home::both()?;
                let on_disk = (index == 1 && lasts == 13).then_some(folder);
                for home in [memory].into_iter().chain(on_disk) {
                    let run = || job.run(&calculator, &data, home.location(), &options());
                    model.scored.store(0, Relaxed);
                    model.lasts.store(lasts, Relaxed);
                    assert!(
                        matches!(
                            run(),
                            Err(Error::Core {
                                step: Step::Scoring { .. },
                                ..
                            })
                        ),
                        "{job:?}"
                    );
                    let there = job.chunks(&home.contents());
                    assert_eq!(there, lasts, "what was computed is there");
                    model.scored.store(0, Relaxed);
                    model.lasts.store(usize::MAX, Relaxed);
                    run()?;
                    assert_eq!(model.scored.load(Relaxed), 60 - there);
                    assert!(home.contents() == expected, "{job:?}");
                }
            }
        }
    }
    Ok(())
}

/// Cancels after this many chunks.
struct Canceller {
    after: AtomicUsize,
    token: Cancellation,
}

impl Observer for Canceller {
    fn chunk_done(&self, _chunk: &Chunk) {
        if self.after.fetch_sub(1, Relaxed) == 1 {
            self.token.cancel();
        }
    }
}

#[test]
fn after_a_cancellation_only_what_is_missing_is_computed() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        let expected = job.expected(&data, &options())?;
        let model = job.model();
        for calculator in calculators(&model)? {
            let home = Home::memory();
            let canceller = Canceller {
                after: AtomicUsize::new(11),
                token: Cancellation::new(),
            };
            let lazy = job.influences(&calculator, &data, &data.train)?;
            let lazy = lazy.with_cancellation(&canceller.token);
            let cancelled = lazy
                .with_observer(&canceller)
                .to_zarr(home.location(), &options());
            assert!(matches!(cancelled, Err(Error::Cancelled)));
            let there = job.chunks(&home.contents());
            // Each thread may finish the chunk that it is at.
            assert!((11..15).contains(&there), "{there}");
            model.scored.store(0, Relaxed);
            job.run(&calculator, &data, home.location(), &options())?;
            assert_eq!(model.scored.load(Relaxed), 60 - there);
            assert!(home.contents() == expected, "{job:?}");
        }
    }
    Ok(())
}

#[test]
fn a_complete_output_is_left_as_it_is_and_where_there_is_none_one_is_begun() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &ZarrOptions::default())?;
        let [memory, folder] = Home::both()?;
        let on_disk = (job.work == Work::Factors).then_some(folder);
        for home in [memory].into_iter().chain(on_disk) {
            let (first, second) = (job.model(), job.model());
            let options = ZarrOptions::default().resuming();
            let begun = job.run(&parallel(&first, 2)?, &data, home.location(), &options)?;
            assert!(home.contents() == expected, "{job:?}");
            let again = job.run(&parallel(&second, 2)?, &data, home.location(), &options)?;
            assert_eq!(begun, again, "the summary tells of the earlier run");
            assert_eq!((second.counts(), job.computed(&second)), ([0, 0], 0));
            assert!(home.contents() == expected, "{job:?}");
        }
    }
    Ok(())
}

#[test]
fn a_cancelled_token_leaves_an_output_that_can_be_resumed() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &options())?;
        let (home, model) = (Home::memory(), job.model());
        let token = Cancellation::new();
        token.cancel();
        let calculator = parallel(&model, 3)?;
        let outcome = job.run_until(&calculator, &data, home.location(), &options(), &token);
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert_eq!(job.computed(&model), 0);
        job.run(&calculator, &data, home.location(), &options())?;
        assert!(home.contents() == expected, "{job:?}");
    }
    Ok(())
}

/// A file that goes away after this many batches.
struct Vanishing<'a> {
    points: &'a SamplesDataset,
    batches: AtomicUsize,
}

impl Dataset for Vanishing<'_> {
    type Batch = Samples;

    fn len(&self) -> usize {
        self.points.len()
    }

    fn batch(&self, range: Range<usize>) -> influence_core::Result<Samples> {
        let left = self
            .batches
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.points.batch(range),
            Err(_) => Err(CoreError::dataset(io::Error::from(io::ErrorKind::NotFound))),
        }
    }
}

#[test]
fn after_the_data_were_gone_for_a_while_the_run_goes_on() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        let expected = job.expected(&data, &options())?;
        for batches in [0, 1, 3, 8] {
            let (home, model) = (Home::memory(), job.model());
            let calculator = parallel(&model, 2)?;
            let train = Vanishing {
                points: &data.train,
                batches: AtomicUsize::new(batches),
            };
            let lazy = job.influences(&calculator, &data, &train)?;
            let error = lazy
                .to_zarr(home.location(), &options())
                .expect_err("no data");
            assert!(
                matches!(&error, Error::Core { source, .. } if matches!(**source, CoreError::Dataset { .. })),
                "{error}"
            );
            model.scored.store(0, Relaxed);
            let there = job.chunks(&home.contents());
            job.run(&calculator, &data, home.location(), &options())?;
            assert_eq!(model.scored.load(Relaxed), 60 - there);
            assert!(home.contents() == expected, "{job:?}");
        }
    }
    Ok(())
}

/// Interrupts a job after this many chunks, and asserts that the aggregator of the second run
/// misses none of the first.
fn aggregated<A: Aggregator<Output: PartialEq>>(
    (job, data): (&Job, &Data),
    lasts: usize,
    aggregator: impl Fn() -> A,
) -> Outcome {
    let (home, model) = (Home::memory(), job.model());
    let calculator = parallel(&model, 2)?;
    let lazy = || job.influences(&calculator, data, &data.train);
    let expected = lazy()?.compute(aggregator())?;
    let run = || lazy()?.to_zarr_and(home.location(), &options(), aggregator());
    model.scored.store(0, Relaxed);
    model.lasts.store(lasts, Relaxed);
    assert_eq!(run().is_err(), lasts < 60);
    model.lasts.store(usize::MAX, Relaxed);
    assert!(run()?.1 == expected, "{job:?} after {lasts}");
    Ok(())
}

#[test]
fn an_aggregator_sees_the_chunks_of_both_runs() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Factors) {
        for lasts in [0, 7, 23, 60] {
            let of = (&job, &data);
            aggregated(of, lasts, Concatenate::new)?;
            aggregated(of, lasts, || Mean::along(Along::Test))?;
            aggregated(of, lasts, || TopK::new(3, Order::default(), Along::Train))?;
        }
    }
    Ok(())
}

#[test]
fn a_scratch_array_is_taken_up_and_erased_at_the_end() -> Outcome {
    let (data, home, model) = (data(SHAPE)?, Home::memory(), SCRATCH.model());
    let calculator = sequential(&model);
    let run = || SCRATCH.run(&calculator, &data, home.location(), &options());
    // Within the second panel.
    model.lasts.store(30, Relaxed);
    assert!(run().is_err());
    let kept = home.contents();
    let kept = kept
        .keys()
        .filter(|key| key.starts_with("scratch/factors/c/"));
    assert_eq!(kept.count(), 6);
    let solved = model.solved.load(Relaxed);
    model.lasts.store(usize::MAX, Relaxed);
    run()?;
    assert_eq!(model.solved.load(Relaxed), solved, "factors are read again");
    assert!(!home.contents().keys().any(|key| key.starts_with("scratch")));
    Ok(())
}
