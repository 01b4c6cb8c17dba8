//! Operations on integer tensors, and logic on bool tensors: indices and masks.

use burn::backend::{
    Backend,
    ir::{BoolOperationIr, IntOperationIr, NumericOperationIr},
};

use super::{
    environment::{Environment, refuse},
    table::{operations, questions},
};
use crate::Result;

operations!(
    /// Evaluates an arithmetic operation on integers.
    numeric(NumericOperationIr) of int into insert_int, else composed;
    unary: Neg int_neg, Abs int_abs, Sign int_sign, Sum int_sum, Mean int_mean, Prod int_prod, Max int_max, Min int_min,
        MaxAbs int_max_abs;
    binary: Add int_add, Sub int_sub, Mul int_mul, Div int_div, Rem int_remainder, Powi int_powi;
    scalar: AddScalar int_add_scalar, SubScalar int_sub_scalar, MulScalar int_mul_scalar, DivScalar int_div_scalar,
        RemScalar int_remainder_scalar, PowiScalar int_powi_scalar, ClampMin int_clamp_min, ClampMax int_clamp_max;
    along: SumDim int_sum_dim, MeanDim int_mean_dim, ProdDim int_prod_dim, MaxDim int_max_dim, MinDim int_min_dim,
        MaxAbsDim int_max_abs_dim, ArgMax int_argmax, ArgMin int_argmin, CumSum int_cumsum, CumProd int_cumprod,
        CumMin int_cummin, CumMax int_cummax
);

questions!(
    /// Evaluates a comparison.
    compare(NumericOperationIr) of int into insert_bool as bool, else refuse;
    unary: ;
    binary: Greater int_greater, GreaterEqual int_greater_equal, Lower int_lower, LowerEqual int_lower_equal;
    scalar: GreaterElem int_greater_elem, GreaterEqualElem int_greater_equal_elem, LowerElem int_lower_elem,
        LowerEqualElem int_lower_equal_elem;
    along:
);

operations!(
    /// Evaluates an operation that only integers have.
    int(IntOperationIr) of int into insert_int, else into_float;
    unary: BitwiseNot bitwise_not;
    binary: BitwiseAnd bitwise_and, BitwiseOr bitwise_or, BitwiseXor bitwise_xor, BitwiseLeftShift bitwise_left_shift,
        BitwiseRightShift bitwise_right_shift, Matmul int_matmul;
    scalar: BitwiseAndScalar bitwise_and_scalar, BitwiseOrScalar bitwise_or_scalar, BitwiseXorScalar bitwise_xor_scalar,
        BitwiseLeftShiftScalar bitwise_left_shift_scalar, BitwiseRightShiftScalar bitwise_right_shift_scalar;
    along:
);

operations!(
    /// Evaluates a logical operation.
    bool(BoolOperationIr) of bool into insert_bool, else into_numbers;
    unary: Not bool_not;
    binary: And bool_and, Or bool_or, Xor bool_xor;
    scalar: ;
    along:
);

fn composed<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let (out, value) = match operation {
        N::SumDims(op) => {
            let input = env.int(&op.input)?;
            (
                &op.out,
                op.axes
                    .iter()
                    .fold(input, |sum, &axis| B::int_sum_dim(sum, axis)),
            )
        }
        N::Clamp(op) => (
            &op.out,
            B::int_clamp(env.int(&op.tensor)?, op.min.into(), op.max.into()),
        ),
        N::Full(op) => {
            let shape = op.out.shape.clone();
            (
                &op.out,
                B::int_full(shape, op.value.into(), &env.device, env.int),
            )
        }
        N::Pad(op) => (
            &op.out,
            B::int_pad(env.int(&op.input)?, &op.padding, op.mode.into()),
        ),
        N::Sort(op) => (
            &op.out,
            B::int_sort(env.int(&op.input)?, op.dim, op.descending),
        ),
        N::ArgSort(op) => (
            &op.out,
            B::int_argsort(env.int(&op.input)?, op.dim, op.descending),
        ),
        N::TopK(op) => (
            &op.out,
            B::int_topk(env.int(&op.input)?, op.axis, op.accumulator_len),
        ),
        N::ArgTopK(op) => (
            &op.out,
            B::int_argtopk(env.int(&op.input)?, op.axis, op.accumulator_len),
        ),
        other => return with_places(other, env),
    };
    env.insert_int(out.id, value);
    Ok(())
}

fn with_places<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let (out, (values, places)) = match operation {
        N::MaxDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::int_max_dim_with_indices(env.int(&op.tensor)?, op.dim),
        ),
        N::MinDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::int_min_dim_with_indices(env.int(&op.tensor)?, op.dim),
        ),
        N::TopKWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::int_topk_with_indices(env.int(&op.tensor)?, op.dim, op.k),
        ),
        N::SortWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::int_sort_with_indices(env.int(&op.input)?, op.dim, op.descending),
        ),
        other => return compare(other, env),
    };
    env.insert_int(out[0].id, values);
    env.insert_int(out[1].id, places);
    Ok(())
}

fn into_float<B: Backend>(operation: &IntOperationIr, env: &mut Environment<B>) -> Result<()> {
    let IntOperationIr::IntoFloat(op) = operation else {
        return refuse(operation, env);
    };
    let value = B::int_into_float(env.int(&op.input)?, env.float);
    env.insert_float(op.out.id, value);
    Ok(())
}

fn into_numbers<B: Backend>(operation: &BoolOperationIr, env: &mut Environment<B>) -> Result<()> {
    match operation {
        BoolOperationIr::IntoFloat(op) => {
            let value = B::bool_into_float(env.bool(&op.input)?, env.float);
            env.insert_float(op.out.id, value);
        }
        BoolOperationIr::IntoInt(op) => {
            let value = B::bool_into_int(env.bool(&op.input)?, env.int);
            env.insert_int(op.out.id, value);
        }
        other => return refuse(other, env),
    }
    Ok(())
}
