//! Operations of neural-network layers.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::{AttentionOpIr, ModuleOperationIr, ScalarIr, TensorIr},
        tensor::{BoolTensor, FloatTensor, IntTensor},
    },
    tensor::{Shape, TensorData, ops::UnfoldOptions},
};

use super::{environment::Environment, pool};
use crate::Result;

/// Evaluates the operation of a layer.
pub(super) fn module<B: Backend>(
    operation: &ModuleOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ModuleOperationIr as M;
    let (out, value) = match operation {
        M::Linear(op) => {
            let [x, weight] = [env.float(&op.x)?, env.float(&op.weight)?];
            let last = x.shape().rank() - 1;
            let bias = optional(op.bias.as_ref(), env)?;
            let product = env.multiplied(x, weight);
            (&op.out, affine::<B>(product, None, bias, last))
        }
        M::Embedding(op) => (
            &op.out,
            embedding::<B>(env.float(&op.weights)?, env.int(&op.indices)?),
        ),
        M::LayerNorm(op) => {
            let normalised = layer_normalise::<B>(env.float(&op.input)?, op.epsilon.elem());
            let last = normalised.shape().rank() - 1;
            let [scale, shift] = [
                Some(env.float(&op.gamma)?),
                optional(op.beta.as_ref(), env)?,
            ];
            (&op.out, affine::<B>(normalised, scale, shift, last))
        }
        M::BatchNorm(op) => {
            let [x, mean, variance] = [
                env.float(&op.x)?,
                env.float(&op.mean)?,
                env.float(&op.variance)?,
            ];
            let normalised = batch_normalise::<B>(x, mean, variance, op.epsilon.elem());
            let [scale, shift] = [Some(env.float(&op.gamma)?), Some(env.float(&op.beta)?)];
            (&op.out, affine::<B>(normalised, scale, shift, 1))
        }
        M::Attention(op) => (&op.out, attention(op, env)?),
        M::Unfold4d(op) => {
            let options = &op.options;
            let options = UnfoldOptions::new(options.stride, options.padding, options.dilation);
            (
                &op.out,
                B::unfold4d(env.float(&op.x)?, op.kernel_size, options),
            )
        }
        other => return convolution(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

fn convolution<B: Backend>(operation: &ModuleOperationIr, env: &mut Environment<B>) -> Result<()> {
    use ModuleOperationIr as M;
    /// A convolution by the backend.
    macro_rules! native {
        ($op:ident, $function:ident) => {{
            let [x, weight] = [env.float(&$op.x)?, env.float(&$op.weight)?];
            let bias = optional($op.bias.as_ref(), env)?;
            (
                &$op.out,
                B::$function(x, weight, bias, $op.options.clone().into()),
            )
        }};
    }
    let (out, value) = match operation {
        M::Conv1d(op) => native!(op, conv1d),
        M::Conv2d(op) => native!(op, conv2d),
        M::Conv3d(op) => native!(op, conv3d),
        M::ConvTranspose1d(op) => native!(op, conv_transpose1d),
        M::ConvTranspose2d(op) => native!(op, conv_transpose2d),
        M::ConvTranspose3d(op) => native!(op, conv_transpose3d),
        other => return pool::pool(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

/// An operand that may be absent.
fn optional<B: Backend>(
    tensor: Option<&TensorIr>,
    env: &mut Environment<B>,
) -> Result<Option<FloatTensor<B>>> {
    tensor.map(|tensor| env.float(tensor)).transpose()
}

/// A vector, ready to be broadcast along one axis of a tensor.
fn along_axis<B: Backend>(vector: FloatTensor<B>, rank: usize, axis: usize) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[axis] = vector.shape().num_elements();
    B::float_reshape(vector, Shape::from(shape))
}

/// `scale ∘ x + shift`, both vectors along one axis.
pub(crate) fn affine<B: Backend>(
    x: FloatTensor<B>,
    scale: Option<FloatTensor<B>>,
    shift: Option<FloatTensor<B>>,
    axis: usize,
) -> FloatTensor<B> {
    let rank = x.shape().rank();
    let broadcast = |vector| along_axis::<B>(vector, rank, axis);
    let scaled = match scale {
        Some(scale) => B::float_mul(x, broadcast(scale)),
        None => x,
    };
    match shift {
        Some(shift) => B::float_add(scaled, broadcast(shift)),
        None => scaled,
    }
}

/// `(x − mean) / √(variance + ε)` over the last axis, with the biased variance.
pub(crate) fn layer_normalise<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let last = x.shape().rank() - 1;
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, last));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), last);
    B::float_div(
        centred,
        B::float_sqrt(B::float_add_scalar(variance, epsilon.into())),
    )
}

