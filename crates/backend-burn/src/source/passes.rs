//! Gradients of many samples, made of some at a time.
//!
//! While a network is differentiated its activations are in memory, for each sample many times as
//! many numbers as its gradient may have in the end. So that they do not decide how many points a
//! chunk has, a batch is differentiated in passes over some of its samples, and their gradients are
//! joined. How many samples that are follows from the sizes of activations and the kind of device
//! alone: the bits of gradients depend on it.

use burn::backend::ir::{BaseOperationIr, OperationIr};
use influence_core::PassFootprint;

use super::ModelGradients;
use crate::{
    Batch, Gradients, Result, device::piece_sizes, graph::RecordedConvolution, trace::Function,
};

impl ModelGradients {
    /// What a pass takes, and the samples in it, for samples of this form.
    pub(crate) fn pass(&self, sample: &Batch) -> Result<PassFootprint> {
        /// Values and their gradients.
        const TWICE: usize = 2;
        let scalars = |batch: &Batch| -> Result<usize> {
            let graph = self.trace.graph(Function::Loss, batch)?;
            Ok(graph.operations.iter().map(activations).sum())
        };
        // What does not grow with the samples is made of parameters, and taken once however many
        // they are.
        let one = sample.one(0);
        let grown = scalars(&one.doubled())?.saturating_sub(scalars(&one)?);
        let per_point = TWICE * grown * self.precision.bytes();
        let sizes = piece_sizes(&self.device);
        Ok(PassFootprint {
            // Memory is granted of the host.
            per_point: if sizes.on_host { per_point } else { 0 },
            points: (sizes.pass / per_point.max(1)).max(1),
        })
    }

    /// The gradients of a function of the task, in the form in which they are scored.
    pub(super) fn in_passes(&self, function: Function, batch: &Batch) -> Result<Gradients> {
        let of = |batch: &Batch| Ok(self.gradients_of(function, batch, None)?.for_scores());
        let n = batch.len();
        if n < 2 {
            return of(batch);
        }
        let passes = n.div_ceil(self.pass(batch)?.points);
        if passes == 1 {
            return of(batch);
        }
        // Of about the same length: a short one costs nearly as much as a long one.
        let each = n.div_ceil(passes);
        let pieces = (0..n).step_by(each).map(|first| {
            let piece = batch.slice(first..(first + each).min(n))?;
            of(&piece)
        });
        Ok(Gradients::joined(pieces.collect::<Result<_>>()?))
    }
}

/// The numbers that an operation makes and a pass keeps; none of those that are only seen in
/// another order.
fn activations(operation: &OperationIr) -> usize {
    let view = matches!(
        operation,
        OperationIr::BaseFloat(
            BaseOperationIr::SwapDims(_) | BaseOperationIr::Permute(_) | BaseOperationIr::Expand(_)
        )
    );
    let made = operation.outputs().filter(|_| !view);
    let made: usize = made.map(|output| output.shape.num_elements()).sum();
    let patches = match operation {
        OperationIr::Module(operation) => RecordedConvolution::of(operation).ok(),
        _ => None,
    };
    made + patches.map_or(0, |convolution| convolution.patch_scalars())
}
