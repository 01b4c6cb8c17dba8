//! Chunks that came to harm after they were written.

use super::job::{
    Contents, Home, JOBS, Job, Outcome, SCRATCH, SHAPE, Work, calculators, data, parallel,
    sequential,
};
use crate::{ZarrOptions, zarr};

fn options() -> ZarrOptions {
    ZarrOptions::default().resuming()
}

/// What becomes of the bytes of a value.
type Harm = fn(&[u8]) -> Vec<u8>;

/// Bits that flip, an end that is missing, a byte too many, and nothing at all.
const HARMS: [Harm; 6] = [
    |value| flipped(value, 0),
    |value| flipped(value, value.len() / 2),
    |value| flipped(value, value.len() - 1),
    |value| value[..value.len() / 2].to_vec(),
    |value| [value, &[0]].concat(),
    |_| Vec::new(),
];

fn flipped(value: &[u8], at: usize) -> Vec<u8> {
    let mut value = value.to_vec();
    value[at] ^= 1;
    value
}

/// The keys of all chunks of an output whose names begin so.
fn keys(contents: &Contents, prefix: &str) -> Vec<String> {
    let keys = contents.keys().filter(|key| key.starts_with(prefix));
    keys.cloned().collect()
}

/// Resumes an output after harm, and asserts that this many chunks were computed and nothing shows
/// it.
fn resumed(job: &Job, home: &Home, expected: &Contents, computed: usize) -> Outcome {
    let (data, model) = (data(SHAPE)?, job.model());
    job.run(&parallel(&model, 2)?, &data, home.location(), &options())?;
    assert_eq!(job.computed(&model), computed, "{job:?}");
    assert!(home.contents() == *expected, "{job:?}");
    Ok(())
}

#[test]
fn only_the_damaged_chunk_is_computed_again() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &options())?;
        // Bringing everything to disk takes its time: once will do.
        let [memory, folder] = Home::both()?;
        let on_disk = (job.chunks(&expected) == 6).then_some(folder);
        for home in [memory].into_iter().chain(on_disk) {
            job.run(
                &sequential(&job.model()),
                &data,
                home.location(),
                &options(),
            )?;
            let chunks = keys(&expected, job.prefix());
            for (harm, key) in HARMS.iter().zip(chunks.iter().cycle().step_by(3)) {
                home.set(key, harm(&expected[key]))?;
                resumed(&job, &home, &expected, 1)?;
                home.erase(key)?;
                resumed(&job, &home, &expected, 1)?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_calculator_computes_the_same_chunks_again() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &options())?;
        let model = job.model();
        for calculator in calculators(&model)? {
            let home = Home::memory();
            job.run(&calculator, &data, home.location(), &options())?;
            let chunks = keys(&expected, job.prefix());
            let harmed = [&chunks[0], &chunks[2], &chunks[chunks.len() - 1]];
            for key in harmed {
                home.set(key, HARMS[1](&expected[key]))?;
            }
            let before = job.computed(&model);
            job.run(&calculator, &data, home.location(), &options())?;
            assert_eq!(job.computed(&model), before + 3);
            assert!(home.contents() == expected, "{job:?}");
        }
    }
    Ok(())
}

#[test]
fn rows_whose_reports_are_damaged_are_solved_again() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS.into_iter().filter(|job| job.work != Work::Scores) {
        let expected = job.expected(&data, &options())?;
        let home = Home::memory();
        job.run(
            &sequential(&job.model()),
            &data,
            home.location(),
            &options(),
        )?;
        let chunks_of_row = if job.work == Work::Factors { 1 } else { 10 };
        let reports = keys(&expected, "solver_").into_iter();
        for (harm, key) in HARMS
            .iter()
            .cycle()
            .zip(reports.filter(|key| key.contains("/c/")))
        {
            home.set(&key, harm(&expected[&key]))?;
            resumed(&job, &home, &expected, chunks_of_row)?;
        }
    }
    Ok(())
}

#[test]
fn whatever_describes_the_output_is_written_again() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &options())?;
        let home = Home::memory();
        job.run(
            &sequential(&job.model()),
            &data,
            home.location(),
            &options(),
        )?;
        let described = expected
            .keys()
            .filter(|key| *key != "zarr.json" && !key.contains("/c/") || key.starts_with('t'));
        for key in described {
            home.set(key, Vec::new())?;
        }
        resumed(&job, &home, &expected, 0)?;
    }
    Ok(())
}

#[test]
fn damage_to_an_interrupted_output_is_made_good() -> Outcome {
    let data = data(SHAPE)?;
    let expected = SCRATCH.expected(&data, &options())?;
    for prefix in ["scratch/factors/c/", "scratch/", "solver_", "influences/c/"] {
        for harm in HARMS {
            let (home, model) = (Home::memory(), SCRATCH.model());
            model.lasts.store(30, std::sync::atomic::Ordering::Relaxed);
            let options = options();
            let run = SCRATCH.run(&sequential(&model), &data, home.location(), &options);
            assert!(run.is_err());
            let there = home.contents();
            for key in keys(&there, prefix)
                .iter()
                .filter(|key| key.contains("/c/"))
            {
                home.set(key, harm(&there[key]))?;
            }
            let fresh = SCRATCH.model();
            SCRATCH.run(&sequential(&fresh), &data, home.location(), &options)?;
            assert!(home.contents() == expected, "{prefix}");
            assert!(zarr::verify(home.location())?.is_sound());
        }
    }
    Ok(())
}
