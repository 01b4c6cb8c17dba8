//! Attention and rotary positions.
//!
//! Attention of queries `Q`, keys `K` and values `V`, for each sample and head, is
//!
//! ```text
//! softmax(s Q Kᵀ + m) V,        s = 1/√width by default
//! ```
//!
//! where `m` is `−∞` at keys that a query must not see: those that a mask of booleans leaves out,
//! and those after the query if it is causal. A mask of floats is added. With `softcap = c` the
//! scores become `c · tanh(scores / c)` before they are masked. Where there are fewer heads of keys
//! than of queries, neighbouring heads of queries share one. Operands with three axes have their
//! heads side by side in the last one.
//!
//! Rotary positions turn pairs `(a, b)` of entries of queries and keys by angles that grow with the
//! position: `(a cos − b sin, a sin + b cos)`. The pairs are neighbours, or halves of the vector.
//!
//! Su et al., *`RoFormer`: enhanced transformer with rotary position embedding*, 2021.

use burn::{
    backend::{
        Dispatch,
        ops::{BoolTensorOps, ModuleOps},
    },
    tensor::{TensorData, ops::AttentionModuleOptions},
};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, indexing, one, shape::unsqueezed};
use crate::{
    Error, Result,
    value::{Devices, Value, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "Attention" => Operator::smooth(attention),
        "RotaryEmbedding" => Operator::through(rotary, &[0, 1, 2]),
        _ => return None,
    })
}

/// What attention is besides its operands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    pub(super) scale: Option<f64>,
    pub(super) softcap: Option<f64>,
    /// How many keys come before the first query, where queries see no key after them.
    pub(super) causal: Option<usize>,
}

/// `(n, steps, heads · width)` as `(n, heads, steps, width)`.
fn heads(value: Value, heads: i64) -> Result<Value> {
    let dims = value.dims();
    let count = usize::try_from(heads).ok().filter(|&count| count > 0);
    match (&dims[..], count) {
        (&[n, steps, width], Some(count)) if width.is_multiple_of(count) => {
            let split = value.reshape(&[n, steps, count, width / count])?;
            split.permute(&[0, 2, 1, 3])
        }
        _ if dims.len() == 4 => Ok(value),
        _ => Err(Error::Operator(format!(
            "{heads} heads in a tensor of shape {dims:?}"
        ))),
    }
}

fn attention(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    if call.wants(3) {
        return Err(Error::operator(
            "the output `qk_matmul_output` is not computed",
        ));
    }
    let [query, key, value, mask, past_key, past_value] = call.gathered([0, 1, 2, 3, 4, 5])?;
    let (Some(query), Some(key), Some(value)) = (query, key, value) else {
        return Err(Error::operator(
            "the queries, the keys or the values are missing",
        ));
    };
    let flat = query.rank() == 3;
    let query = heads(query, call.int("q_num_heads", 0)?)?;
    let shared = call.int("kv_num_heads", 0)?;
    let after = |past: Option<Value>, now: Value| match past {
        Some(past) => Value::concatenated(vec![past, now], 2),
        None => Ok(now),
    };
    let causal = call.node.attributes.flag("is_causal")?;
    let past = past_key
        .as_ref()
        .and_then(|past| past.dims().get(2).copied());
    let key = after(past_key, heads(key, shared)?)?;
    let value = after(past_value, heads(value, shared)?)?;
    let cap = call.real("softcap", 0.0)?;
    let manner = Manner {
        scale: call.node.attributes.float("scale")?,
        softcap: (cap > 0.0).then_some(cap),
        causal: causal.then(|| past.unwrap_or(0)),
    };
    let mut result = attended(
        query,
        key.clone(),
        value.clone(),
        mask,
        manner,
        call.devices,
    )?;
    if flat {
        let [n, heads, steps, width] = four(&result)?;
        result = result
            .permute(&[0, 2, 1, 3])?
            .reshape(&[n, steps, heads * width])?;
    }
    Ok(vec![result.into(), key.into(), value.into()])
}

fn four(value: &Value) -> Result<[usize; 4]> {
    let dims = value.dims();
    let wrong = || Error::Operator(format!("a tensor of shape {dims:?}, expected 4 axes"));
    dims.as_slice().try_into().map_err(|_| wrong())
}

/// Heads of keys or values again for each head of queries that shares them.
fn repeated(value: Value, heads: usize) -> Result<Value> {
    let [n, own, steps, width] = four(&value)?;
    let times = heads.checked_div(own).filter(|times| times * own == heads);
    let times = times.ok_or_else(|| {
        Error::Operator(format!(
            "{heads} heads of queries share {own} heads of keys"
        ))
    })?;
    if times == 1 {
        return Ok(value);
    }
    let apart = value.reshape(&[n, own, 1, steps, width])?;
    apart
        .expand(&[n, own, times, steps, width])?
        .reshape(&[n, heads, steps, width])
}

