//! Convolutions, plain and transposed.

use influence_core::FieldKind::Float;

use super::{
    Run,
    arguments::{signed, wrong},
};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "conv1d" | "conv2d" | "conv3d" | "convolution" | "_convolution" => convolution,
        "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => transposed,
        _ => return None,
    })
}

fn convolution(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.is_set("transposed")? {
        return transposed(call);
    }
    convolve(call, "Conv", Vec::new())
}

fn transposed(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let axes = axes(call)?;
    let more = call.lengths("output_padding", axes, 0)?;
    convolve(
        call,
        "ConvTranspose",
        vec![("output_padding", Attribute::Ints(more))],
    )
}

/// The axes along which the window moves.
fn axes(call: &mut Call<'_>) -> Result<usize> {
    // Strides and paddings may be one number for all axes; the name, or the weight, says how many
    // there are.
    for (name, axes) in [("1d", 1), ("2d", 2), ("3d", 3)] {
        if call.base().ends_with(name) {
            return Ok(axes);
        }
    }
    let given = call.wholes("stride")?.map(|strides| strides.len());
    given.ok_or_else(|| wrong("argument `stride` is missing"))
}

fn convolve(
    call: &mut Call<'_>,
    operator: &str,
    mut attributes: Vec<(&str, Attribute)>,
) -> Result<Vec<Slot>> {
    let axes = axes(call)?;
    let dilation = call.lengths("dilation", axes, 1)?;
    let strides = call.lengths("stride", axes, 1)?;
    let groups = call.whole("groups")?.unwrap_or(1);
    let (x, weight) = (
        call.operand("input", Float)?,
        call.operand("weight", Float)?,
    );
    let bias = call.maybe_tensor("bias")?;
    let padding = if let Some(Attribute::Text(text)) = call.node.attributes.0.get("padding") {
        named_padding(text, &weight.dims(), &dilation)?
    } else {
        let padding = call.lengths("padding", axes, 0)?;
        [padding.clone(), padding].concat()
    };
    // A single sample has no axis of samples.
    let lacks_samples = x.rank() == axes + 1;
    let x = if lacks_samples {
        x.clone().lift(axes + 2)?
    } else {
        x
    };
    attributes.extend([
        ("strides", Attribute::Ints(strides)),
        ("pads", Attribute::Ints(padding)),
        ("dilations", Attribute::Ints(dilation)),
        ("group", Attribute::Int(groups)),
    ]);
    let result = call.onnx_with(operator, [Some(x), Some(weight), bias], attributes)?;
    let dims = result.dims();
    Ok(one(if lacks_samples {
        result.reshape(&dims[1..])?
    } else {
        result
    }))
}

/// Padding by name: none, or as much as keeps the lengths, the odd one at the end.
fn named_padding(name: &str, weight: &[usize], dilation: &[i64]) -> Result<Vec<i64>> {
    let kernel = weight.iter().skip(2).zip(dilation);
    let total: Vec<i64> = match name {
        "valid" => vec![0; dilation.len()],
        "same" => kernel
            .map(|(&side, dilation)| dilation * (signed(side) - 1))
            .collect(),
        other => return Err(wrong(format_args!("padding `{other}`"))),
    };
    let before = total.iter().map(|total| total / 2);
    let after = total.iter().map(|total| total - total / 2);
    Ok(before.chain(after).collect())
}
