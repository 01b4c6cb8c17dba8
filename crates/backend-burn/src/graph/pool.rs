//! Pooling, taken apart into operations that are twice differentiable.

use burn::{
    backend::{Backend, TensorMetadata, ir::ModuleOperationIr, tensor::FloatTensor},
    tensor::{Shape, TensorData, ops::ConvOptions},
};

use super::{Environment, unsupported};
use crate::Result;

/// A window moving over two axes; one axis is two with a window of one.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    ceil: bool,
}

/// Evaluates a pooling operation.
pub(super) fn pool<B: Backend>(
    operation: &ModuleOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ModuleOperationIr as M;
    let (x, out) = match operation {
        M::MaxPool1d(op) => (&op.x, &op.out),
        M::MaxPool2d(op) => (&op.x, &op.out),
        M::AvgPool1d(op) => (&op.x, &op.out),
        M::AvgPool2d(op) => (&op.x, &op.out),
        M::AdaptiveAvgPool1d(op) => (&op.x, &op.out),
        M::AdaptiveAvgPool2d(op) => (&op.x, &op.out),
        other => return Err(unsupported(other)),
    };
    let x = planar::<B>(env.float(x)?);
    let sides = [
        if out.shape.rank() == 3 {
            1
        } else {
            out.shape[2]
        },
        out.shape[out.shape.rank() - 1],
    ];
    let value = match operation {
        M::MaxPool1d(op) => {
            let window = line(
                op.kernel_size,
                op.stride,
                op.padding,
                op.dilation,
                op.ceil_mode,
            );
            maximum(x, &window, env)
        }
        M::MaxPool2d(op) => {
            let (kernel, stride, padding) = (op.kernel_size, op.stride, op.padding);
            maximum(
                x,
                &Window {
                    kernel,
                    stride,
                    padding,
                    dilation: op.dilation,
                    ceil: op.ceil_mode,
                },
                env,
            )
        }
        M::AvgPool1d(op) => mean(
            x,
            &line(op.kernel_size, op.stride, op.padding, 1, op.ceil_mode),
            sides,
            op.count_include_pad,
            env,
        ),
        M::AvgPool2d(op) => {
            let (kernel, stride, padding) = (op.kernel_size, op.stride, op.padding);
            let window = Window {
                kernel,
                stride,
                padding,
                dilation: [1, 1],
                ceil: op.ceil_mode,
            };
            mean(x, &window, sides, op.count_include_pad, env)
        }
        _ => adaptive_mean(x, sides, env),
    };
    env.insert_float(out.id, B::float_reshape(value, out.shape.clone()));
    Ok(())
}

fn line(kernel: usize, stride: usize, padding: usize, dilation: usize, ceil: bool) -> Window {
    Window {
        kernel: [1, kernel],
        stride: [1, stride],
        padding: [0, padding],
        dilation: [1, dilation],
        ceil,
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

/// The entries that are largest now, gathered: the derivative of a maximum is that of the entry which attains it.
fn maximum<B: Backend>(x: FloatTensor<B>, window: &Window, env: &Environment<B>) -> FloatTensor<B> {
    let Window {
        kernel,
        stride,
        padding,
        dilation,
        ceil,
    } = *window;
    let values = B::float_detach(x.clone());
    let indices =
        B::max_pool2d_with_indices(values, kernel, stride, padding, dilation, ceil, env.int)
            .indices;
    let (from, to) = (x.shape(), indices.shape());
    let flat = B::float_reshape(x, Shape::new([from[0], from[1], from[2] * from[3]]));
    let indices = B::int_reshape(indices, Shape::new([to[0], to[1], to[2] * to[3]]));
    B::float_gather(2, flat, indices)
}

/// A convolution of each channel with ones, divided by the number of entries under the window.
fn mean<B: Backend>(
    x: FloatTensor<B>,
    window: &Window,
    sides: [usize; 2],
    count_padding: bool,
    env: &Environment<B>,
) -> FloatTensor<B> {
    let shape = x.shape();
    let [kernel_height, kernel_width] = window.kernel;
    let ones = B::float_ones(
        Shape::new([shape[1], 1, kernel_height, kernel_width]),
        &env.device,
        env.float,
    );
    // The last window may reach beyond the padding (ceil mode), or leave a rest.
    let reach = |axis: usize| {
        let needed = (sides[axis] - 1) * window.stride[axis] + window.kernel[axis];
        (
            window.padding[axis],
            needed.saturating_sub(shape[axis + 2] + window.padding[axis]),
        )
    };
    let options = ConvOptions {
        stride: window.stride,
        padding: [reach(0), reach(1)],
        dilation: [1, 1],
        groups: shape[1],
    };
    let sums = B::conv2d(x, ones, None, options);
    let sums = B::float_slice(
        sums,
        &[
            (0..shape[0]).into(),
            (0..shape[1]).into(),
            (0..sides[0]).into(),
            (0..sides[1]).into(),
        ],
    );
    let counts =
        [0, 1].map(|axis| counts(window, axis, shape[axis + 2], sides[axis], count_padding));
    let weights = counts[0]
        .iter()
        .flat_map(|height| counts[1].iter().map(move |width| 1.0 / (height * width)));
    let weights = TensorData::new(weights.collect::<Vec<f64>>(), [1, 1, sides[0], sides[1]]);
    B::float_mul(
        sums,
        B::float_cast(B::float_from_data(weights, &env.device), env.float),
    )
}

/// How many entries lie under the window at each position along an axis.
fn counts(
    window: &Window,
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
        #[expect(clippy::cast_precision_loss, reason = "a window has few entries")]
        let count = end.saturating_sub(start.max(first)).max(1) as f64;
        count
    };
    (0..positions).map(count).collect()
}

/// Products with one averaging matrix per axis.
fn adaptive_mean<B: Backend>(
    x: FloatTensor<B>,
    sides: [usize; 2],
    env: &Environment<B>,
) -> FloatTensor<B> {
    let shape = x.shape();
    let matrix = |from: usize, to: usize| {
        let data = TensorData::new(averaging(from, to), [1, 1, to, from]);
        B::float_cast(B::float_from_data(data, &env.device), env.float)
    };
    let rows = B::float_matmul(matrix(shape[2], sides[0]), x);
    B::float_matmul(rows, B::float_swap_dims(matrix(shape[3], sides[1]), 2, 3))
}

/// The row-major matrix `(to, from)` whose rows average the entries that fall to each output.
fn averaging(from: usize, to: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; from * to];
    for output in 0..to {
        let (start, end) = (output * from / to, ((output + 1) * from).div_ceil(to));
        #[expect(clippy::cast_precision_loss, reason = "a window has few entries")]
        matrix[output * from + start..output * from + end].fill(1.0 / (end - start) as f64);
    }
    matrix
}
