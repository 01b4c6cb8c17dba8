//! Per-sample gradients checked against batches of one.

use std::ops::Range;

use burn::tensor::Tensor;

use super::ModelGradients;
use crate::{
    Batch, Error, Result,
    tensors::{tensor, values},
    trace::Function,
};
use influence_core::Precision;

impl ModelGradients {
    /// Checks taps against batches of one on a few samples, for each of the functions.
    pub(crate) fn checked(mut self, functions: &[Function], sample: &Batch) -> Result<Self> {
        // A single sample cannot show which axis is that of the samples.
        let sample = if sample.len() == 1 {
            sample.doubled()
        } else {
            sample.clone()
        };
        for &function in functions {
            self.check(function, &sample)?;
        }
        Ok(self)
    }

    /// Compares a batch with batches of one: outputs must agree, parameters whose gradients do not
    /// are taken off their taps. Parameters that no tap covers at this size of batch are taken off
    /// as well: at another size a tap might be found by coincidence.
    fn check(&mut self, function: Function, batch: &Batch) -> Result<()> {
        let graph = self.trace.graph(function, batch)?;
        self.untapped.extend(graph.taps.untapped());
        let tolerance = match self.precision {
            Precision::F32 => 1e-3,
            Precision::F64 => 1e-7,
        };
        self.check_outputs(function, batch, tolerance)?;
        let all: Vec<usize> = (0..self.layout().parameters().len()).collect();
        let width = graph.output.shape.num_elements() / batch.len();
        let cotangent = self.uneven_cotangent([batch.len(), width]);
        let tapped = self
            .gradients_of(function, batch, Some(&cotangent))?
            .to_rows();
        let forms = self.one_by_one(function, batch, &all, Some(&cotangent))?;
        let alone = self.joined(batch.len(), forms).to_rows();
        let parameters = all
            .iter()
            .map(|&parameter| self.layout().columns(parameter));
        let parameters: Vec<_> = parameters.collect();
        let differences = magnitudes(tapped - alone.clone(), &parameters)?;
        let scales = magnitudes(alone, &parameters)?;
        // Differences between gradients below this are rounding noise.
        let noise = 1e-4 * largest(&scales);
        let differ =
            |&parameter: &usize| differences[parameter] > tolerance * scales[parameter].max(noise);
        self.untapped.extend(all.into_iter().filter(differ));
        Ok(())
    }

    /// Weights that differ from output to output: the plain sum would hide errors, since the sum of
    /// a softmax, for example, has no gradient.
    fn uneven_cotangent(&self, [samples, width]: [usize; 2]) -> Tensor<2> {
        let weights = (0..samples * width).map(|entry| 1.0 + 0.5 * ((entry % width) as f64).sin());
        tensor(weights, [samples, width], &self.device, self.precision)
    }

    fn check_outputs(&self, function: Function, batch: &Batch, tolerance: f64) -> Result<()> {
        let graph = self.trace.graph(function, batch)?;
        let together = values(&self.engine.output(&graph, batch)?)?;
        let mut alone = Vec::with_capacity(together.len());
        for sample in 0..batch.len() {
            let (one, graph) = self.alone(function, batch, sample)?;
            alone.extend(values(&self.engine.output(&graph, &one)?)?);
        }
        let scale = largest(&alone).max(1.0);
        let differs = |&entry: &usize| (alone[entry] - together[entry]).abs() > tolerance * scale;
        match (0..alone.len()).find(differs) {
            None => Ok(()),
            Some(entry) => Err(Error::SamplesInteract {
                sample: entry * batch.len() / alone.len(),
                alone: alone[entry],
                together: together[entry],
            }),
        }
    }
}

/// The largest magnitude.
pub(super) fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |largest, value| value.abs().max(largest))
}

/// The largest magnitude in each range of columns.
fn magnitudes(rows: Tensor<2>, columns: &[Range<usize>]) -> Result<Vec<f64>> {
    let (n, rows) = (rows.dims()[0], rows.abs());
    let of = |columns: &Range<usize>| match columns.len() {
        0 => Tensor::zeros([1], (&rows.device(), rows.dtype())),
        _ => rows.clone().slice([0..n, columns.clone()]).max(),
    };
    let magnitudes: Vec<Tensor<1>> = columns.iter().map(of).collect();
    values(&Tensor::cat(magnitudes, 0))
}
