//! Pooling: the largest entry under a window, or their mean.
//!
//! Windows over one axis are windows over two, the other of length 1. Both kinds of pooling may be
//! done axis by axis, so that three axes are two poolings. Where padding differs at the two ends,
//! or the last window reaches beyond it (`ceil_mode`), the tensor is padded first: with −∞ for a
//! maximum. For a mean it is padded with zeros, and corrected by how many entries that count lie
//! under each window.

use burn::{
    backend::{
        Dispatch,
        ops::{FloatTensorOps, ModuleOps, PadMode},
    },
    tensor::TensorData,
};

use super::{
    Call, Operator, Slot, one,
    window::{SlidingWindow, checked, windows},
};
use crate::{
    Error, Result,
    value::{Devices, Value, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "MaxPool" => |call| pool(call, PoolingKind::Largest),
        "AveragePool" => average,
        "GlobalAveragePool" => |call| global(call, Value::mean_along),
        "GlobalMaxPool" => |call| {
            global(call, |value, axis| {
                value.change(|tensor| Dispatch::float_max_dim(tensor, axis))
            })
        },
        _ => return None,
    }))
}

/// What is computed of the entries under a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolingKind {
    /// The largest.
    Largest,
    /// Their mean, of those in the tensor only or of those in the padding too.
    Mean { padding: bool },
}

fn average(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let padding = call.node.attributes.flag("count_include_pad")?;
    pool(call, PoolingKind::Mean { padding })
}

/// The mean or the largest of all entries after the first two axes.
fn global(call: &mut Call<'_>, along: fn(Value, usize) -> Value) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    Ok(one((2..value.rank()).fold(value, along)))
}

fn pool(call: &mut Call<'_>, kind: PoolingKind) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    if call.wants(1) && kind == PoolingKind::Largest && call.node.outputs.len() > 1 {
        return Err(Error::operator(
            "the places of the largest entries are not computed",
        ));
    }
    let kernel = call.node.attributes.ints("kernel_shape")?;
    let kernel = kernel.ok_or_else(|| Error::operator("attribute `kernel_shape` is missing"))?;
    let kernel = checked("kernel_shape", kernel, kernel.len())?;
    if !(3..=5).contains(&value.rank()) || value.dims().contains(&0) {
        return Err(Error::Operator(format!(
            "a tensor of shape {:?}, expected 3, 4 or 5 axes, none of them empty",
            value.dims()
        )));
    }
    let windows = windows(call, &value.dims()[2..], &kernel)?;
    let ceil = call.node.attributes.flag("ceil_mode")?;
    Ok(one(pooled(value, &windows, kind, ceil, call.devices)?))
}

/// A window of one entry, which changes nothing.
const STILL: SlidingWindow = SlidingWindow {
    kernel: 1,
    stride: 1,
    dilation: 1,
    padding: (0, 0),
};

/// Pools the axes after the first two, of which there are as many as windows: one to three.
pub(super) fn pooled(
    value: Value,
    windows: &[SlidingWindow],
    kind: PoolingKind,
    ceil: bool,
    devices: &Devices,
) -> Result<Value> {
    let dims = value.dims();
    let (n, channels, sides) = (dims[0], dims[1], &dims[2..]);
    // The last two axes, then the one before them with the others joined.
    let (first, last) = match windows {
        [only] => (None, [STILL, *only]),
        [row, column] => (None, [*row, *column]),
        [depth, row, column] => (Some(*depth), [*row, *column]),
        _ => return Err(Error::operator("pooling over more than three axes")),
    };
    let depth = if first.is_some() { sides[0] } else { 1 };
    let rows = if sides.len() == 1 {
        1
    } else {
        sides[sides.len() - 2]
    };
    let columns = sides[sides.len() - 1];
    let plane = [n, channels * depth, rows, columns];
    let pooled = plane_pooled(value.reshape(&plane)?, last, kind, ceil, devices)?;
    let mut result = pooled.dims();
    let Some(first) = first else {
        if sides.len() == 1 {
            result.remove(2);
        }
        return pooled.reshape(&result);
    };
    let (rows, columns) = (result[2], result[3]);
    let lines = pooled.reshape(&[n, channels, depth, rows * columns])?;
    let pooled = plane_pooled(lines, [first, STILL], kind, ceil, devices)?;
    let depth = pooled.dims()[2];
    pooled.reshape(&[n, channels, depth, rows, columns])
}

/// How many positions a window has along an axis.
fn positions(side: usize, window: &SlidingWindow, ceil: bool) -> Result<usize> {
    let padded = side + window.padding.0 + window.padding.1;
    let way = padded.checked_sub(window.extent()).ok_or_else(|| {
        Error::Operator(format!(
            "a window over {} of {padded} entries",
            window.extent()
        ))
    })?;
    let floor = way / window.stride + 1;
    // The last window begins in the tensor or in the padding before it.
    let begins = floor * window.stride < side + window.padding.0;
    let more = ceil && !way.is_multiple_of(window.stride) && begins;
    Ok(floor + usize::from(more))
}

