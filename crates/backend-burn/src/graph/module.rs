//! Operations of neural-network layers.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::{AttentionOpIr, ModuleOperationIr},
        ops::ConvTransposeOptions,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Shape, ops::AttentionModuleOptions},
};

use super::{Convolution, Environment, pool};
use crate::Result;

/// Evaluates the operation of a layer.
pub(super) fn module<B: Backend>(
    operation: &ModuleOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ModuleOperationIr as M;
    let (out, value) = match operation {
        M::Conv1d(_) | M::Conv2d(_) => {
            let convolution = Convolution::of(operation)?;
            let (x, weight) = (
                env.float(convolution.input())?,
                env.float(convolution.weight())?,
            );
            let bias = convolution.bias().map(|bias| env.float(bias)).transpose()?;
            (convolution.out(), convolution.forward::<B>(x, weight, bias))
        }
        M::ConvTranspose2d(op) => {
            let (x, weight) = (env.float(&op.x)?, env.float(&op.weight)?);
            let bias = op.bias.as_ref().map(|bias| env.float(bias)).transpose()?;
            let o = &op.options;
            let options =
                ConvTransposeOptions::new(o.stride, o.padding, o.padding_out, o.dilation, o.groups);
            (&op.out, B::conv_transpose2d(x, weight, bias, options))
        }
        M::Linear(op) => {
            let (x, weight) = (env.float(&op.x)?, env.float(&op.weight)?);
            let bias = op.bias.as_ref().map(|bias| env.float(bias)).transpose()?;
            (&op.out, linear::<B>(x, weight, bias))
        }
        M::Embedding(op) => (
            &op.out,
            embedding::<B>(env.float(&op.weights)?, env.int(&op.indices)?),
        ),
        M::LayerNorm(op) => {
            let normalised = layer_normalise::<B>(env.float(&op.input)?, op.epsilon.elem());
            let gamma = env.float(&op.gamma)?;
            let beta = op.beta.as_ref().map(|beta| env.float(beta)).transpose()?;
            let last = normalised.shape().rank() - 1;
            (&op.out, affine::<B>(normalised, gamma, beta, last))
        }
        M::BatchNorm(op) => {
            let (x, mean, variance) = (
                env.float(&op.x)?,
                env.float(&op.mean)?,
                env.float(&op.variance)?,
            );
            let normalised = batch_normalise::<B>(x, mean, variance, op.epsilon.elem());
            (
                &op.out,
                affine::<B>(
                    normalised,
                    env.float(&op.gamma)?,
                    Some(env.float(&op.beta)?),
                    1,
                ),
            )
        }
        M::Attention(op) => (&op.out, attention(op, env)?),
        other => return pool::pool(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

fn linear<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let rank = x.shape().rank();
    let mut shape = vec![1; rank.saturating_sub(2)];
    shape.extend(weight.shape().iter().copied());
    let product = B::float_matmul(x, B::float_reshape(weight, Shape::from(shape)));
    match bias {
        Some(bias) => B::float_add(product, along_axis::<B>(bias, rank, rank - 1)),
        None => product,
    }
}

/// A vector, ready to be broadcast along one axis of a tensor.
fn along_axis<B: Backend>(vector: FloatTensor<B>, rank: usize, axis: usize) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[axis] = vector.shape().num_elements();
    B::float_reshape(vector, Shape::from(shape))
}

fn affine<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: Option<FloatTensor<B>>,
    axis: usize,
) -> FloatTensor<B> {
    let rank = x.shape().rank();
    let scaled = B::float_mul(x, along_axis::<B>(scale, rank, axis));
    match shift {
        Some(shift) => B::float_add(scaled, along_axis::<B>(shift, rank, axis)),
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

fn attention<B: Backend>(op: &AttentionOpIr, env: &mut Environment<B>) -> Result<FloatTensor<B>> {
    let (query, key, value) = (
        env.float(&op.query)?,
        env.float(&op.key)?,
        env.float(&op.value)?,
    );
    let mask = op.mask.as_ref().map(|mask| env.bool(mask)).transpose()?;
    let bias = op
        .attn_bias
        .as_ref()
        .map(|bias| env.float(bias))
        .transpose()?;
    let options = AttentionModuleOptions {
        scale: op.options.scale.map(burn::backend::ir::ScalarIr::elem),
        softcap: op.options.softcap.map(burn::backend::ir::ScalarIr::elem),
        is_causal: op.options.is_causal,
    };
    Ok(burn::backend::ops::attention::attention_fallback::<B>(
        query, key, value, mask, bias, options,
    ))
}
