use std::fmt::{self, Display};

use anyhow::Result;
use influence_core::{Batch, Precision, Values};
use influence_data::{Gather, Samples};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};

use super::{
    extent::Extent,
    score::{Fault, Score, Tally},
};
use crate::{models::TaskModel, watch::Assessed};

/// The most points of a side that are evaluated.
const SAMPLE: usize = 1000;
/// Points that are evaluated at a time.
const BATCH: usize = 64;
/// The seed of the sample: it is the same each time.
const SEED: u64 = 0;

/// How good a model is on the points of one side.
#[derive(Debug)]
pub struct Quality {
    /// The points that there are.
    pub points: usize,
    /// How many of them were evaluated.
    pub sample: usize,
    /// The mean training loss of those.
    pub loss: f64,
    /// How many losses are not finite.
    pub(super) not_finite: usize,
    /// How good the outputs are.
    pub score: Score,
}

impl Quality {
    /// What is said of it to those who watch.
    pub(super) fn assessed<'a>(&self, side: &'a str) -> Assessed<'a> {
        Assessed {
            side,
            points: self.points,
            sample: self.sample,
            loss: self.loss,
            accuracy: self.score.accuracy(),
            chance: self.score.chance(),
            r2: self.score.r2(),
        }
    }

    /// The fault of the model, if it has one.
    pub(super) fn fault(&self) -> Option<Fault> {
        if self.not_finite > 0 {
            return Some(Fault::NotFinite(self.not_finite));
        }
        self.score.fault()
    }
}

impl Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        if !matches!(self.score, Score::Unknown) {
            write!(f, ", {}", self.score)?;
        }
        if self.sample < self.points {
            write!(f, ", of a sample of {}", self.sample)?;
        }
        Ok(())
    }
}

/// Evaluates a model on a sample of points, with inputs divided by a number if one is given; says
/// what the inputs are like too.
pub(super) fn measured(
    model: &dyn TaskModel,
    samples: &Samples,
    divide: Option<f64>,
) -> Result<(Quality, Extent)> {
    let chosen = sample(samples.count());
    let (mut losses, mut tally) = (Vec::new(), Tally::default());
    let mut extent = Extent::default();
    for points in chosen.chunks(BATCH) {
        let batch = samples.gather(points)?;
        let batch = match divide {
            Some(divisor) => divided(batch, divisor)?,
            None => batch,
        };
        losses.extend(model.losses(&batch)?);
        let outputs = model.outputs(&batch)?;
        let [inputs @ .., targets] = batch.fields() else {
            continue;
        };
        if let [only] = inputs {
            extent.add(only, points.len());
        }
        if let Some((outputs, loss)) = outputs {
            tally.add(&outputs, loss, targets);
        }
    }
    let quality = Quality {
        points: samples.count(),
        sample: chosen.len(),
        loss: losses.iter().sum::<f64>() / losses.len() as f64,
        not_finite: losses.iter().filter(|loss| !loss.is_finite()).count(),
        score: tally.score(),
    };
    Ok((quality, extent))
}

/// The points that are evaluated: all, or as many as are enough, drawn without replacement, in
/// their order.
fn sample(count: usize) -> Vec<usize> {
    if count <= SAMPLE {
        return (0..count).collect();
    }
    let random = &mut Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut chosen = index::sample(random, count, SAMPLE).into_vec();
    chosen.sort_unstable();
    chosen
}

/// A batch with its inputs divided.
fn divided(batch: Batch, divisor: f64) -> Result<Batch> {
    let mut fields = batch.into_fields();
    if let Some(inputs) = fields.first_mut() {
        let numbers: Vec<f64> = inputs.floats().map(|x| x / divisor).collect();
        let precision = match inputs {
            Values::F32(_) => Precision::F32,
            _ => Precision::F64,
        };
        *inputs = Values::new(numbers, inputs.shape())?.in_precision(precision);
    }
    Ok(Batch::new(fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_same_each_time_and_holds_each_point_once() {
        assert_eq!(sample(3), [0, 1, 2]);
        let drawn = sample(5000);
        assert_eq!((drawn.len(), &drawn), (SAMPLE, &sample(5000)));
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn[SAMPLE - 1] < 5000);
        // Not the first ones, which may be of one class.
        assert!(drawn[SAMPLE - 1] > 4900);
    }
}
