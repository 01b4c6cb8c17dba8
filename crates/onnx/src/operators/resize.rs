//! Images of another size, by interpolation.
//!
//! Along each axis of length `l`, entry `o` of the result lies at a coordinate `x(o)` of the
//! tensor, which depends on the scale `s` (the new length over the old one) and on the convention:
//!
//! ```text
//! half_pixel             (o + 1/2) / s − 1/2
//! pytorch_half_pixel     the same, or 0 where the new length is 1
//! half_pixel_symmetric   the same, moved by (l/2) (1 − new length / (s l))
//! align_corners          o (l − 1) / (new length − 1), or 0
//! asymmetric             o / s
//! ```
//!
//! The result is a sum of entries near `x`: the nearest; two, weighted by their distances; or four,
//! weighted by cubic polynomials of them. Axes are interpolated one after the other, each as a sum
//! of selected entries times known weights.
//!
//! Keys, *Cubic convolution interpolation for digital image processing*, 1981.

use burn::tensor::TensorData;

use super::{Call, Operator, Slot, one};
use crate::{
    Error, Result,
    value::{Devices, Value, check_count, lengths},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    (name == "Resize").then_some(Operator::through(resize, &[0]))
}

/// Where entries of the result lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinates {
    HalfPixel,
    PytorchHalfPixel,
    HalfPixelSymmetric,
    AlignCorners,
    Asymmetric,
}

/// How a coordinate is rounded to the nearest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Halves down.
    PreferFloor,
    /// Halves up.
    PreferCeil,
    Floor,
    Ceil,
}

/// How entries are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Interpolation {
    Nearest(Rounding),
    Linear,
    Cubic {
        /// The parameter of the polynomials.
        a: f64,
        /// Whether entries beyond the ends have no weight; otherwise they are the last ones.
        inside: bool,
    },
}

/// The new length of an axis, and the scale.
type Target = (usize, f64);

fn resize(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let value = call.float(0)?;
    if call.node.attributes.flag("antialias")? {
        return Err(Error::operator("attribute `antialias` is not computed"));
    }
    let coordinates = coordinates(call)?;
    let method = method(call)?;
    let axes: Vec<usize> = match call.node.attributes.ints("axes")? {
        Some(axes) => axes
            .iter()
            .map(|&axis| value.axis(axis))
            .collect::<Result<_>>()?,
        None => (0..value.rank()).collect(),
    };
    let targets = targets(call, &value, &axes)?;
    let mut result = value.dims();
    for (&axis, &(length, _)) in axes.iter().zip(&targets) {
        result[axis] = length;
    }
    check_count(&result, value.known)?;
    let resized = axes
        .iter()
        .zip(targets)
        .try_fold(value, |value, (&axis, target)| {
            along(value, axis, target, coordinates, method, call.devices)
        });
    Ok(one(resized?))
}

fn coordinates(call: &Call<'_>) -> Result<Coordinates> {
    Ok(
        match call.text("coordinate_transformation_mode", "half_pixel")? {
            "half_pixel" => Coordinates::HalfPixel,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            other => {
                return Err(Error::Operator(format!(
                    "coordinate_transformation_mode `{other}` is not computed"
                )));
            }
        },
    )
}

fn method(call: &Call<'_>) -> Result<Interpolation> {
    Ok(match call.text("mode", "nearest")? {
        "nearest" => {
            Interpolation::Nearest(match call.text("nearest_mode", "round_prefer_floor")? {
                "round_prefer_floor" => Rounding::PreferFloor,
                "round_prefer_ceil" => Rounding::PreferCeil,
                "floor" => Rounding::Floor,
                "ceil" => Rounding::Ceil,
                other => return Err(Error::Operator(format!("nearest_mode `{other}`"))),
            })
        }
        "linear" => Interpolation::Linear,
        "cubic" => Interpolation::Cubic {
            a: call.real("cubic_coeff_a", -0.75)?,
            inside: call.node.attributes.flag("exclude_outside")?,
        },
        other => return Err(Error::Operator(format!("mode `{other}`"))),
    })
}

/// The new lengths of axes, by sizes or scales.
fn targets(call: &mut Call<'_>, value: &Value, axes: &[usize]) -> Result<Vec<Target>> {
    let dims = value.dims();
    let sides: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
    let sizes = call.optional(3)?.map(|sizes| sizes.ints()).transpose()?;
    let scales = call
        .optional(2)?
        .map(|scales| scales.floats())
        .transpose()?;
    let wrong = |what: &dyn std::fmt::Debug| {
        Error::Operator(format!(
            "axes of lengths {sides:?} cannot be resized by {what:?}"
        ))
    };
    if let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) {
        let sizes = lengths(&sizes)?;
        if sizes.len() != sides.len() || sides.contains(&0) || sizes.contains(&0) {
            return Err(wrong(&sizes));
        }
        return kept_aspect(call, &sides, &sizes);
    }
    let scales = scales.unwrap_or_default();
    let fits = |scale: &f64| scale.is_finite() && *scale > 0.0;
    if scales.len() != sides.len() || !scales.iter().all(fits) {
        return Err(wrong(&scales));
    }
    let target = |(&side, &scale): (&usize, &f64)| (whole((side as f64 * scale).floor()), scale);
    let targets: Vec<Target> = sides.iter().zip(&scales).map(target).collect();
    if targets.iter().any(|&(length, _)| length == 0) {
        return Err(wrong(&scales));
    }
    Ok(targets)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths; those beyond the range saturate, and are refused by size"
)]
fn whole(length: f64) -> usize {
    length as usize
}

