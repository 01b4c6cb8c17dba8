//! Approximate solvers come to the exact answer as what they may spend grows.

use ndarray::Axis;

use super::*;
use crate::operator::SampleMean;

/// The top eigenvalue is 1; both dampings are well below it.
const DAMPINGS: [f64; 2] = [0.1, 0.01];

/// Falls off by steps of a factor, as curvatures of networks do, some directions downwards if
/// wanted.
fn decaying(indefinite: bool) -> Array2<f64> {
    let value = |j: usize| {
        let sign = if indefinite && j % 5 == 3 { -1.0 } else { 1.0 };
        sign * 0.75_f64.powi(i32::try_from(j).expect("small"))
    };
    let values: Vec<f64> = (0..DIM).map(value).collect();
    testing::symmetric(&values, 9)
}

fn errors(
    matrix: &Array2<f64>,
    damping: f64,
    solvers: impl IntoIterator<Item = Arc<dyn Solver<Array2<f64>>>>,
) -> Result<Vec<f64>> {
    let op = Arc::new(Matrix::new(matrix.clone())?);
    let dense = matrix + &(Array2::<f64>::eye(DIM) * damping);
    let rhs = testing::random((5, DIM), 6);
    let of_solver = |solver: Arc<dyn Solver<Array2<f64>>>| {
        let solution = solver.invert(op.clone(), damping)?.solve(&rhs)?;
        for (row, report) in solution.reports.iter().enumerate() {
            let truth = residual(&dense, &rhs, &solution.rows, row);
            assert!(
                truth <= report.residual * (1.0 + 1e-6) + 1e-9,
                "{solver:?} claims {report}, truly {truth:e}"
            );
        }
        Ok(error(&dense, &rhs, &solution.rows))
    };
    solvers.into_iter().map(of_solver).collect()
}

fn falls(errors: &[f64], last: f64, what: &str) {
    for pair in errors.windows(2) {
        assert!(pair[1] <= 1.2 * pair[0] + 1e-9, "{what}: {errors:?}");
    }
    let [first, .., end] = errors else {
        panic!("{what}: at least two budgets");
    };
    assert!(end < &last && *first > 10.0 * last, "{what}: {errors:?}");
}

#[test]
fn more_eigenvectors_bring_low_rank_solvers_to_the_exact_answer() -> Result<()> {
    let ranks = [2, 4, 8, 16, DIM];
    for indefinite in [false, true] {
        let matrix = decaying(indefinite);
        for damping in DAMPINGS {
            let arnoldi = |rank| Ok(Arc::new(Arnoldi::new(rank)?.with_tolerance(1e-10)?) as _);
            let solvers: Result<Vec<_>> = ranks.into_iter().map(arnoldi).collect();
            let arnoldi = errors(&matrix, damping, solvers?)?;
            falls(&arnoldi, 1e-9, "arnoldi");
            if !indefinite {
                let nystroem = |rank| Ok(Arc::new(Nystroem::new(rank)?.with_seed(2)) as _);
                let solvers: Result<Vec<_>> = ranks.into_iter().map(nystroem).collect();
                falls(&errors(&matrix, damping, solvers?)?, 1e-9, "nystroem");
            }
        }
    }
    Ok(())
}

#[test]
fn without_the_complement_low_rank_stays_away() -> Result<()> {
    let arnoldi = Arnoldi::new(16)?;
    let solvers: [Arc<dyn Solver<_>>; 2] = [
        Arc::new(arnoldi.clone()),
        Arc::new(arnoldi.without_complement()),
    ];
    let [with, without] = errors(&decaying(false), 0.1, solvers)?[..] else {
        panic!("two solvers");
    };
    assert!(with < 0.05 && without > 0.3, "{with} {without}");
    Ok(())
}