/// `(x − mean) / √(variance + ε)` per channel (second axis), with given statistics.
pub(crate) fn batch_normalise<B: Backend>(
    x: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let rank = x.shape().rank();
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
    let centred = B::float_sub(x, along_axis::<B>(mean, rank, 1));
    B::float_div(centred, along_axis::<B>(deviation, rank, 1))
}

/// The rows of a table `(entries, width)` at indices `(n, t)`, as `(n, t, width)`.
pub(crate) fn embedding<B: Backend>(
    table: FloatTensor<B>,
    indices: IntTensor<B>,
) -> FloatTensor<B> {
    let shape = indices.shape();
    let (count, width) = (shape.num_elements(), table.shape()[1]);
    let rows = B::float_select(table, 0, B::int_reshape(indices, Shape::new([count])));
    let shape: Vec<usize> = shape.iter().copied().chain([width]).collect();
    B::float_reshape(rows, Shape::from(shape))
}

/// `softmax(q kᵀ · scale) v`, where a row that is masked as a whole attends to nothing; burn's own
/// has no second derivative there.
fn attention<B: Backend>(op: &AttentionOpIr, env: &mut Environment<B>) -> Result<FloatTensor<B>> {
    let [query, key, value] = [
        env.float(&op.query)?,
        env.float(&op.key)?,
        env.float(&op.value)?,
    ];
    let width = query.shape()[3] as f64;
    let scale = op
        .options
        .scale
        .map_or_else(|| width.sqrt().recip(), ScalarIr::elem);
    let mut scores = (env.product)(query, B::float_swap_dims(key, 2, 3));
    scores = B::float_mul_scalar(scores, scale.into());
    if let Some(cap) = op.options.softcap.map(ScalarIr::elem::<f64>) {
        let bent = B::float_tanh(B::float_mul_scalar(scores, cap.recip().into()));
        scores = B::float_mul_scalar(bent, cap.into());
    }
    if let Some(mask) = &op.mask {
        scores = B::float_mask_fill(scores, env.bool(mask)?, f32::NEG_INFINITY.into());
    }
    if op.options.is_causal {
        let future = future(&scores, env);
        scores = B::float_mask_fill(scores, future, f32::NEG_INFINITY.into());
    }
    if let Some(bias) = optional(op.attn_bias.as_ref(), env)? {
        scores = B::float_add(scores, bias);
    }
    Ok((env.product)(attended(scores, env), value))
}

/// Where a key lies in the future of its query, the last query and the last key being simultaneous.
fn future<B: Backend>(scores: &FloatTensor<B>, env: &Environment<B>) -> BoolTensor<B> {
    let shape = scores.shape();
    let [queries, keys] = [shape[2], shape[3]];
    let later = |query| (0..keys).map(move |key| key + queries > query + keys);
    let mask: Vec<bool> = (0..queries).flat_map(later).collect();
    let mask = env.truths(TensorData::new(mask, [1, 1, queries, keys]));
    B::bool_expand(mask, shape)
}

/// The softmax over the last axis; zero where every score is `−∞`.
fn attended<B: Backend>(scores: FloatTensor<B>, env: &Environment<B>) -> FloatTensor<B> {
    let largest = B::float_max_dim(B::float_detach(scores.clone()), 3);
    let shifted = B::float_sub(scores, B::float_clamp_min(largest, f32::MIN.into()));
    let weights = (env.exp)(shifted);
    let sum = B::float_sum_dim(weights.clone(), 3);
    let nothing = B::float_equal_elem(sum.clone(), 0.0.into(), env.bool);
    B::float_div(weights, B::float_mask_fill(sum, nothing, 1.0.into()))
}
