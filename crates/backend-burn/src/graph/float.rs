//! Arithmetic on float tensors.

use burn::backend::{
    Backend,
    ir::{BinaryOpIr, FloatOperationIr, NumericOperationIr, ReduceDimOpIr, ScalarOpIr, TensorId, UnaryOpIr},
    
    tensor::{BoolTensor, FloatTensor, IntTensor},
};
use burn::tensor::{BoolDType, Scalar};

use super::{Environment, scalar, unsupported};
use crate::Result;

impl<B: Backend> Environment<B> {
    fn unary(&mut self, op: &UnaryOpIr, f: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>) -> Result<()> {
        let value = f(self.float(&op.input)?);
        self.done(op.out.id, value)
    }

    fn binary(&mut self, op: &BinaryOpIr, f: impl FnOnce(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>) -> Result<()> {
        let value = f(self.float(&op.lhs)?, self.float(&op.rhs)?);
        self.done(op.out.id, value)
    }

    fn with_scalar(&mut self, op: &ScalarOpIr, f: impl FnOnce(FloatTensor<B>, Scalar) -> FloatTensor<B>) -> Result<()> {
        let value = f(self.float(&op.lhs)?, scalar(op.rhs));
        self.done(op.out.id, value)
    }

    fn along(&mut self, op: &ReduceDimOpIr, f: impl FnOnce(FloatTensor<B>, usize) -> FloatTensor<B>) -> Result<()> {
        let value = f(self.float(&op.input)?, op.axis);
        self.done(op.out.id, value)
    }

    fn compare(
        &mut self,
        op: &BinaryOpIr,
        f: impl FnOnce(FloatTensor<B>, FloatTensor<B>, BoolDType) -> BoolTensor<B>,
    ) -> Result<()> {
        let value = f(self.float(&op.lhs)?, self.float(&op.rhs)?, self.bool);
        self.insert_bool(op.out.id, value);
        Ok(())
    }

    fn compare_scalar(
        &mut self,
        op: &ScalarOpIr,
        f: impl FnOnce(FloatTensor<B>, Scalar, BoolDType) -> BoolTensor<B>,
    ) -> Result<()> {
        let value = f(self.float(&op.lhs)?, scalar(op.rhs), self.bool);
        self.insert_bool(op.out.id, value);
        Ok(())
    }

    fn done(&mut self, id: TensorId, value: FloatTensor<B>) -> Result<()> {
        self.insert_float(id, value);
        Ok(())
    }

    fn ranked(&mut self, [values, indices]: [TensorId; 2], pair: (FloatTensor<B>, IntTensor<B>)) -> Result<()> {
        self.insert_int(indices, pair.1);
        self.done(values, pair.0)
    }
}

/// Evaluates an arithmetic operation that integers have too.
pub(super) fn numeric<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    match operation {
        N::Add(op) => env.binary(op, B::float_add),
        N::AddScalar(op) => env.with_scalar(op, B::float_add_scalar),
        N::Sub(op) => env.binary(op, B::float_sub),
        N::SubScalar(op) => env.with_scalar(op, B::float_sub_scalar),
        N::Mul(op) => env.binary(op, B::float_mul),
        N::MulScalar(op) => env.with_scalar(op, B::float_mul_scalar),
        N::Div(op) => env.binary(op, B::float_div),
        N::DivScalar(op) => env.with_scalar(op, B::float_div_scalar),
        N::Rem(op) => env.binary(op, B::float_remainder),
        N::RemScalar(op) => env.with_scalar(op, B::float_remainder_scalar),
        N::PowiScalar(op) => env.with_scalar(op, B::float_powi_scalar),
        N::ClampMin(op) => env.with_scalar(op, B::float_clamp_min),
        N::ClampMax(op) => env.with_scalar(op, B::float_clamp_max),
        N::Neg(op) => env.unary(op, B::float_neg),
        N::Abs(op) => env.unary(op, B::float_abs),
        N::Sign(op) => env.unary(op, B::float_sign),
        N::Greater(op) => env.compare(op, B::float_greater),
        N::GreaterEqual(op) => env.compare(op, B::float_greater_equal),
        N::Lower(op) => env.compare(op, B::float_lower),
        N::LowerEqual(op) => env.compare(op, B::float_lower_equal),
        N::GreaterElem(op) => env.compare_scalar(op, B::float_greater_elem),
        N::GreaterEqualElem(op) => env.compare_scalar(op, B::float_greater_equal_elem),
        N::LowerElem(op) => env.compare_scalar(op, B::float_lower_elem),
        N::LowerEqualElem(op) => env.compare_scalar(op, B::float_lower_equal_elem),
        other => reduce(other, env),
    }
}

