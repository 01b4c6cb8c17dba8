//! The difference of numbers from a reference.

use ndarray::ArrayD;

/// The largest difference, relative to the largest entry of the reference; NaN counts as infinite.
pub(crate) fn difference(values: &ArrayD<f64>, reference: &ArrayD<f64>) -> f64 {
    assert_eq!(values.shape(), reference.shape());
    let scale = reference
        .iter()
        .fold(0.0_f64, |scale, value| scale.max(value.abs()));
    let each = values.iter().zip(reference).map(|(a, b)| (a - b).abs());
    each.fold(0.0_f64, |worst, each| {
        if each.is_nan() {
            f64::INFINITY
        } else {
            worst.max(each)
        }
    }) / scale
}
