//! Models of trainings that are followed from their beginning.

use std::path::Path;

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_core::{ErasedModel, erase};

use super::warn_of_untapped;
use crate::{fit_settings::FitSettings, job::Job, watch::Watch};

/// How much of the way of a training its end may be away from weights that came of it: rounding
/// grows with the steps.
const SAME_TRAINING: f64 = 0.01;

/// The model of the training of a member, whole or in segments; says if the training does not end
/// at the weights of the job.
pub(super) fn followed(
    job: &Job,
    member: usize,
    settings: &FitSettings,
    watch: &dyn Watch,
) -> Result<ErasedModel<Batch>> {
    let (config, untrained) = (&job.config, &job.untrained[member]);
    let training = (&config.train, config.member_seed(member));
    if config.method()?.segments().is_some() {
        let segmented = untrained.segmented(settings, training, &job.train)?;
        warn_of_untapped(segmented.influence.end().untapped(), watch);
        warn_of_another_end(job, member, &segmented.trained, watch);
        return Ok(erase(segmented.influence));
    }
    let unrolled = untrained.unrolled(settings, training, &job.train)?;
    warn_of_untapped(unrolled.untapped(), watch);
    warn_of_another_end(job, member, &unrolled.trained()?, watch);
    Ok(erase(unrolled))
}

fn warn_of_another_end(job: &Job, member: usize, trained: &[f64], watch: &dyn Watch) {
    let config = &job.config;
    let begin = job.untrained[member].parameters();
    let read = job.member(member).parameters();
    let apart = distance(trained, &read) / distance(&read, &begin);
    if apart.is_nan() || apart > SAME_TRAINING {
        let file = config.model.members()[member].unwrap_or(Path::new(""));
        watch.warn(&format!(
            "the training of the configuration, with the seed {}, does not end at the weights in {}: it ends {:.1} % of the way that it goes away from them; the influences are those of this training and not those on that model; run `influence train`, or give [train] and seed the values that the model was trained with",
            config.member_seed(member),
            file.display(),
            100.0 * apart
        ));
    }
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}
