//! Per-sample gradients checked against batches of one.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::ModelGradients;
use crate::{
    Batch, Error, Result,
    tensors::{indices, tensor, values},
    trace::{Function, Graph, same_function},
};
use influence_core::Precision;

impl ModelGradients {
    /// Checks taps against batches of one on a few samples, for each of the functions; those that
    /// compute the same are checked once.
    pub(crate) fn checked(mut self, functions: &[Function], sample: &Batch) -> Result<Self> {
        // A single sample cannot show which axis is that of the samples.
        let sample = if sample.len() == 1 {
            sample.doubled()
        } else {
            sample.clone()
        };
        let mut checked: Vec<Arc<Graph>> = Vec::with_capacity(functions.len());
        for &function in functions {
            let graph = self.trace.graph(function, &sample)?;
            // A measurement is often the loss.
            if !checked.iter().any(|other| same_function(other, &graph)) {
                self.check(function, &sample)?;
                checked.push(graph);
            }
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
        let tapped = self.gradients_of(function, batch, Some(&cotangent))?;
        let mut differences = vec![Difference::default(); all.len()];
        for sample in 0..batch.len() {
            let (alone, graph) = self.alone(function, batch, sample)?;
            let own = cotangent.clone().narrow(0, sample, 1);
            let gradients = self
                .engine
                .summed_gradient(&graph, &alone, &all, Some(&own))?;
            let tapped = tapped.select(&indices(sample..=sample, &self.device));
            for (&parameter, alone) in all.iter().zip(&gradients) {
                let columns = self.layout().columns(parameter);
                let tapped = tapped.columns(std::slice::from_ref(&columns)).to_rows();
                let found = Difference::between(&values(&tapped)?, &values(alone)?);
                differences[parameter].include(found);
            }
        }
        let most = |most: f64, found: &Difference| most.max(found.scale);
        // Differences between gradients below this are rounding noise.
        let noise = 1e-4 * differences.iter().fold(0.0, most);
        let differ = |&parameter: &usize| {
            let Difference { largest, scale } = differences[parameter];
            !largest.is_finite() || largest > tolerance * scale.max(noise)
        };
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

/// How far gradients lie apart that should be the same.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Difference {
    /// The largest difference.
    pub(super) largest: f64,
    /// The largest magnitude in either of them.
    pub(super) scale: f64,
}

impl Difference {
    /// Of two flat vectors; a number that is not finite makes both fields so.
    pub(super) fn between(left: &[f64], right: &[f64]) -> Self {
        let (mut largest, mut scale) = (0, 0);
        for (left, right) in left.iter().zip(right) {
            // The bits of numbers that are not negative are ordered as the numbers are, and those
            // of NaN lie beyond.
            largest = largest.max((left - right).abs().to_bits());
            scale = scale.max(left.abs().to_bits()).max(right.abs().to_bits());
        }
        Self {
            largest: f64::from_bits(largest),
            scale: f64::from_bits(scale),
        }
    }

    /// Of both pairs of vectors.
    fn include(&mut self, other: Self) {
        let largest = |left: f64, right: f64| f64::from_bits(left.to_bits().max(right.to_bits()));
        *self = Self {
            largest: largest(self.largest, other.largest),
            scale: largest(self.scale, other.scale),
        };
    }

    pub(super) fn is_finite(&self) -> bool {
        self.largest.is_finite() && self.scale.is_finite()
    }
}

/// The largest magnitude.
fn largest(values: &[f64]) -> f64 {
    let largest = |largest: f64, value: &f64| value.abs().max(largest);
    values.iter().fold(0.0, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_the_largest_and_show_what_is_not_finite() {
        let mut found = Difference::between(&[1.0, -4.0], &[1.5, -4.0]);
        let of = |largest, scale| Difference { largest, scale };
        assert_eq!(found, of(0.5, 4.0));
        found.include(Difference::between(&[2.0], &[3.0]));
        assert_eq!(found, of(1.0, 4.0));
        assert!(found.is_finite());
        let negative = f64::NAN.copysign(-1.0);
        for value in [f64::NAN, negative, f64::INFINITY, f64::NEG_INFINITY] {
            let mut found = found;
            assert!(!Difference::between(&[value], &[1.0]).is_finite());
            found.include(Difference::between(&[1.0], &[value]));
            assert!(!found.is_finite());
        }
        // Their difference is no number.
        let both = Difference::between(&[f64::INFINITY], &[f64::INFINITY]);
        assert!(both.largest.is_nan());
    }
}
