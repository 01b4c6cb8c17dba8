//! Arithmetic on integer tensors, and logic on bool tensors: what models need for indices and masks.

use burn::{
    backend::{
        Backend,
        ir::{
            BinaryOpIr, BoolOperationIr, IntOperationIr, NumericOperationIr, ReduceDimOpIr,
            ScalarOpIr,
        },
        tensor::{BoolTensor, IntTensor},
    },
    tensor::{BoolDType, Scalar},
};

use super::{Environment, scalar, unsupported};
use crate::Result;

impl<B: Backend> Environment<B> {
    fn int_binary(
        &mut self,
        op: &BinaryOpIr,
        f: impl FnOnce(IntTensor<B>, IntTensor<B>) -> IntTensor<B>,
    ) -> Result<()> {
        let value = f(self.int(&op.lhs)?, self.int(&op.rhs)?);
        self.insert_int(op.out.id, value);
        Ok(())
    }

    fn int_scalar(
        &mut self,
        op: &ScalarOpIr,
        f: impl FnOnce(IntTensor<B>, Scalar) -> IntTensor<B>,
    ) -> Result<()> {
        let value = f(self.int(&op.lhs)?, scalar(op.rhs));
        self.insert_int(op.out.id, value);
        Ok(())
    }

    fn int_along(
        &mut self,
        op: &ReduceDimOpIr,
        f: impl FnOnce(IntTensor<B>, usize) -> IntTensor<B>,
    ) -> Result<()> {
        let value = f(self.int(&op.input)?, op.axis);
        self.insert_int(op.out.id, value);
        Ok(())
    }

    fn int_compare(
        &mut self,
        op: &BinaryOpIr,
        f: impl FnOnce(IntTensor<B>, IntTensor<B>, BoolDType) -> BoolTensor<B>,
    ) -> Result<()> {
        let value = f(self.int(&op.lhs)?, self.int(&op.rhs)?, self.bool);
        self.insert_bool(op.out.id, value);
        Ok(())
    }

    fn int_compare_scalar(
        &mut self,
        op: &ScalarOpIr,
        f: impl FnOnce(IntTensor<B>, Scalar, BoolDType) -> BoolTensor<B>,
    ) -> Result<()> {
        let value = f(self.int(&op.lhs)?, scalar(op.rhs), self.bool);
        self.insert_bool(op.out.id, value);
        Ok(())
    }
}

/// Evaluates an arithmetic operation on integers.
pub(super) fn numeric<B: Backend>(
    operation: &NumericOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    use NumericOperationIr as N;
    match operation {
        N::Add(op) => env.int_binary(op, B::int_add),
        N::AddScalar(op) => env.int_scalar(op, B::int_add_scalar),
        N::Sub(op) => env.int_binary(op, B::int_sub),
        N::SubScalar(op) => env.int_scalar(op, B::int_sub_scalar),
        N::Mul(op) => env.int_binary(op, B::int_mul),
        N::MulScalar(op) => env.int_scalar(op, B::int_mul_scalar),
        N::Div(op) => env.int_binary(op, B::int_div),
        N::DivScalar(op) => env.int_scalar(op, B::int_div_scalar),
        N::Rem(op) => env.int_binary(op, B::int_remainder),
        N::RemScalar(op) => env.int_scalar(op, B::int_remainder_scalar),
        N::ClampMin(op) => env.int_scalar(op, B::int_clamp_min),
        N::ClampMax(op) => env.int_scalar(op, B::int_clamp_max),
        N::Greater(op) => env.int_compare(op, B::int_greater),
        N::GreaterEqual(op) => env.int_compare(op, B::int_greater_equal),
        N::Lower(op) => env.int_compare(op, B::int_lower),
        N::LowerEqual(op) => env.int_compare(op, B::int_lower_equal),
        N::GreaterElem(op) => env.int_compare_scalar(op, B::int_greater_elem),
        N::GreaterEqualElem(op) => env.int_compare_scalar(op, B::int_greater_equal_elem),
        N::LowerElem(op) => env.int_compare_scalar(op, B::int_lower_elem),
        N::LowerEqualElem(op) => env.int_compare_scalar(op, B::int_lower_equal_elem),
        N::SumDim(op) => env.int_along(op, B::int_sum_dim),
        N::ArgMax(op) => env.int_along(op, B::int_argmax),
        N::MaxDim(op) => env.int_along(op, B::int_max_dim),
        N::CumSum(op) => {
            let value = B::int_cumsum(env.int(&op.input)?, op.axis);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        N::Neg(op) => {
            let value = B::int_neg(env.int(&op.input)?);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        N::Full(op) => {
            let value = B::int_full(op.out.shape.clone(), scalar(op.value), &env.device, env.int);
            env.insert_int(op.out.id, value);
            Ok(())
        }
        other => Err(unsupported(other)),
    }
}

/// Evaluates an operation that only integers have.
pub(super) fn int<B: Backend>(operation: &IntOperationIr, env: &mut Environment<B>) -> Result<()> {
    match operation {
        IntOperationIr::IntoFloat(op) => {
            let value = B::int_into_float(env.int(&op.input)?, env.float);
            env.insert_float(op.out.id, value);
            Ok(())
        }
        other => Err(unsupported(other)),
    }
}

/// Evaluates a logical operation.
pub(super) fn bool<B: Backend>(
    operation: &BoolOperationIr,
    env: &mut Environment<B>,
) -> Result<()> {
    let (out, value) = match operation {
        BoolOperationIr::IntoFloat(op) => {
            let value = B::bool_into_float(env.bool(&op.input)?, env.float);
            env.insert_float(op.out.id, value);
            return Ok(());
        }
        BoolOperationIr::IntoInt(op) => {
            let value = B::bool_into_int(env.bool(&op.input)?, env.int);
            env.insert_int(op.out.id, value);
            return Ok(());
        }
        BoolOperationIr::Not(op) => (&op.out, B::bool_not(env.bool(&op.input)?)),
        BoolOperationIr::And(op) => (&op.out, B::bool_and(env.bool(&op.lhs)?, env.bool(&op.rhs)?)),
        BoolOperationIr::Or(op) => (&op.out, B::bool_or(env.bool(&op.lhs)?, env.bool(&op.rhs)?)),
        BoolOperationIr::Xor(op) => (&op.out, B::bool_xor(env.bool(&op.lhs)?, env.bool(&op.rhs)?)),
    };
    env.insert_bool(out.id, value);
    Ok(())
}
