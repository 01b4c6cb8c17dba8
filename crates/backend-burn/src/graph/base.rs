//! Operations that exist for every kind of tensor: changes of shape, indexing, masks.

use burn::{
    backend::{Backend, ir::BaseOperationIr},
    tensor::IndexingUpdateOp,
};

use super::{
    environment::{Environment, refuse},
    table::{operations, questions},
};
use crate::Result;

/// The operations that differ between kinds in the name of a function only.
macro_rules! base {
    ($(#[$doc:meta])* $name:ident, $read:ident, $insert:ident, $rest:ident;
     $reshape:ident $swap:ident $permute:ident $flip:ident $expand:ident $unfold:ident $slice:ident $slice_assign:ident
     $gather:ident $select:ident $where:ident $fill:ident $repeat:ident $cat:ident) => {
        $(#[$doc])*
        pub(super) fn $name<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
            let (out, value) = match operation {
                // A transposed tensor would be copied.
                BaseOperationIr::Reshape(op) if op.input.shape == op.out.shape => (&op.out, env.$read(&op.input)?),
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
                    (&op.out, B::$fill(env.$read(&op.tensor)?, env.bool(&op.mask)?, op.value.into()))
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

questions!(
    /// Evaluates a question about float tensors.
    float_questions(BaseOperationIr) of float into insert_bool as bool, else refuse;
    unary: All float_all, Any float_any;
    binary: Equal float_equal, NotEqual float_not_equal;
    scalar: EqualElem float_equal_elem, NotEqualElem float_not_equal_elem;
    along: AllDim float_all_dim, AnyDim float_any_dim
);
questions!(
    /// Evaluates a question about integer tensors.
    int_questions(BaseOperationIr) of int into insert_bool as bool, else refuse;
    unary: All int_all, Any int_any;
    binary: Equal int_equal, NotEqual int_not_equal;
    scalar: EqualElem int_equal_elem, NotEqualElem int_not_equal_elem;
    along: AllDim int_all_dim, AnyDim int_any_dim
);
operations!(
    /// Evaluates a question about bool tensors.
    bool_questions(BaseOperationIr) of bool into insert_bool, else refuse;
    unary: All bool_all, Any bool_any;
    binary: Equal bool_equal, NotEqual bool_not_equal;
    scalar: EqualElem bool_equal_elem, NotEqualElem bool_not_equal_elem;
    along: AllDim bool_all_dim, AnyDim bool_any_dim
);

/// The operations that floats and integers share.
macro_rules! numbers {
    ($name:ident, $kind:ident, $insert:ident, $questions:ident;
     $scatter:ident $scatter_nd:ident $gather_nd:ident $select_assign:ident $ones:ident $zeros:ident) => {
        fn $name<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
            let (out, value) = match operation {
                BaseOperationIr::Scatter(op) => {
                    let (tensor, indices) = (env.$kind(&op.tensor)?, env.int(&op.indices)?);
                    (
                        &op.out,
                        B::$scatter(op.dim, tensor, indices, env.$kind(&op.value)?, op.update),
                    )
                }
                BaseOperationIr::ScatterNd(op) => {
                    let (data, indices) = (env.$kind(&op.data)?, env.int(&op.indices)?);
                    (
                        &op.out,
                        B::$scatter_nd(data, indices, env.$kind(&op.values)?, op.reduction),
                    )
                }
                BaseOperationIr::GatherNd(op) => (
                    &op.out,
                    B::$gather_nd(env.$kind(&op.data)?, env.int(&op.indices)?),
                ),
                BaseOperationIr::SelectAssign(op) => {
                    let (tensor, indices) = (env.$kind(&op.tensor)?, env.int(&op.indices)?);
                    (
                        &op.out,
                        B::$select_assign(
                            tensor,
                            op.dim,
                            indices,
                            env.$kind(&op.value)?,
                            op.update,
                        ),
                    )
                }
                // All floats are computed in one precision, all integers in one width.
                BaseOperationIr::Cast(op) => (&op.out, env.$kind(&op.input)?),
                BaseOperationIr::Ones(op) => (
                    &op.out,
                    B::$ones(op.out.shape.clone(), &env.device, env.$kind),
                ),
                BaseOperationIr::Zeros(op) | BaseOperationIr::Empty(op) => (
                    &op.out,
                    B::$zeros(op.out.shape.clone(), &env.device, env.$kind),
                ),
                other => return $questions(other, env),
            };
            env.$insert(out.id, value);
            Ok(())
        }
    };
}

numbers!(
    float_rest, float, insert_float, float_questions;
    float_scatter float_scatter_nd float_gather_nd float_select_assign float_ones float_zeros
);
numbers!(
    int_rest, int, insert_int, int_questions;
    int_scatter int_scatter_nd int_gather_nd int_select_assign int_ones int_zeros
);

fn bool_rest<B: Backend>(operation: &BaseOperationIr, env: &mut Environment<B>) -> Result<()> {
    let (out, value) = match operation {
        BaseOperationIr::Scatter(op) if op.update == IndexingUpdateOp::Add => {
            let (tensor, indices) = (env.bool(&op.tensor)?, env.int(&op.indices)?);
            (
                &op.out,
                B::bool_scatter_or(op.dim, tensor, indices, env.bool(&op.value)?),
            )
        }
        BaseOperationIr::SelectAssign(op) if op.update == IndexingUpdateOp::Add => {
            let (tensor, indices) = (env.bool(&op.tensor)?, env.int(&op.indices)?);
            (
                &op.out,
                B::bool_select_or(tensor, op.dim, indices, env.bool(&op.value)?),
            )
        }
        BaseOperationIr::Cast(op) => (&op.out, env.bool(&op.input)?),
        BaseOperationIr::Ones(op) => (
            &op.out,
            B::bool_ones(op.out.shape.clone(), &env.device, env.bool),
        ),
        BaseOperationIr::Zeros(op) | BaseOperationIr::Empty(op) => (
            &op.out,
            B::bool_zeros(op.out.shape.clone(), &env.device, env.bool),
        ),
        other => return bool_questions(other, env),
    };
    env.insert_bool(out.id, value);
    Ok(())
}
