//! Operations on float tensors.

use burn::backend::{
    Backend,
    ir::{FloatOperationIr, NumericOperationIr},
};

use super::{
    environment::{Environment, refuse},
    table::{operations, questions},
};
use crate::Result;

operations!(
    /// Evaluates an arithmetic operation that integers have too.
    numeric(NumericOperationIr) of float into insert_float, else composed;
    unary: Neg float_neg, Abs float_abs, Sign float_sign, Sum float_sum, Mean float_mean, Prod float_prod, Max float_max,
        Min float_min, MaxAbs float_max_abs;
    binary: Add float_add, Sub float_sub, Mul float_mul, Div float_div, Rem float_remainder;
    scalar: AddScalar float_add_scalar, SubScalar float_sub_scalar, MulScalar float_mul_scalar,
        RemScalar float_remainder_scalar, PowiScalar float_powi_scalar, ClampMin float_clamp_min, ClampMax float_clamp_max;
    along: SumDim float_sum_dim, MeanDim float_mean_dim, ProdDim float_prod_dim, MaxDim float_max_dim, MinDim float_min_dim,
        MaxAbsDim float_max_abs_dim, CumSum float_cumsum, CumProd float_cumprod, CumMin float_cummin, CumMax float_cummax
);

questions!(
    /// Evaluates a comparison.
    compare(NumericOperationIr) of float into insert_bool as bool, else refuse;
    unary: ;
    binary: Greater float_greater, GreaterEqual float_greater_equal, Lower float_lower, LowerEqual float_lower_equal;
    scalar: GreaterElem float_greater_elem, GreaterEqualElem float_greater_equal_elem, LowerElem float_lower_elem,
        LowerEqualElem float_lower_equal_elem;
    along:
);

questions!(
    /// Evaluates a search for the place of an extreme value.
    places(NumericOperationIr) of float into insert_int as int, else ranked;
    unary: ;
    binary: ;
    scalar: ;
    along: ArgMax float_argmax, ArgMin float_argmin
);

operations!(
    /// Evaluates an operation that only floats have.
    float(FloatOperationIr) of float into insert_float, else other;
    unary: Log float_log, Log1p float_log1p, Sqrt float_sqrt, Recip float_recip, Sin float_sin,
        Cos float_cos, Tan float_tan, Sinh float_sinh, Cosh float_cosh, ArcSin float_asin, ArcCos float_acos,
        ArcTan float_atan, ArcSinh float_asinh, ArcCosh float_acosh, ArcTanh float_atanh, Round float_round, Floor float_floor,
        Ceil float_ceil, Trunc float_trunc;
    binary: Powf float_powf, Hypot float_hypot, ArcTan2 float_atan2;
    scalar: PowfScalar float_powf_scalar;
    along:
);

questions!(
    /// Evaluates a test for special values.
    tests(FloatOperationIr) of float into insert_bool as bool, else refuse;
    unary: IsNan float_is_nan, IsInf float_is_inf;
    binary: ;
    scalar: ;
    along:
);

fn composed<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let (out, value) = match operation {
        // burn's derivative of a division by a number rounds the number's inverse to 32 bits,
        // whatever the type.
        N::DivScalar(op) => {
            let inverse = 1.0 / op.rhs.elem::<f64>();
            (
                &op.out,
                B::float_mul_scalar(env.float(&op.lhs)?, inverse.into()),
            )
        }
        N::SumDims(op) => {
            let input = env.float(&op.input)?;
            (
                &op.out,
                op.axes
                    .iter()
                    .fold(input, |sum, &axis| B::float_sum_dim(sum, axis)),
            )
        }
        N::Clamp(op) => (
            &op.out,
            B::float_clamp(env.float(&op.tensor)?, op.min.into(), op.max.into()),
        ),
        N::Full(op) => {
            let shape = op.out.shape.clone();
            (
                &op.out,
                B::float_full(shape, op.value.into(), &env.device, env.float),
            )
        }
        N::Pad(op) => (
            &op.out,
            B::float_pad(env.float(&op.input)?, &op.padding, op.mode.into()),
        ),
        N::Powi(op) => (
            &op.out,
            B::float_powi(env.float(&op.lhs)?, env.int(&op.rhs)?),
        ),
        N::Sort(op) => (
            &op.out,
            B::float_sort(env.float(&op.input)?, op.dim, op.descending),
        ),
        N::TopK(op) => (
            &op.out,
            B::float_topk(env.float(&op.input)?, op.axis, op.accumulator_len),
        ),
        other => return places(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

fn ranked<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let int = env.int;
    let (out, places) = match operation {
        N::ArgSort(op) => (
            &op.out,
            B::float_argsort(env.float(&op.input)?, op.dim, op.descending, int),
        ),
        N::ArgTopK(op) => (
            &op.out,
            B::float_argtopk(env.float(&op.input)?, op.axis, op.accumulator_len, int),
        ),
        other => return with_places(other, env),
    };
    env.insert_int(out.id, places);
    Ok(())
}

fn with_places<B: Backend>(operation: &NumericOperationIr, env: &mut Environment<B>) -> Result<()> {
    use NumericOperationIr as N;
    let int = env.int;
    let (out, (values, places)) = match operation {
        N::MaxDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_max_dim_with_indices(env.float(&op.tensor)?, op.dim, int),
        ),
        N::MinDimWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_min_dim_with_indices(env.float(&op.tensor)?, op.dim, int),
        ),
        N::TopKWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_topk_with_indices(env.float(&op.tensor)?, op.dim, op.k, int),
        ),
        N::SortWithIndices(op) => (
            [&op.out, &op.out_indices],
            B::float_sort_with_indices(env.float(&op.input)?, op.dim, op.descending, int),
        ),
        other => return compare(other, env),
    };
    env.insert_float(out[0].id, values);
    env.insert_int(out[1].id, places);
    Ok(())
}

fn other<B: Backend>(operation: &FloatOperationIr, env: &mut Environment<B>) -> Result<()> {
    match operation {
        FloatOperationIr::Cross(op) => {
            let value = B::float_cross(env.float(&op.lhs)?, env.float(&op.rhs)?, op.dim);
            env.insert_float(op.out.id, value);
        }
        FloatOperationIr::Exp(op) => {
            let value = (env.exp)(env.float(&op.input)?);
            env.insert_float(op.out.id, value);
        }
        FloatOperationIr::Erf(op) => {
            let value = (env.erf)(env.float(&op.input)?);
            env.insert_float(op.out.id, value);
        }
        FloatOperationIr::Matmul(op) => {
            let [left, right] = [env.float(&op.lhs)?, env.float(&op.rhs)?];
            env.insert_float(op.out.id, env.multiplied(left, right));
        }
        FloatOperationIr::Tanh(op) => {
            let value = (env.tanh)(env.float(&op.input)?);
            env.insert_float(op.out.id, value);
        }
        FloatOperationIr::IntoInt(op) => {
            let value = B::float_into_int(env.float(&op.input)?, env.int);
            env.insert_int(op.out.id, value);
        }
        other => return tests(other, env),
    }
    Ok(())
}