/// Sizes as they are, or one scale for all axes such that none is larger, or smaller, than asked.
fn kept_aspect(call: &Call<'_>, sides: &[usize], sizes: &[usize]) -> Result<Vec<Target>> {
    let ratios = sides
        .iter()
        .zip(sizes)
        .map(|(&side, &size)| size as f64 / side as f64);
    let scale = match call.text("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => return Ok(sizes.iter().copied().zip(ratios).collect()),
        "not_larger" => ratios.fold(f64::INFINITY, f64::min),
        "not_smaller" => ratios.fold(0.0, f64::max),
        other => {
            return Err(Error::Operator(format!(
                "keep_aspect_ratio_policy `{other}`"
            )));
        }
    };
    let target = |&side: &usize| (whole((side as f64 * scale + 0.5).floor()).max(1), scale);
    Ok(sides.iter().map(target).collect())
}

impl Coordinates {
    /// The coordinate of an entry of the result.
    fn of(self, entry: usize, side: usize, (length, scale): Target) -> f64 {
        let (entry, side, new) = (entry as f64, side as f64, length as f64);
        let half = (entry + 0.5) / scale - 0.5;
        match self {
            Self::HalfPixel => half,
            Self::PytorchHalfPixel if length > 1 => half,
            Self::AlignCorners if length > 1 => entry * (side - 1.0) / (new - 1.0),
            Self::PytorchHalfPixel | Self::AlignCorners => 0.0,
            Self::HalfPixelSymmetric => side / 2.0 * (1.0 - new / (scale * side)) + half,
            Self::Asymmetric => entry / scale,
        }
    }
}

/// The entries of which one of the result is made, not clamped to the axis, and their weights.
type Neighbours = Vec<(f64, f64)>;

impl Interpolation {
    fn neighbours(self, x: f64, side: usize) -> Neighbours {
        let last = side as f64 - 1.0;
        match self {
            Self::Nearest(rounding) => {
                // In 32 bits, in which exporters count, so that halves are halves.
                #[expect(clippy::cast_possible_truncation, reason = "meant")]
                let x = f64::from(x as f32);
                let nearest = match rounding {
                    Rounding::PreferFloor => (x - 0.5).ceil(),
                    Rounding::PreferCeil => (x + 0.5).floor(),
                    Rounding::Floor => x.floor(),
                    Rounding::Ceil => x.ceil(),
                };
                vec![(nearest, 1.0)]
            }
            Self::Linear => {
                let x = x.clamp(0.0, last.max(0.0));
                let low = x.floor();
                vec![(low, 1.0 - (x - low)), (low + 1.0, x - low)]
            }
            Self::Cubic { a, inside } => {
                let low = x.floor();
                let near = (-1..3).map(|step| low + f64::from(step));
                let mut near: Neighbours = near
                    .map(|place| (place, cubic(a, (x - place).abs())))
                    .collect();
                if inside {
                    for (place, weight) in &mut near {
                        if !(0.0..=last).contains(place) {
                            *weight = 0.0;
                        }
                    }
                    let sum: f64 = near.iter().map(|(_, weight)| weight).sum();
                    for (_, weight) in &mut near {
                        *weight /= sum;
                    }
                }
                near
            }
        }
    }
}

/// The weight of an entry at a distance.
fn cubic(a: f64, distance: f64) -> f64 {
    let t = distance;
    if t <= 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        ((t - 5.0) * t + 8.0) * t * a - 4.0 * a
    } else {
        0.0
    }
}

/// Interpolated along an axis.
#[expect(clippy::float_cmp, reason = "scales and weights that are exactly 1")]
pub(super) fn along(
    value: Value,
    axis: usize,
    target: Target,
    coordinates: Coordinates,
    method: Interpolation,
    devices: &Devices,
) -> Result<Value> {
    let dims = value.dims();
    let (side, length) = (dims[axis], target.0);
    if side == 0 || (length == side && target.1 == 1.0) {
        return Ok(value);
    }
    check_count(&[length], true)?;
    let near = (0..length).map(|entry| {
        let x = coordinates.of(entry, side, target);
        method.neighbours(x, side)
    });
    let near: Vec<Neighbours> = near.collect();
    let last = side - 1;
    let mut sum: Option<Value> = None;
    for neighbour in 0..near.first().map_or(0, Vec::len) {
        let places = near.iter().map(|near| whole(near[neighbour].0).min(last));
        let places = places
            .map(|place| i64::try_from(place).unwrap_or(0))
            .collect();
        let places = Value::known_ints(places, &[length], devices);
        let [from, places] = Value::together([value.clone(), places], devices)?;
        let mut part = from.select(axis, places.tensor);
        let weights: Vec<f64> = near.iter().map(|near| near[neighbour].1).collect();
        if weights.iter().any(|&weight| weight != 1.0) {
            let mut line = vec![1; dims.len()];
            line[axis] = length;
            let weights = Value::known(TensorData::new(weights, line), devices);
            let [whole, weights] = Value::together([part, weights], devices)?;
            part = whole.times(weights)?;
        }
        sum = Some(match sum {
            None => part,
            Some(sum) => sum.plus(part)?,
        });
    }
    sum.ok_or_else(|| Error::operator("nothing to interpolate"))
}
