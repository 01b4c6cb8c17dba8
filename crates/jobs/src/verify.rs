//! Computing a sample of an output again.

use std::{num::NonZero, path::Path, sync::Arc};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_calculators::{Location, zarr::Comparison};
use influence_core::{ErasedModel, Precision};
use serde_json::{Map, Value};

use crate::{
    fit::Affordable,
    job::Job,
    models::Models,
    output::location,
    queries::{check_digests, origin},
    run::{calculator, influences},
    watch::{Stage, Watch},
};

/// Which chunks of which output are computed again.
#[derive(Debug, Clone, Copy)]
pub struct Recomputation<'a> {
    /// The output.
    pub output: &'a Path,
    /// How many of its chunks are computed again.
    pub chunks: usize,
    /// Overrides of the configuration that it was made with, `KEY=VALUE`.
    pub set: &'a [String],
    /// How many threads compute; all cores where none is given.
    pub threads: Option<NonZero<usize>>,
}

/// Chunks that were computed again, compared with an output.
#[derive(Debug)]
pub struct Recomputed {
    /// How many there are.
    pub chunks: usize,
    /// How many numbers differ.
    pub differing: usize,
    /// The largest difference, relative to the largest influence.
    pub relative: f64,
    /// The relative difference that the precision allows.
    tolerance: f64,
}

impl Recomputed {
    /// Whether no difference is larger than the precision allows.
    pub fn agrees(&self) -> bool {
        // A difference that is not a number is not smaller than the tolerance.
        self.differing == 0 || self.relative <= self.tolerance
    }
}

impl Recomputation<'_> {
    /// Computes the sample again, from the files that the output with these attributes was made
    /// from.
    ///
    /// # Errors
    /// When the files are not there or have changed, or whatever the computation reports.
    pub fn recompute(
        self,
        attributes: &Map<String, Value>,
        models: &dyn Models,
        watch: &Arc<dyn Watch>,
    ) -> Result<Recomputed> {
        let mut config = origin(attributes, self.output, self.set)?;
        config.compute.threads = self.threads.map(NonZero::get);
        let job = Job::of_inputs(config, models)?.watched_by(watch.clone());
        check_digests(attributes, &job)?;
        watch.stage(Stage::Fit);
        let location = location(self.output)?;
        let model = Affordable::new(&job)?.model(None, &**watch)?;
        let again = compare(&job, model, &location, self.chunks);
        let Comparison {
            chunks,
            differing,
            largest_difference,
            largest_value,
        } = again.map_err(|error| job.config.places.located(error))?;
        Ok(Recomputed {
            chunks: chunks.len(),
            differing,
            relative: largest_difference / largest_value,
            tolerance: match job.config.precision {
                Precision::F32 => 1e-3,
                Precision::F64 => 1e-9,
            },
        })
    }
}

/// Computes a sample of chunks again.
fn compare(
    job: &Job,
    model: ErasedModel<Batch>,
    location: &Location,
    sample: usize,
) -> Result<Comparison> {
    let calculator = calculator(job, model)?;
    let influences = influences(&calculator, job);
    Ok(influences.compare(location.clone(), sample)?)
}
