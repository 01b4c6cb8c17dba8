//! Computing influences and writing them.

mod bounded;
mod quantity;

use std::{num::NonZero, path::Path};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_calculators::{
    Calculator, Error, Lazy, LazyInfluences, Parallel, Plan, Prefetch, Sequential, Share,
    SideSource, SolveSummary, ZarrOptions, zarr::Claim,
};
use influence_core::{ErasedModel, InfluenceModel, ThreadSafe};
use influence_data::Samples;
use serde_json::{Map, Value};

use crate::{
    config::Strategy,
    fit::Affordable,
    forecast::check_room,
    groups::PointGroups,
    job::Job,
    output::{Existing, ORIGIN, location, zarr_options},
    record::Record,
    watch::{Host, Interrupted, Stage, Watch},
};
pub(crate) use bounded::{bounded, bounded_self, with_memory};
pub use quantity::Quantity;

/// The portion of its output that a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    Whole,
    /// Everything but the numbers, for shares to join.
    Declaration,
    /// A share of the numbers, of an output that was declared and is
    /// [joined](crate::output::Existing::Join).
    Share(Share),
}

impl Portion {
    /// What is computed of the numbers; a declaration is that of all of them.
    fn share(self) -> Share {
        match self {
            Self::Whole | Self::Declaration => Share::WHOLE,
            Self::Share(share) => share,
        }
    }

    /// How to go on with a run that ended early.
    fn advice(self) -> &'static str {
        match self {
            Self::Whole | Self::Declaration => "go on with --resume",
            Self::Share(_) => "run the share again",
        }
    }
}

/// What was computed of a portion.
#[derive(Debug)]
pub struct Computed {
    /// How the rows were solved; nothing of a declaration.
    pub solved: SolveSummary,
    /// How the work was cut and ordered; of a declaration, that of the whole.
    pub plan: Plan,
}

/// Fits the model of a job, or reads a fit from a file, computes a quantity, writes it to the
/// output of the job, and records beside it what the run took.
///
/// # Errors
/// When influences are asked for and the configuration names no test points; whatever the fit or
/// the computation reports; [`Interrupted`] when the host cancelled it.
pub fn compute(
    quantity: Quantity,
    fit: &Affordable<'_>,
    fitted: Option<&Path>,
    host: &dyn Host,
) -> Result<SolveSummary> {
    Ok(compute_portion(Portion::Whole, quantity, fit, fitted, host)?.solved)
}

/// As [`compute`], of a portion of the output; the record is that of the run that writes the whole.
///
/// # Errors
/// As [`compute`].
pub fn compute_portion(
    portion: Portion,
    quantity: Quantity,
    fit: &Affordable<'_>,
    fitted: Option<&Path>,
    host: &dyn Host,
) -> Result<Computed> {
    let job = fit.job();
    quantity.check_points(&job.config)?;
    let attributes = job.attributes()?;
    let watch = host.watch();
    watch.stage(Stage::Fit);
    let model = fit.model(fitted, &*watch)?;
    let run = Run {
        portion,
        existing: job.existing,
        strategy: job.config.compute.strategy,
        quantity,
        job,
        host,
        watch: &*watch,
        attributes,
    };
    run.execute(model)
}

/// Reads a fit from a file and checks that it belongs to a job; computes nothing.
///
/// # Errors
/// When the file cannot be read, or was made from anything else.
pub fn check_fitted(fit: &Affordable<'_>, fitted: &Path, watch: &dyn Watch) -> Result<()> {
    watch.stage(Stage::Fit);
    fit.model(Some(fitted), watch).map(drop)
}

/// Computes influences and writes them.
#[derive(Clone)]
pub(crate) struct Run<'a> {
    pub(crate) portion: Portion,
    /// What happens to an output that is there.
    pub(crate) existing: Existing,
    pub(crate) strategy: Strategy,
    pub(crate) quantity: Quantity,
    pub(crate) job: &'a Job,
    pub(crate) host: &'a dyn Host,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) attributes: Map<String, Value>,
}

