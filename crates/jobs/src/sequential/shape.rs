//! How layers change the shape of a sample.

use anyhow::{Context, Result, bail, ensure};

use super::layer::ConvolutionOptions;

/// The number of scalars of a shape.
pub(super) fn numbers(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Most numbers that a weight may have, or a sample between two layers.
const MOST: usize = u32::MAX as usize;

/// Checks that what has this shape can be computed with at all.
pub(super) fn check_size(shape: &[usize]) -> Result<()> {
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &size| count.checked_mul(size));
    ensure!(
        count.is_some_and(|count| count <= MOST),
        "the shape {} has more than {MOST} numbers",
        shown(shape)
    );
    Ok(())
}

/// A shape for messages: `(1, 8, 8)`.
pub(super) fn shown(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("({})", sizes.join(", "))
}

/// Checks that a sample has another shape of as many numbers.
pub(super) fn reshape(input: &[usize], shape: &[usize]) -> Result<Vec<usize>> {
    ensure!(
        !shape.is_empty() && !shape.contains(&0),
        "the shape {} is empty",
        shown(shape)
    );
    // Sizes from a file may overflow when multiplied.
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &size| count.checked_mul(size));
    let fits = count == Some(numbers(input));
    ensure!(
        fits,
        "cannot reshape samples of shape {} ({} numbers) to {}",
        shown(input),
        numbers(input),
        shown(shape)
    );
    Ok(shape.to_vec())
}

/// The size of the last axis of a sample.
pub(super) fn last(input: &[usize]) -> Result<usize> {
    let last = input.last().copied();
    last.context("the samples have no axis")
}

/// Checks that the last axis of a sample has the size that the weights take.
pub(super) fn last_axis(input: &[usize], size: usize) -> Result<()> {
    let last = last(input)?;
    ensure!(
        last == size,
        "its weights take {size} features, but the samples reach it in shape {}, whose last axis is {last}",
        shown(input)
    );
    Ok(())
}

/// Channels, height and width of a sample.
pub(super) fn image(input: &[usize]) -> Result<[usize; 3]> {
    let &[channels, height, width] = input else {
        bail!(
            "it takes images (channels, height, width), but the samples reach it in shape {}; put a reshape before it",
            shown(input)
        );
    };
    Ok([channels, height, width])
}

/// Channels and length of a sample.
pub(super) fn line(input: &[usize]) -> Result<[usize; 2]> {
    let &[channels, length] = input else {
        bail!(
            "it takes sequences (channels, length), but the samples reach it in shape {}; put a reshape or a permute before it",
            shown(input)
        );
    };
    Ok([channels, length])
}

/// Checks that axes are each named once, in another order.
pub(super) fn permute(input: &[usize], dims: &[usize]) -> Result<Vec<usize>> {
    ensure!(
        matches!(input.len(), 2 | 3),
        "it takes samples of two or three axes, but they reach it in shape {}",
        shown(input)
    );
    let mut sorted = dims.to_vec();
    sorted.sort_unstable();
    let complete = sorted.iter().copied().eq(0..input.len());
    ensure!(
        complete,
        "dims = {} must name each axis of {} once, counted from 0 without that of the samples",
        shown(dims),
        shown(input)
    );
    Ok(dims.iter().map(|&axis| input[axis]).collect())
}

/// The shape after windows slide over an image; `reach` is how many pixels a window spans.
pub(super) fn slide(
    channels: usize,
    size: &[usize],
    reach: &[usize],
    stride: &[usize],
    padding: &[(usize, usize)],
) -> Result<Vec<usize>> {
    let mut shape = vec![channels];
    for (axis, &(before, after)) in padding.iter().enumerate() {
        ensure!(
            stride[axis] > 0 && reach[axis] > 0,
            "stride, dilation and kernel_size must be at least 1"
        );
        let padded = before
            .checked_add(after)
            .and_then(|padding| padding.checked_add(size[axis]));
        let room = padded.and_then(|padded| padded.checked_sub(reach[axis]));
        let Some(room) = room else {
            let padding: Vec<usize> = padding.iter().map(|&(before, _)| before).collect();
            bail!(
                "its windows of {} do not fit into images of {} padded by {}",
                shown(reach),
                shown(size),
                shown(&padding)
            );
        };
        shape.push(room / stride[axis] + 1);
    }
    Ok(shape)
}

/// The shape that windows of a transposed convolution cover.
pub(super) fn spread(
    channels: usize,
    size: &[usize],
    reach: &[usize],
    options: &ConvolutionOptions,
    output_padding: [usize; 2],
) -> Result<Vec<usize>> {
    let mut shape = vec![channels];
    for axis in 0..size.len() {
        let (before, after) = options.padding[axis];
        let covered = (size[axis].max(1) - 1)
            .checked_mul(options.stride[axis])
            .and_then(|covered| covered.checked_add(reach[axis]))
            .and_then(|covered| covered.checked_add(output_padding[axis]));
        let cut = before.checked_add(after);
        let side = covered
            .zip(cut)
            .and_then(|(covered, cut)| covered.checked_sub(cut));
        let Some(side) = side.filter(|&side| side > 0) else {
            bail!(
                "nothing is left of images of {}: its padding cuts off all that its windows cover",
                shown(size)
            );
        };
        shape.push(side);
    }
    Ok(shape)
}
