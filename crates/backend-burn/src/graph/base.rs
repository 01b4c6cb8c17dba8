//! Operations that exist for every kind of tensor: changes of shape, indexing, masks.

use burn::{
    backend::{Backend, ir::BaseOperationIr},
    tensor::Shape,
};

use super::{Environment, scalar, unsupported};
use crate::Result;

/// The operations that differ between kinds in the name of a function only.
macro_rules! base {
    ($(#[$doc:meta])* $name:ident, $read:ident, $insert:ident, $rest:ident;
     $reshape:ident $swap:ident $permute:ident $flip:ident $expand:ident $unfold:ident $slice:ident $slice_assign:ident
     $gather:ident $select:ident $where:ident $fill:ident $repeat:ident $cat:ident) => {
        $(#[$doc])*
        pub(super) fn $name<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
            let (out, value) = match operation {
                BaseOperationIr::Reshape(op) => (&op.out, B::$reshape(env.$read(&op.input)?, op.out.shape.clone())),
                BaseOperationIr::SwapDims(op) => (&op.out, B::$swap(env.$read(&op.input)?, op.dim1, op.dim2)),
                BaseOperationIr::Permute(op) => (&op.out, B::$permute(env.$read(&op.input)?, &op.axes)),
                BaseOperationIr::Flip(op) => (&op.out, B::$flip(env.$read(&op.input)?, &op.axes)),
                BaseOperationIr::Expand(op) => (&op.out, B::$expand(env.$read(&op.input)?, op.out.shape.clone())),
                BaseOperationIr::Unfold(op) => (&op.out, B::$unfold(env.$read(&op.input)?, op.dim, op.size, op.step)),
                BaseOperationIr::Slice(op) => (&op.out, B::$slice(env.$read(&op.tensor)?, &op.ranges)),
                BaseOperationIr::SliceAssign(op) => {
                    (&op.out, B::$slice_assign(env.$read(&op.tensor)?, &op.ranges, env.$read(&op.value)?))
                }
                BaseOperationIr::Gather(op) => {
                    (&op.out, B::$gather(op.dim, env.$read(&op.tensor)?, env.int(&op.indices)?))
                }
                BaseOperationIr::Select(op) => {
                    (&op.out, B::$select(env.$read(&op.tensor)?, op.dim, env.int(&op.indices)?))
                }
                BaseOperationIr::MaskWhere(op) => {
                    let (tensor, mask) = (env.$read(&op.tensor)?, env.bool(&op.mask)?);
                    (&op.out, B::$where(tensor, mask, env.$read(&op.value)?))
                }
                BaseOperationIr::MaskFill(op) => {
                    (&op.out, B::$fill(env.$read(&op.tensor)?, env.bool(&op.mask)?, scalar(op.value)))
                }
                BaseOperationIr::RepeatDim(op) => (&op.out, B::$repeat(env.$read(&op.tensor)?, op.dim, op.times)),
                BaseOperationIr::Cat(op) => {
                    let tensors = op.tensors.iter().map(|tensor| env.$read(tensor)).collect::<Result<Vec<_>>>()?;
                    (&op.out, B::$cat(tensors, op.dim))
                }
                other => return $rest(other, env),
            };
            env.$insert(out.id, value);
            Ok(())
        }
    };
}

base!(
    /// Evaluates a base operation on float tensors.
    float, float, insert_float, float_rest;
    float_reshape float_swap_dims float_permute float_flip float_expand float_unfold float_slice float_slice_assign
    float_gather float_select float_mask_where float_mask_fill float_repeat_dim float_cat
);
base!(
    /// Evaluates a base operation on integer tensors.
    int, int, insert_int, int_rest;
    int_reshape int_swap_dims int_permute int_flip int_expand int_unfold int_slice int_slice_assign
    int_gather int_select int_mask_where int_mask_fill int_repeat_dim int_cat
);
base!(
    /// Evaluates a base operation on bool tensors.
    bool, bool, insert_bool, bool_rest;
    bool_reshape bool_swap_dims bool_permute bool_flip bool_expand bool_unfold bool_slice bool_slice_assign
    bool_gather bool_select bool_mask_where bool_mask_fill bool_repeat_dim bool_cat
);

fn float_rest<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let (device, float) = (env.device.clone(), env.float);
    let (out, value) = match operation {
        BaseOperationIr::Scatter(op) => {
            let (tensor, indices) = (env.float(&op.tensor)?, env.int(&op.indices)?);
            (
                &op.out,
                B::float_scatter(op.dim, tensor, indices, env.float(&op.value)?, op.update),
            )
        }
        BaseOperationIr::SelectAssign(op) => {
            let (tensor, indices) = (env.float(&op.tensor)?, env.int(&op.indices)?);
            (
                &op.out,
                B::float_select_assign(tensor, op.dim, indices, env.float(&op.value)?, op.update),
            )
        }
        // All floats are computed in one precision.
        BaseOperationIr::Cast(op) => (&op.out, env.float(&op.input)?),
        BaseOperationIr::Ones(op) => (&op.out, B::float_ones(op.out.shape.clone(), &device, float)),
        BaseOperationIr::Zeros(op) | BaseOperationIr::Empty(op) => (
            &op.out,
            B::float_zeros(op.out.shape.clone(), &device, float),
        ),
        other => return float_equality(other, env),
    };
    env.insert_float(out.id, value);
    Ok(())
}

