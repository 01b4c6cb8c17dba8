use ndarray::{Array1, Array2, Axis};

/// `−|x − y|²` of each row of the first with each of the second.
pub(super) fn minus_squared_distances([test, train]: &[Array2<f64>; 2]) -> Array2<f64> {
    let mut products = test.dot(&train.t()) * 2.0;
    products -= &squares(test).insert_axis(Axis(1));
    products -= &squares(train);
    products
}

/// The cosine of each row of the first with each of the second; 0 of a row of zeros.
pub(super) fn cosines([mut test, mut train]: [Array2<f64>; 2]) -> Array2<f64> {
    for side in [&mut test, &mut train] {
        let lengths = squares(side);
        for (mut row, square) in side.rows_mut().into_iter().zip(&lengths) {
            if *square > 0.0 {
                row /= square.sqrt();
            }
        }
    }
    test.dot(&train.t())
}

fn squares(rows: &Array2<f64>) -> Array1<f64> {
    rows.map_axis(Axis(1), |row| row.dot(&row))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn neighbours_are_told_by_distance_and_by_angle() {
        let sides = || {
            [
                array![[1.0, 2.0], [0.0, 0.0]],
                array![[4.0, 6.0], [-2.0, 1.0]],
            ]
        };
        let distances = minus_squared_distances(&sides());
        let expected = array![[-25.0, -10.0], [-52.0, -5.0]];
        assert!(
            (&distances - &expected)
                .iter()
                .all(|error| error.abs() < 1e-12)
        );
        let cosines = cosines(sides());
        let expected = array![[16.0 / (5.0_f64 * 52.0).sqrt(), 0.0], [0.0, 0.0]];
        assert!(
            (&cosines - &expected)
                .iter()
                .all(|error| error.abs() < 1e-12)
        );
    }
}
