//! The table: solver × spectrum × number of right-hand sides, values against Gaussian elimination.

mod breakdown;
mod budget;
mod states;

use std::sync::Arc;

use ndarray::{Array1, Array2, array, s};

use super::*;
use crate::{
    linalg::norm,
    operator::{Damped, Matrix},
    testing::{self, Single, SingleMatrix},
};

const DIM: usize = 24;
/// No larger than the curvature: a solver that ignored the operator would fail.
const DAMPING: f64 = 1e-3;

fn log_spaced(condition: f64) -> Vec<f64> {
    (0..DIM)
        .map(|j| condition.powf(j as f64 / (DIM - 1) as f64 - 1.0))
        .collect()
}

fn clustered() -> Vec<f64> {
    (0..DIM).map(|j| [1.0, 0.1, 0.02][j % 3]).collect()
}

fn indefinite() -> Vec<f64> {
    (0..DIM)
        .map(|j| if j % 8 == 0 { -0.5 } else { 1.0 })
        .collect()
}

fn singular() -> Vec<f64> {
    (0..DIM)
        .map(|j| if j == 0 { 0.0 } else { 0.1 + j as f64 })
        .collect()
}

fn damped(eigenvalues: &[f64], damping: f64) -> Result<(Arc<Damped<Matrix>>, Array2<f64>)> {
    let op = Damped::new(Matrix::new(testing::symmetric(eigenvalues, 5))?, damping)?;
    let dense = op.to_dense()?;
    Ok((Arc::new(op), dense))
}

fn counts() -> [usize; 5] {
    [0, 1, 3, DIM, DIM + 5]
}

/// Error of the solution relative to the largest entry of what elimination gives.
fn error(matrix: &Array2<f64>, rhs: &Array2<f64>, solution: &Array2<f64>) -> f64 {
    let expected = testing::solve(matrix, rhs);
    let largest = |values: &Array2<f64>| {
        values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()))
    };
    largest(&(solution - &expected)) / largest(&expected).max(f64::MIN_POSITIVE)
}

fn residual(matrix: &Array2<f64>, rhs: &Array2<f64>, solution: &Array2<f64>, row: usize) -> f64 {
    let difference = &rhs.row(row) - &solution.row(row).dot(matrix);
    norm(&difference.view()) / norm(&rhs.row(row))
}

