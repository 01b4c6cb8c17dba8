//! Recorded gradients compared with burn's own, at parameters where nothing is special.
//!
//! Recording does not see `detach`. The two gradients are compared at made-up parameters: at those
//! of a fitted model a gradient may be all but zero, for each sample or for their sum, and then
//! burn's 32 bits show nothing but rounding. Parameters of the size that the model has, with random
//! signs, are no such place, however well the model is fitted; and whether gradients flow does not
//! depend on the numbers.

use burn::{
    backend::ir::{ActivationOperationIr, OperationIr},
    tensor::{DType, TensorData},
};
use influence_core::block::ParameterLayout;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{ModelGradients, check::largest};
use crate::{
    Batch, Error, Result, engine,
    tensors::{self, tensor},
    trace::Function,
};

/// Relative difference within which exact derivatives agree in 32 bits, kinks aside.
const TOLERANCE: f64 = 1e-3;
/// The same for gelu, whose derivative burn approximates.
const OF_GELU: f64 = 1e-2;
/// A gradient smaller than this share of the largest of its parameter, or of the largest of all,
/// may be rounding.
const SMALL: f64 = 1e-2;
const NOTHING: f64 = 1e-3;

/// Made-up parameters: their size relative to those of the model, their sign, and whether each
/// keeps its own sign.
#[derive(Clone, Copy)]
struct TestPoint {
    seed: u64,
    size: f64,
    near: bool,
}

impl TestPoint {
    const APART: [Self; 4] = [
        Self::new(1, 1.0, false),
        Self::new(1, -1.0, false),
        Self::new(2, 1.0, false),
        Self::new(5, 0.3, false),
    ];
    /// For models that take the logarithm or square root of a parameter: signs are kept.
    const NEAR: [Self; 2] = [Self::new(3, 0.3, true), Self::new(4, 0.3, true)];

    const fn new(seed: u64, size: f64, near: bool) -> Self {
        Self { seed, size, near }
    }

    /// The parameters, the trained ones moved, in the type in which models are recorded.
    fn values(self, own: &[TensorData], layout: &ParameterLayout) -> Vec<TensorData> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let trained = layout.parameters().len();
        let moved = |(index, value): (usize, &TensorData)| {
            if index >= trained {
                return value.clone();
            }
            let values: Vec<f64> = value.iter::<f64>().collect();
            let squares: f64 = values.iter().map(|value| value * value).sum();
            let size = (squares / values.len().max(1) as f64).sqrt();
            // Layers initialised with zeros need a size, too.
            let size = if size > 0.0 { size } else { 0.1 };
            let made_up = values.into_iter().map(|value| {
                let number = 2.0 * random.random::<f64>() - 1.0;
                let away = self.size * (number + 0.5_f64.copysign(number));
                if self.near {
                    value * (1.0 + away)
                } else {
                    size * away
                }
            });
            #[expect(clippy::cast_possible_truncation, reason = "rounded as burn's own are")]
            let made_up: Vec<f32> = made_up.map(|value| value as f32).collect();
            TensorData::new(made_up, value.shape().to_vec()).convert_dtype(DType::F32)
        };
        own.iter().enumerate().map(moved).collect()
    }
}

/// The two gradients at one place, a flat vector for each trained parameter.
struct GradientPair {
    recorded: Vec<Vec<f64>>,
    own: Vec<Vec<f64>>,
}

impl GradientPair {
    fn largest(&self, parameter: usize) -> f64 {
        largest(self.recorded[parameter].iter().chain(&self.own[parameter]))
    }

    fn difference(&self, parameter: usize) -> f64 {
        let pairs = self.recorded[parameter].iter().zip(&self.own[parameter]);
        pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    fn is_finite(&self) -> bool {
        let mut values = self.recorded.iter().chain(&self.own).flatten();
        values.all(|value| value.is_finite())
    }
}

impl ModelGradients {
    /// Compares the gradient of the recorded loss with the one that burn's autodiff gives for the
    /// module itself.
    pub(crate) fn compared_with_burn(self, sample: &Batch) -> Result<Self> {
        for places in [&TestPoint::APART[..], &TestPoint::NEAR] {
            let mut pairs = Vec::with_capacity(places.len());
            for place in places {
                let Some(pair) = self.pair(*place, sample)? else {
                    return Ok(self);
                };
                pairs.extend(pair.is_finite().then_some(pair));
            }
            if !pairs.is_empty() {
                self.judge(&pairs, self.tolerance(sample)?)?;
                return Ok(self);
            }
        }
        tracing::warn!(
            "the recorded gradient could not be compared with burn's own, as the loss is not finite at made-up parameters; recording does not see detach"
        );
        Ok(self)
    }

    /// The gradients of the losses, unevenly weighted; nothing where burn does not manage.
    fn pair(&self, place: TestPoint, sample: &Batch) -> Result<Option<GradientPair>> {
        let layout = self.layout();
        let values = place.values(self.trace.values(), layout);
        let weights = (0..sample.len()).map(|index| 1.0 + 0.5 * (index as f64 + 1.0).sin());
        let weights: Vec<f64> = weights.collect();
        let Some(own) = self.trace.independent_gradient(sample, &values, &weights) else {
            return Ok(None);
        };
        let graph = self.trace.graph(Function::Loss, sample)?;
        let engine = engine::for_device(&self.device, self.precision, &values, layout)?;
        let all: Vec<usize> = (0..layout.parameters().len()).collect();
        let shape = [sample.len(), 1];
        let cotangent = tensor(weights.into_iter(), shape, &self.device, self.precision);
        let recorded = engine.summed_gradient(&graph, sample, &all, Some(&cotangent))?;
        let recorded = recorded
            .iter()
            .map(tensors::values)
            .collect::<Result<_>>()?;
        Ok(Some(GradientPair { recorded, own }))
    }

    /// Refuses a parameter whose gradients differ at most of the places where it has one; a kink
    /// between two roundings is met at few.
    fn judge(&self, pairs: &[GradientPair], tolerance: f64) -> Result<()> {
        let parameters = self.layout().parameters();
        let scale = |index| {
            let all = pairs.iter().map(|pair| pair.largest(index));
            all.fold(0.0, f64::max)
        };
        let overall = (0..parameters.len()).map(scale).fold(0.0, f64::max);
        for (index, parameter) in parameters.iter().enumerate() {
            let least = (SMALL * scale(index)).max(NOTHING * overall);
            let (mut telling, mut differ) = (0, 0);
            for pair in pairs {
                let differs = pair.difference(index) > tolerance * pair.largest(index).max(least);
                telling += usize::from(differs || pair.largest(index) >= least);
                differ += usize::from(differs);
            }
            if 2 * differ > telling {
                return Err(Error::GradientMismatch {
                    parameter: parameter.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn tolerance(&self, sample: &Batch) -> Result<f64> {
        let graph = self.trace.graph(Function::Loss, sample)?;
        let mut operations = graph.operations.iter();
        let gelu = operations.any(|operation| {
            matches!(
                operation,
                OperationIr::Activation(ActivationOperationIr::Gelu(_))
            )
        });
        Ok(if gelu { OF_GELU } else { TOLERANCE })
    }
}
