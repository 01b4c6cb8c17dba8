//! The axis of the samples, followed through the operations.

use std::collections::HashMap;

use burn::backend::ir::{BaseOperationIr, OperationIr, TensorId, TensorIr};

/// Where the samples lie in a tensor that depends on the data: along an axis, of
/// `outer · samples · inner` entries where they are joined with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SampleAxis {
    pub(crate) axis: usize,
    pub(crate) outer: usize,
}

impl SampleAxis {
    const FIRST: Self = Self { axis: 0, outer: 1 };

    /// The entries before the samples of a tensor: row by row it is `(before, samples, after)`.
    pub(crate) fn before(self, shape: &[usize]) -> usize {
        shape[..self.axis].iter().product::<usize>() * self.outer
    }

    /// Whether an axis of this length has room for them.
    fn fits(self, shape: &[usize], samples: usize) -> bool {
        shape
            .get(self.axis)
            .is_some_and(|side| side.is_multiple_of(self.outer * samples))
    }
}

/// The tensors that depend on the batch, and where the samples are in them.
pub(super) struct FollowedSamples {
    samples: usize,
    axes: HashMap<TensorId, Option<SampleAxis>>,
}

impl FollowedSamples {
    /// In the fields of a batch the samples come first.
    pub(super) fn new(inputs: &[TensorId], samples: usize) -> Self {
        let axes = inputs.iter().map(|&id| (id, Some(SampleAxis::FIRST)));
        Self {
            samples: samples.max(1),
            axes: axes.collect(),
        }
    }

    /// Counts a tensor as one that depends on the batch, with the samples along the first axis that
    /// has room for them.
    pub(super) fn start(&mut self, tensor: &TensorIr) {
        let axes = (0..tensor.shape.rank()).map(|axis| SampleAxis { axis, outer: 1 });
        let mut fitting = axes.filter(|axis| axis.fits(&tensor.shape, self.samples));
        self.axes.insert(tensor.id, fitting.next());
    }

    /// Whether a tensor depends on the batch.
    pub(super) fn reach(&self, tensor: &TensorIr) -> bool {
        self.axes.contains_key(&tensor.id)
    }

    /// The axis of a tensor that depends on the batch, if it is known.
    pub(super) fn axis(&self, tensor: &TensorIr) -> Option<SampleAxis> {
        let axis = (*self.axes.get(&tensor.id)?)?;
        axis.fits(&tensor.shape, self.samples).then_some(axis)
    }

    /// Whether the samples are along the first axis, with nothing joined to them.
    pub(super) fn are_rows_of(&self, tensor: &TensorIr) -> bool {
        let axis = self.axis(tensor).filter(|axis| axis.axis == 0);
        axis.is_some_and(|axis| self.fill(axis, tensor))
    }

    /// Whether nothing is joined to the samples along their axis.
    pub(super) fn fill(&self, axis: SampleAxis, tensor: &TensorIr) -> bool {
        axis.outer == 1 && tensor.shape[axis.axis] == self.samples
    }

    /// Follows them through an operation.
    pub(super) fn pass(&mut self, operation: &OperationIr) {
        let read: Vec<&TensorIr> = operation.inputs().filter(|read| self.reach(read)).collect();
        if read.is_empty() {
            return;
        }
        let of_output = |out: &TensorIr| {
            let first = || {
                let fits = SampleAxis::FIRST.fits(&out.shape, self.samples);
                fits.then_some(SampleAxis::FIRST)
            };
            // With one sample any axis will do.
            let followed = (self.samples > 1).then(|| self.moved(operation, &read, out));
            (out.id, followed.flatten().or_else(first))
        };
        let moved: Vec<_> = operation.outputs().map(of_output).collect();
        self.axes.extend(moved);
    }

    /// Where they are in an output, given the tensors read that depend on the batch.
    fn moved(
        &self,
        operation: &OperationIr,
        read: &[&TensorIr],
        out: &TensorIr,
    ) -> Option<SampleAxis> {
        let (first, rest) = read.split_first()?;
        let from = self.axis(first)?;
        if rest.iter().any(|other| self.axis(other) != Some(from)) {
            return None;
        }
        let axis = match base(operation) {
            Some(BaseOperationIr::Reshape(_)) => {
                return self.holding(from.before(&first.shape), &out.shape);
            }
            Some(BaseOperationIr::SwapDims(op)) if from.axis == op.dim1 => op.dim2,
            Some(BaseOperationIr::SwapDims(op)) if from.axis == op.dim2 => op.dim1,
            Some(BaseOperationIr::Permute(op)) => {
                op.axes.iter().position(|&axis| axis == from.axis)?
            }
            // New axes come in front.
            Some(BaseOperationIr::Expand(_)) => from.axis + out.shape.rank() - first.shape.rank(),
            // Most operations leave each axis where it is.
            _ => from.axis,
        };
        let moved = SampleAxis { axis, ..from };
        moved.fits(&out.shape, self.samples).then_some(moved)
    }

    /// The axis of a shape in which this many entries come before the samples.
    fn holding(&self, before: usize, shape: &[usize]) -> Option<SampleAxis> {
        let mut entries = 1;
        for (axis, &side) in shape.iter().enumerate() {
            let outer = before.checked_div(entries)?;
            let found = SampleAxis { axis, outer };
            if outer > 0 && outer * entries == before && found.fits(shape, self.samples) {
                return Some(found);
            }
            entries *= side;
        }
        None
    }
}

/// A change of shape, or another operation that every kind of tensor has.
fn base(operation: &OperationIr) -> Option<&BaseOperationIr> {
    match operation {
        OperationIr::BaseFloat(operation)
        | OperationIr::BaseInt(operation)
        | OperationIr::BaseBool(operation) => Some(operation),
        _ => None,
    }
}
