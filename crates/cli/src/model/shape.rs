//! How layers change the shape of a sample.

use anyhow::{Context, Result, bail, ensure};

use super::operation::Window;

/// The number of scalars of a shape.
pub(super) fn numbers(shape: &[usize]) -> usize {
    shape.iter().product()
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

/// The shape after windows slide over an image; `reach` is how many pixels a window spans.
pub(super) fn slide(
    channels: usize,
    size: [usize; 2],
    reach: [usize; 2],
    window: Window,
) -> Result<Vec<usize>> {
    let mut shape = vec![channels];
    for axis in 0..2 {
        ensure!(
            window.stride[axis] > 0 && reach[axis] > 0,
            "stride, dilation and kernel_size must be at least 1"
        );
        let padded = window.padding[axis]
            .checked_mul(2)
            .and_then(|padding| padding.checked_add(size[axis]));
        let room = padded.and_then(|padded| padded.checked_sub(reach[axis]));
        let Some(room) = room else {
            bail!(
                "its windows of {} do not fit into images of {} padded by {}",
                shown(&reach),
                shown(&size),
                shown(&window.padding)
            );
        };
        shape.push(room / window.stride[axis] + 1);
    }
    Ok(shape)
}
