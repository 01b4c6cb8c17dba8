//! An output is resumed with the settings that it was made with, and with no others.

use std::sync::atomic::Ordering::Relaxed;

use influence_core::Precision;

use super::{
    job::{CHUNKS, Home, JOBS, Job, Outcome, SCRATCH, SHAPE, Work, data, parallel, sequential},
    model::Watched,
    problem,
};
use crate::{Calculator, Error, LazyInfluences, Sequential, ZarrOptions, zarr::Compression};

fn options() -> ZarrOptions {
    ZarrOptions::default()
        .with_attribute("damping", 0.1)
        .resuming()
}

/// An output with this many chunks.
fn interrupted(
    job: &Job,
    lasts: usize,
) -> std::result::Result<[Home; 2], Box<dyn std::error::Error>> {
    let homes = Home::both()?;
    for home in &homes {
        let model = job.model();
        model.lasts.store(lasts, Relaxed);
        let run = job.run(
            &sequential(&model),
            &data(SHAPE)?,
            home.location(),
            &options(),
        );
        assert_eq!(run.is_err(), lasts < 60);
    }
    Ok(homes)
}

/// Asserts that a run is refused, names this setting and leaves everything as it was.
fn refused(home: &Home, setting: &str, run: impl Fn() -> crate::Result<()>) {
    let before = home.contents();
    let error = run().expect_err(setting);
    assert!(
        matches!(&error, Error::Differs { setting: named, .. } if named == setting),
        "{setting}: {error}"
    );
    assert!(home.contents() == before, "{setting}: nothing is written");
}

#[test]
fn other_options_are_refused() -> Outcome {
    for (lasts, job) in [(9, JOBS[0]), (60, JOBS[0]), (9, SCRATCH)] {
        for home in interrupted(&job, lasts)? {
            let (data, model) = (data(SHAPE)?, job.model());
            let calculator = sequential(&model);
            let damping = |value: f64| ZarrOptions::default().with_attribute("damping", value);
            let nearly = f64::from_bits(0.1_f64.to_bits() + 1);
            for (setting, options) in [
                ("damping", damping(0.2)),
                ("damping", damping(nearly)),
                ("damping", ZarrOptions::default()),
                ("seed", damping(0.1).with_attribute("seed", 1)),
                (
                    "influence.compression",
                    damping(0.1).with_compression(Compression::None),
                ),
                (
                    "influence.compression",
                    damping(0.1).with_compression(Compression::Zstd(4)),
                ),
            ] {
                refused(&home, setting, || {
                    let options = options.clone().resuming();
                    job.run(&calculator, &data, home.location(), &options)
                        .map(drop)
                });
            }
            assert_eq!(model.counts(), [0, 0], "nothing is computed");
        }
    }
    Ok(())
}

#[test]
fn other_data_and_other_kinds_of_work_are_refused() -> Outcome {
    for home in interrupted(&JOBS[0], 9)? {
        let model = JOBS[0].model();
        let calculator = sequential(&model);
        for shape in [[12, 30], [11, 31], [30, 11]] {
            let other = data(shape)?;
            refused(&home, "influence.shape", || {
                let lazy = calculator.influences(&other.test, &other.train);
                let lazy = lazy.with_chunks(CHUNKS[0], CHUNKS[1])?;
                lazy.to_zarr(home.location(), &options()).map(drop)
            });
        }
        let data = data(SHAPE)?;
        refused(&home, "influence.factors", || {
            let lazy = calculator.influences_from_factors(&data.factors, &data.train);
            lazy.to_zarr(home.location(), &options()).map(drop)
        });
        refused(&home, "influence.chunks", || {
            let lazy = calculator.influence_factors(&data.test);
            lazy.to_zarr(home.location(), &options()).map(drop)
        });
        assert_eq!(model.counts(), [0, 0], "nothing is computed");
    }
    Ok(())
}

#[test]
fn another_precision_is_refused() -> Outcome {
    for home in interrupted(&JOBS[0], 9)? {
        let mut model = Watched::new(problem(1, 1)?.model);
        model.precision = Precision::F32;
        let (calculator, data) = (Sequential::new(&model), data(SHAPE)?);
        refused(&home, "influence.precision", || {
            let lazy = calculator.influences(&data.test, &data.train);
            lazy.to_zarr(home.location(), &options()).map(drop)
        });
    }
    Ok(())
}

#[test]
fn chunks_are_those_of_the_output_unless_they_are_given() -> Outcome {
    let data = data(SHAPE)?;
    for job in [JOBS[0], SCRATCH] {
        let expected = job.expected(&data, &options())?;
        for home in interrupted(&job, 9)? {
            let model = job.model();
            let calculator = parallel(&model, 2)?;
            let lazy = || calculator.influences(&data.test, &data.train);
            for given in [[CHUNKS[0], 4], [1, CHUNKS[1]], [100, 100]] {
                refused(&home, "influence.chunks", || {
                    let lazy = lazy().with_chunks(given[0], given[1])?;
                    lazy.to_zarr(home.location(), &options()).map(drop)
                });
            }
            let adopt = |memory, lazy: LazyInfluences<'_, _>| {
                let lazy = lazy.with_memory(memory);
                lazy.to_zarr(home.location(), &options())
            };
            // By itself it would take larger chunks.
            assert!(lazy().plan()?.grid().chunk_shape() > CHUNKS);
            adopt(5_000, lazy())?;
            assert_eq!(model.scored.load(Relaxed), 51);
            adopt(1 << 30, lazy())?;
            assert_eq!(model.scored.load(Relaxed), 51);
            assert!(home.contents() == expected, "{job:?}");
        }
    }
    Ok(())
}

#[test]
fn factors_are_taken_up_in_chunks_of_the_output() -> Outcome {
    let (job, data) = (JOBS[6], data(SHAPE)?);
    assert_eq!(job.work, Work::Factors);
    let expected = job.expected(&data, &options())?;
    for home in interrupted(&job, 60)? {
        home.erase("factors/c/1/0")?;
        let model = job.model();
        let calculator = sequential(&model);
        refused(&home, "influence.chunks", || {
            let lazy = calculator.influence_factors(&data.test).with_chunks(3)?;
            lazy.to_zarr(home.location(), &options()).map(drop)
        });
        let lazy = calculator.influence_factors(&data.test);
        lazy.to_zarr(home.location(), &options())?;
        assert_eq!(model.counts(), [1, 0]);
        assert!(home.contents() == expected);
    }
    Ok(())
}
