//! A process that holds a model, its data and its fit, and computes the parts of results that it is
//! ordered to: what runs on each machine of a cluster, under an engine that hands out the work.
//!
//! Orders and answers are objects of JSON on a line each; they carry no numbers. What is computed
//! goes to files, in the precision of the model, lowest byte first, in C order.
//!
//! | order | its keys | the answer has |
//! |---|---|---|
//! | `ping` | | `pid`, `version` |
//! | `fit` | | `parameters` |
//! | `fit` | `share` | `done`, and `waiting` where it is not |
//! | `describe` | `quantity`, `shares` | [`Description`] |
//! | `scores` | `path`, maybe `share` and `factors` | `shape` |
//! | `factors` | `path`, maybe `share` | `shape` |
//! | `self-influences` | `path`, maybe `share` | `shape` |
//! | `declare` | `quantity`, `output`, maybe `overwrite` | |
//! | `write` | `quantity`, `output`, maybe `share` | |
//! | `finish` | `quantity`, `output` | |
//!
//! `fit` fits, or reads the fit where one is kept. With a share, it goes on with a fit that several
//! processes do together, as far as it comes: `done` when it is kept, for the order `fit` of each
//! worker to read; otherwise to be ordered again, once other shares were.
//!
//! `share` is a [`Share`] such as `3/16`, by default the whole. The bytes of a part are those that
//! one run writes at its place: the grid is that of the whole, and the grid alone decides which
//! numbers meet in which operation. So an order may be given twice, or to another process after
//! this one is lost.

mod description;
mod numbers;
mod order;
mod output;
mod refusal;

use std::{
    fmt::{self, Debug},
    path::Path,
};

use anyhow::{Context, Error, Result};
use influence_backend_burn::Batch;
use influence_calculators::{
    Calculator, LazyFactors, LazyInfluences, LazySelfInfluences, Plan, Share, SideSource,
};
use influence_cluster::StoredSums;
use influence_core::{ErasedModel, InfluenceModel};
use ndarray::{Array2, ArrayD};
use serde_json::{Map, Value, json};

use crate::{
    config::Config,
    fit::{Affordable, Waiting, check_savable},
    fit_place,
    job::Job,
    models::Models,
    run::{Portion, bounded, bounded_self, calculator, influences, with_memory},
    watch::{Host, Stage},
};

pub use description::{Description, Rectangle, Subject};
pub use order::{NumbersOrder, OutputOrder, WorkOrder};
pub use refusal::{Refusal, RefusalKind};

/// Holds a model, its data and its fit, from the first order that needs them on.
pub struct Worker<'a> {
    config: Box<dyn Fn() -> Result<Config> + 'a>,
    fitted: Option<&'a Path>,
    models: &'a dyn Models,
    host: &'a dyn Host,
    held: Option<Held>,
    /// What is read for shares of a fit, between their orders.
    fitting: Option<Job>,
}

/// What stays in memory between orders.
struct Held {
    job: Job,
    model: ErasedModel<Batch>,
    calculator: Box<dyn Calculator<Model = ErasedModel<Batch>>>,
    /// What an output says about how it was made, once one is written: it takes reading all data.
    attributes: Option<Map<String, Value>>,
}

