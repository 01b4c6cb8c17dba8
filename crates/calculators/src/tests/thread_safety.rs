//! Why `Send + Sync` does not suffice: a model may be free of data races and give wrong numbers all
//! the same.

use std::{
    num::NonZero,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use influence_core::{
    AssumeThreadSafe, InfluenceModel, Result, testing::Samples, wrapper::ModelWrapper,
};
use ndarray::Array2;

use super::{Model, problem, whole};
use crate::{Calculator, Parallel, Sequential};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// A model that keeps the batch at hand in a place of its own, as one does that sets a hook or a
/// mode and then runs: `Send + Sync`, and wrong when two threads call it at once. Its first call
/// waits for a second one to interfere, but no longer than it has patience.
struct Stateful {
    model: Model,
    current: Mutex<(Option<Samples>, usize)>,
    entered: Condvar,
    is_first: AtomicBool,
    patience: Duration,
}

impl Stateful {
    fn new(patience: Duration) -> Result<Self> {
        Ok(Self {
            model: problem(1, 1)?.model,
            current: Mutex::default(),
            entered: Condvar::new(),
            is_first: AtomicBool::new(true),
            patience,
        })
    }

    /// Puts the batch where the computation will look for it.
    fn prepare(&self, batch: &Samples) {
        let mut current = self.current.lock().expect("no panic while held");
        current.0 = Some(batch.clone());
        current.1 += 1;
        self.entered.notify_all();
        if self.is_first.swap(false, Relaxed) {
            let alone = |current: &mut (Option<Samples>, usize)| current.1 < 2;
            let waited = self
                .entered
                .wait_timeout_while(current, self.patience, alone);
            drop(waited.expect("no panic while held"));
        }
    }

    fn compute(&self) -> Result<Array2<f64>> {
        let current = self.current.lock().expect("no panic while held").0.clone();
        self.model.gradients(&current.expect("set by every caller"))
    }
}

impl ModelWrapper for Stateful {
    type Inner = Model;

    fn inner(&self) -> &Model {
        &self.model
    }

    fn gradients(&self, batch: &Samples) -> Result<Array2<f64>> {
        self.prepare(batch);
        self.compute()
    }
}

const SHAPE: [usize; 2] = [4, 40];
const CHUNKS: [usize; 2] = [2, 4];
/// Nobody comes, and that is soon known.
const ALONE: Duration = Duration::from_millis(20);
/// Somebody comes, however busy the machine.
const IN_COMPANY: Duration = Duration::from_mins(1);

#[test]
fn one_thread_cannot_mix_up_the_state_of_a_model() -> Outcome {
    let problem = problem(SHAPE[0], SHAPE[1])?;
    let expected = whole(&Sequential::new(&problem.model), &problem, CHUNKS)?;
    let sequential = Sequential::new(Stateful::new(ALONE)?);
    assert_eq!(whole(&sequential, &problem, CHUNKS)?, expected);
    let one_thread = Parallel::new(AssumeThreadSafe(Stateful::new(ALONE)?), NonZero::new(1))?;
    assert_eq!(whole(&one_thread, &problem, CHUNKS)?, expected);
    Ok(())
}

#[test]
fn a_promise_that_is_not_kept_gives_wrong_numbers() -> Outcome {
    let problem = problem(SHAPE[0], SHAPE[1])?;
    let expected = whole(&Sequential::new(&problem.model), &problem, CHUNKS)?;
    let assumed = AssumeThreadSafe(Stateful::new(IN_COMPANY)?);
    let parallel = Parallel::new(&assumed, NonZero::new(4))?;
    let wrong = whole(&parallel, &problem, CHUNKS)?;
    assert_ne!(
        wrong, expected,
        "the first call computed the gradients of another batch"
    );
    // The numbers are those of the problem, but not where they belong: nothing but a comparison
    // tells.
    assert!(wrong.iter().all(|value| value.is_finite()));
    assert_eq!(
        whole(&Sequential::new(&assumed), &problem, CHUNKS)?,
        expected
    );
    Ok(())
}

#[test]
fn replicas_cannot_mix_up_the_state_of_a_model() -> Outcome {
    let problem = problem(SHAPE[0], SHAPE[1])?;
    let expected = whole(&Sequential::new(&problem.model), &problem, CHUNKS)?;
    let parallel = Parallel::with_replicas(|| Stateful::new(ALONE), NonZero::new(4))?;
    assert_eq!(parallel.threads(), 4);
    for _ in 0..3 {
        assert_eq!(whole(&parallel, &problem, CHUNKS)?, expected);
    }
    Ok(())
}
