//! Banks: whatever is computed when, by whom and on how many threads, the bytes are the same.

use std::{path::Path, sync::Arc};

use influence_backend_burn::{FitObserver, FitStep};
use influence_calculators::{Cancellation, Observer, zarr::Claim};
use influence_core::Share;
use ndarray::{Array3, s};

use super::*;
use crate::{
    digest,
    output::Existing,
    retraining::{Bank, Study},
    watch::{Interrupted, Watch},
};

/// A host that cancels once this many retrainings are there.
struct Cancelling {
    cancellation: Cancellation,
    watch: Arc<Counting>,
}

#[derive(Debug)]
struct Counting {
    cancellation: Cancellation,
    most: usize,
}

impl Cancelling {
    fn after(most: usize) -> Self {
        let cancellation = Cancellation::new();
        Self {
            watch: Arc::new(Counting {
                cancellation: cancellation.clone(),
                most,
            }),
            cancellation,
        }
    }
}

impl FitObserver for Counting {
    fn fitting(&self, _step: FitStep, _done: usize, _total: usize) {}
}

impl Observer for Counting {}

impl Watch for Counting {
    fn retrained(&self, done: usize, _total: usize) {
        if done >= self.most {
            self.cancellation.cancel();
        }
    }
}

impl Host for Cancelling {
    fn watch(&self) -> Arc<dyn Watch> {
        self.watch.clone()
    }

    fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    fn claim(&self, _output: &Path, _existing: Existing) -> Result<()> {
        Ok(())
    }

    fn writing(&self) -> Option<Claim> {
        None
    }

    fn written(&self, _output: &Path) {}
}

fn study() -> Result<Study> {
    let halves =
        (0..3).map(|half| Subset::new((0..POINTS).filter(|point| point % 3 != half).collect()));
    Ok(Study {
        name: "halves".into(),
        subsets: halves.collect::<Result<_>>()?,
        absence: Absence::Removed,
        seeds: vec![5, 2],
    })
}

fn losses(bank: &Bank, retraining: &Retraining<'_>, share: Share) -> Result<Array3<f64>> {
    bank.losses(&study()?, retraining, share, &Unattended::default())
}

fn with_threads(config: &Config, threads: usize) -> Config {
    let mut config = config.clone();
    config.compute.threads = Some(threads);
    config
}

#[test]
fn a_bank_has_the_bits_of_each_retraining_alone() -> Result<()> {
    let problem = Problem::new()?;
    let config = with_threads(&problem.config("all", LAYERS, &all())?, 3);
    let retraining = Retraining::new(&config, &ConfiguredModels, &[2, 5])?;
    let bank = Bank::open(&problem.path("bank.zarr"), &retraining)?;
    let found = losses(&bank, &retraining, Share::WHOLE)?;
    let Study { subsets, seeds, .. } = study()?;
    for (subset, points) in subsets.iter().enumerate() {
        for (place, &seed) in seeds.iter().enumerate() {
            let alone = retraining.outcome(points, Absence::Removed, seed)?.losses;
            assert_eq!(found.slice(s![subset, place, ..]).to_vec(), alone);
        }
    }
    assert_ne!(found.slice(s![0, 0, ..]), found.slice(s![1, 0, ..]));
    assert_ne!(found.slice(s![0, 0, ..]), found.slice(s![0, 1, ..]));
    // Nothing is left to do: a host that has cancelled already is not asked.
    let cancelled = Cancelling::after(0);
    assert_eq!(
        bank.losses(&study()?, &retraining, Share::WHOLE, &cancelled)?,
        found
    );
    let outcomes = bank.outcomes(&study()?, &retraining, Share::WHOLE, &cancelled)?;
    assert_eq!(
        outcomes[1],
        Some(retraining.outcome(&subsets[0], Absence::Removed, 2)?)
    );
    Ok(())
}

#[test]
fn a_bank_that_is_cancelled_damaged_and_shared_out_gets_the_same_bytes() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.config("all", LAYERS, &all())?;
    let (one, four) = (with_threads(&config, 1), with_threads(&config, 4));
    let [one, four] =
        [&one, &four].map(|config| Retraining::new(config, &ConfiguredModels, &[2, 5]));
    let (one, four) = (one?, four?);
    let whole = problem.path("whole.zarr");
    let expected = losses(&Bank::open(&whole, &four)?, &four, Share::WHOLE)?;

    let resumed = problem.path("resumed.zarr");
    let bank = Bank::open(&resumed, &one)?;
    let ended = bank.losses(&study()?, &one, Share::WHOLE, &Cancelling::after(2));
    let ended = ended.expect_err("cancelled");
    let ended = ended.downcast_ref::<Interrupted>().expect("interrupted");
    assert_eq!((ended.done, ended.total), (2, 6));
    let chunk = resumed.join("halves/losses/c/0/1/0");
    fs::write(&chunk, &fs::read(&chunk)?[1..])?;
    assert_eq!(
        losses(&Bank::open(&resumed, &four)?, &four, Share::WHOLE)?,
        expected
    );
    assert_eq!(digest::of_folder(&resumed)?, digest::of_folder(&whole)?);

    let shared = problem.path("shared.zarr");
    let bank = Bank::open(&shared, &one)?;
    let half = losses(&bank, &one, Share::new(1, 2)?)?;
    let flat = |losses: &Array3<f64>| {
        losses
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .collect::<Vec<_>>()
    };
    let (half, expected_rows) = (flat(&half), flat(&expected));
    assert!(half[..3].iter().flatten().all(|loss| loss.is_nan()));
    assert_eq!(half[3..], expected_rows[3..]);
    assert_eq!(losses(&bank, &four, Share::new(0, 2)?)?, expected);
    assert_eq!(digest::of_folder(&shared)?, digest::of_folder(&whole)?);
    Ok(())
}

#[test]
fn a_bank_of_other_retrainings_is_refused() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.config("all", LAYERS, &all())?;
    let open = |config: &Config| {
        let retraining = Retraining::new(config, &ConfiguredModels, &[2, 5])?;
        Bank::open(&problem.path("bank.zarr"), &retraining).map(drop)
    };
    open(&config)?;
    let mut slower = config.clone();
    slower.train.learning_rate = 0.05;
    let wider = problem.config("all", &LAYERS.replace("outputs = 6", "outputs = 7"), &all())?;
    for (other, difference) in [
        (slower, "train.learning_rate = 0.1, this run has 0.05"),
        (wider, "model.layers = "),
        (
            problem.config("fewer", LAYERS, &some())?,
            "points.train = \"sha256:",
        ),
    ] {
        let error = open(&other).expect_err(difference).to_string();
        assert!(error.contains(difference), "{error}");
    }
    // Where the points are, where the weights would go and how many threads there are do not count.
    let moved = problem.config("moved", LAYERS, &all())?;
    open(&with_threads(&moved, 2))
}
