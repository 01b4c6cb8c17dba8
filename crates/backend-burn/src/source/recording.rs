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

use super::{ModelGradients, check::Difference};
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
/// Places that are enough where all parameters have gradients, and none differs.
const ENOUGH: usize = 2;

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
            let values = tensors::numbers(value);
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

impl ModelGradients {
    /// Compares the gradient of the recorded loss with the one that burn's autodiff gives for the
    /// module itself.
    pub(crate) fn compared_with_burn(self, sample: &Batch) -> Result<Self> {
        let tolerance = self.tolerance(sample)?;
        for places in [&TestPoint::APART[..], &TestPoint::NEAR] {
            let mut found = Vec::with_capacity(places.len());
            for place in places {
                let Some(differences) = self.differences(*place, sample)? else {
                    return Ok(self);
                };
                if differences.iter().all(Difference::is_finite) {
                    found.push(differences);
                }
                if found.len() == ENOUGH && agree(&found, tolerance) {
                    return Ok(self);
                }
            }
            if !found.is_empty() {
                self.judge(&found, tolerance)?;
                return Ok(self);
            }
        }
        tracing::warn!(
            "the recorded gradient could not be compared with burn's own, as the loss is not finite at made-up parameters; recording does not see detach"
        );
        Ok(self)
    }

    /// The differences between the gradients of the losses, unevenly weighted, by parameter;
    /// nothing where burn does not manage.
    fn differences(&self, place: TestPoint, sample: &Batch) -> Result<Option<Vec<Difference>>> {
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
        let differences = recorded.iter().zip(&own).map(|(recorded, own)| {
            let recorded = tensors::values(recorded)?;
            Ok(Difference::between(&recorded, own))
        });
        differences.collect::<Result<_>>().map(Some)
    }

    /// Refuses a parameter whose gradients differ at most of the places where it has one; a kink
    /// between two roundings is met at few.
    fn judge(&self, places: &[Vec<Difference>], tolerance: f64) -> Result<()> {
        let parameters = self.layout().parameters().iter();
        for (parameter, found) in parameters.zip(evidence(places, tolerance)) {
            if 2 * found.differ > found.telling {
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

/// What the places say of the gradient of a parameter.
struct GradientEvidence {
    /// At how many the gradient is more than rounding.
    telling: usize,
    /// At how many of these the two gradients differ.
    differ: usize,
}

/// The evidence on each parameter; each place has the differences of all.
fn evidence(places: &[Vec<Difference>], tolerance: f64) -> Vec<GradientEvidence> {
    let parameters = places.first().map_or(0, Vec::len);
    let scale = |index: usize| {
        let all = places.iter().map(|differences| differences[index].scale);
        all.fold(0.0, f64::max)
    };
    let overall = (0..parameters).map(scale).fold(0.0, f64::max);
    let of = |index: usize| {
        let least = (SMALL * scale(index)).max(NOTHING * overall);
        let (mut telling, mut differ) = (0, 0);
        for differences in places {
            let Difference { largest, scale } = differences[index];
            let differs = largest > tolerance * scale.max(least);
            telling += usize::from(differs || scale >= least);
            differ += usize::from(differs);
        }
        GradientEvidence { telling, differ }
    };
    (0..parameters).map(of).collect()
}

/// Whether every parameter has a gradient at all places, and none differs.
fn agree(places: &[Vec<Difference>], tolerance: f64) -> bool {
    let evidence = evidence(places, tolerance);
    let mut all = evidence.iter();
    all.all(|found| found.telling == places.len() && found.differ == 0)
}
