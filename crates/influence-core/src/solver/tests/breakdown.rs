//! Where a block breaks down and the matrix does not: dependent right-hand sides, and single
//! precision.

use super::*;

/// The Gauss-Newton matrix of a network of 64, 64 and 10 units on images of digits: nine large
/// eigenvalues, then a long tail. With λ the condition number is 2,300.
fn of_network(dim: usize) -> Vec<f64> {
    let tail = |j: usize| 0.1 * (j as f64 / 10.0).powf(-1.2);
    let top = [2.27, 1.57, 1.34, 1.1, 0.99, 0.7, 0.68, 0.4, 0.32];
    let all = top.into_iter().chain((top.len()..).map(tail));
    all.take(dim).collect()
}

const SIZE: usize = 160;
const LAMBDA: f64 = 1e-3;

/// Gradients of test points: along the eigenvectors as long as the roots of the eigenvalues, and
/// all near a few of them.
fn gradients(matrix: &Array2<f64>, k: usize, spread: f64) -> Array2<f64> {
    let bases = testing::random((6, SIZE), 3).dot(matrix);
    let mixing = testing::random((k, 6), 4);
    let own = testing::random((k, SIZE), 5).dot(matrix);
    mixing.dot(&bases) + own * spread
}

type Preconditioned = ConjugateGradient<Single>;

/// With and without a preconditioner, each at the default and at other tolerances.
fn solvers_of_singles() -> Result<Vec<(Preconditioned, f64)>> {
    let plain = Preconditioned::new();
    let nystroem = plain
        .clone()
        .with_preconditioner(Arc::new(Nystroem::new(32)?));
    let mut solvers = vec![(plain.clone(), 1e-4), (nystroem.clone(), 1e-4)];
    for rtol in [1e-6, 1e-4] {
        solvers.push((plain.clone().with_rtol(rtol)?, rtol));
        solvers.push((nystroem.clone().with_rtol(rtol)?, rtol));
    }
    Ok(solvers)
}

/// The largest error of a row relative to its length, against elimination in 64 bits.
fn worst_row(matrix: &Array2<f64>, rhs: &Array2<f64>, rows: &Array2<f64>) -> f64 {
    let expected = testing::solve(matrix, rhs);
    let error = |row: usize| {
        let difference = &rows.row(row) - &expected.row(row);
        norm(&difference.view()) / norm(&expected.row(row)).max(f64::MIN_POSITIVE)
    };
    (0..rhs.nrows()).map(error).fold(0.0, f64::max)
}

#[test]
fn many_nearly_dependent_rows_are_solved_in_single_precision() -> Result<()> {
    let matrix = testing::symmetric(&of_network(SIZE), 5);
    let dense = &matrix + &(Array2::<f64>::eye(SIZE) * LAMBDA);
    let op: Arc<dyn LinearOperator<Rows = Single>> = Arc::new(SingleMatrix::new(&matrix));
    for spread in [1.0, 1e-2, 1e-4, 1e-7, 0.0] {
        let rhs = gradients(&matrix, 100, spread);
        for (solver, rtol) in solvers_of_singles()? {
            let inverse = solver.invert(op.clone(), LAMBDA)?;
            let solution = inverse.solve(&Single::new(&rhs))?;
            for report in &solution.reports {
                assert!(
                    report.status.is_solved(),
                    "{spread:e}, {solver:?}: {report}"
                );
                assert!(report.residual <= 1e-4, "{spread:e}, {solver:?}: {report}");
            }
            let error = worst_row(&dense, &rhs, &solution.converged()?.to_host()?);
            // The residual times the condition number bounds it, far from below.
            let bound = if rtol < 1e-5 { 2e-3 } else { 2e-2 };
            assert!(error < bound, "{spread:e}, {solver:?}: {error:e}");
        }
    }
    Ok(())
}

