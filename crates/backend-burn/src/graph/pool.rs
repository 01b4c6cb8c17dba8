//! Pooling, taken apart into operations that are twice differentiable.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::{ModuleOperationIr, TensorIr},
        tensor::FloatTensor,
    },
    tensor::{Shape, TensorData, ops::ConvOptions},
};

use super::environment::{Environment, refuse};
use crate::Result;

/// A window moving over two axes; one axis is two with a window of one.
struct PoolWindow {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    ceil: bool,
}

/// The window of a recorded operation.
macro_rules! window {
    (line $op:ident, $dilation:expr) => {
        PoolWindow {
            kernel: [1, $op.kernel_size],
            stride: [1, $op.stride],
            padding: [0, $op.padding],
            dilation: [1, $dilation],
            ceil: $op.ceil_mode,
        }
    };
    (plane $op:ident, $dilation:expr) => {
        PoolWindow {
            kernel: $op.kernel_size,
            stride: $op.stride,
            padding: $op.padding,
            dilation: $dilation,
            ceil: $op.ceil_mode,
        }
    };
}

/// Evaluates a pooling operation.
pub(super) fn pool<B: Backend>(
    operation: &ModuleOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ModuleOperationIr as M;
    match operation {
        M::MaxPool1d(op) => maximum(&op.x, &op.out, None, &window!(line op, op.dilation), env),
        M::MaxPool2d(op) => maximum(&op.x, &op.out, None, &window!(plane op, op.dilation), env),
        M::MaxPool1dWithIndices(op) => {
            let window = window!(line op, op.dilation);
            maximum(&op.x, &op.out, Some(&op.out_indices), &window, env)
        }
        M::MaxPool2dWithIndices(op) => {
            let window = window!(plane op, op.dilation);
            maximum(&op.x, &op.out, Some(&op.out_indices), &window, env)
        }
        M::AvgPool1d(op) => {
            let window = window!(line op, 1);
            mean(&op.x, &op.out, &window, op.count_include_pad, env)
        }
        M::AvgPool2d(op) => {
            let window = window!(plane op, [1, 1]);
            mean(&op.x, &op.out, &window, op.count_include_pad, env)
        }
        M::AdaptiveAvgPool1d(op) => adaptive_mean(&op.x, &op.out, env),
        M::AdaptiveAvgPool2d(op) => adaptive_mean(&op.x, &op.out, env),
        M::AdaptiveAvgPool3d(op) => adaptive_mean(&op.x, &op.out, env),
        other => refuse(other, env),
    }
}

/// `(n, c, l)` as `(n, c, 1, l)`.
fn planar<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    if shape.rank() == 3 {
        B::float_reshape(x, Shape::new([shape[0], shape[1], 1, shape[2]]))
    } else {
        x
    }
}

/// The entries that are largest now, gathered: the derivative of a maximum is that of the entry
/// which attains it.
fn maximum<B: Backend>(
    x: &TensorIr,
    out: &TensorIr,
    out_indices: Option<&TensorIr>,
    window: &PoolWindow,
    env: &mut Environment<B>,
) -> Result<()> {
    let PoolWindow {
        kernel,
        stride,
        padding,
        dilation,
        ceil,
    } = *window;
    let x = planar::<B>(env.float(x)?);
    let values = B::float_detach(x.clone());
    let indices =
        B::max_pool2d_with_indices(values, kernel, stride, padding, dilation, ceil, env.int)
            .indices;
    let (from, to) = (x.shape(), indices.shape());
    let flat = B::float_reshape(x, Shape::new([from[0], from[1], from[2] * from[3]]));
    let places = B::int_reshape(indices.clone(), Shape::new([to[0], to[1], to[2] * to[3]]));
    let value = B::float_reshape(B::float_gather(2, flat, places), out.shape.clone());
    env.insert_float(out.id, value);
    if let Some(out) = out_indices {
        env.insert_int(out.id, B::int_reshape(indices, out.shape.clone()));
    }
    Ok(())
}

/// A convolution of each channel with ones, divided by the number of entries under the window.
fn mean<B: Backend>(
    x: &TensorIr,
    out: &TensorIr,
    window: &PoolWindow,
    count_padding: bool,
    env: &mut Environment<B>,
) -> Result<()> {
    let x = planar::<B>(env.float(x)?);
    let shape = x.shape();
    let last = out.shape.rank() - 1;
    let sides = [if last == 2 { 1 } else { out.shape[2] }, out.shape[last]];
    let [height, width] = window.kernel;
    let ones = B::float_ones(
        Shape::new([shape[1], 1, height, width]),
        &env.device,
        env.float,
    );
    let options = ConvOptions {
        stride: window.stride,
        padding: [0, 1].map(|axis| reach(window, axis, shape[axis + 2], sides[axis])),
        dilation: [1, 1],
        groups: shape[1],
    };
    let sums = B::conv2d(x, ones, None, options);
    let kept = [shape[0], shape[1], sides[0], sides[1]].map(|side| (0..side).into());
    let counts =
        [0, 1].map(|axis| counts(window, axis, shape[axis + 2], sides[axis], count_padding));
    let weights = counts[0]
        .iter()
        .flat_map(|height| counts[1].iter().map(move |width| 1.0 / (height * width)));
    let weights = TensorData::new(weights.collect::<Vec<f64>>(), [1, 1, sides[0], sides[1]]);
    let value = B::float_mul(B::float_slice(sums, &kept), env.constant(weights));
    env.insert_float(out.id, B::float_reshape(value, out.shape.clone()));
    Ok(())
}

/// The padding before and after an axis; the last window may reach beyond the padding (ceil mode).
fn reach(window: &PoolWindow, axis: usize, length: usize, positions: usize) -> (usize, usize) {
    let padding = window.padding[axis];
    let needed = (positions - 1) * window.stride[axis] + window.kernel[axis];
    (padding, needed.saturating_sub(length + padding))
}

/// How many entries lie under the window at each position along an axis.
fn counts(
    window: &PoolWindow,
    axis: usize,
    length: usize,
    positions: usize,
    count_padding: bool,
) -> Vec<f64> {
    let padding = window.padding[axis];
    let (first, last) = if count_padding {
        (0, length + 2 * padding)
    } else {
        (padding, padding + length)
    };
    let count = |position: usize| {
        let start = position * window.stride[axis];
        let end = (start + window.kernel[axis]).min(last);
        end.saturating_sub(start.max(first)).max(1) as f64
    };
    (0..positions).map(count).collect()
}

/// Products with one averaging matrix per axis.
fn adaptive_mean<B: Backend>(x: &TensorIr, out: &TensorIr, env: &mut Environment<B>) -> Result<()> {
    let mut value = env.float(x)?;
    let (from, last) = (value.shape(), out.shape.rank() - 1);
    for axis in 2..=last {
        let mut shape = vec![1; last - 1];
        shape.extend([from[axis], out.shape[axis]]);
        let matrix = TensorData::new(averaging(from[axis], out.shape[axis]), shape);
        let lines = B::float_swap_dims(value, axis, last);
        let means = (env.product)(lines, env.constant(matrix));
        value = B::float_swap_dims(means, axis, last);
    }
    env.insert_float(out.id, value);
    Ok(())
}

/// The row-major matrix `(from, to)` whose columns average the entries that fall to each output.
fn averaging(from: usize, to: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; from * to];
    for output in 0..to {
        let window = (output * from / to)..((output + 1) * from).div_ceil(to);
        let weight = 1.0 / window.len() as f64;
        window.for_each(|entry| matrix[entry * to + output] = weight);
    }
    matrix
}
