use ndarray::{Array1, Array2, Axis};

/// Numbers between −1 and 1, the same for the same seed, for tests that need data but no
/// statistics.
pub fn random(shape: (usize, usize), seed: u64) -> Array2<f64> {
    let mut state = seed
        .wrapping_mul(0x2545_F491_4F6C_DD1D)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    Array2::from_shape_simple_fn(shape, || {
        // Knuth's linear congruential generator, of which the upper bits are good enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// A symmetric matrix with these eigenvalues and random eigenvectors.
pub fn symmetric(eigenvalues: &[f64], seed: u64) -> Array2<f64> {
    let dim = eigenvalues.len();
    let mut vectors = random((dim, dim), seed);
    for column in 0..dim {
        // Twice is enough for orthogonality to rounding (Parlett and Kahan).
        for earlier in (0..column).chain(0..column) {
            let overlap = vectors.column(column).dot(&vectors.column(earlier));
            let other = vectors.column(earlier).to_owned();
            vectors.column_mut(column).scaled_add(-overlap, &other);
        }
        let length = vectors.column(column).dot(&vectors.column(column)).sqrt();
        vectors
            .column_mut(column)
            .mapv_inplace(|value| value / length);
    }
    let matrix = (&vectors * &Array1::from(eigenvalues.to_vec())).dot(&vectors.t());
    (&matrix + &matrix.t()) * 0.5
}

/// Solves `A x = b` for each row of `rhs`, `(k, dim)`, by Gaussian elimination with partial
/// pivoting: an oracle that shares no code with the solvers.
///
/// # Panics
/// When the matrix is not square or does not fit the right-hand sides.
pub fn solve(matrix: &Array2<f64>, rhs: &Array2<f64>) -> Array2<f64> {
    let dim = matrix.nrows();
    assert_eq!(
        (matrix.ncols(), rhs.ncols()),
        (dim, dim),
        "the matrix must be square and fit the right-hand sides"
    );
    let (mut left, mut right) = (matrix.clone(), rhs.t().to_owned());
    for column in 0..dim {
        let size = |row: &usize| left[[*row, column]].abs();
        let pivot = (column..dim)
            .max_by(|a, b| size(a).total_cmp(&size(b)))
            .unwrap_or(column);
        swap_rows(&mut left, column, pivot);
        swap_rows(&mut right, column, pivot);
        for row in column + 1..dim {
            let factor = left[[row, column]] / left[[column, column]];
            eliminate(&mut left, row, column, factor);
            eliminate(&mut right, row, column, factor);
        }
    }
    for row in (0..dim).rev() {
        for later in row + 1..dim {
            eliminate(&mut right, row, later, left[[row, later]]);
        }
        right
            .row_mut(row)
            .mapv_inplace(|value| value / left[[row, row]]);
    }
    right.reversed_axes()
}

fn swap_rows(matrix: &mut Array2<f64>, a: usize, b: usize) {
    if a != b {
        let (first, second) = (matrix.row(a).to_owned(), matrix.row(b).to_owned());
        matrix.index_axis_mut(Axis(0), a).assign(&second);
        matrix.index_axis_mut(Axis(0), b).assign(&first);
    }
}

/// Takes a multiple of the row `source` from the row `target`.
fn eliminate(matrix: &mut Array2<f64>, target: usize, source: usize, factor: f64) {
    let row = matrix.row(source).to_owned();
    matrix.row_mut(target).scaled_add(-factor, &row);
}