#[test]
fn arnoldi_finds_the_eigenvalues_of_largest_magnitude() -> Result<()> {
    for (rank, indefinite) in [(1, false), (5, true), (DIM, true), (DIM + 9, false)] {
        let op: Arc<dyn LinearOperator<Rows = _>> = Arc::new(Matrix::new(decaying(indefinite))?);
        let prepared = Arnoldi::new(rank)?.with_tolerance(1e-12)?.prepare(op)?;
        let values = prepared.state()?.vector("values")?;
        assert_eq!(values.len(), rank.min(DIM));
        for (j, value) in values.iter().enumerate() {
            let expected = 0.75_f64.powi(i32::try_from(j).expect("small"));
            let sign = if indefinite && j % 5 == 3 { -1.0 } else { 1.0 };
            assert!((value - sign * expected).abs() < 1e-10, "{j}: {value}");
        }
    }
    Ok(())
}

/// Forty samples in batches of 7, the last of 5.
fn samples() -> Result<Arc<SampleMean>> {
    let scales = Array1::from_shape_fn(DIM, |j| 1.6 * 0.8_f64.powi(i32::try_from(j).unwrap_or(0)));
    let vectors = testing::random((40, DIM), 3) * &scales;
    Ok(Arc::new(SampleMean::new(vectors, 7)?))
}

fn lissa_errors(damping: f64, settings: &[Lissa<Array2<f64>>]) -> Result<Vec<f64>> {
    let op = samples()?;
    let dense = Damped::new(op.clone(), damping)?.to_dense()?;
    let rhs = testing::random((3, DIM), 6);
    let of_setting = |lissa: &Lissa<_>| {
        let rows = lissa.invert(op.clone(), damping)?.solve(&rhs)?.rows;
        Ok(error(&dense, &rhs, &rows))
    };
    settings.iter().map(of_setting).collect()
}

#[test]
fn more_steps_and_repeats_bring_lissa_to_the_exact_answer() -> Result<()> {
    for damping in [0.1, 0.03] {
        let full = |depth| Lissa::new().full_batch().with_depth(depth);
        let full: Result<Vec<_>> = [10, 100, 1000, 4000].map(full).into_iter().collect();
        let full = lissa_errors(damping, &full?)?;
        falls(&full, 1e-9, "full batch");
        let stochastic = |(depth, repeats)| {
            let lissa = Lissa::new().with_depth(depth)?.with_repeats(repeats)?;
            Ok(lissa.with_seed(4))
        };
        let budgets = [(20, 1), (300, 1), (10_000, 1), (40_000, 4)];
        let stochastic: Result<Vec<_>> = budgets.map(stochastic).into_iter().collect();
        let errors = lissa_errors(damping, &stochastic?)?;
        for pair in errors.windows(2) {
            assert!(pair[1] < pair[0], "{errors:?}");
        }
        assert!(errors[3] < 2e-3, "{errors:?}");
    }
    Ok(())
}