fn reduce<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    match operation {
        N::SumDim(op) => env.along(op, B::float_sum_dim),
        N::MeanDim(op) => env.along(op, B::float_mean_dim),
        N::ProdDim(op) => env.along(op, B::float_prod_dim),
        N::MaxDim(op) => env.along(op, B::float_max_dim),
        N::MinDim(op) => env.along(op, B::float_min_dim),
        N::MaxAbsDim(op) => env.along(op, |x, axis| B::float_max_dim(B::float_abs(x), axis)),
        N::SumDims(op) => {
            let value = op.axes.iter().fold(env.float(&op.input)?, |sum, &axis| B::float_sum_dim(sum, axis));
            env.done(op.out.id, value)
        }
        N::Sum(op) => whole(env, &op.input, op.out.id, B::float_sum),
        N::Mean(op) => whole(env, &op.input, op.out.id, B::float_mean),
        N::Prod(op) => whole(env, &op.input, op.out.id, B::float_prod),
        N::Max(op) => whole(env, &op.input, op.out.id, B::float_max),
        N::Min(op) => whole(env, &op.input, op.out.id, B::float_min),
        N::CumSum(op) => {
            let value = B::float_cumsum(env.float(&op.input)?, op.axis);
            env.done(op.out.id, value)
        }
        other => order(other, env),
    }
}

fn whole<B: Backend>(
    env: &mut Environment<B>,
    input: &burn::backend::ir::TensorIr,
    out: TensorId,
    f: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
) -> Result<()> {
    let value = f(env.float(input)?);
    env.done(out, value)
}

fn order<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    match operation {
        N::ArgMax(op) => {
            let value = B::float_argmax(env.float(&op.input)?, op.axis, env.int);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        N::ArgMin(op) => {
            let value = B::float_argmin(env.float(&op.input)?, op.axis, env.int);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        N::MaxDimWithIndices(op) => {
            let pair = B::float_max_dim_with_indices(env.float(&op.tensor)?, op.dim, env.int);
            env.ranked([op.out.id, op.out_indices.id], pair)
        }
        N::MinDimWithIndices(op) => {
            let pair = B::float_min_dim_with_indices(env.float(&op.tensor)?, op.dim, env.int);
            env.ranked([op.out.id, op.out_indices.id], pair)
        }
        N::SortWithIndices(op) => {
            let pair = B::float_sort_with_indices(env.float(&op.input)?, op.dim, op.descending, env.int);
            env.ranked([op.out.id, op.out_indices.id], pair)
        }
        N::Clamp(op) => {
            let value = B::float_clamp(env.float(&op.tensor)?, scalar(op.min), scalar(op.max));
            env.done(op.out.id, value)
        }
        N::Full(op) => {
            let value = B::float_full(op.out.shape.clone(), scalar(op.value), &env.device, env.float);
            env.done(op.out.id, value)
        }
        N::Pad(op) => {
            let value = B::float_pad(env.float(&op.input)?, &op.padding, op.mode.clone().into());
            env.done(op.out.id, value)
        }
        N::Powi(op) => {
            let value = B::float_powi(env.float(&op.lhs)?, env.int(&op.rhs)?);
            env.done(op.out.id, value)
        }
        other => Err(unsupported(other)),
    }
}

/// Evaluates an operation that only floats have.
pub(super) fn float<B: Backend>(operation: &FloatOperationIr, env: &mut Environment<B>) -> Result<()> {
    use FloatOperationIr as F;
    match operation {
        F::Matmul(op) => {
            let value = B::float_matmul(env.float(&op.lhs)?, env.float(&op.rhs)?);
            env.done(op.out.id, value)
        }
        F::Exp(op) => env.unary(op, B::float_exp),
        F::Log(op) => env.unary(op, B::float_log),
        F::Log1p(op) => env.unary(op, B::float_log1p),
        F::Erf(op) => env.unary(op, B::float_erf),
        F::Sqrt(op) => env.unary(op, B::float_sqrt),
        F::Recip(op) => env.unary(op, B::float_recip),
        F::Sin(op) => env.unary(op, B::float_sin),
        F::Cos(op) => env.unary(op, B::float_cos),
        F::Tan(op) => env.unary(op, B::float_tan),
        F::Sinh(op) => env.unary(op, B::float_sinh),
        F::Cosh(op) => env.unary(op, B::float_cosh),
        F::Tanh(op) => env.unary(op, B::float_tanh),
        F::Round(op) => env.unary(op, B::float_round),
        F::Floor(op) => env.unary(op, B::float_floor),
        F::Ceil(op) => env.unary(op, B::float_ceil),
        F::Trunc(op) => env.unary(op, B::float_trunc),
        F::PowfScalar(op) => env.with_scalar(op, B::float_powf_scalar),
        F::Powf(op) => env.binary(op, B::float_powf),
        F::IntoInt(op) => {
            let value = B::float_into_int(env.float(&op.input)?, env.int);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        other => Err(unsupported(other)),
    }
}

/// A float tensor of integers.
pub(super) fn from_int<B: Backend>(env: &Environment<B>, tensor: IntTensor<B>) -> FloatTensor<B> {
    B::int_into_float(tensor, env.float)
}
