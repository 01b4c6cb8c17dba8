use std::{
    num::NonZero,
    ops::Range,
    sync::{Mutex, atomic::Ordering::Relaxed},
};

use influence_core::{Chunk, aggregate::Concatenate, solver::Report};
use ndarray::Array2;

use super::{DAMPING, DIM, largest_difference, model::Watched, problem, whole};
use crate::{
    AssumeThreadSafe, Calculator, Error, Observer, Parallel, Phase, Plan, Sequential, Side,
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn influences_have_the_closed_form() -> Outcome {
    let problem = problem(5, 11)?;
    let source = problem.model.source().clone();
    let expected = source
        .influences(&problem.fitted, DAMPING, &problem.test.0, &problem.train.0)
        .into_dyn();
    let got = whole(&Sequential::new(&problem.model), &problem, [2, 4])?;
    assert!(largest_difference(&got, &expected) < 1e-12);
    // The twin: another damping is told apart, so the comparison means something.
    let other = source
        .influences(
            &problem.fitted,
            2.0 * DAMPING,
            &problem.test.0,
            &problem.train.0,
        )
        .into_dyn();
    assert!(largest_difference(&got, &other) > 1e-3);
    Ok(())
}

#[test]
fn grids_of_any_fit_give_the_same_influences() -> Outcome {
    for (k, n) in [(1, 1), (5, 11), (13, 3), (4, 8), (0, 3), (3, 0)] {
        let problem = problem(k, n)?;
        let calculator = Sequential::new(&problem.model);
        let in_one = whole(&calculator, &problem, [k.max(1), n.max(1)])?;
        assert_eq!(in_one.shape(), [k, n]);
        for chunks in [[1, 1], [2, 4], [3, 100], [usize::MAX, usize::MAX]] {
            assert!(largest_difference(&whole(&calculator, &problem, chunks)?, &in_one) < 1e-14);
        }
    }
    Ok(())
}

#[test]
fn threads_do_not_change_a_bit() -> Outcome {
    let problem = problem(13, 29)?;
    for chunks in [[2, 4], [13, 29], [1, 1], [5, 3]] {
        let expected = whole(&Sequential::new(&problem.model), &problem, chunks)?;
        for threads in [1, 2, 3, 8] {
            let parallel = Parallel::new(&problem.model, NonZero::new(threads))?;
            assert_eq!(parallel.threads(), threads);
            assert_eq!(whole(&parallel, &problem, chunks)?, expected);
            assert_eq!(
                parallel
                    .self_influences(&problem.train)
                    .with_chunks(chunks[0])?
                    .compute()?
                    .len(),
                29
            );
        }
        let assumed = Parallel::new(
            AssumeThreadSafe(Watched::new(super::problem(1, 1)?.model)),
            None,
        )?;
        assert_eq!(whole(&assumed, &problem, chunks)?, expected);
    }
    Ok(())
}

#[test]
fn factors_are_solved_once_and_gradients_computed_once_per_panel() -> Outcome {
    let problem = problem(7, 10)?;
    let model = Watched::new(super::problem(1, 1)?.model);
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 3])?;
    // Rows of chunks: 2, 2, 2 and 1; columns: 3, 3, 3 and 1. A task takes 336 bytes, and holding a
    // row of chunks 2 · DIM · 8.
    for (memory, side, panels) in [
        (10_000, Side::Train, 1),
        (336 + 2 * 2 * DIM * 8, Side::Test, 2),
        (336 + 2 * DIM * 8, Side::Test, 4),
    ] {
        for threads in [None, NonZero::new(3)] {
            let calculator: Box<dyn Calculator<Model = _>> = match threads {
                None => Box::new(Sequential::new(&model)),
                threads => Box::new(Parallel::new(&model, threads)?),
            };
            model.solved.store(0, Relaxed);
            model.gradients.store(0, Relaxed);
            let lazy = calculator
                .influences(&problem.test, &problem.train)
                .with_chunks(2, 3)?;
            let lazy = lazy.with_memory(memory);
            let seen = Diary::default();
            assert_eq!(
                lazy.with_observer(&seen).compute(Concatenate::new())?,
                expected
            );
            assert_eq!(model.counts(), [4, 4 * panels]);
            let seen = seen.0.into_inner()?;
            assert_eq!(seen[0], format!("{side:?} {panels}"));
        }
    }
    Ok(())
}

#[test]
fn nothing_runs_before_it_is_asked_for() -> Outcome {
    let problem = problem(7, 10)?;
    let model = Watched::new(super::problem(1, 1)?.model);
    let calculator = Parallel::new(&model, None)?;
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 3)?;
    assert_eq!(lazy.plan()?.grid().counts(), [4, 4]);
    drop((
        calculator.influence_factors(&problem.test),
        calculator.self_influences(&problem.train),
    ));
    drop(lazy);
    assert_eq!(model.counts(), [0, 0]);
    Ok(())
}

