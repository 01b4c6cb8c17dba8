use std::num::NonZero;

use influence_core::{
    Chunk, ChunkGrid,
    aggregate::{Aggregator, Concatenate},
    solver::Status,
    testing::Samples,
};
use ndarray::ArrayViewD;

use super::{
    Problem,
    model::{Fault, Watched},
    problem, whole,
};
use crate::{
    Calculator, Error, Observer, Parallel, Sequential, Step, StoredInfluences, ZarrOptions, zarr,
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Seven test and ten train points, and a model with faults at some of them.
fn faulty(
    at_test: &[(usize, Fault)],
    at_train: &[(usize, Fault)],
) -> influence_core::Result<(Problem, Watched)> {
    let problem = problem(7, 10)?;
    let mut model = Watched::new(super::problem(1, 1)?.model);
    let mark = |samples: &Samples, at: &[(usize, Fault)]| -> Vec<_> {
        at.iter()
            .map(|&(row, fault)| (samples.targets[row], fault))
            .collect()
    };
    model.faults = mark(&problem.test.0, at_test);
    model.faults.extend(mark(&problem.train.0, at_train));
    Ok((problem, model))
}

fn calculators(
    model: &Watched,
) -> crate::Result<Vec<Box<dyn Calculator<Model = &'_ Watched> + '_>>> {
    let mut calculators: Vec<Box<dyn Calculator<Model = _>>> =
        vec![Box::new(Sequential::new(model))];
    for threads in 1..4 {
        calculators.push(Box::new(Parallel::new(model, NonZero::new(threads))?));
    }
    Ok(calculators)
}

#[test]
fn unsolved_rows_are_named_as_in_the_data_set() -> Outcome {
    let (problem, model) = faulty(
        &[
            (4, Fault::Unsolved),
            (5, Fault::Unsolved),
            (6, Fault::Unsolved),
        ],
        &[],
    )?;
    for calculator in calculators(&model)? {
        let error = whole(&calculator, &problem, [3, 3]).expect_err("rows 4 to 6 are not solved");
        assert!(
            matches!(&error, Error::Unsolved { rows, chunk, .. } if *rows == [4, 5] && *chunk == (3..6)),
            "{error}"
        );
        let message = error.to_string();
        assert!(
            message.contains("4, 5") && message.contains("max_iterations"),
            "{message}"
        );
    }
    Ok(())
}

#[test]
fn unsolved_rows_are_taken_on_request() -> Outcome {
    let (problem, model) = faulty(&[(4, Fault::Unsolved)], &[])?;
    let calculator = Sequential::new(&model);
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(3, 3)?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [3, 3])?;
    assert_eq!(
        lazy.accepting_unsolved().compute(Concatenate::new())?,
        expected
    );
    assert!(matches!(
        calculator.influence_factors(&problem.test).to_array(),
        Err(Error::Unsolved { .. })
    ));
    assert_eq!(
        calculator
            .influence_factors(&problem.test)
            .accepting_unsolved()
            .to_array()?
            .nrows(),
        7
    );
    Ok(())
}