impl Debug for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("fitted", &self.fitted)
            .field("holds", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a> Worker<'a> {
    /// A worker for the configuration that `config` reads. With `fitted`, the fit is read from that
    /// file or URL, which the order `fit` writes where there is nothing.
    pub fn new(
        config: impl Fn() -> Result<Config> + 'a,
        fitted: Option<&'a Path>,
        models: &'a dyn Models,
        host: &'a dyn Host,
    ) -> Self {
        Self {
            config: Box::new(config),
            fitted,
            models,
            host,
            held: None,
            fitting: None,
        }
    }

    /// Carries out the order on a line, and gives what is answered.
    ///
    /// # Errors
    /// [`Refusal`], with what is wrong and where: the next order is carried out all the same.
    pub fn answer(&mut self, line: &str) -> Result<Value, Refusal> {
        match WorkOrder::read(line).map_err(Refusal::of_order)? {
            WorkOrder::Ping {} => Ok(json!({
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
            })),
            WorkOrder::Fit { share: Some(share) } => self.fit_share(share),
            WorkOrder::Fit { share: None } => {
                self.keep_fit().map_err(Refusal::of_input)?;
                self.carry_out(|held, _| Ok(json!({ "parameters": held.job.dim })))
            }
            WorkOrder::Describe { quantity, shares } => self.carry_out(|held, _| {
                let description = held.describe(quantity, shares)?;
                Ok(serde_json::to_value(description)?)
            }),
            WorkOrder::Scores(order) => self.carry_out(|held, _| held.influences_to(&order)),
            WorkOrder::Factors(order) => self.carry_out(|held, _| held.factors_to(&order)),
            WorkOrder::SelfInfluences(order) => {
                self.carry_out(|held, _| held.self_influences_to(&order))
            }
            WorkOrder::Declare(target) => {
                self.carry_out(|held, host| held.write(Portion::Declaration, &target, host))
            }
            WorkOrder::Write(target) => {
                let portion = Portion::Share(target.share);
                self.carry_out(|held, host| held.write(portion, &target, host))
            }
            WorkOrder::Finish(target) => {
                self.carry_out(|held, host| held.write(Portion::Whole, &target, host))
            }
        }
    }

    /// Does work with what is held, which is read and fitted first if it was not yet.
    fn carry_out(
        &mut self,
        work: impl FnOnce(&mut Held, &dyn Host) -> Result<Value>,
    ) -> Result<Value, Refusal> {
        let host = self.host;
        let held = self.held().map_err(Refusal::of_input)?;
        let done = work(held, host);
        done.map_err(|error| Refusal::of_work(held.job.config.places.located(error)))
    }

    /// Fits, and keeps the fit where there is none to read.
    fn keep_fit(&self) -> Result<()> {
        let Some(path) = self.fitted else {
            return Ok(());
        };
        if fit_place::exists(path)? {
            return Ok(());
        }
        let job = self.open()?;
        check_kept(&job, path)?;
        Affordable::new(&job)?.fit_and_save(path, &*self.host.watch())
    }

    /// Does a share of a fit, as far as it comes, where there is none to read.
    fn fit_share(&mut self, share: Share) -> Result<Value, Refusal> {
        let done = json!({ "done": true });
        let (host, path) = (self.host, self.fitted);
        let path = path.context("a share of a fit needs --fitted, for all to read");
        let path = path.map_err(Refusal::of_input)?;
        // The other shares are ordered at the same time.
        let sums = fit_place::sums(path, share).map(StoredSums::patient);
        let sums = sums.map_err(Refusal::of_input)?;
        if is_kept(path, &sums).map_err(Refusal::of_work)? {
            return Ok(done);
        }
        let job = self.fitting(path).map_err(Refusal::of_input)?;
        let fit = Affordable::new(job).map_err(Refusal::of_input)?;
        let outcome = fit.fit_share(path, sums, &*host.watch());
        match outcome.map_err(Error::downcast::<Waiting>) {
            Ok(()) => Ok(done),
            Err(Ok(waiting)) => Ok(json!({ "done": false, "waiting": waiting.to_string() })),
            Err(Err(error)) => Err(Refusal::of_work(job.config.places.located(error))),
        }
    }

    /// What is read to fit.
    fn fitting(&mut self, path: &Path) -> Result<&Job> {
        let job = if let Some(job) = self.fitting.take() {
            job
        } else {
            let job = self.open()?;
            check_kept(&job, path)?;
            job
        };
        Ok(self.fitting.insert(job))
    }

    fn open(&self) -> Result<Job> {
        let watch = self.host.watch();
        let job = Job::of_inputs((self.config)()?, self.models)?.watched_by(watch.clone());
        job.remarks.iter().for_each(|remark| watch.warn(remark));
        Ok(job)
    }

    /// Everything that is read and fitted once.
    fn held(&mut self) -> Result<&mut Held> {
        let held = self.held.take().map_or_else(|| self.read(), Ok)?;
        Ok(self.held.insert(held))
    }

    fn read(&mut self) -> Result<Held> {
        let job = self.fitting.take().map_or_else(|| self.open(), Ok)?;
        let watch = self.host.watch();
        watch.stage(Stage::Fit);
        let model = Affordable::new(&job)?.model(self.fitted, &*watch)?;
        Ok(Held {
            calculator: calculator(&job, model.clone())?,
            model,
            job,
            attributes: None,
        })
    }
}

