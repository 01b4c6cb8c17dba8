//! Windows that move along axes: kernels of convolutions and of pooling.

use super::Call;
use crate::{Error, Result, value::lengths};

/// How a window moves along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlidingWindow {
    /// How many entries it takes.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// The distance between entries that it takes.
    pub(super) dilation: usize,
    /// Entries before and after the axis.
    pub(super) padding: (usize, usize),
}

impl SlidingWindow {
    /// How many entries lie between its first and its last, both counted.
    pub(super) fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }
}

/// How padding follows from the size of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// An odd entry comes last.
    Upper,
    /// An odd entry comes first.
    Lower,
}

/// The attribute `auto_pad`, if it asks for results of the size of the input.
pub(super) fn same(call: &Call<'_>) -> Result<Option<Same>> {
    match call.text("auto_pad", "NOTSET")? {
        "SAME_UPPER" => Ok(Some(Same::Upper)),
        "SAME_LOWER" => Ok(Some(Same::Lower)),
        "NOTSET" | "VALID" => Ok(None),
        other => Err(Error::Operator(format!("auto_pad is `{other}`"))),
    }
}

impl Same {
    /// Padding, divided among the two ends.
    pub(super) fn divide(self, padding: usize) -> (usize, usize) {
        let (small, large) = (padding / 2, padding.div_ceil(2));
        match self {
            Self::Upper => (small, large),
            Self::Lower => (large, small),
        }
    }
}

/// The windows along axes with kernels of these lengths, by the attributes of a node; `sides` are
/// the lengths of the axes.
pub(super) fn windows(
    call: &Call<'_>,
    sides: &[usize],
    kernel: &[usize],
) -> Result<Vec<SlidingWindow>> {
    let count = kernel.len();
    if sides.len() != count {
        return Err(Error::Operator(format!(
            "a kernel over {count} axes, the tensor has {} after its first two",
            sides.len()
        )));
    }
    let strides = positive(call, "strides", count)?;
    let dilations = positive(call, "dilations", count)?;
    let pads = match call.node.attributes.ints("pads")? {
        Some(pads) if call.text("auto_pad", "NOTSET")? == "NOTSET" => lengths(pads)?,
        _ => vec![0; 2 * count],
    };
    if pads.len() != 2 * count || pads.iter().any(|&pad| pad > MOST) {
        return Err(Error::Operator(format!(
            "padding {pads:?}, expected {} numbers",
            2 * count
        )));
    }
    if kernel.iter().any(|kernel| !(1..=MOST).contains(kernel)) {
        return Err(Error::Operator(format!("a kernel of shape {kernel:?}")));
    }
    let same = same(call)?;
    let window = |axis: usize| {
        let mut window = SlidingWindow {
            kernel: kernel[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            padding: (pads[axis], pads[axis + count]),
        };
        if let Some(same) = same {
            let positions = sides[axis].div_ceil(window.stride);
            let reach = positions.saturating_sub(1) * window.stride + window.extent();
            window.padding = same.divide(reach.saturating_sub(sides[axis]));
        }
        window
    };
    Ok((0..count).map(window).collect())
}

/// The most of a stride, a dilation or an entry of padding, so that sums of them do not overflow.
const MOST: usize = 1 << 24;

/// An attribute of positive integers, one for each axis; 1 where it is left out.
fn positive(call: &Call<'_>, name: &str, count: usize) -> Result<Vec<usize>> {
    let Some(ints) = call.node.attributes.ints(name)? else {
        return Ok(vec![1; count]);
    };
    checked(name, ints, count)
}

/// Positive integers, one for each axis.
pub(super) fn checked(name: &str, ints: &[i64], count: usize) -> Result<Vec<usize>> {
    let numbers = lengths(ints)?;
    let fits = |&number: &usize| (1..=MOST).contains(&number);
    if numbers.len() == count && numbers.iter().all(fits) {
        return Ok(numbers);
    }
    Err(Error::Operator(format!(
        "attribute `{name}` is {ints:?}, expected {count} positive numbers"
    )))
}
