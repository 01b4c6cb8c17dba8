//! Pooling, and resizing to more points.

use influence_core::FieldKind::Float;

use super::{
    Run,
    arguments::{signed, truncated, vector, wrong},
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "max_pool1d"
        | "max_pool2d"
        | "max_pool3d"
        | "max_pool1d_with_indices"
        | "max_pool2d_with_indices"
        | "max_pool3d_with_indices" => |call| pool(call, "MaxPool"),
        "avg_pool1d" | "avg_pool2d" | "avg_pool3d" => |call| pool(call, "AveragePool"),
        "adaptive_avg_pool1d"
        | "adaptive_avg_pool2d"
        | "_adaptive_avg_pool2d"
        | "adaptive_avg_pool3d"
        | "_adaptive_avg_pool3d" => |call| adaptive(call, "AveragePool"),
        "adaptive_max_pool1d" | "adaptive_max_pool2d" | "adaptive_max_pool3d" => {
            |call| adaptive(call, "MaxPool")
        }
        "upsample_nearest1d" | "upsample_nearest2d" | "upsample_nearest3d" => {
            |call| resize(call, "nearest")
        }
        "upsample_linear1d" | "upsample_bilinear2d" | "upsample_trilinear3d" => {
            |call| resize(call, "linear")
        }
        _ => return None,
    })
}

/// The axes along which a window moves, by the name of the operator.
fn axes(call: &Call<'_>) -> usize {
    let digit = call.base().chars().find_map(|letter| letter.to_digit(10));
    digit.map_or(2, |digit| digit as usize)
}

/// With an axis of samples, and whether it was added.
fn with_samples(x: Value, axes: usize) -> Result<(Value, bool)> {
    let lacks = x.rank() == axes + 1;
    Ok((if lacks { x.lift(axes + 2)? } else { x }, lacks))
}

fn without_samples(x: Value, added: bool) -> Result<Vec<Slot>> {
    let dims = x.dims();
    Ok(one(if added { x.reshape(&dims[1..])? } else { x }))
}

fn pool(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    if call.has("divisor_override") {
        return Err(wrong("argument `divisor_override` is not computed with"));
    }
    let axes = axes(call);
    let kernel = call.lengths("kernel_size", axes, 1)?;
    let strides = match call.wholes("stride")? {
        Some(strides) if !strides.is_empty() => call.lengths("stride", axes, 1)?,
        _ => kernel.clone(),
    };
    let padding = call.lengths("padding", axes, 0)?;
    let mut attributes = vec![
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(strides)),
        ("pads", Attribute::Ints([padding.clone(), padding].concat())),
        (
            "ceil_mode",
            Attribute::Int(i64::from(call.is_set("ceil_mode")?)),
        ),
    ];
    if operator == "MaxPool" {
        attributes.push((
            "dilations",
            Attribute::Ints(call.lengths("dilation", axes, 1)?),
        ));
    } else {
        // PyTorch counts the padding unless it is told not to.
        let counted = !call.has("count_include_pad") || call.is_set("count_include_pad")?;
        attributes.push(("count_include_pad", Attribute::Int(i64::from(counted))));
    }
    let (x, added) = with_samples(call.operand("self", Float)?, axes)?;
    without_samples(call.onnx_with(operator, [Some(x)], attributes)?, added)
}

/// Pooling to a number of windows that divides the length.
fn adaptive(call: &mut Call<'_>, operator: &str) -> Result<Vec<Slot>> {
    let axes = axes(call);
    let wanted = call.lengths("output_size", axes, 1)?;
    let (x, added) = with_samples(call.operand("self", Float)?, axes)?;
    let dims = x.dims();
    let sides: Vec<i64> = dims
        .iter()
        .skip(dims.len() - axes)
        .map(|&side| signed(side))
        .collect();
    let mut kernel = Vec::with_capacity(axes);
    for (&side, &windows) in sides.iter().zip(&wanted) {
        if windows <= 0 || side % windows != 0 {
            return Err(wrong(format_args!(
                "adaptive pooling of {side} points to {windows}, which does not divide them"
            )));
        }
        kernel.push(side / windows);
    }
    if kernel.iter().all(|&side| side == 1) {
        return without_samples(x, added);
    }
    if wanted.iter().all(|&windows| windows == 1) {
        let along: Vec<i64> = (2..2 + axes).map(signed).collect();
        let along = vector(&along, call.devices);
        let reduce = if operator == "MaxPool" {
            "ReduceMax"
        } else {
            "ReduceMean"
        };
        return without_samples(call.onnx(reduce, [x, along])?, added);
    }
    let attributes = vec![
        ("kernel_shape", Attribute::Ints(kernel.clone())),
        ("strides", Attribute::Ints(kernel)),
    ];
    without_samples(call.onnx_with(operator, [Some(x)], attributes)?, added)
}

/// Interpolation at more points, or fewer.
fn resize(call: &mut Call<'_>, mode: &str) -> Result<Vec<Slot>> {
    let x = call
        .operand("input", Float)
        .or_else(|_| call.operand("self", Float))?;
    let axes = axes(call);
    let dims = x.dims();
    let sizes = if let Some(sizes) = call.wholes("output_size")? {
        sizes
    } else {
        let factors = match call.node.attributes.floats("scale_factors")? {
            Some(factors) => factors.to_vec(),
            None => return Err(wrong("argument `output_size` is missing")),
        };
        let sides = dims.iter().skip(2).zip(factors);
        sides
            .map(|(&side, factor)| truncated((side as f64 * factor).floor()))
            .collect()
    };
    if sizes.len() != axes || dims.len() != axes + 2 {
        return Err(wrong(format_args!("{} sizes for {dims:?}", sizes.len())));
    }
    let leading = dims.iter().take(2).map(|&side| signed(side));
    let sizes: Vec<i64> = leading.chain(sizes).collect();
    let transformation = if mode == "nearest" {
        "asymmetric"
    } else if call.is_set("align_corners")? {
        "align_corners"
    } else {
        "half_pixel"
    };
    let attributes = vec![
        ("mode", Attribute::Text(mode.to_owned())),
        ("nearest_mode", Attribute::Text("floor".to_owned())),
        (
            "coordinate_transformation_mode",
            Attribute::Text(transformation.to_owned()),
        ),
    ];
    let sizes = vector(&sizes, call.devices);
    Ok(one(call.onnx_with(
        "Resize",
        [Some(x), None, None, Some(sizes)],
        attributes,
    )?))
}
