use ndarray::{Array2, Axis};

use super::{assert_close, dense::random, succeed};
use crate::{Error, Rows, operator::LinearOperator};

/// Checks that an operator is linear and symmetric, is the sum of its parts, agrees with its dense
/// form, shares sums rightly, and refuses vectors of another length.
///
/// # Panics
/// When one of these does not hold to `tolerance`.
pub fn operator<R: Rows>(op: &dyn LinearOperator<Rows = R>, tolerance: f64) {
    let dim = op.dim();
    let lift = |values: &Array2<f64>| succeed("rows", op.rows(values.view()));
    let host = |rows: crate::Result<R>| succeed("apply", succeed("apply", rows).to_host());
    let (x, y) = (random((3, dim), 11), random((3, dim), 12));
    let (ax, ay) = (host(op.apply(&lift(&x))), host(op.apply(&lift(&y))));
    assert_eq!(ax.dim(), (3, dim), "apply must keep the shape");
    let mixed = host(op.apply(&lift(&(&x * 2.0 - &y))));
    assert_close("linearity", &mixed, &(&ax * 2.0 - &ay), tolerance);
    assert_close("symmetry", &ax.dot(&y.t()), &x.dot(&ay.t()), tolerance);
    let dense = succeed("to_dense", op.to_dense());
    assert_close(
        "to_dense",
        &host(op.apply(&lift(&Array2::eye(dim)))),
        &dense,
        tolerance,
    );
    assert_close(
        "product with the dense form",
        &ax,
        &x.dot(&dense),
        tolerance,
    );
    let diagonal = succeed("diagonal", op.diagonal()).insert_axis(Axis(0));
    let expected = dense.diag().to_owned().insert_axis(Axis(0));
    assert_close("diagonal", &diagonal, &expected, tolerance);
    let shared = host(op.apply_shared(&lift(&x)));
    assert_close("shared product", &shared, &ax, tolerance);
    let parts = (0..op.parts()).map(|part| host(op.apply_part(part, &lift(&x))));
    let sum = parts.fold(Array2::zeros((3, dim)), |sum, part| sum + part);
    assert_close("sum of the parts", &sum, &ax, tolerance);
    assert_eq!(
        host(op.apply(&lift(&Array2::zeros((0, dim))))).nrows(),
        0,
        "no vectors in, no vectors out"
    );
    let wide = Array2::zeros((1, dim + 1));
    let refused = succeed("like", lift(&x).like(wide.view()));
    assert!(
        matches!(op.apply(&refused), Err(Error::Shape { .. })),
        "apply must refuse vectors of another length"
    );
    assert!(
        matches!(op.rows(wide.view()), Err(Error::Shape { .. })),
        "rows must refuse vectors of another length"
    );
}
