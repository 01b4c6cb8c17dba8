//! Models of trainings that are followed from their beginning.

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_core::{ErasedModel, erase};

use super::warnings::{warn_of_another_end, warn_of_untapped};
use crate::{fit_settings::FitSettings, job::Job, watch::Watch};

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
