//! Scaled dot product attention.

use influence_core::FieldKind::{Bool, Float};

use super::{Run, activation::softmax_or_zero, arguments::wrong};
use crate::{
    Result,
    graph::Attribute,
    operators::{Call, Slot, one},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Run> {
    (name == "scaled_dot_product_attention").then_some(attention as Run)
}

/// `softmax(scale · Q Kᵀ + mask) V` over the last two axes.
fn attention(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.number_of("dropout_p")?.is_some_and(|p| p != 0.0) {
        return Err(wrong(
            "it drops weights at random, as in training; export `model.eval()`",
        ));
    }
    let query = call.operand("query", Float)?;
    let (key, value) = (call.operand("key", Float)?, call.operand("value", Float)?);
    let (rank, width) = (query.rank(), query.dims().last().copied().unwrap_or(0));
    if rank < 2 || key.rank() != rank || value.rank() != rank {
        return Err(wrong(
            "queries, keys and values have different numbers of axes",
        ));
    }
    let heads = rank.checked_sub(3).map_or(1, |axis| query.dims()[axis]);
    let (key, value) = (shared(key, heads)?, shared(value, heads)?);
    let scale = call
        .number_of("scale")?
        .unwrap_or_else(|| (width as f64).sqrt().recip());
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let (targets, sources) = (query.dims()[rank - 2], key.dims()[rank - 2]);
    let query = call.onnx("Mul", [query, call.known_float(scale)])?;
    let mut scores = call.onnx("MatMul", [query, key.permute(&order)?])?;
    let mut masked = false;
    if call.is_set("is_causal")? {
        let later = future(call, targets, sources)?;
        scores = call.onnx("Add", [scores, later])?;
    }
    if let Some(mask) = call.maybe_tensor("attn_mask")? {
        masked = true;
        let mask = if mask.kind == Bool {
            excluded(call, mask)?
        } else {
            mask.cast(Float, call.devices)
        };
        scores = call.onnx("Add", [scores, mask])?;
    }
    let shares = if masked {
        softmax_or_zero(call, scores, -1)?
    } else {
        call.onnx_with(
            "Softmax",
            [Some(scores)],
            vec![("axis", Attribute::Int(-1))],
        )?
    };
    Ok(one(call.onnx("MatMul", [shares, value])?))
}

/// Keys or values of fewer heads, each repeated for the queries that share it.
fn shared(value: Value, heads: usize) -> Result<Value> {
    let mut dims = value.dims();
    let Some(axis) = dims.len().checked_sub(3) else {
        return Ok(value);
    };
    let own = dims[axis];
    if own == 0 || own == heads || !heads.is_multiple_of(own) {
        return Ok(value);
    }
    let mut lifted = dims.clone();
    lifted.insert(axis + 1, 1);
    let mut repeated = lifted.clone();
    repeated[axis + 1] = heads / own;
    dims[axis] = heads;
    value.reshape(&lifted)?.expand(&repeated)?.reshape(&dims)
}

/// −∞ where a source comes after its target, else 0.
fn future(call: &Call<'_>, targets: usize, sources: usize) -> Result<Value> {
    let rows = (0..targets).flat_map(|target| (0..sources).map(move |source| source <= target));
    let rows: Vec<bool> = rows.collect();
    let seen = Value::known(
        burn::tensor::TensorData::new(rows, [targets, sources]),
        call.devices,
    );
    excluded(call, seen)
}

/// −∞ where a mask is false, else 0.
fn excluded(call: &Call<'_>, mask: Value) -> Result<Value> {
    call.onnx(
        "Where",
        [
            mask,
            call.known_float(0.0),
            call.known_float(f64::NEG_INFINITY),
        ],
    )
}
