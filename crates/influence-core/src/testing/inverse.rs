use ndarray::Array2;

use super::{assert_close, dense, succeed};
use crate::{Error, Rows, operator::LinearOperator, solver::Inverse};

/// Checks an inverse against the operator that it inverts, for no, one, few and more right-hand
/// sides than dimensions, with one of zero among them.
///
/// The operator must be well-conditioned: solutions are compared with those of Gaussian
/// elimination.
///
/// # Panics
/// When a row is not solved, a solution deviates by more than `tolerance`, or a wrong width is
/// accepted.
pub fn inverse<R: Rows>(
    inverse: &dyn Inverse<R>,
    op: &dyn LinearOperator<Rows = R>,
    tolerance: f64,
) {
    let (dim, matrix) = (op.dim(), succeed("to_dense", op.to_dense()));
    assert_eq!(inverse.dim(), dim, "the dimensions of operator and inverse");
    for k in [0, 1, 3, dim, dim + 5] {
        let mut values = dense::random((k, dim), 21);
        if k > 2 {
            values.row_mut(1).fill(0.0);
        }
        let rhs = succeed("rows", op.rows(values.view()));
        let expected = dense::solve(&matrix, &values);
        let solution = succeed("solve", inverse.solve(&rhs));
        assert_eq!(
            (solution.rows.len(), solution.reports.len()),
            (k, k),
            "rows and reports for {k} right-hand sides"
        );
        let start = succeed(
            "combine",
            solution.rows.combine((Array2::<f64>::eye(k) * 0.9).view()),
        );
        let warm = succeed(
            "solve_from",
            succeed("solve_from", inverse.solve_from(&rhs, &start)).converged(),
        );
        let cold = succeed("solve", solution.converged());
        assert_close(
            "solution",
            &succeed("to_host", cold.to_host()),
            &expected,
            tolerance,
        );
        assert_close(
            "solution from a guess",
            &succeed("to_host", warm.to_host()),
            &expected,
            tolerance,
        );
    }
    let one = succeed("rows", op.rows(Array2::ones((1, dim)).view()));
    let wide = succeed("like", one.like(Array2::ones((1, dim + 1)).view()));
    assert!(
        matches!(inverse.solve(&wide), Err(Error::Shape { .. })),
        "solve must refuse vectors of another length"
    );
    assert!(
        matches!(inverse.solve_from(&one, &wide), Err(Error::Shape { .. })),
        "solve_from must refuse a start of another shape"
    );
}