/// Attention of operands `(n, heads, steps, width)` on one device, with a mask that is broadcast to
/// `(n, heads, queries, keys)`.
pub(super) fn attended(
    query: Value,
    key: Value,
    value: Value,
    mask: Option<Value>,
    manner: Manner,
    devices: &Devices,
) -> Result<Value> {
    let [n, heads, queries, width] = four(&query)?;
    let (key, value) = (
        repeated(key.float()?, heads)?,
        repeated(value.float()?, heads)?,
    );
    let [_, _, keys, _] = four(&key)?;
    let fits = four(&key)? == [n, heads, keys, width] && four(&value)?[..3] == [n, heads, keys];
    if !fits {
        return Err(Error::Operator(format!(
            "queries, keys and values of shapes {:?}, {:?} and {:?} do not fit each other",
            query.dims(),
            key.dims(),
            value.dims()
        )));
    }
    let full = [n, heads, queries, keys];
    let mut hidden = None;
    let mut added = None;
    match mask {
        Some(mask) if mask.kind == FieldKind::Bool => {
            hidden = Some(mask.expand(&full)?.map(Dispatch::bool_not));
        }
        Some(mask) => added = Some(mask.float()?.expand(&full)?.tensor),
        None => {}
    }
    if let Some(past) = manner.causal {
        let later = future([queries, keys], past, query.known, devices)?.expand(&full)?;
        hidden = Some(match hidden {
            None => later,
            Some(hidden) => hidden.map(|hidden| Dispatch::bool_or(hidden, later.tensor)),
        });
    }
    let options = AttentionModuleOptions {
        scale: manner.scale,
        softcap: manner.softcap,
        is_causal: false,
    };
    let (key, value) = (key.tensor, value.tensor);
    let hidden = hidden.map(|hidden| hidden.tensor);
    Ok(query
        .float()?
        .change(|query| Dispatch::attention(query, key, value, hidden, added, options)))
}

/// Where a key comes after its query, `(queries, keys)`, if this many keys come before the first.
fn future(dims: [usize; 2], past: usize, known: bool, devices: &Devices) -> Result<Value> {
    check_count(&dims, true)?;
    let [queries, keys] = dims;
    let later = (0..queries).flat_map(|query| (0..keys).map(move |key| key > query + past));
    let later = Value::known(TensorData::new(later.collect::<Vec<bool>>(), dims), devices);
    if known {
        Ok(later)
    } else {
        later.away(devices)
    }
}

fn rotary(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let [x, cos, sin, places] = call.gathered([0, 1, 2, 3])?;
    let (Some(x), Some(mut cos), Some(mut sin)) = (x, cos, sin) else {
        return Err(Error::operator("the input or the angles are missing"));
    };
    let flat = x.rank() == 3;
    let x = heads(x.float()?, call.int("num_heads", 0)?)?;
    if let Some(places) = places {
        cos = indexing::taken(cos, 0, places.clone(), call.devices)?;
        sin = indexing::taken(sin, 0, places, call.devices)?;
    }
    let [n, heads, steps, width] = four(&x)?;
    let turned = match usize::try_from(call.int("rotary_embedding_dim", 0)?) {
        Ok(0) => width,
        Ok(turned) if turned <= width && turned.is_multiple_of(2) => turned,
        _ => {
            return Err(Error::operator(
                "attribute `rotary_embedding_dim` does not fit the width",
            ));
        }
    };
    let rest = x.clone().slice(3, turned, width, 1);
    let (cos, sin) = (unsqueezed(cos, &[1])?, unsqueezed(sin, &[1])?);
    let interleaved = call.node.attributes.flag("interleaved")?;
    let mut result = rotated(x.slice(3, 0, turned, 1), cos, sin, interleaved)?;
    if turned < width {
        result = Value::concatenated(vec![result, rest], 3)?;
    }
    if flat {
        result = result
            .permute(&[0, 2, 1, 3])?
            .reshape(&[n, steps, heads * width])?;
    }
    Ok(one(result))
}

/// Pairs of entries of `(n, heads, steps, width)`, turned; the angles are `(n, 1, steps, width /
/// 2)`.
pub(super) fn rotated(x: Value, cos: Value, sin: Value, interleaved: bool) -> Result<Value> {
    let dims = x.dims();
    let half = dims[3] / 2;
    let (first, second) = if interleaved {
        (
            x.clone().slice(3, 0, 2 * half, 2),
            x.slice(3, 1, 2 * half, 2),
        )
    } else {
        (
            x.clone().slice(3, 0, half, 1),
            x.slice(3, half, 2 * half, 1),
        )
    };
    let real = first
        .clone()
        .times(cos.clone())?
        .minus(second.clone().times(sin.clone())?)?;
    let imaginary = first.times(sin)?.plus(second.times(cos)?)?;
    if !interleaved {
        return Value::concatenated(vec![real, imaginary], 3);
    }
    let pairs = vec![unsqueezed(real, &[4])?, unsqueezed(imaginary, &[4])?];
    Value::concatenated(pairs, 4)?.reshape(&dims)
}
