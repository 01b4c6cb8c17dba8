//! Pooling.

use anyhow::{Result, bail, ensure};

use crate::{
    config::Pair,
    sequential::{
        operation::Window,
        shape::{image, shown, slide},
    },
};

pub(super) fn pool(
    input: &[usize],
    size: Pair,
    stride: Option<Pair>,
    padding: Pair,
) -> Result<(Window, Vec<usize>)> {
    let [channels, height, width] = image(input)?;
    let window = Window {
        size: size.0,
        stride: stride.unwrap_or(size).0,
        padding: padding.0,
    };
    let too_wide = (0..2).any(|axis| window.padding[axis] > window.size[axis] / 2);
    ensure!(
        !too_wide,
        "padding {} must be at most half of kernel_size {}",
        shown(&window.padding),
        shown(&window.size)
    );
    let around = window.padding.map(|padding| (padding, padding));
    let output = slide(
        channels,
        &[height, width],
        &window.size,
        &window.stride,
        &around,
    )?;
    Ok((window, output))
}

/// The sizes behind adaptive pooling, one for each axis of the samples.
pub(super) fn adaptive(input: &[usize], asked: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
    let (channels, axes) = match input {
        [channels, axes @ ..] if matches!(axes.len(), 1 | 2) => (*channels, axes.len()),
        _ => bail!(
            "it takes (channels, length) or (channels, height, width), but the samples reach it in shape {}; put a reshape before it",
            shown(input)
        ),
    };
    ensure!(
        !asked.contains(&0),
        "output_size must be at least 1, got {}",
        shown(asked)
    );
    let sizes = match asked {
        [all] => vec![*all; axes],
        each => each.to_vec(),
    };
    ensure!(
        sizes.len() == axes,
        "output_size {} has {} sizes, but the samples reach it in shape {}",
        shown(asked),
        asked.len(),
        shown(input)
    );
    let output = [channels].into_iter().chain(sizes.iter().copied());
    let output = output.collect();
    Ok((sizes, output))
}