#[test]
fn equal_rows_rows_of_zero_and_more_rows_than_parameters_are_solved() -> Result<()> {
    let matrix = testing::symmetric(&of_network(SIZE), 5);
    let dense = &matrix + &(Array2::<f64>::eye(SIZE) * LAMBDA);
    let op: Arc<dyn LinearOperator<Rows = Single>> = Arc::new(SingleMatrix::new(&matrix));
    for k in [2, 40, SIZE + 9] {
        let mut rhs = gradients(&matrix, k, 1.0);
        let first = rhs.row(0).to_owned();
        rhs.row_mut(k - 1).assign(&first);
        // The same to a rounding.
        rhs.row_mut(k / 2).assign(&(&first * (1.0 + 2e-7)));
        let zero = (k > 2).then_some(k / 3);
        if let Some(row) = zero {
            rhs.row_mut(row).fill(0.0);
        }
        for (solver, _) in solvers_of_singles()? {
            let solution = solver
                .invert(op.clone(), LAMBDA)?
                .solve(&Single::new(&rhs))?;
            let rows = solution.converged()?.to_host()?;
            assert!(worst_row(&dense, &rhs, &rows) < 2e-2, "k = {k}, {solver:?}");
            if let Some(row) = zero {
                assert!(rows.row(row).iter().all(|value| value.abs() <= 0.0));
            }
        }
    }
    Ok(())
}

#[test]
fn the_default_tolerance_is_that_of_the_precision() -> Result<()> {
    let (op, _) = damped(&log_spaced(100.0), DAMPING)?;
    let dense = op.to_dense()?;
    let rhs = testing::random((1, DIM), 6);
    let double = ConjugateGradient::new().invert(op, 0.0)?.solve(&rhs)?;
    assert!(double.reports[0].residual <= 1e-6);
    let inverse = Preconditioned::new().invert(Arc::new(SingleMatrix::new(&dense)), 0.0)?;
    let single = inverse.solve(&Single::new(&rhs))?;
    assert!(single.reports[0].iterations < double.reports[0].iterations);
    assert!(single.reports[0].residual <= 1e-4);
    Ok(())
}

#[test]
fn a_tolerance_below_the_precision_is_said_to_be_so_and_the_matrix_is_not_blamed() -> Result<()> {
    let matrix = testing::symmetric(&of_network(SIZE), 5);
    let op: Arc<dyn LinearOperator<Rows = Single>> = Arc::new(SingleMatrix::new(&matrix));
    let rhs = Single::new(&gradients(&matrix, 5, 1.0));
    for (solver, _) in &solvers_of_singles()?[..2] {
        let inverse = solver
            .clone()
            .with_rtol(1e-12)?
            .invert(op.clone(), LAMBDA)?;
        let solution = inverse.solve(&rhs)?;
        // Also from a guess, whose residual has no part along the top eigenvectors.
        let again = inverse.solve_from(&rhs, &solution.rows)?;
        for report in solution.reports.iter().chain(&again.reports) {
            assert_eq!(report.status, Status::Rounded, "{solver:?}: {report}");
            assert!(report.residual < 1e-5, "{solver:?}: {report}");
            assert!(!report.to_string().contains("singular"), "{report}");
        }
    }
    Ok(())
}

#[test]
fn a_direction_that_is_flat_does_not_spoil_rows_that_have_none_of_it() -> Result<()> {
    // The matrix has rank DIM - 1; the first rows lie in its range, the last does not.
    let matrix = testing::symmetric(&singular(), 5);
    let mut rhs = testing::random((4, DIM), 6).dot(&matrix);
    rhs.row_mut(3).assign(&testing::random((1, DIM), 7).row(0));
    let op = Arc::new(Matrix::new(matrix.clone())?);
    let iterative = ConjugateGradient::new();
    for solver in [&Direct as &dyn Solver<Array2<f64>>, &iterative] {
        let solution = solver.invert(op.clone(), 0.0)?.solve(&rhs)?;
        for row in 0..3 {
            assert!(solution.reports[row].status.is_solved(), "{solver:?}");
            assert!(residual(&matrix, &rhs, &solution.rows, row) <= 1e-6);
        }
        assert_eq!(solution.reports[3].status, Status::Breakdown, "{solver:?}");
    }
    Ok(())
}
