//! One output, computed by all processes of an MPI job.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_cluster::World;
use influence_core::ErasedModel;
use serde_json::{Map, Value};

use crate::{
    config::Config,
    fit::Affordable,
    job::Job,
    models::Models,
    output::Existing,
    run::{Computed, Portion, Quantity, Run},
    watch::{Host, Stage, Watch},
};

/// Checks a configuration in every process; the first one claims the place of the output.
///
/// # Errors
/// As [`Job::new`], in one process; in the others, that it has failed.
pub fn job(
    world: &World,
    config: Result<Config>,
    existing: Existing,
    models: &dyn Models,
    host: &dyn Host,
) -> Result<Job> {
    let job = config.and_then(|config| {
        if world.is_first() {
            return Job::new(config, existing, models, host);
        }
        let job = Job::of_inputs(config, models)?;
        Ok(job.watched_by(host.watch()))
    });
    world.agree(job)
}

/// Fits the model of a job with all processes, or reads a fit from a file, and computes a share of
/// a quantity in each; the output has the bytes of [`compute`](crate::run::compute).
///
/// The first process declares the output before the shares, and checks and seals it after them; it
/// alone gives how the rows were solved.
///
/// # Errors
/// As [`compute`](crate::run::compute); when processes have different settings, files or fits. All
/// other processes then wait, so that the job has to be [ended](World::end).
pub fn compute(
    world: &World,
    quantity: Quantity,
    fit: &Affordable<'_>,
    fitted: Option<&Path>,
    host: &dyn Host,
) -> Result<Option<Computed>> {
    let job = fit.job();
    quantity.check_points(&job.config)?;
    let attributes = job.attributes()?;
    check_same(world, &attributes)?;
    let watch = host.watch();
    watch.stage(Stage::Fit);
    let model = fit.model_summed_by(world.summation(), fitted, &*watch)?;
    let together = Together {
        quantity,
        job,
        host,
        watch,
        attributes,
        model,
    };
    if world.is_first() {
        together.write(Portion::Declaration, job.existing)?;
    }
    world.barrier();
    together.write(Portion::Share(world.share()), Existing::Join)?;
    world.barrier();
    let finish = || together.write(Portion::Whole, Existing::Resume);
    world.is_first().then(finish).transpose()
}

/// Refuses settings and files that are not those of the first process, and names the first
/// difference.
fn check_same(world: &World, attributes: &Map<String, Value>) -> Result<()> {
    fn leaves(at: &str, value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    leaves(&format!("{at}.{name}"), value, found);
                }
            }
            _ => found.push((at.to_owned(), value.to_string())),
        }
    }
    let mut settings = Vec::new();
    for (name, value) in attributes {
        leaves(name, value, &mut settings);
    }
    let settings = settings.iter();
    let settings: Vec<_> = settings
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    Ok(world.check_same(&settings)?)
}

/// What the steps of a process have in common.
struct Together<'a> {
    quantity: Quantity,
    job: &'a Job,
    host: &'a dyn Host,
    watch: Arc<dyn Watch>,
    attributes: Map<String, Value>,
    model: ErasedModel<Batch>,
}

impl Together<'_> {
    fn write(&self, portion: Portion, existing: Existing) -> Result<Computed> {
        let run = Run {
            portion,
            existing,
            quantity: self.quantity,
            job: self.job,
            host: self.host,
            watch: &*self.watch,
            attributes: self.attributes.clone(),
        };
        run.execute(self.model.clone())
    }
}
