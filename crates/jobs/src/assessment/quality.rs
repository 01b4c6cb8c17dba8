use std::fmt::{self, Display};

use anyhow::Result;
use influence_core::{Batch, Precision, Values};
use influence_data::{Gather, Samples};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};

use super::{
    extent::Extent,
    score::{Fault, Score, Tally},
};
use crate::{models::TaskModel, prediction::batch_size, watch::Assessed};

/// The most points of a side that are evaluated.
const SAMPLE: usize = 1000;
/// The most points that are evaluated at a time.
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
    /// How many of them have targets of which none counts, so that their loss is 0.
    pub uncounted: usize,
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
            perplexity: self.score.perplexity(),
            uncounted: self.uncounted,
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
        if self.uncounted > 0 {
            write!(f, ", {} without a target that counts", self.uncounted)?;
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
    // One sample shows how many outputs each has.
    let (mut left, mut size) = (&chosen[..], 1);
    while !left.is_empty() {
        let (points, rest) = left.split_at(size.min(left.len()));
        let batch = samples.gather(points)?;
        let batch = match divide {
            Some(divisor) => divided(batch, divisor)?,
            None => batch,
        };
        losses.extend(model.losses(&batch)?);
        let outputs = model.outputs(&batch)?;
        let fields = batch.fields();
        let (inputs, targets) = fields.split_at(samples.inputs().min(fields.len()));
        if let [only] = inputs {
            extent.add(only, points.len());
        }
        if let Some(outputs) = &outputs
            && let Some(targets) = outputs.targets.as_ref().or(targets.first())
        {
            tally.add(outputs, targets);
        }
        let width = outputs.map_or(0, |outputs| outputs.values.ncols());
        (left, size) = (rest, batch_size(width, BATCH));
    }
    let quality = Quality {
        points: samples.count(),
        sample: chosen.len(),
        loss: losses.iter().sum::<f64>() / losses.len() as f64,
        uncounted: tally.uncounted(),
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
