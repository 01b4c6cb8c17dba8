//! One output, computed by all processes of an MPI job.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_cluster::World;
use influence_core::{
    ErasedModel, FactorForm, Footprint, InfluenceModel, Result as CoreResult, ThreadSafe, erase,
    wrapper::ModelWrapper,
};
use serde_json::{Map, Value};

use crate::{
    config::{Config, Method, Strategy},
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
    together.write_share(world)?;
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
        self.run(portion, existing).execute(self.model.clone())
    }

    /// Writes the share of this process.
    ///
    /// A row of chunks is solved by one process, unless there are fewer of them than processes.
    /// Then all processes solve all rows in step, one after another, each computing its part of
    /// every product with the curvature, and a share is a run of columns.
    fn write_share(&self, world: &World) -> Result<()> {
        let run = self.run(Portion::Share(world.share()), Existing::Join);
        let in_step = Run {
            strategy: Strategy::Sequential,
            ..run.clone()
        };
        let model = erase(SolvedInStep(self.model.clone()));
        if world.all(self.is_solved_in_step(world, &in_step, &model)?) {
            world.in_step(|| in_step.execute(model))?;
        } else {
            run.execute(self.model.clone())?;
        }
        Ok(())
    }

    /// Whether this process could do its share in step with others: as long as all of them have
    /// some of the columns and solve each row once.
    fn is_solved_in_step(
        &self,
        world: &World,
        run: &Run<'_>,
        model: &ErasedModel<Batch>,
    ) -> Result<bool> {
        // What there is already of an output, processes would skip each for itself.
        let is_new = !world.is_first() || self.job.existing != Existing::Resume;
        let by_products = matches!(self.job.config.method()?, Method::Cg(_));
        if !is_new || !by_products || self.quantity != Quantity::Influences {
            return Ok(false);
        }
        let plan = run.plan(model.clone())?;
        let [rows, columns] = plan.grid().counts();
        Ok(rows < world.size() && world.size() <= columns && plan.factor_passes() == 1)
    }

    fn run(&self, portion: Portion, existing: Existing) -> Run<'_> {
        Run {
            portion,
            existing,
            strategy: self.job.config.compute.strategy,
            quantity: self.quantity,
            job: self.job,
            host: self.host,
            watch: &*self.watch,
            attributes: self.attributes.clone(),
        }
    }
}

/// A model whose rows all processes solve together, so that none of them saves anything by solving
/// fewer.
struct SolvedInStep(ErasedModel<Batch>);

impl ThreadSafe for SolvedInStep {}

impl ModelWrapper for SolvedInStep {
    type Inner = ErasedModel<Batch>;

    fn inner(&self) -> &Self::Inner {
        &self.0
    }

    fn footprint(&self, sample: &Batch, form: FactorForm) -> CoreResult<Footprint> {
        let footprint = InfluenceModel::footprint(self.inner(), sample, form)?;
        Ok(Footprint {
            immediate: true,
            ..footprint
        })
    }
}