type Named = (&'static str, Arc<dyn Solver<Array2<f64>>>);

fn solvers() -> Result<Vec<Named>> {
    let jacobi = Arc::new(Jacobi::new(16, 1)?);
    let plain = ConjugateGradient::new()
        .with_rtol(1e-9)?
        .with_max_iterations(1000)?;
    Ok(vec![
        ("direct", Arc::new(Direct)),
        ("conjugate gradient", Arc::new(plain.clone())),
        (
            "preconditioned",
            Arc::new(plain.clone().with_preconditioner(jacobi)),
        ),
        (
            "exactly preconditioned",
            Arc::new(plain.with_preconditioner(Arc::new(Direct))),
        ),
        (
            "arnoldi of full rank",
            Arc::new(Arnoldi::new(DIM)?.with_tolerance(1e-12)?),
        ),
        ("nystroem of full rank", Arc::new(Nystroem::new(DIM)?)),
    ])
}

#[test]
fn every_solver_gives_the_values_of_elimination() -> Result<()> {
    // The bound is the condition number times the tolerance.
    for (spectrum, eigenvalues, bound) in [
        ("well", log_spaced(10.0), 1e-8),
        ("ill", log_spaced(1e6), 1e-3),
        ("clustered", clustered(), 5e-8),
    ] {
        let damping = if spectrum == "ill" { 0.0 } else { DAMPING };
        let (op, dense) = damped(&eigenvalues, damping)?;
        for (name, solver) in solvers()? {
            let inverse = solver.invert(op.clone(), 0.0)?;
            for k in counts() {
                let rhs = testing::random((k, DIM), 6);
                let solution = inverse.solve(&rhs)?;
                for (row, report) in solution.reports.iter().enumerate() {
                    let truth = residual(&dense, &rhs, &solution.rows, row);
                    // Of a rank that is full up to rounding only the order of magnitude is known.
                    let known = if name.contains("rank") { 1e-7 } else { 1e-11 };
                    assert!(
                        (report.residual - truth).abs() < known,
                        "{name}, {spectrum}, k = {k}: {report}, truly {truth:e}"
                    );
                }
                let error = error(&dense, &rhs, &solution.converged()?);
                assert!(error <= bound, "{name}, {spectrum}, k = {k}: {error:e}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_solver_conforms() -> Result<()> {
    let (op, _) = damped(&log_spaced(100.0), DAMPING)?;
    testing::operator(op.as_ref(), 1e-12);
    for (name, solver) in solvers()? {
        let inverse = solver.invert(op.clone(), 0.0)?;
        testing::inverse(inverse.as_ref(), op.as_ref(), 1e-7);
        assert_eq!(solver.is_immediate(), inverse.is_immediate(), "{name}");
    }
    Ok(())
}

#[test]
fn solvers_know_beforehand_whether_their_inverses_are_immediate() -> Result<()> {
    let (op, _) = damped(&log_spaced(100.0), DAMPING)?;
    let others: [Arc<dyn Solver<Array2<f64>>>; 3] = [
        Arc::new(Identity),
        Arc::new(Jacobi::new(16, 1)?),
        Arc::new(Lissa::new()),
    ];
    for solver in others {
        let inverse = solver.invert(op.clone(), 0.0)?;
        assert_eq!(solver.is_immediate(), inverse.is_immediate(), "{solver:?}");
    }
    Ok(())
}

#[test]
fn an_indefinite_operator_is_solved_directly_and_said_to_be_so() -> Result<()> {
    let (op, dense) = damped(&indefinite(), DAMPING)?;
    let inverse = Direct.invert(op, 0.0)?;
    for k in counts() {
        let rhs = testing::random((k, DIM), 6);
        let solution = inverse.solve(&rhs)?;
        assert!(
            solution
                .reports
                .iter()
                .all(|report| report.status == Status::Indefinite { negative: 3 })
        );
        assert!(error(&dense, &rhs, &solution.converged()?) < 1e-12);
    }
    Ok(())
}

#[test]
fn negative_curvature_is_named_by_conjugate_gradients() -> Result<()> {
    let (op, _) = damped(&indefinite(), DAMPING)?;
    for k in counts() {
        let solution = ConjugateGradient::new()
            .invert(op.clone(), 0.0)?
            .solve(&testing::random((k, DIM), 6))?;
        assert!(
            solution
                .reports
                .iter()
                .all(|report| report.status == Status::NegativeCurvature),
            "{:?}",
            solution.reports
        );
        assert!(solution.rows.iter().all(|value| value.is_finite()));
    }
    Ok(())
}

#[test]
fn a_singular_operator_is_a_breakdown() -> Result<()> {
    let (op, _) = damped(&singular(), 0.0)?;
    let iterative = ConjugateGradient::new();
    for solver in [&Direct as &dyn Solver<Array2<f64>>, &iterative] {
        for k in counts() {
            let solution = solver
                .invert(op.clone(), 0.0)?
                .solve(&testing::random((k, DIM), 6))?;
            for report in &solution.reports {
                assert_eq!(
                    report.status,
                    Status::Breakdown,
                    "{solver:?}, k = {k}: {report}"
                );
                assert!(report.residual.is_finite());
            }
            assert!(
                solution.rows.iter().all(|value| value.is_finite()),
                "{solver:?}, k = {k}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_matrix_of_zeros_breaks_down_without_numbers_that_are_not_finite() -> Result<()> {
    let op = Arc::new(Matrix::new(Array2::zeros((3, 3)))?);
    let rhs = array![[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]];
    let iterative = ConjugateGradient::new();
    for solver in [&Direct as &dyn Solver<Array2<f64>>, &iterative] {
        let solution = solver.invert(op.clone(), 0.0)?.solve(&rhs)?;
        assert_eq!(solution.rows, Array2::<f64>::zeros((2, 3)), "{solver:?}");
        assert_eq!(solution.reports[0].status, Status::Breakdown, "{solver:?}");
        assert!(
            solution.reports[1].status.is_solved() && solution.reports[1].residual <= 0.0,
            "{solver:?}"
        );
    }
    Ok(())
}

#[test]
fn right_hand_sides_that_are_not_finite_are_refused_by_name() -> Result<()> {
    let (op, _) = damped(&clustered(), DAMPING)?;
    let mut rhs = testing::random((2, DIM), 1);
    rhs[[1, 3]] = f64::NAN;
    for (name, solver) in solvers()? {
        let outcome = solver.invert(op.clone(), 0.0)?.solve(&rhs);
        let said = outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(said.contains("right-hand side 1"), "{name}: {said}");
    }
    Ok(())
}

#[test]
fn a_prepared_direct_inverse_lets_the_operator_go() -> Result<()> {
    let (op, _) = damped(&clustered(), DAMPING)?;
    let inverse = Direct.invert(op.clone(), 0.0)?;
    assert_eq!((Arc::strong_count(&op), inverse.dim()), (1, DIM));
    Ok(())
}

#[test]
fn right_hand_sides_share_their_search_directions() -> Result<()> {
    let (op, _) = damped(&log_spaced(1e4), 0.0)?;
    let inverse = ConjugateGradient::new().with_rtol(1e-8)?.invert(op, 0.0)?;
    let iterations = |k: usize| -> Result<usize> {
        let reports = inverse.solve(&testing::random((k, DIM), 6))?.reports;
        assert!(
            reports.iter().all(|report| report.status.is_solved()),
            "{reports:?}"
        );
        Ok(reports
            .iter()
            .map(|report| report.iterations)
            .max()
            .unwrap_or(0))
    };
    let (one, eight, all, more) = (
        iterations(1)?,
        iterations(8)?,
        iterations(DIM)?,
        iterations(DIM + 5)?,
    );
    // Rounding costs a single row more steps than dimensions; a block hardly any.
    assert!(one <= 3 * DIM && eight <= DIM / 8 + 3, "{one}, {eight}");
    // One step and one look at the true residual.
    assert!(all <= 4 && more <= 4, "{all}, {more}");
    Ok(())
}

#[test]
fn duplicate_zero_and_differently_scaled_rows_are_no_trouble() -> Result<()> {
    let (op, dense) = damped(&log_spaced(100.0), DAMPING)?;
    let mut rhs = testing::random((6, DIM), 8);
    let first = rhs.row(0).to_owned();
    rhs.row_mut(1).assign(&first);
    rhs.row_mut(2).assign(&(&first * -1e-200));
    rhs.row_mut(3).fill(0.0);
    rhs.row_mut(4).mapv_inplace(|value| value * 1e150);
    let solution = ConjugateGradient::new()
        .with_rtol(1e-10)?
        .invert(op, 0.0)?
        .solve(&rhs)?;
    assert_eq!(
        solution.reports[3],
        Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged
        }
    );
    let rows = solution.converged()?;
    for row in [0, 1, 2, 4, 5] {
        let (b, x) = (
            rhs.slice(s![row..=row, ..]).to_owned(),
            rows.slice(s![row..=row, ..]).to_owned(),
        );
        let size = norm(&b.row(0));
        assert!(error(&dense, &(b / size), &(x / size)) < 1e-8, "row {row}");
    }
    assert!(rows.row(3).iter().all(|&value| value.abs() <= 0.0));
    Ok(())
}

#[test]
fn a_good_start_saves_iterations_and_a_solution_needs_one_look() -> Result<()> {
    let (op, dense) = damped(&log_spaced(1e3), DAMPING)?;
    let inverse = ConjugateGradient::new().invert(op, 0.0)?;
    let rhs = testing::random((1, DIM), 9);
    let exact = testing::solve(&dense, &rhs);
    let warm = inverse.solve_from(&rhs, &exact)?;
    assert!(
        warm.reports
            .iter()
            .all(|report| report.iterations == 1 && report.status == Status::Converged)
    );
    assert_eq!(warm.rows.dim(), (1, DIM));
    let near = inverse.solve_from(&rhs, &(&exact * (1.0 + 1e-5)))?;
    let cold = inverse.solve(&rhs)?;
    assert!(near.reports[0].iterations < cold.reports[0].iterations);
    assert!(error(&dense, &rhs, &near.converged()?) < 1e-4);
    Ok(())
}

#[test]
fn running_out_of_iterations_is_reported_with_the_true_residual() -> Result<()> {
    let (op, dense) = damped(&log_spaced(1e4), 0.0)?;
    let inverse = ConjugateGradient::new()
        .with_max_iterations(2)?
        .invert(op, 0.0)?;
    let rhs = testing::random((2, DIM), 10);
    let solution = inverse.solve(&rhs)?;
    for (row, report) in solution.reports.iter().enumerate() {
        assert_eq!(
            (report.status, report.iterations),
            (Status::IterationLimit, 3)
        );
        assert!((report.residual - residual(&dense, &rhs, &solution.rows, row)).abs() < 1e-12);
    }
    let said = solution.converged().map_err(|error| error.to_string());
    assert!(said.is_err_and(|said| said.contains("2 of 2") && said.contains("max_iterations")));
    Ok(())
}

#[test]
fn single_precision_reaches_what_it_can_and_says_when_it_cannot() -> Result<()> {
    /// What rounding a product of a matrix makes of a residual, per unit of its condition: a
    /// fraction of the precision of 32-bit floats.
    const ROUNDING: f64 = 4e-9;
    for (condition, solved) in [(10.0, true), (1e3, true), (1e6, false)] {
        let matrix = testing::symmetric(&log_spaced(condition), 5);
        let op = Arc::new(SingleMatrix::new(&matrix));
        let rounded = op.to_dense()?;
        let rtol = if solved { 1e-4 } else { 1e-9 };
        let inverse = ConjugateGradient::new()
            .with_rtol(rtol)?
            .with_max_iterations(400)?
            .invert(op, 0.0)?;
        for k in counts() {
            let rhs = testing::random((k, DIM), 6);
            let solution = inverse.solve(&Single::new(&rhs))?;
            let rows = solution.rows.to_host()?;
            assert!(rows.iter().all(|value| value.is_finite()));
            for (row, report) in solution.reports.iter().enumerate() {
                assert_eq!(
                    report.status.is_solved(),
                    solved,
                    "condition {condition:e}, k = {k}: {report}"
                );
                let truth = residual(&rounded, &rhs, &rows, row);
                assert!(
                    (report.residual - truth).abs() < 0.5 * truth + 1e-5 + ROUNDING * condition,
                    "{condition:e}, k = {k}: {report}, truly {truth:e}"
                );
                assert!(report.iterations <= 410, "k = {k}: {report}");
            }
        }
    }
    Ok(())
}

#[test]
fn small_gradients_survive_single_precision() -> Result<()> {
    let matrix = testing::symmetric(&log_spaced(10.0), 5);
    let rhs = testing::random((2, DIM), 6) * 1e-25;
    let inverse = ConjugateGradient::new()
        .with_rtol(1e-5)?
        .invert(Arc::new(SingleMatrix::new(&matrix)), 0.0)?;
    let rows = inverse.solve(&Single::new(&rhs))?.converged()?.to_host()?;
    assert!(error(&matrix, &rhs, &rows) < 1e-4);
    Ok(())
}

#[test]
fn the_default_limit_and_refused_settings() {
    assert!(
        ConjugateGradient::<Array2<f64>>::new()
            .with_rtol(0.0)
            .is_err()
    );
    assert!(
        ConjugateGradient::<Array2<f64>>::new()
            .with_rtol(f64::NAN)
            .is_err()
    );
    assert!(
        ConjugateGradient::<Array2<f64>>::new()
            .with_rtol(1.0)
            .is_err()
    );
    assert!(
        ConjugateGradient::<Array2<f64>>::new()
            .with_max_iterations(0)
            .is_err()
    );
}

#[test]
fn a_preconditioner_takes_out_a_bad_scaling() -> Result<()> {
    let scaling = Array1::from_shape_fn(DIM, |j| 10.0_f64.powf(3.0 * j as f64 / DIM as f64));
    let near_identity = testing::symmetric(&log_spaced(2.0), 5);
    let matrix = &near_identity * &scaling * scaling.clone().insert_axis(ndarray::Axis(1));
    let op = Arc::new(Matrix::new((&matrix + &matrix.t()) * 0.5)?);
    let plain = ConjugateGradient::new().with_rtol(1e-9)?;
    let better = plain
        .clone()
        .with_preconditioner(Arc::new(Jacobi::new(DIM * 4, 2)?));
    let rhs = testing::random((1, DIM), 6);
    let applications = |solver: ConjugateGradient<Array2<f64>>| -> Result<usize> {
        Ok(solver.invert(op.clone(), 0.0)?.solve(&rhs)?.reports[0].iterations)
    };
    let (without, with) = (applications(plain)?, applications(better)?);
    assert!(with < without, "{with} with, {without} without");
    Ok(())
}

#[test]
fn the_identity_leaves_right_hand_sides_as_they_are() -> Result<()> {
    let op = Arc::new(Damped::new(
        Matrix::new(testing::symmetric(&clustered(), 5))?,
        DAMPING,
    )?);
    let inverse = Identity.invert(op, 0.0)?;
    assert_eq!(inverse.dim(), DIM);
    for k in counts() {
        let rhs = testing::random((k, DIM), 8);
        assert_eq!(inverse.solve(&rhs)?.converged()?, rhs);
        assert_eq!(inverse.precondition(&rhs)?, rhs);
    }
    assert!(inverse.solve(&testing::random((2, DIM + 1), 8)).is_err());
    Ok(())
}
