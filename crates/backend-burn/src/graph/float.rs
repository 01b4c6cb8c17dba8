//! Arithmetic on float tensors.

use burn::backend::{
    Backend,
    ir::{BinaryOpIr, FloatOperationIr, NumericOperationIr, ScalarOpIr, UnaryOpIr},
    tensor::{BoolTensor, FloatTensor},
};
use burn::tensor::{BoolDType, Scalar};

use super::{Environment, scalar, unsupported};
use crate::Result;

impl<B: Backend> Environment<B> {
    fn unary(
        &mut self,
        op: &UnaryOpIr,
        f: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
    ) -> Result<()> {
        let value = f(self.float(&op.input)?);
        self.insert_float(op.out.id, value);
        Ok(())
    }

    fn binary(
        &mut self,
        op: &BinaryOpIr,
        f: impl FnOnce(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
    ) -> Result<()> {
        let value = f(self.float(&op.lhs)?, self.float(&op.rhs)?);
        self.insert_float(op.out.id, value);
        Ok(())
    }

    fn with_scalar(
        &mut self,
        op: &ScalarOpIr,
        f: impl FnOnce(FloatTensor<B>, Scalar) -> FloatTensor<B>,
    ) -> Result<()> {
        let value = f(self.float(&op.lhs)?, scalar(op.rhs));
        self.insert_float(op.out.id, value);
        Ok(())
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
}

/// Evaluates an arithmetic operation that integers have too.
pub(super) fn numeric<B: Backend>(
    operation: &NumericOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
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
    let (out, value) = match operation {
        N::SumDim(op) => (&op.out, B::float_sum_dim(env.float(&op.input)?, op.axis)),
        N::MeanDim(op) => (&op.out, B::float_mean_dim(env.float(&op.input)?, op.axis)),
        N::ProdDim(op) => (&op.out, B::float_prod_dim(env.float(&op.input)?, op.axis)),
        N::MaxDim(op) => (&op.out, B::float_max_dim(env.float(&op.input)?, op.axis)),
        N::MinDim(op) => (&op.out, B::float_min_dim(env.float(&op.input)?, op.axis)),
        N::MaxAbsDim(op) => (
            &op.out,
            B::float_max_dim(B::float_abs(env.float(&op.input)?), op.axis),
        ),
        N::SumDims(op) => (
            &op.out,
            op.axes.iter().fold(env.float(&op.input)?, |sum, &axis| {
                B::float_sum_dim(sum, axis)
            }),
        ),
        N::CumSum(op) => (&op.out, B::float_cumsum(env.float(&op.input)?, op.axis)),
        N::Sum(op) => (&op.out, B::float_sum(env.float(&op.input)?)),
        N::Mean(op) => (&op.out, B::float_mean(env.float(&op.input)?)),
        N::Prod(op) => (&op.out, B::float_prod(env.float(&op.input)?)),
        N::Max(op) => (&op.out, B::float_max(env.float(&op.input)?)),
        N::Min(op) => (&op.out, B::float_min(env.float(&op.input)?)),
        N::Clamp(op) => (
            &op.out,
            B::float_clamp(env.float(&op.tensor)?, scalar(op.min), scalar(op.max)),
        ),
        N::Full(op) => (
            &op.out,
            B::float_full(
                op.out.shape.clone(),
                scalar(op.value),
                &env.device,
                env.float,
            ),
        ),
        N::Pad(op) => (
            &op.out,
            B::float_pad(env.float(&op.input)?, &op.padding, op.mode.into()),
        ),
        N::Powi(op) => (
            &op.out,
            B::float_powi(env.float(&op.lhs)?, env.int(&op.rhs)?),
        ),
        other => return order(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

fn order<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let int = env.int;
    let (out, (values, indices)) = match operation {
        N::ArgMax(op) => {
            let indices = B::float_argmax(env.float(&op.input)?, op.axis, int);
            env.insert_int(op.out.id, indices);
            return Ok(());
        }
        N::ArgMin(op) => {
            let indices = B::float_argmin(env.float(&op.input)?, op.axis, int);
            env.insert_int(op.out.id, indices);
            return Ok(());
        }
        N::MaxDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_max_dim_with_indices(env.float(&op.tensor)?, op.dim, int),
        ),
        N::MinDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_min_dim_with_indices(env.float(&op.tensor)?, op.dim, int),
        ),
        N::SortWithIndices(op) => {
            let sorted =
                B::float_sort_with_indices(env.float(&op.input)?, op.dim, op.descending, int);
            ([&op.out, &op.out_indices], sorted)
        }
        other => return Err(unsupported(other)),
    };
    env.insert_float(out[0].id, values);
    env.insert_int(out[1].id, indices);
    Ok(())
}

/// Evaluates an operation that only floats have.
pub(super) fn float<B: Backend>(
    operation: &FloatOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use FloatOperationIr as F;
    match operation {
        F::Matmul(op) => {
            let value = B::float_matmul(env.float(&op.lhs)?, env.float(&op.rhs)?);
            env.insert_float(op.out.id, value);
            Ok(())
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