fn float_equality<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let bool = env.bool;
    let (out, value) = match operation {
        BaseOperationIr::Equal(op) => (
            &op.out,
            B::float_equal(env.float(&op.lhs)?, env.float(&op.rhs)?, bool),
        ),
        BaseOperationIr::NotEqual(op) => (
            &op.out,
            B::float_not_equal(env.float(&op.lhs)?, env.float(&op.rhs)?, bool),
        ),
        BaseOperationIr::EqualElem(op) => (
            &op.out,
            B::float_equal_elem(env.float(&op.lhs)?, scalar(op.rhs), bool),
        ),
        BaseOperationIr::NotEqualElem(op) => (
            &op.out,
            B::float_not_equal_elem(env.float(&op.lhs)?, scalar(op.rhs), bool),
        ),
        other => return Err(unsupported(other)),
    };
    env.insert_bool(out.id, value);
    Ok(())
}

fn int_rest<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let (device, int) = (env.device.clone(), env.int);
    let (out, value) = match operation {
        BaseOperationIr::Cast(op) => (&op.out, env.int(&op.input)?),
        BaseOperationIr::Ones(op) => (&op.out, B::int_ones(op.out.shape.clone(), &device, int)),
        BaseOperationIr::Zeros(op) | BaseOperationIr::Empty(op) => {
            (&op.out, B::int_zeros(op.out.shape.clone(), &device, int))
        }
        other => return int_equality(other, env),
    };
    env.insert_int(out.id, value);
    Ok(())
}

fn int_equality<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let bool = env.bool;
    let (out, value) = match operation {
        BaseOperationIr::Equal(op) => (
            &op.out,
            B::int_equal(env.int(&op.lhs)?, env.int(&op.rhs)?, bool),
        ),
        BaseOperationIr::NotEqual(op) => (
            &op.out,
            B::int_not_equal(env.int(&op.lhs)?, env.int(&op.rhs)?, bool),
        ),
        BaseOperationIr::EqualElem(op) => (
            &op.out,
            B::int_equal_elem(env.int(&op.lhs)?, scalar(op.rhs), bool),
        ),
        BaseOperationIr::NotEqualElem(op) => (
            &op.out,
            B::int_not_equal_elem(env.int(&op.lhs)?, scalar(op.rhs), bool),
        ),
        other => return Err(unsupported(other)),
    };
    env.insert_bool(out.id, value);
    Ok(())
}

fn bool_rest<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let (device, bool) = (env.device.clone(), env.bool);
    let shape = |out: &burn::backend::ir::TensorIr| -> Shape { out.shape.clone() };
    let (out, value) = match operation {
        BaseOperationIr::Equal(op) => (
            &op.out,
            B::bool_equal(env.bool(&op.lhs)?, env.bool(&op.rhs)?),
        ),
        BaseOperationIr::NotEqual(op) => (
            &op.out,
            B::bool_not_equal(env.bool(&op.lhs)?, env.bool(&op.rhs)?),
        ),
        BaseOperationIr::EqualElem(op) => (
            &op.out,
            B::bool_equal_elem(env.bool(&op.lhs)?, scalar(op.rhs)),
        ),
        BaseOperationIr::NotEqualElem(op) => (
            &op.out,
            B::bool_not_equal_elem(env.bool(&op.lhs)?, scalar(op.rhs)),
        ),
        BaseOperationIr::Cast(op) => (&op.out, env.bool(&op.input)?),
        BaseOperationIr::Ones(op) => (&op.out, B::bool_ones(shape(&op.out), &device, bool)),
        BaseOperationIr::Zeros(op) | BaseOperationIr::Empty(op) => {
            (&op.out, B::bool_zeros(shape(&op.out), &device, bool))
        }
        other => return Err(unsupported(other)),
    };
    env.insert_bool(out.id, value);
    Ok(())
}
