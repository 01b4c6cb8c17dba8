//! Activation functions.

use burn::backend::{Backend, ir::ActivationOperationIr, tensor::FloatTensor};

use super::{Environment, scalar, unsupported};
use crate::Result;

/// Evaluates an activation function.
pub(super) fn activation<B: Backend>(
    operation: &ActivationOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ActivationOperationIr as A;
    let (out, value) = match operation {
        A::Relu(op) => (&op.out, B::relu(env.float(&op.input)?)),
        A::Gelu(op) => (&op.out, gelu::<B>(env.float(&op.input)?)),
        A::Sigmoid(op) => (&op.out, B::sigmoid(env.float(&op.input)?)),
        A::LogSigmoid(op) => (&op.out, log_sigmoid::<B>(env.float(&op.input)?)),
        A::LeakyRelu(op) => (&op.out, B::leaky_relu(env.float(&op.lhs)?, scalar(op.rhs))),
        A::PRelu(op) => (&op.out, B::prelu(env.float(&op.lhs)?, env.float(&op.rhs)?)),
        A::HardSigmoid(op) => (
            &op.out,
            B::hard_sigmoid(env.float(&op.tensor)?, scalar(op.alpha), scalar(op.beta)),
        ),
        A::Softmax(op) => (&op.out, B::softmax(env.float(&op.input)?, op.axis)),
        A::LogSoftmax(op) => (&op.out, B::log_softmax(env.float(&op.input)?, op.axis)),
        A::Softmin(op) => (
            &op.out,
            B::softmax(B::float_neg(env.float(&op.input)?), op.axis),
        ),
        other => return Err(unsupported(other)),
    };
    env.insert_float(out.id, value);
    Ok(())
}

/// `x/2 · (1 + erf(x/√2))`; burn's own backward pass approximates it by another function.
fn gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(
        x.clone(),
        std::f64::consts::FRAC_1_SQRT_2.into(),
    ));
    B::float_mul_scalar(
        B::float_mul(x, B::float_add_scalar(erf, 1.0.into())),
        0.5.into(),
    )
}

/// `min(x, 0) − log(1 + exp(−|x|))`, which never overflows.
fn log_sigmoid<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let tail = B::float_log1p(B::float_exp(B::float_neg(B::float_abs(x.clone()))));
    B::float_sub(B::float_clamp_max(x, 0.0.into()), tail)
}
