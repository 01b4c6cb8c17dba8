//! Convolutions over one, two or three axes, plain and transposed.

use burn::{
    backend::{Dispatch, ops::ModuleOps},
    tensor::ops::{ConvOptions, ConvTransposeOptions},
};

use super::{
    Call, Operator, Slot, one,
    window::{Same, SlidingWindow, checked, same, windows},
};
use crate::{
    Error, Result,
    value::{Value, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(Operator::smooth(match name {
        "Conv" => plain,
        "ConvTranspose" => transposed,
        _ => return None,
    }))
}

/// The input, the weight and the bias on one device, and the groups.
fn operands(call: &mut Call<'_>) -> Result<(Value, Value, Option<Value>, usize)> {
    let [x, weight, bias] = call.gathered([0, 1, 2])?;
    let (Some(x), Some(weight)) = (x, weight) else {
        return Err(Error::operator("the input or the weight is missing"));
    };
    let groups = call.int("group", 1)?;
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| Error::operator("attribute `group` is not positive"))?;
    let bias = bias.map(Value::float).transpose()?;
    let (x, weight) = (x.float()?, weight.float()?);
    let empty = x.dims().contains(&0) || weight.dims().contains(&0);
    if empty || x.rank() != weight.rank() || !(3..=5).contains(&x.rank()) {
        return Err(Error::Operator(format!(
            "an input of shape {:?} and a weight of shape {:?}, expected 3, 4 or 5 axes of both, none of them empty",
            x.dims(),
            weight.dims()
        )));
    }
    Ok((x, weight, bias, groups))
}

fn plain(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (x, weight, bias, groups) = operands(call)?;
    let windows = windows(call, &x.dims()[2..], &weight.dims()[2..])?;
    Ok(one(convolve(x, weight, bias, &windows, groups)?))
}

/// `N` numbers of the windows, one of each.
fn each<const N: usize, T: Copy + Default>(
    windows: &[SlidingWindow],
    number: impl Fn(&SlidingWindow) -> T,
) -> [T; N] {
    let mut numbers = [T::default(); N];
    for (slot, window) in numbers.iter_mut().zip(windows) {
        *slot = number(window);
    }
    numbers
}

fn plain_options<const N: usize>(windows: &[SlidingWindow], groups: usize) -> ConvOptions<N> {
    let stride = each(windows, |window| window.stride);
    let dilation = each(windows, |window| window.dilation);
    ConvOptions::new_with_padding(
        stride,
        each(windows, |window| window.padding),
        dilation,
        groups,
    )
}

/// The convolution of `(n, channels, …)` with `(outputs, channels / groups, …)`.
pub(super) fn convolve(
    x: Value,
    weight: Value,
    bias: Option<Value>,
    windows: &[SlidingWindow],
    groups: usize,
) -> Result<Value> {
    let (from, kernel) = (x.dims(), weight.dims());
    let reaches = windows
        .iter()
        .zip(&from[2..])
        .all(|(window, side)| window.extent() <= side + window.padding.0 + window.padding.1);
    let biased = bias.as_ref().is_none_or(|bias| bias.dims() == kernel[..1]);
    let channels = kernel[1].checked_mul(groups) == Some(from[1]);
    if !(reaches && biased && channels && kernel[0].is_multiple_of(groups)) {
        return Err(Error::Operator(format!(
            "a weight of shape {kernel:?} in {groups} groups does not fit an input of shape {from:?}"
        )));
    }
    let (weight, bias) = (weight.tensor, bias.map(|bias| bias.tensor));
    Ok(x.change(|x| match windows.len() {
        1 => Dispatch::conv1d(x, weight, bias, plain_options(windows, groups)),
        2 => Dispatch::conv2d(x, weight, bias, plain_options(windows, groups)),
        _ => Dispatch::conv3d(x, weight, bias, plain_options(windows, groups)),
    }))
}

