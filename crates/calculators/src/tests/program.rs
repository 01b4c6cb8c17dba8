use std::{
    num::NonZero,
    ops::Range,
    sync::{Mutex, atomic::Ordering::Relaxed},
};

use influence_core::{Chunk, Dataset, Precision, aggregate::Concatenate, solver::Report};
use ndarray::Array2;

use super::{DAMPING, DIM, largest_difference, model::Watched, problem, whole};
use crate::{AssumeThreadSafe, Calculator, Error, Observer, Parallel, Plan, Result, Sequential};

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
    // Rows of chunks: 2, 2, 2 and 1; columns: 3, 3, 3 and 1. A row of chunks takes 2 · DIM · 8 bytes.
    for (memory, panels) in [
        (usize::MAX, 1),
        (2 * 2 * DIM * 8, 2),
        (2 * DIM * 8, 4),
        (0, 4),
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
            let lazy = lazy.with_factor_memory(memory);
            assert_eq!(lazy.plan()?.panels().len(), panels);
            assert_eq!(lazy.compute(Concatenate::new())?, expected);
            assert_eq!(model.counts(), [4, 4 * panels]);
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
    assert_eq!(lazy.grid().counts(), [4, 4]);
    drop((
        lazy.plan()?,
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
        self.0
            .lock()
            .expect("no panic while held")
            .push(format!("{:?}", plan.panels()));
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
    lazy.with_observer(&diary)
        .with_factor_memory(0)
        .compute(Concatenate::new())?;
    let entries = diary.0.into_inner()?;
    assert_eq!(
        entries,
        [
            "[0..1, 1..2]",
            "0..2 2",
            "[0, 0]",
            "[0, 1]",
            "2..3 1",
            "[1, 0]",
            "[1, 1]"
        ]
    );
    Ok(())
}

#[test]
fn panels_grow_with_memory_and_shrink_with_precision() -> Result<()> {
    let mut model = Watched::new(problem(1, 1).expect("the problem is well posed").model);
    model.precision = Precision::F32;
    let data = problem(8, 2).expect("the problem is well posed");
    assert_eq!(data.test.len(), 8);
    let calculator = Sequential::new(model);
    let lazy = calculator
        .influences(&data.test, &data.train)
        .with_chunks(1, 1)?
        .with_factor_memory(4 * DIM * 4);
    assert_eq!(lazy.plan()?.panels(), [0..4, 4..8]);
    assert!(matches!(lazy.with_chunks(0, 1), Err(Error::Option { .. })));
    Ok(())
}
