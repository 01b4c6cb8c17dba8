use ndarray::{Array2, ArrayView2, array, s};

use super::{assert_close, dense::random, succeed};
use crate::{Error, Rows};

const DIM: usize = 7;

/// Holds every method of [`Rows`] against `Array2<f64>`.
///
/// `make` builds rows from host values.
///
/// # Panics
/// When a method deviates by more than `tolerance`, or takes sizes that do not fit.
pub fn rows<R: Rows>(make: impl Fn(ArrayView2<'_, f64>) -> R, tolerance: f64) {
    let (a, b) = (random((3, DIM), 1), random((5, DIM), 2));
    let (left, right) = (make(a.view()), make(b.view()));
    assert_eq!(
        (left.len(), left.dim(), left.is_empty()),
        (3, DIM, false),
        "len, dim, is_empty"
    );
    let host = |what: &str, rows: crate::Result<R>| succeed(what, succeed(what, rows).to_host());
    assert_close("to_host", &host("to_host", Ok(left.clone())), &a, tolerance);
    assert_close(
        "gram",
        &succeed("gram", left.gram(&right)),
        &a.dot(&b.t()),
        tolerance,
    );
    let coefficients = random((4, 3), 3);
    assert_close(
        "combine",
        &host("combine", left.combine(coefficients.view())),
        &coefficients.dot(&a),
        tolerance,
    );
    let transposed = random((3, 4), 4);
    let strided = transposed.t();
    assert_close(
        "combine, strided",
        &host("combine", left.combine(strided)),
        &strided.dot(&a),
        tolerance,
    );
    let other = make(b.slice(s![..3, ..]));
    let sum = &a + &(&b.slice(s![..3, ..]) * -0.5);
    assert_close(
        "add_scaled",
        &host("add_scaled", left.add_scaled(-0.5, &other)),
        &sum,
        tolerance,
    );
    let selected = ndarray::concatenate![
        ndarray::Axis(0),
        a.slice(s![2..3, ..]),
        a.slice(s![0..1, ..])
    ];
    assert_close(
        "select",
        &host("select", left.select(&[2, 0])),
        &selected,
        tolerance,
    );
    let factors = random((1, DIM), 5).row(0).to_owned();
    assert_close(
        "scaled_columns",
        &host("scaled_columns", left.scaled_columns(&factors)),
        &(&a * &factors),
        tolerance,
    );
    assert!(
        matches!(
            left.scaled_columns(&ndarray::Array1::zeros(DIM + 1)),
            Err(Error::Shape { .. })
        ),
        "scaled_columns must refuse factors of another number"
    );
    assert_close(
        "like",
        &host("like", left.like(b.slice(s![..;2, ..]))),
        &b.slice(s![..;2, ..]).to_owned(),
        tolerance,
    );
    blocks(&left, &a, tolerance);
    combinations(&left, &right, [&a, &b], tolerance);
    nothing(&left);
    refusals(&left, &right, make(random((3, DIM + 1), 5).view()));
}

/// Sums with combinations of a basis, in whatever form they are kept, are vectors like others.
fn combinations<R: Rows>(rows: &R, basis: &R, hosts: [&Array2<f64>; 2], tolerance: f64) {
    let coefficients = random((rows.len(), basis.len()), 6);
    let sum = succeed(
        "plus_combination",
        rows.plus_combination(0.5, coefficients.view(), basis),
    );
    let expected = hosts[0] * 0.5 + coefficients.dot(hosts[1]);
    let close = |what: &str, found: crate::Result<R>, expected: &Array2<f64>| {
        let found = succeed(what, succeed(what, found).to_host());
        assert_close(what, &found, expected, tolerance);
    };
    close("plus_combination", Ok(sum.clone()), &expected);
    let alone = rows.plus_combination(0.0, coefficients.view(), basis);
    close(
        "plus_combination of nothing",
        alone,
        &coefficients.dot(hosts[1]),
    );
    let columns = expected.slice(s![.., 1..4]).to_owned();
    close(
        "columns of a combination",
        sum.columns(std::slice::from_ref(&(1..4))),
        &columns,
    );
    let selected = expected.slice(s![1..2, ..]).to_owned();
    close("select of a combination", sum.select(&[1]), &selected);
    let factors: Vec<f64> = (0..rows.len()).map(|row| 1.5 - row as f64).collect();
    let scaled = Array2::from_diag(&ndarray::Array1::from(factors.clone())).dot(&expected);
    close("scaled combination", sum.scaled(&factors), &scaled);
    let gram = succeed("gram", sum.gram(basis));
    assert_close(
        "gram of a combination",
        &gram,
        &expected.dot(&hosts[1].t()),
        tolerance,
    );
    let gram = succeed("gram", basis.gram(&sum));
    assert_close(
        "gram with a combination",
        &gram,
        &hosts[1].dot(&expected.t()),
        tolerance,
    );
    let norms = Array2::from_shape_vec((1, rows.len()), succeed("norms", sum.norms()));
    let lengths = expected.map_axis(ndarray::Axis(1), |row| row.dot(&row).sqrt());
    assert_close(
        "norms of a combination",
        &succeed("norms", norms),
        &lengths.insert_axis(ndarray::Axis(0)),
        tolerance,
    );
}

/// `columns` and `assemble` are inverse to each other, with zeros where no block is.
fn blocks<R: Rows>(rows: &R, host: &Array2<f64>, tolerance: f64) {
    let (first, second) = ([1..2, 4..6], [2..4, 6..7]);
    let part = |ranges| succeed("columns", rows.columns(ranges));
    let expected = ndarray::concatenate![
        ndarray::Axis(1),
        host.slice(s![.., 1..2]),
        host.slice(s![.., 4..6])
    ];
    assert_close(
        "columns",
        &succeed("columns", part(&first).to_host()),
        &expected,
        tolerance,
    );
    let whole = R::assemble(
        DIM,
        &[(&second[..], part(&second)), (&first[..], part(&first))],
    );
    let mut expected = host.clone();
    expected.column_mut(0).fill(0.0);
    assert_close(
        "assemble",
        &succeed("assemble", succeed("assemble", whole).to_host()),
        &expected,
        tolerance,
    );
}

/// Stacks without vectors are stacks.
fn nothing<R: Rows>(rows: &R) {
    let none = succeed("select nothing", rows.select(&[]));
    assert_eq!(
        (none.len(), none.dim(), none.is_empty()),
        (0, DIM, true),
        "select nothing"
    );
    assert_eq!(
        succeed("gram", none.gram(rows)).dim(),
        (0, rows.len()),
        "gram of nothing"
    );
    let combined = succeed(
        "combine to nothing",
        rows.combine(Array2::zeros((0, rows.len())).view()),
    );
    assert_eq!(
        (combined.len(), combined.dim()),
        (0, DIM),
        "combine to nothing"
    );
    let zeros = succeed(
        "combine nothing",
        none.combine(Array2::zeros((2, 0)).view()),
    );
    assert_eq!(
        succeed("to_host", zeros.to_host()),
        Array2::<f64>::zeros((2, DIM)),
        "combine nothing"
    );
    assert_eq!(
        succeed("to_host", none.to_host()).dim(),
        (0, DIM),
        "nothing on the host"
    );
}

fn refusals<R: Rows>(three: &R, five: &R, wider: R) {
    assert!(
        matches!(three.gram(&wider), Err(Error::Shape { .. })),
        "gram must refuse another length"
    );
    assert!(
        matches!(
            three.combine(array![[1.0, 2.0]].view()),
            Err(Error::Shape { .. })
        ),
        "combine must refuse two for three"
    );
    assert!(
        matches!(three.add_scaled(1.0, five), Err(Error::Shape { .. })),
        "add_scaled must refuse other counts"
    );
    assert!(
        matches!(three.add_scaled(1.0, &wider), Err(Error::Shape { .. })),
        "add_scaled must refuse another length"
    );
    assert!(
        matches!(three.select(&[3]), Err(Error::OutOfRange { .. })),
        "select must refuse a row beyond the last"
    );
    let beyond = [0..2, 5..DIM + 1];
    assert!(
        matches!(three.columns(&beyond), Err(Error::OutOfRange { .. })),
        "columns must refuse a range beyond the last"
    );
    let misfit = R::assemble(DIM, &[(&[0..2, 3..4][..], wider)]);
    assert!(
        matches!(misfit, Err(Error::Shape { .. })),
        "assemble must refuse a part that does not fit its columns"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_implementation_conforms() {
        rows(|values| values.to_owned(), 0.0);
    }

    #[test]
    fn single_precision_conforms() {
        rows(|values| super::super::Single::new(&values.to_owned()), 1e-6);
    }
}
