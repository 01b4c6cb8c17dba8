//! Activation functions.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::ActivationOperationIr,
        tensor::{BoolTensor, FloatTensor},
    },
    tensor::FloatDType,
};

use super::environment::{Environment, refuse};
use crate::Result;

/// Evaluates an activation function.
pub(super) fn activation<B: Backend>(
    operation: &ActivationOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use ActivationOperationIr as A;
    let (out, value) = match operation {
        A::Relu(op) => (&op.out, B::relu(env.float(&op.input)?)),
        A::Gelu(op) => (&op.out, gelu(env.float(&op.input)?, env)),
        A::Sigmoid(op) => (&op.out, sigmoid(env.float(&op.input)?, env)),
        A::LogSigmoid(op) => (&op.out, log_sigmoid(env.float(&op.input)?, env)),
        A::LeakyRelu(op) => (&op.out, B::leaky_relu(env.float(&op.lhs)?, op.rhs.into())),
        A::PRelu(op) => (&op.out, B::prelu(env.float(&op.lhs)?, env.float(&op.rhs)?)),
        A::HardSigmoid(op) => {
            // burn's own rounds to 32 bits.
            let line = B::float_mul_scalar(env.float(&op.tensor)?, op.alpha.into());
            let line = B::float_add_scalar(line, op.beta.into());
            (&op.out, B::float_clamp(line, 0.0.into(), 1.0.into()))
        }
        A::Softmax(op) => (&op.out, B::softmax(env.float(&op.input)?, op.axis)),
        A::LogSoftmax(op) => (&op.out, B::log_softmax(env.float(&op.input)?, op.axis)),
        A::Softmin(op) => (&op.out, B::softmin(env.float(&op.input)?, op.axis)),
        other => return refuse(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

/// `x/2 · (1 + erf(x/√2))`; burn's own backward pass approximates it by another function.
fn gelu<B: Backend>(x: FloatTensor<B>, env: &Environment<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x.clone(), std::f64::consts::FRAC_1_SQRT_2.into());
    let erf = (env.erf)(scaled);
    B::float_mul_scalar(
        B::float_mul(x, B::float_add_scalar(erf, 1.0.into())),
        0.5.into(),
    )
}

/// `1 / (1 + exp(−x))`; several backends round their own to 32 bits, so that 64 need another, which
/// never overflows either.
fn sigmoid<B: Backend>(x: FloatTensor<B>, env: &Environment<B>) -> FloatTensor<B> {
    if env.float != FloatDType::F64 {
        return B::sigmoid(x);
    }
    let positive = B::bool_not(negative(&x, env));
    let decay = (env.exp)(B::float_neg(absolute(x, env)));
    let numerator = B::float_mask_fill(decay.clone(), positive, 1.0.into());
    B::float_div(numerator, B::float_add_scalar(decay, 1.0.into()))
}

/// `min(x, 0) − log(1 + exp(−|x|))`, which never overflows.
fn log_sigmoid<B: Backend>(x: FloatTensor<B>, env: &Environment<B>) -> FloatTensor<B> {
    let positive = B::bool_not(negative(&x, env));
    let decay = (env.exp)(B::float_neg(absolute(x.clone(), env)));
    B::float_sub(
        B::float_mask_fill(x, positive, 0.0.into()),
        B::float_log1p(decay),
    )
}

fn negative<B: Backend>(x: &FloatTensor<B>, env: &Environment<B>) -> BoolTensor<B> {
    B::float_lower_elem(x.clone(), 0.0.into(), env.bool)
}

/// `|x|` with the derivative 1 at zero, the one-sided derivative that the formulas above cancel;
/// burn's own has 0 there.
fn absolute<B: Backend>(x: FloatTensor<B>, env: &Environment<B>) -> FloatTensor<B> {
    let ones = B::float_ones(x.shape(), &env.device, env.float);
    let signs = B::float_mask_fill(ones, negative(&x, env), (-1.0).into());
    B::float_mul(x, signs)
}
