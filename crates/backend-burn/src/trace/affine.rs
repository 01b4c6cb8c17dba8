//! Whether a function is one of numbers that are affine in the parameters.

use std::collections::{BTreeSet, HashMap};

use burn::backend::ir::{
    BaseOperationIr, BinaryOpIr, FloatOperationIr, NumericOperationIr, OperationIr, TensorId,
    TensorIr,
};

use super::Graph;

/// How a tensor depends on the parameters, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dependence {
    Affine,
    Other,
}

impl Graph {
    /// Whether the output depends on the first so many parameters, the trained ones, through a single tensor that is affine in them, with one row per
    /// sample of so many: then its Hessian is its Gauss-Newton matrix, for there is no second derivative of that tensor.
    pub(crate) fn is_of_affine_outputs(&self, trained: usize, samples: usize) -> bool {
        let of_trained = self.parameters.iter().filter(|(_, index)| *index < trained);
        let mut found: HashMap<TensorId, Dependence> = of_trained
            .map(|(id, _)| (*id, Dependence::Affine))
            .collect();
        let mut through: BTreeSet<TensorId> = BTreeSet::new();
        let mut rows = false;
        for operation in &self.operations {
            let reads: Vec<&TensorIr> = operation
                .inputs()
                .filter(|tensor| found.contains_key(&tensor.id))
                .collect();
            if reads.is_empty() {
                continue;
            }
            let affine = |tensor: &TensorIr| found[&tensor.id] == Dependence::Affine;
            let stays = reads.iter().all(|tensor| affine(tensor))
                && keeps_affine(operation, &|tensor| found.contains_key(&tensor.id));
            let dependence = if stays {
                Dependence::Affine
            } else {
                for tensor in reads.into_iter().filter(|tensor| affine(tensor)) {
                    through.insert(tensor.id);
                    rows = tensor.shape.first() == Some(&samples);
                }
                Dependence::Other
            };
            found.extend(operation.outputs().map(|tensor| (tensor.id, dependence)));
        }
        let last = found.get(&self.output.id) == Some(&Dependence::Other);
        last && through.len() == 1 && rows
    }
}

/// Whether what an operation makes of affine tensors is affine; `depends` tells those from constants.
fn keeps_affine(operation: &OperationIr, depends: &dyn Fn(&TensorIr) -> bool) -> bool {
    let one = |binary: &BinaryOpIr| depends(&binary.lhs) != depends(&binary.rhs);
    match operation {
        OperationIr::BaseFloat(
            BaseOperationIr::Reshape(_)
            | BaseOperationIr::SwapDims(_)
            | BaseOperationIr::Permute(_)
            | BaseOperationIr::Flip(_)
            | BaseOperationIr::Expand(_)
            | BaseOperationIr::Slice(_)
            | BaseOperationIr::RepeatDim(_)
            | BaseOperationIr::Cat(_),
        )
        | OperationIr::NumericFloat(
            _,
            NumericOperationIr::Add(_)
            | NumericOperationIr::AddScalar(_)
            | NumericOperationIr::Sub(_)
            | NumericOperationIr::SubScalar(_)
            | NumericOperationIr::MulScalar(_)
            | NumericOperationIr::DivScalar(_)
            | NumericOperationIr::Neg(_),
        ) => true,
        OperationIr::NumericFloat(_, NumericOperationIr::Mul(binary)) => one(binary),
        OperationIr::NumericFloat(_, NumericOperationIr::Div(binary)) => !depends(&binary.rhs),
        OperationIr::Float(_, FloatOperationIr::Matmul(matmul)) => {
            depends(&matmul.lhs) != depends(&matmul.rhs)
        }
        _ => false,
    }
}