fn transposed(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (x, weight, bias, groups) = operands(call)?;
    let sides = x.dims()[2..].to_vec();
    let mut windows = windows(call, &sides, &weight.dims()[2..])?;
    let more = match call.node.attributes.ints("output_padding")? {
        Some(more) => lengths(more)?,
        None => vec![0; windows.len()],
    };
    let short =
        |(&more, window): (&usize, &SlidingWindow)| more < window.stride.max(window.dilation);
    if more.len() != windows.len() || !more.iter().zip(&windows).all(short) {
        return Err(Error::Operator(format!(
            "output_padding {more:?}, expected a number below the stride or the dilation of each axis"
        )));
    }
    let same = same(call)?;
    let wanted = match (call.node.attributes.ints("output_shape")?, same) {
        (Some(shape), _) => Some(checked("output_shape", shape, windows.len())?),
        (None, Some(_)) => {
            let sides = sides.iter().zip(&windows);
            Some(sides.map(|(side, window)| side * window.stride).collect())
        }
        (None, None) => None,
    };
    if let Some(wanted) = wanted {
        for (axis, window) in windows.iter_mut().enumerate() {
            let whole = whole(sides[axis], window).saturating_add(more[axis]);
            let padding = whole.saturating_sub(wanted[axis]);
            window.padding = same.unwrap_or(Same::Lower).divide(padding);
        }
    }
    Ok(one(convolve_transposed(
        x, weight, bias, &windows, &more, groups,
    )?))
}

/// How far the patches of a transposed convolution reach along an axis.
fn whole(side: usize, window: &SlidingWindow) -> usize {
    side.saturating_sub(1)
        .saturating_mul(window.stride)
        .saturating_add(window.extent())
}

fn transposed_options<const N: usize>(
    windows: &[SlidingWindow],
    padding: &[usize],
    more: &[usize],
    groups: usize,
) -> ConvTransposeOptions<N> {
    let stride = each(windows, |window| window.stride);
    let dilation = each(windows, |window| window.dilation);
    let numbers = |from: &[usize]| {
        let mut numbers = [0; N];
        numbers
            .iter_mut()
            .zip(from)
            .for_each(|(slot, &number)| *slot = number);
        numbers
    };
    ConvTransposeOptions::new(stride, numbers(padding), numbers(more), dilation, groups)
}

/// The transposed convolution of `(n, channels, …)` with `(channels, outputs / groups, …)`: the
/// patches of all positions are added up, `padding` is cut off the ends, `more` zeros are added at
/// the end.
pub(super) fn convolve_transposed(
    x: Value,
    weight: Value,
    bias: Option<Value>,
    windows: &[SlidingWindow],
    more: &[usize],
    groups: usize,
) -> Result<Value> {
    let (from, kernel) = (x.dims(), weight.dims());
    let outputs = kernel[1].saturating_mul(groups);
    let biased = bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]);
    let sides: Option<Vec<usize>> = (windows.iter().enumerate())
        .map(|(axis, window)| {
            let (before, after) = window.padding;
            let reach = whole(from[axis + 2], window).checked_add(more[axis])?;
            reach.checked_sub(before + after).filter(|&side| side > 0)
        })
        .collect();
    let fits = biased && kernel[0] == from[1] && from[1].is_multiple_of(groups);
    let Some(sides) = sides.filter(|_| fits) else {
        return Err(Error::Operator(format!(
            "a transposed weight of shape {kernel:?} in {groups} groups does not fit an input of shape {from:?}"
        )));
    };
    let mut result = vec![from[0], outputs];
    result.extend(&sides);
    crate::value::check_count(&result, x.known)?;
    // Backends cut the same off both ends; where the ends differ, more is computed and cut here.
    let padding: Vec<usize> = windows
        .iter()
        .map(|window| window.padding.0.min(window.padding.1))
        .collect();
    let reach = |axis: usize| whole(from[axis + 2], &windows[axis]) - 2 * padding[axis];
    let first = |axis: usize| windows[axis].padding.0 - padding[axis];
    let more: Vec<usize> = (0..windows.len())
        .map(|axis| (first(axis) + sides[axis]).saturating_sub(reach(axis)))
        .collect();
    let (weight, bias) = (weight.tensor, bias.map(|bias| bias.tensor));
    let mut value = x.change(|x| match windows.len() {
        1 => Dispatch::conv_transpose1d(
            x,
            weight,
            bias,
            transposed_options(windows, &padding, &more, groups),
        ),
        2 => Dispatch::conv_transpose2d(
            x,
            weight,
            bias,
            transposed_options(windows, &padding, &more, groups),
        ),
        _ => Dispatch::conv_transpose3d(
            x,
            weight,
            bias,
            transposed_options(windows, &padding, &more, groups),
        ),
    });
    for (axis, side) in sides.iter().enumerate() {
        value = value.slice(axis + 2, first(axis), first(axis) + side, 1);
    }
    Ok(value)
}
