//! Operands that are the same for all samples, copied for each of them.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, ir::OperationIr, ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::Shape,
};

use super::{
    executor::mismatch,
    probe::{Probe, Reading},
    tapped::Pass,
    watch::Watched,
};
use crate::{
    Result,
    graph::{Kernels, execute},
    taps::{CopiedOperand, SampleAxis},
};

impl<B: Kernels> Pass<'_, B> {
    /// Gives every sample its own copy of operands that are the same for all.
    pub(super) fn copies(
        &mut self,
        operation: &OperationIr,
        operands: &[CopiedOperand],
        axis: SampleAxis,
    ) -> Result<()> {
        let out = operation.outputs().next().ok_or_else(mismatch)?;
        let length = out.shape[axis.axis];
        let mut originals = Vec::with_capacity(operands.len());
        for operand in operands {
            let original = self.environment.peek_float(&operand.tensor)?;
            let copies = self.copied(operand, axis, length);
            let copies = Autodiff::<B>::float_add(copies, original.clone());
            self.environment.insert_float(operand.tensor.id, copies);
            originals.push((operand.tensor.id, original));
        }
        execute(operation, &mut self.environment)?;
        // Other operations read the operands as they were.
        for (id, original) in originals {
            self.environment.insert_float(id, original);
        }
        Ok(())
    }

    /// Zeros in the shape of an operand, with this length along the axis of the samples: one copy
    /// for each.
    fn copied(
        &mut self,
        operand: &CopiedOperand,
        SampleAxis { axis, outer }: SampleAxis,
        length: usize,
    ) -> FloatTensor<Autodiff<B>> {
        let mut shape = operand.tensor.shape.to_vec();
        shape[axis] = 1;
        let before = shape[..axis].iter().product();
        // A leaf `(…, 1, n, 1, …)` is expanded to `(…, outer, n, inner, …)` and joined to
        // `(…, outer · n · inner, …)`, as the samples are in the other operands. Its gradient sums
        // over what is joined to them.
        let apart = |outer, inner| {
            let mut apart = shape.clone();
            apart.splice(axis..=axis, [outer, self.samples, inner]);
            Shape::from(apart)
        };
        let inner = length / (outer * self.samples).max(1);
        let zeros = B::float_zeros(apart(1, 1), &self.executor.device, self.executor.float);
        let (watch, leaf) = Watched::new(Autodiff::<B>::from_inner(zeros));
        let expanded = Autodiff::<B>::float_expand(leaf, apart(outer, inner));
        let mut joined = shape.clone();
        joined[axis] = length;
        self.probes.push(Probe {
            watch,
            readings: vec![Reading::Copies {
                views: operand.views.clone(),
                shape,
                before,
            }],
        });
        Autodiff::<B>::float_reshape(expanded, Shape::from(joined))
    }
}