/// Whether a fit is kept there, and none has begun to take its place.
fn is_kept(path: &Path, sums: &StoredSums) -> Result<bool> {
    Ok(fit_place::exists(path)? && !sums.has_begun()?)
}

/// Refuses a fit that cannot be kept.
fn check_kept(job: &Job, path: &Path) -> Result<()> {
    check_savable(&job.config)?;
    fit_place::check(path).context("--fitted")
}

impl Held {
    /// The plan of a share, whose grid is that of the whole.
    fn plan(&self, subject: Subject, share: Share) -> Result<Plan> {
        Ok(match subject {
            Subject::Influences => self.influences(share)?.plan()?,
            Subject::Factors => self.factors(share)?.plan()?,
            Subject::SelfInfluences => self.self_influences(share)?.plan()?,
        })
    }

    /// Writes the influences of a share to a file.
    fn influences_to(&self, order: &NumbersOrder) -> Result<Value> {
        let values = match &order.factors {
            None => self.influences(order.share)?.share_to_array()?,
            Some(path) => {
                let rows = numbers::read(path, self.model.precision(), self.model.factor_len())?;
                self.influences_of(&rows, order.share)?.share_to_array()?
            }
        };
        self.keep(&values, order)
    }

    /// Writes the factors of a share to a file.
    fn factors_to(&self, order: &NumbersOrder) -> Result<Value> {
        self.keep(&self.factors(order.share)?.share_to_array()?, order)
    }

    /// Writes the self-influences of a share to a file.
    fn self_influences_to(&self, order: &NumbersOrder) -> Result<Value> {
        self.keep(&self.self_influences(order.share)?.share_to_array()?, order)
    }

    fn keep(&self, values: &ArrayD<f64>, order: &NumbersOrder) -> Result<Value> {
        numbers::write(&order.path, self.model.precision(), values)?;
        Ok(json!({ "shape": values.shape() }))
    }

    fn influences(&self, share: Share) -> Result<LazyInfluences<'_, ErasedModel<Batch>>> {
        let config = &self.job.config;
        config.data.check_test_points()?;
        let lazy = influences(&self.calculator, &self.job);
        Ok(bounded(lazy, &config.compute)?.with_share(share))
    }

    /// As [`influences`](Self::influences), of test points whose factors are given.
    fn influences_of<'a>(
        &'a self,
        factors: &'a Array2<f64>,
        share: Share,
    ) -> Result<LazyInfluences<'a, ErasedModel<Batch>>> {
        let compute = &self.job.config.compute;
        let columns = self.influences(Share::WHOLE)?.plan()?.grid().chunk_shape()[1];
        let test = SideSource::read(factors);
        let train = SideSource::Compute(self.job.train_source());
        let lazy = bounded((&self.calculator).into_influences(test, train), compute)?;
        let lazy = lazy.with_chunks(factors.nrows().max(1), columns)?;
        Ok(lazy.with_share(share))
    }

    /// Factors, in the rows of chunks of influences: rows that are solved together decide the bits.
    fn factors(&self, share: Share) -> Result<LazyFactors<'_, ErasedModel<Batch>>> {
        let rows = self.influences(Share::WHOLE)?.plan()?.grid().chunk_shape()[0];
        let lazy = (&self.calculator).into_factors(self.job.test_source());
        let lazy = with_memory(lazy, &self.job.config.compute);
        Ok(lazy.with_chunks(rows)?.with_share(share))
    }

    fn self_influences(&self, share: Share) -> Result<LazySelfInfluences<'_, ErasedModel<Batch>>> {
        let lazy = self.calculator.self_influences(&self.job.train);
        Ok(bounded_self(lazy, &self.job.config.compute)?.with_share(share))
    }
}