/// Pools the last two of four axes.
fn plane_pooled(
    value: Value,
    windows: [SlidingWindow; 2],
    kind: PoolingKind,
    ceil: bool,
    devices: &Devices,
) -> Result<Value> {
    let dims = value.dims();
    let sides = [dims[2], dims[3]];
    let positions = [
        positions(sides[0], &windows[0], ceil)?,
        positions(sides[1], &windows[1], ceil)?,
    ];
    check_count(&[dims[0], dims[1], positions[0], positions[1]], value.known)?;
    // How much padding the last window takes after the axis.
    let after = [0, 1].map(|axis| {
        let window = &windows[axis];
        let reach = (positions[axis] - 1) * window.stride + window.extent();
        reach.saturating_sub(sides[axis] + window.padding.0)
    });
    let before = [0, 1].map(|axis| windows[axis].padding.0);
    let kernel = windows.map(|window| window.kernel);
    let stride = windows.map(|window| window.stride);
    let dilation = windows.map(|window| window.dilation);
    // Backends pad both ends alike, by less than a window, and take as many positions as fit.
    let alike = [0, 1].iter().all(|&axis| {
        let window = &windows[axis];
        let (first, last) = window.padding;
        first == last
            && 2 * first <= window.kernel
            && positions[axis] == positions_of_backend(sides[axis], window)
    });
    let largest = kind == PoolingKind::Largest;
    let plain = alike && (largest || dilation == [1, 1]);
    if plain {
        return Ok(value.change(|x| match kind {
            PoolingKind::Largest => {
                Dispatch::max_pool2d(x, kernel, stride, before, dilation, false)
            }
            PoolingKind::Mean { padding } => {
                Dispatch::avg_pool2d(x, kernel, stride, before, padding, false)
            }
        }));
    }
    let ends = [(0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])];
    let padded = |value: Value, number: f32| {
        value.change(|x| Dispatch::float_pad(x, &ends, PadMode::Constant(number)))
    };
    let PoolingKind::Mean { padding } = kind else {
        let padded = padded(value, f32::NEG_INFINITY);
        return Ok(
            padded.change(|x| Dispatch::max_pool2d(x, kernel, stride, [0, 0], dilation, false))
        );
    };
    let known = value.known;
    let sums = summed(padded(value, 0.0), windows, devices)?;
    let sums = sums
        .slice(2, 0, positions[0], 1)
        .slice(3, 0, positions[1], 1);
    let counts = [0, 1].map(|axis| counts(sides[axis], &windows[axis], positions[axis], padding));
    let inverse = |row: &f64| {
        counts[1]
            .iter()
            .map(move |column| (row * column).recip())
            .collect::<Vec<_>>()
    };
    let inverses: Vec<f64> = counts[0].iter().flat_map(inverse).collect();
    let inverses = Value::known(
        TensorData::new(inverses, [1, 1, positions[0], positions[1]]),
        devices,
    );
    let inverses = if known {
        inverses
    } else {
        inverses.away(devices)?
    };
    sums.times(inverses)
}

/// How many positions a backend finds, rounding down.
fn positions_of_backend(side: usize, window: &SlidingWindow) -> usize {
    (side + 2 * window.padding.0).saturating_sub(window.extent()) / window.stride + 1
}

/// The sums under windows, each channel by itself: one product for each axis and entry.
fn summed(value: Value, windows: [SlidingWindow; 2], devices: &Devices) -> Result<Value> {
    let channels = value.dims()[1];
    let kernel = [channels, 1, windows[0].kernel, windows[1].kernel];
    check_count(&kernel, true)?;
    let ones = Value::full(1.0, &kernel, devices)?;
    let [value, ones] = Value::together([value, ones], devices)?;
    let unpadded = windows.map(|window| SlidingWindow {
        padding: (0, 0),
        ..window
    });
    super::convolution::convolve(value, ones, None, &unpadded, channels)
}

/// How many entries that count lie under the window at each position.
fn counts(side: usize, window: &SlidingWindow, positions: usize, padding: bool) -> Vec<f64> {
    let (before, after) = window.padding;
    let counted = if padding {
        0..before + side + after
    } else {
        before..before + side
    };
    let count = |position: usize| {
        let start = position * window.stride;
        let entries = (0..window.kernel).map(|entry| start + entry * window.dilation);
        entries
            .filter(|entry| counted.contains(entry))
            .count()
            .max(1) as f64
    };
    (0..positions).map(count).collect()
}