impl Run<'_> {
    /// Writes the part with a model that is fitted, and records what it took if it is the whole.
    pub(crate) fn execute(self, model: ErasedModel<Batch>) -> Result<Computed> {
        let written = self.write(model);
        let computed = written.map_err(|error| self.job.config.places.located(error))?;
        if self.portion == Portion::Whole {
            Record::keep(self.job, self.watch);
        }
        Ok(computed)
    }

    fn write(&self, model: ErasedModel<Batch>) -> Result<Computed> {
        let Job { config, train, .. } = self.job;
        let calculator = self.calculator(model)?;
        let options = self.options()?;
        /// Plans a query, and writes or declares its output: the same for both kinds.
        macro_rules! computed {
            ($lazy:expr) => {{
                let lazy = self.supervised($lazy);
                let plan = lazy.plan()?;
                check_room(self.job, &plan)?;
                let solved = self.written(&options, |claim| match self.portion {
                    Portion::Declaration => {
                        lazy.declare_claimed(claim, &options)?;
                        Ok(SolveSummary::default())
                    }
                    Portion::Whole | Portion::Share(_) => lazy.to_claimed(claim, &options),
                })?;
                Ok(Computed { solved, plan })
            }};
        }
        match self.quantity {
            Quantity::Influences => {
                let influences = influences(&calculator, self.job);
                computed!(bounded(influences, &config.compute)?)
            }
            Quantity::SelfInfluences => {
                let own = calculator.self_influences(train);
                computed!(bounded_self(own, &config.compute)?)
            }
        }
    }

    /// How influences would be computed.
    pub(crate) fn plan(&self, model: ErasedModel<Batch>) -> Result<Plan> {
        let calculator = self.calculator(model)?;
        let influences = influences(&calculator, self.job);
        let influences = bounded(influences, &self.job.config.compute)?;
        Ok(self.supervised(influences).plan()?)
    }

    fn calculator<M>(&self, model: M) -> Result<Box<dyn Calculator<Model = M>>>
    where
        M: InfluenceModel + ThreadSafe + 'static,
    {
        of_strategy(self.strategy, self.job, model)
    }

    /// The portion of a query, watched, and to be cancelled by the host.
    fn supervised<'q, M, Q>(&'q self, lazy: Lazy<'q, M, Q>) -> Lazy<'q, M, Q> {
        lazy.with_share(self.portion.share())
            .with_observer(self.watch)
            .with_cancellation(self.host.cancellation())
    }

    /// How the output is written, with the labels of the points.
    fn options(&self) -> Result<ZarrOptions> {
        let Job {
            config,
            train,
            test,
            test_groups,
            train_groups,
            ..
        } = self.job;
        let of_side = |points: &Prefetch<Samples>, groups: &Option<PointGroups>| match groups {
            Some(groups) => Some(groups.labels.clone()),
            None => points.inner().labels(),
        };
        // Self-influences are of points, whatever their groups.
        let train_labels = match self.quantity {
            Quantity::Influences => of_side(train, train_groups),
            Quantity::SelfInfluences => train.inner().labels(),
        };
        let mut options = zarr_options(self.attributes.clone(), self.existing)
            .with_remark(ORIGIN, self.job.origin()?);
        if let Some(labels) = train_labels {
            options = options.with_train_labels(labels);
        }
        let test_labels = of_side(test, test_groups);
        if let Some(labels) = test_labels.filter(|_| config.data.has_test_points()) {
            options = options.with_test_labels(labels);
        }
        Ok(options)
    }

    /// Writes the output, to the place that the host keeps or else to one that is claimed now.
    fn written(
        &self,
        options: &ZarrOptions,
        write: impl FnOnce(Claim) -> influence_calculators::Result<SolveSummary>,
    ) -> Result<SolveSummary> {
        let output = &self.job.config.output.path;
        let location = location(output)?;
        let kept = self.host.writing();
        let claim = kept.map_or_else(|| Claim::new(&location, options), Ok);
        let outcome = claim.and_then(write);
        let solved = outcome.map_err(|error| self.explained(error, output))?;
        if self.portion != Portion::Declaration {
            self.host.written(output);
        }
        Ok(solved)
    }

    /// An error, with how many chunks are written.
    fn explained(&self, error: Error, output: &Path) -> anyhow::Error {
        match (error, self.watch.chunks()) {
            (Error::Cancelled, (done, total)) => Interrupted {
                done,
                total: total.unwrap_or_default(),
                output: output.to_owned(),
                advice: self.portion.advice(),
            }
            .into(),
            (error, (done, Some(total))) => {
                self.watch.warn(&format!(
                    "{done} of {total} chunks are written to {}; {}",
                    output.display(),
                    self.portion.advice()
                ));
                error.into()
            }
            (error, _) => error.into(),
        }
    }
}

/// The influences of a job: its rows and columns are points, or groups of points.
pub(crate) fn influences<'a, C>(calculator: &'a C, job: &'a Job) -> LazyInfluences<'a, C::Model>
where
    C: Calculator<Model: InfluenceModel<Batch = Batch>>,
{
    let [test, train] = [job.test_source(), job.train_source()].map(SideSource::Compute);
    calculator.into_influences(test, train)
}

/// The calculator of a job.
///
/// # Errors
/// When its threads cannot be started.
pub fn calculator<M>(job: &Job, model: M) -> Result<Box<dyn Calculator<Model = M>>>
where
    M: InfluenceModel + ThreadSafe + 'static,
{
    of_strategy(job.config.compute.strategy, job, model)
}

fn of_strategy<M>(strategy: Strategy, job: &Job, model: M) -> Result<Box<dyn Calculator<Model = M>>>
where
    M: InfluenceModel + ThreadSafe + 'static,
{
    Ok(match strategy {
        Strategy::Sequential => Box::new(Sequential::new(model)),
        Strategy::Parallel => Box::new(Parallel::new(
            model,
            job.config.compute.threads.and_then(NonZero::new),
        )?),
    })
}