#[test]
fn the_first_of_several_errors_is_reported_whatever_the_threads() -> Outcome {
    let faults = [
        (9, Fault::GradientError),
        (4, Fault::GradientPanic),
        (6, Fault::GradientError),
    ];
    let (problem, model) = faulty(&[], &faults)?;
    for calculator in calculators(&model)? {
        for _ in 0..20 {
            let error = whole(&calculator, &problem, [2, 2]).expect_err("a gradient panics");
            let Error::Panicked {
                step: Step::Gradients { columns },
                message,
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!((columns, message.as_str()), (4..6, "out of luck"));
        }
    }
    Ok(())
}

#[test]
fn a_failing_solve_says_where_and_the_calculator_lives_on() -> Outcome {
    let (problem, mut model) = faulty(&[(5, Fault::SolveError)], &[])?;
    for calculator in calculators(&model)? {
        let error = whole(&calculator, &problem, [2, 2]).expect_err("a solve fails");
        assert!(
            matches!(&error, Error::Core { step: Step::Solving { rows }, .. } if *rows == (4..6)),
            "{error}"
        );
        assert_eq!(
            calculator.self_influences(&problem.train).compute()?.len(),
            10
        );
    }
    model.faults.clear();
    assert_eq!(
        whole(&Sequential::new(model), &problem, [2, 2])?.shape(),
        [7, 10]
    );
    Ok(())
}

/// Refuses the chunk at one position, by an error or a panic.
struct Picky {
    refused: [usize; 2],
    panics: bool,
}

impl Aggregator for Picky {
    type Output = ();

    fn begin(&mut self, _grid: &ChunkGrid) -> influence_core::Result<()> {
        Ok(())
    }

    fn accept(
        &mut self,
        chunk: &Chunk,
        _values: ArrayViewD<'_, f64>,
    ) -> influence_core::Result<()> {
        assert!(
            !(self.panics && chunk.index == self.refused),
            "not this one"
        );
        influence_core::Error::check_size(
            "picky",
            "refused chunks",
            0,
            usize::from(chunk.index == self.refused),
        )
    }

    fn merge(&mut self, _other: Self) -> influence_core::Result<()> {
        Ok(())
    }

    fn finish(self) -> influence_core::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_aggregator_is_reported_with_its_chunk() -> Outcome {
    let (problem, model) = faulty(&[], &[])?;
    for calculator in calculators(&model)? {
        for panics in [false, true] {
            let lazy = calculator
                .influences(&problem.test, &problem.train)
                .with_chunks(2, 2)?;
            let outcome = lazy.compute(Picky {
                refused: [1, 3],
                panics,
            });
            let step = match outcome {
                Err(Error::Core { step, .. }) if !panics => step,
                Err(Error::Panicked { step, .. }) if panics => step,
                other => panic!("{other:?}"),
            };
            assert!(matches!(step, Step::Delivering { chunk } if chunk.index == [1, 3]));
        }
    }
    Ok(())
}

/// Starts a computation from within a computation.
struct Meddler<'a>(&'a (dyn Fn() -> crate::Result<()> + Sync));

impl Observer for Meddler<'_> {
    fn chunk_done(&self, _chunk: &Chunk) {
        if let Err(error) = (self.0)() {
            panic!("{error}");
        }
    }
}

#[test]
fn a_computation_within_a_computation_is_refused() -> Outcome {
    let problem = problem(3, 3)?;
    let calculator = Parallel::new(&problem.model, NonZero::new(2))?;
    let again = || {
        calculator
            .self_influences(&problem.train)
            .compute()
            .map(drop)
    };
    let meddler = Meddler(&again);
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_observer(&meddler);
    let outcome = lazy.compute(Concatenate::new());
    assert!(
        matches!(outcome, Err(Error::Panicked { message, .. }) if message == Error::Nested.to_string())
    );
    Ok(())
}

#[test]
fn many_threads_may_share_a_parallel_calculator() -> Outcome {
    use rayon::prelude::*;

    let problem = problem(7, 10)?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 3])?;
    let calculator = Parallel::new(&problem.model, NonZero::new(2))?;
    // From threads of another pool, which must not fill their wait with one another's jobs.
    let all: Result<Vec<_>, _> = (0..32)
        .into_par_iter()
        .map(|_| whole(&calculator, &problem, [2, 3]))
        .collect();
    assert!(all?.iter().all(|influences| *influences == expected));
    Ok(())
}

#[test]
fn numbers_that_are_not_finite_are_unsolved_rows_whatever_the_model_says() -> Outcome {
    let (problem, model) = faulty(&[(4, Fault::NotFinite)], &[])?;
    for calculator in calculators(&model)? {
        for error in [
            whole(&calculator, &problem, [3, 3]).err(),
            calculator.influence_factors(&problem.test).to_array().err(),
            calculator
                .self_influences(&problem.test)
                .with_chunks(3)?
                .compute()
                .err(),
        ] {
            assert!(
                matches!(&error, Some(Error::Unsolved { rows, worst, .. }) if *rows == [4] && worst.status == Status::NotFinite),
                "{error:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn rows_that_are_not_finite_are_marked_in_an_output_that_accepts_them() -> Outcome {
    let (problem, model) = faulty(&[(4, Fault::NotFinite)], &[])?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("out.zarr");
    let calculator = Parallel::new(&model, NonZero::new(3))?;
    let summary = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(3, 3)?
        .accepting_unsolved()
        .to_zarr(&path, &ZarrOptions::default())?;
    assert_eq!(summary.rows_by_status()["not_finite"], 1);
    assert_eq!(summary.rows_by_status()["converged"], 6);
    assert_eq!(zarr::verify(&path)?.not_finite, [4]);
    let refused = StoredInfluences::open(&path)?.compute(Concatenate::new());
    assert!(matches!(&refused, Err(Error::NotFinite { rows, .. }) if *rows == [4]));
    Ok(())
}