#[test]
fn factors_from_before_give_the_same_bits() -> Outcome {
    let problem = problem(7, 10)?;
    let calculator = Parallel::new(&problem.model, NonZero::new(2))?;
    let factors = calculator
        .influence_factors(&problem.test)
        .with_chunks(2)?
        .to_array()?;
    let whole_factors = calculator
        .influence_factors(&problem.test)
        .with_chunks(2)?
        .compute(Concatenate::new())?;
    assert_eq!(factors.clone().into_dyn(), whole_factors);
    let lazy = calculator
        .influences_from_factors(&factors, &problem.train)
        .with_chunks(2, 3)?;
    assert_eq!(
        lazy.compute(Concatenate::new())?,
        whole(&calculator, &problem, [2, 3])?
    );
    let narrow = Array2::zeros((7, DIM - 1));
    let refused = calculator
        .influences_from_factors(&narrow, &problem.train)
        .plan();
    assert!(matches!(refused, Err(Error::Core { .. })));
    Ok(())
}

#[test]
fn self_influences_are_the_diagonal() -> Outcome {
    let problem = problem(1, 10)?;
    let model = Watched::new(super::problem(1, 1)?.model);
    let samples = &problem.train.0;
    let expected = problem
        .model
        .source()
        .influences(&problem.fitted, DAMPING, samples, samples);
    let got = Sequential::new(&model)
        .self_influences(&problem.train)
        .with_chunks(4)?
        .compute()?;
    assert!(
        got.iter()
            .zip(expected.diag())
            .all(|(got, expected)| (got - expected).abs() < 1e-12)
    );
    assert_eq!(model.counts(), [3, 3]);
    let parallel = Parallel::new(&model, NonZero::new(2))?;
    assert_eq!(
        parallel
            .self_influences(&problem.train)
            .with_chunks(4)?
            .compute()?,
        got
    );
    Ok(())
}

#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Observer for Diary {
    fn planned(&self, plan: &Plan, _finished: usize) {
        self.0.lock().expect("no panic while held").push(format!(
            "{:?} {}",
            plan.held(),
            plan.panels().len()
        ));
    }

    fn phase(&self, phase: Phase) {
        self.0
            .lock()
            .expect("no panic while held")
            .push(phase.as_str().to_owned());
    }

    fn solved(&self, rows: &Range<usize>, reports: &[Report]) {
        self.0
            .lock()
            .expect("no panic while held")
            .push(format!("{rows:?} {}", reports.len()));
    }

    fn chunk_done(&self, chunk: &Chunk) {
        self.0
            .lock()
            .expect("no panic while held")
            .push(format!("{:?}", chunk.index));
    }
}

#[test]
fn an_observer_sees_the_plan_the_reports_and_the_chunks() -> Outcome {
    let (problem, diary) = (problem(3, 4)?, Diary::default());
    let calculator = Sequential::new(problem.model);
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 3)?;
    // Two panels of factors: a task takes 512 bytes, holding a row of chunks 64.
    lazy.with_observer(&diary)
        .with_memory(576)
        .compute(Concatenate::new())?;
    let entries = diary.0.into_inner()?;
    assert_eq!(
        entries,
        [
            "Test 2", "factors", "0..2 2", "scores", "[0, 0]", "[0, 1]", "factors", "2..3 1",
            "scores", "[1, 0]", "[1, 1]"
        ]
    );
    Ok(())
}

#[test]
fn a_bound_on_memory_that_cannot_be_kept_is_refused() -> Outcome {
    let problem = problem(8, 2)?;
    let calculator = Sequential::new(&problem.model);
    let lazy = || calculator.influences(&problem.test, &problem.train);
    let refused = lazy().with_memory(100).compute(());
    assert!(matches!(refused, Err(Error::Memory { granted: 100, needed }) if needed > 100));
    let taken = lazy()
        .with_memory(1 << 20)
        .with_memory_taken(1 << 20)
        .compute(());
    assert!(matches!(taken, Err(Error::Memory { .. })));
    assert!(
        calculator
            .influence_factors(&problem.test)
            .with_memory(100)
            .to_array()
            .is_err()
    );
    assert!(
        calculator
            .self_influences(&problem.train)
            .with_memory(100)
            .compute()
            .is_err()
    );
    assert!(matches!(
        lazy().with_chunks(0, 1),
        Err(Error::Option { .. })
    ));
    Ok(())
}
