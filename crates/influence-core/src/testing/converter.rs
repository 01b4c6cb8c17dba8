use ndarray::{Array, Axis, Dimension, IxDyn, ShapeBuilder, Slice};

use super::{assert_close, succeed};
use crate::TensorConverter;

/// Checks that arrays of the given ranks, up to 3, contiguous or not, come back from the backend as
/// they went.
///
/// # Panics
/// When one does not, to `tolerance`.
pub fn converter<C: TensorConverter>(converter: &C, ranks: &[usize], tolerance: f64) {
    let shapes = [&[4][..], &[3, 5], &[2, 3, 4], &[0, 3]];
    for shape in shapes
        .into_iter()
        .filter(|shape| ranks.contains(&shape.len()))
    {
        let wave = |index: &IxDyn| {
            index
                .slice()
                .iter()
                .fold(0.3, |value, &i| (value * 7.1 + i as f64).sin())
        };
        let plain = Array::from_shape_fn(IxDyn(shape), |index| wave(&index));
        let columns = Array::from_shape_fn(IxDyn(shape).f(), |index| wave(&index));
        let every_other = plain.slice_axis(Axis(0), Slice::new(0, None, 2));
        for array in [plain.view(), columns.view(), plain.t(), every_other] {
            let tensor = succeed("to_tensor", converter.to_tensor(array.clone()));
            assert_close(
                "round trip",
                &succeed("to_array", converter.to_array(&tensor)).view(),
                &array,
                tolerance,
            );
        }
    }
}