#[test]
fn a_preconditioner_saves_lissa_steps() -> Result<()> {
    let near: [Arc<dyn Solver<Array2<f64>>>; 2] =
        [Arc::new(Nystroem::new(8)?), Arc::new(Jacobi::new(200, 1)?)];
    for damping in [0.03, 0.003] {
        for near in &near {
            let full = Lissa::new().full_batch().with_depth(200)?;
            let stochastic = Lissa::new().with_depth(200)?.with_seed(4);
            for (plain, gain) in [(full, 1e-3), (stochastic, 0.9)] {
                let preconditioned = plain.clone().with_preconditioner(near.clone());
                let errors = lissa_errors(damping, &[plain, preconditioned])?;
                assert!(
                    errors[1] < gain * errors[0],
                    "{damping} {near:?}: {errors:?}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn an_exact_preconditioner_leaves_lissa_what_its_scale_does() -> Result<()> {
    // M (A + λI) is the identity, and the scale is 1.2 times its top eigenvalue.
    for depth in [3, 10] {
        let lissa = Lissa::new().full_batch().with_depth(depth)?;
        let lissa = lissa.with_preconditioner(Arc::new(Direct));
        let reports = lissa
            .invert(samples()?, 0.03)?
            .solve(&testing::random((3, DIM), 6))?
            .reports;
        let left = (1.0 - 1.0 / 1.2_f64).powi(i32::try_from(depth).expect("few") + 1);
        for report in reports {
            assert!(
                (report.residual / left - 1.0).abs() < 1e-5,
                "{report} {left:e}"
            );
        }
    }
    Ok(())
}

#[test]
fn lissa_says_when_it_diverges_and_what_to_change() -> Result<()> {
    let lissa = Lissa::new().with_scale(0.2)?.with_depth(2000)?;
    for lissa in [lissa.clone(), lissa.full_batch()] {
        let solution = lissa
            .invert(samples()?, 0.1)?
            .solve(&testing::random((2, DIM), 6))?;
        let diverged = |report: &Report| report.status == Status::Diverged;
        assert!(
            solution.reports.iter().all(diverged),
            "{:?}",
            solution.reports
        );
        assert!(solution.rows.iter().all(|value| value.abs() <= 0.0));
        let said = solution.converged().err().map(|error| error.to_string());
        assert!(said.unwrap_or_default().contains("raise the scale"));
    }
    let short = Lissa::new().with_depth(3)?.invert(samples()?, 1e-3)?;
    let reports = short.solve(&testing::random((2, DIM), 6))?.reports;
    assert!(
        reports
            .iter()
            .all(|report| report.status == Status::IterationLimit)
    );
    Ok(())
}

#[test]
fn the_harmonic_mean_is_the_mean_of_the_inverses_of_samples() -> Result<()> {
    let vectors = testing::random((11, 5), 3);
    let op = Arc::new(SampleMean::new(vectors.clone(), 4)?);
    for damping in DAMPINGS {
        let mut mean = Array2::<f64>::zeros((5, 5));
        for vector in vectors.outer_iter() {
            let column = vector.insert_axis(Axis(1));
            let alone = column.dot(&column.t()) + Array2::<f64>::eye(5) * damping;
            mean += &(testing::solve(&alone, &Array2::eye(5)) / 11.0);
        }
        let inverse = InverseHarmonicMean.invert(op.clone(), damping)?;
        for k in [0, 1, 4, 9] {
            let rhs = testing::random((k, 5), 8);
            let solution = inverse.solve(&rhs)?.converged()?;
            testing::assert_close("harmonic mean", &solution, &rhs.dot(&mean), 1e-12);
        }
    }
    let none = InverseHarmonicMean.invert(op, 0.0);
    assert!(matches!(none, Err(Error::Setting { .. })));
    let matrix = Arc::new(Matrix::new(testing::symmetric(&[1.0, 2.0], 1))?);
    let refused = InverseHarmonicMean.invert(matrix, 0.1);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    Ok(())
}

#[test]
fn a_sketch_of_an_indefinite_operator_is_stable_and_says_so() -> Result<()> {
    // Where the Cholesky factorisation of the core fails, others have been off by a factor of
    // thousands.
    let values: Vec<f64> = (0..DIM)
        .map(|j| -1.0 + 6.0 * j as f64 / (DIM - 1) as f64)
        .collect();
    let matrix = testing::symmetric(&values, 4);
    let op = Arc::new(Matrix::new(matrix.clone())?);
    let rhs = testing::random((4, DIM), 6);
    let dense = &matrix + &(Array2::<f64>::eye(DIM) * 0.3);
    let whole = Nystroem::new(DIM)?.invert(op.clone(), 0.3)?.solve(&rhs)?;
    let negative = values.iter().filter(|value| **value + 0.3 < 0.0).count();
    let status = Status::Indefinite { negative };
    assert!(
        whole.reports.iter().all(|report| report.status == status),
        "{:?}",
        whole.reports
    );
    assert!(error(&dense, &rhs, &whole.rows) < 1e-8);
    let half = Nystroem::new(DIM / 2)?
        .prepare(op)?
        .state()?
        .vector("values")?;
    assert!(
        half.iter().all(|value| (-1.1..5.1).contains(value)),
        "{half}"
    );
    assert!((half[0] - 5.0).abs() < 0.05, "{half}");
    Ok(())
}

#[test]
fn a_sketch_preconditions_conjugate_gradients() -> Result<()> {
    let op = Arc::new(Matrix::new(testing::symmetric(&log_spaced(1e6), 5))?);
    let rhs = testing::random((1, DIM), 6);
    let plain = ConjugateGradient::new().with_rtol(1e-8)?;
    let sketched = plain
        .clone()
        .with_preconditioner(Arc::new(Nystroem::new(16)?));
    let iterations = |solver: ConjugateGradient<_>| -> Result<usize> {
        let solution = solver.invert(op.clone(), 1e-6)?.solve(&rhs)?;
        let iterations = solution.reports[0].iterations;
        let dense = op.to_dense()? + Array2::<f64>::eye(DIM) * 1e-6;
        assert!(error(&dense, &rhs, &solution.converged()?) < 1e-3);
        Ok(iterations)
    };
    let (plain, sketched) = (iterations(plain)?, iterations(sketched)?);
    assert!(
        2 * sketched < plain,
        "{sketched} against {plain} iterations"
    );
    Ok(())
}

#[test]
fn approximate_solvers_work_in_single_precision() -> Result<()> {
    let matrix = decaying(false);
    let op = Arc::new(SingleMatrix::new(&matrix));
    let dense = &matrix + &(Array2::<f64>::eye(DIM) * 0.1);
    let rhs = testing::random((3, DIM), 6);
    let solvers: [(Box<dyn Solver<Single>>, f64); 5] = [
        (Box::new(Arnoldi::new(16)?), 0.05),
        (Box::new(Arnoldi::new(DIM)?), 1e-4),
        (Box::new(Nystroem::new(16)?), 0.1),
        (Box::new(Nystroem::new(DIM)?), 1e-2),
        (Box::new(Lissa::new().with_depth(2000)?), 1e-4),
    ];
    for (solver, tolerance) in solvers {
        let solution = solver.invert(op.clone(), 0.1)?.solve(&Single::new(&rhs))?;
        for report in &solution.reports {
            assert!(report.status.is_solved(), "{solver:?}: {report}");
        }
        let error = error(&dense, &rhs, &solution.rows.to_host()?);
        assert!(error < tolerance, "{solver:?}: {error:e}");
    }
    Ok(())
}

#[test]
fn a_single_dimension_and_a_flat_operator_are_no_trouble() -> Result<()> {
    let one = Arc::new(SampleMean::new(array![[2.0], [1.0]], 1)?);
    let flat = Arc::new(SampleMean::new(Array2::zeros((3, 4)), 2)?);
    let solvers: [Box<dyn Solver<Array2<f64>>>; 4] = [
        Box::new(Arnoldi::new(3)?),
        Box::new(Nystroem::new(3)?),
        Box::new(Lissa::new().with_depth(4000)?),
        Box::new(InverseHarmonicMean),
    ];
    for solver in solvers {
        let solution = solver
            .invert(one.clone(), 0.5)?
            .solve(&array![[3.0], [0.0]])?;
        let expected = match format!("{solver:?}").as_str() {
            "InverseHarmonicMean" => 3.0 * (1.0 / 4.5 + 1.0 / 1.5) / 2.0,
            _ => 1.0,
        };
        let rows = &solution.rows;
        assert!((rows[[0, 0]] - expected).abs() < 0.03, "{solver:?}: {rows}");
        assert!(rows[[1, 0]].abs() <= 0.0, "{solver:?}: {rows}");
        let rhs = testing::random((2, 4), 3);
        let rows = solver.invert(flat.clone(), 0.5)?.solve(&rhs)?.rows;
        testing::assert_close("flat", &rows, &(rhs * 2.0), 1e-9);
    }
    Ok(())
}

#[test]
fn a_right_hand_side_of_zero_is_solved_by_zero_from_any_start() -> Result<()> {
    let inverse = Lissa::new().with_depth(10)?.invert(samples()?, 0.1)?;
    let start = testing::random((1, DIM), 2);
    let solution = inverse.solve_from(&Array2::zeros((1, DIM)), &start)?;
    assert!(solution.rows.iter().all(|value| value.abs() <= 0.0));
    assert_eq!(solution.reports[0].status, Status::Converged);
    Ok(())
}
