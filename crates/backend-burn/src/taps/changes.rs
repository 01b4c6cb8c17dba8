//! The operations that make views of parameters of views.

use std::{collections::HashMap, ops::Range};

use burn::{
    backend::ir::{
        BaseOperationIr, CatOpIr, EmbeddingOpIr, ModuleOperationIr, OperationIr, SliceOpIr,
        TensorId, TensorIr,
    },
    tensor::Slice,
};

use super::view::{ParameterView, ViewStep};

/// What an operation makes of views.
pub(super) struct ViewChange {
    pub(super) out: TensorId,
    pub(super) views: Vec<ParameterView>,
    /// Whether the constant indices that it reads are needed to undo it.
    pub(super) reads_indices: bool,
}

type Views = HashMap<TensorId, Vec<ParameterView>>;

impl ViewChange {
    /// The change that an operation on tensors without data makes; `None` for any other.
    pub(super) fn of(index: usize, operation: &OperationIr, views: &Views) -> Option<Self> {
        let of = |tensor: &TensorIr| views.get(&tensor.id).cloned().unwrap_or_default();
        let each = |from: &TensorIr, change: &dyn Fn(ParameterView) -> ParameterView| {
            of(from).into_iter().map(change).collect::<Vec<_>>()
        };
        let (out, views) = match operation {
            OperationIr::Module(ModuleOperationIr::Embedding(op)) => {
                return Some(Self::rows(index, op, of(&op.weights)));
            }
            OperationIr::BaseFloat(operation) => match operation {
                BaseOperationIr::Reshape(op) => {
                    let reshaped =
                        |view: ParameterView| view.reshaped(&op.input.shape, &op.out.shape);
                    (&op.out, each(&op.input, &reshaped))
                }
                BaseOperationIr::SwapDims(op) => {
                    let mut axes: Vec<usize> = (0..op.input.shape.rank()).collect();
                    axes.swap(op.dim1, op.dim2);
                    let step = ViewStep::Permute { axes };
                    (&op.out, each(&op.input, &|view| view.then(step.clone())))
                }
                BaseOperationIr::Permute(op) => {
                    let axes = op.axes.clone();
                    let step = ViewStep::Permute { axes };
                    (&op.out, each(&op.input, &|view| view.then(step.clone())))
                }
                BaseOperationIr::Expand(op) => (
                    &op.out,
                    expanded(of(&op.input), &op.input.shape, &op.out.shape),
                ),
                // Repeated, an axis of length 1 is expanded.
                BaseOperationIr::RepeatDim(op) if op.tensor.shape[op.dim] == 1 => (
                    &op.out,
                    expanded(of(&op.tensor), &op.tensor.shape, &op.out.shape),
                ),
                BaseOperationIr::Slice(op) => (&op.out, sliced(of(&op.tensor), op)?),
                BaseOperationIr::Cat(op) => (&op.out, joined(op, &of)),
                // All floats are computed in one precision.
                BaseOperationIr::Cast(op) => (&op.out, of(&op.input)),
                BaseOperationIr::Select(op) => {
                    let step = ViewStep::Select {
                        operation: index,
                        axis: op.dim,
                        from: op.tensor.shape.to_vec(),
                    };
                    let views = each(&op.tensor, &|view| view.then(step.clone()));
                    return Some(Self {
                        out: op.out.id,
                        views,
                        reads_indices: true,
                    });
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Self {
            out: out.id,
            views,
            reads_indices: false,
        })
    }

    /// Rows of tables by constant indices.
    fn rows(operation: usize, op: &EmbeddingOpIr, tables: Vec<ParameterView>) -> Self {
        let step = ViewStep::Embedding {
            operation,
            entries: op.weights.shape[0],
            width: op.weights.shape[1],
        };
        let views = tables.into_iter().map(|table| table.then(step.clone()));
        Self {
            out: op.out.id,
            views: views.collect(),
            reads_indices: true,
        }
    }
}

fn expanded(views: Vec<ParameterView>, from: &[usize], to: &[usize]) -> Vec<ParameterView> {
    // New axes come in front.
    let mut lifted = vec![1; to.len() - from.len()];
    lifted.extend(from);
    let expand = |view: ParameterView| {
        let view = view.reshaped(from, &lifted);
        if lifted == to {
            return view;
        }
        view.then(ViewStep::Expand {
            from: lifted.clone(),
        })
    };
    views.into_iter().map(expand).collect()
}

/// `None` where entries are left out in between.
fn sliced(views: Vec<ParameterView>, op: &SliceOpIr) -> Option<Vec<ParameterView>> {
    let from = &op.tensor.shape;
    let range = |(axis, &side): (usize, &usize)| {
        let slice = op.ranges.get(axis).copied().unwrap_or(Slice::from(..));
        (slice.step == 1).then(|| slice.to_range(side))
    };
    let ranges: Vec<Range<usize>> = from.iter().enumerate().map(range).collect::<Option<_>>()?;
    let views = views.into_iter();
    Some(
        views
            .filter_map(|view| view.sliced(from, &ranges))
            .collect(),
    )
}

/// The parts of a tensor that is joined of others.
fn joined(op: &CatOpIr, of: &dyn Fn(&TensorIr) -> Vec<ParameterView>) -> Vec<ParameterView> {
    let (mut parts, mut end) = (Vec::new(), 0);
    for tensor in &op.tensors {
        let start = end;
        end += tensor.shape[op.dim];
        let step = ViewStep::Part {
            axis: op.dim,
            range: start..end,
        };
        parts.extend(of(tensor).into_iter().map(|view| view.then(step.clone())));
    }
    parts
}
