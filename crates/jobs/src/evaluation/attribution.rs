//! The attributions that are held against what happened: those of the configured method and of
//! others, and baselines.

use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Error, Result, ensure};
use influence_backend_burn::Batch;
use influence_calculators::{Calculator, Observer, Phase, Plan};
use influence_core::{
    Chunk, Dataset, ErasedModel, Result as CoreResult, aggregate::Concatenate, solver::Report,
};
use ndarray::{Array2, ArrayD, Axis, Ix2};

use super::baselines::Baseline;
use crate::{
    config::{Config, Method, Mode},
    fit::Affordable,
    job::Job,
    memory::{self, Taker},
    models::Models,
    run::{Quantity, bounded, bounded_self, calculator},
    watch::{Host, Stage, Watch},
};

/// The influences of the training points by some method, or what takes their place.
#[derive(Debug)]
pub struct Attribution {
    /// The name of the method.
    pub name: String,
    /// λ as it is written, of a method that has one.
    pub damping: Option<String>,
    /// Whether the method is one that others have to beat.
    pub is_baseline: bool,
    /// `(rows, n)`: positive for a training point that helps on the test point of the row.
    pub influences: Array2<f64>,
    /// The influence of each training point on itself, `(n)`, where it is asked for.
    pub own: Option<Vec<f64>>,
}

/// What is held against what happened, one after another.
pub struct Contest<'a> {
    /// The methods, of which the first is the configured one.
    methods: Vec<Config>,
    baselines: bool,
    models: &'a dyn Models,
    pub(super) host: &'a dyn Host,
    /// How many parameters the model has.
    parameters: usize,
    /// How many training points there are.
    pub(super) points: usize,
    /// How many test points are looked at, the first ones.
    pub(super) rows: usize,
}

impl Debug for Contest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contest")
            .field("methods", &self.methods.len())
            .field("baselines", &self.baselines)
            .field("points", &self.points)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<'a> Contest<'a> {
    /// The method of a configuration, on its first test points, or on all.
    ///
    /// # Errors
    /// When the configuration does not fit its files, or there are fewer test points.
    pub fn new(
        config: Config,
        rows: Option<usize>,
        models: &'a dyn Models,
        host: &'a dyn Host,
    ) -> Result<Self> {
        Quantity::Influences.check_points(&config)?;
        let mut contest = Self {
            methods: Vec::new(),
            baselines: false,
            models,
            host,
            parameters: 0,
            points: 0,
            rows: 0,
        };
        let job = contest.job(config.clone())?;
        let [tests, points] = job.points();
        if job.test_groups.is_some() || job.train_groups.is_some() {
            host.watch().warn("an evaluation is about points one by one, whatever the groups of the configuration");
        }
        let rows = rows.unwrap_or(tests);
        ensure!(
            (1..=tests).contains(&rows),
            "--rows {rows}: there are {tests} test points"
        );
        contest.methods.push(config);
        Ok(Self {
            parameters: job.dim,
            points,
            rows,
            ..contest
        })
    }

    /// How many parameters the model has.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// How many test points are looked at, and how many training points there are.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.points]
    }

    /// With other methods, or dampings, of the same model.
    #[must_use]
    pub fn against(mut self, methods: impl IntoIterator<Item = Config>) -> Self {
        self.methods.extend(methods);
        self
    }

    /// With the baselines.
    #[must_use]
    pub fn against_baselines(self) -> Self {
        Self {
            baselines: true,
            ..self
        }
    }

    /// Shows every attribution of a job that `altered` may have changed, with the influences of
    /// training points on themselves if these are wanted; only one is in memory at a time.
    ///
    /// # Errors
    /// Whatever a fit or a computation reports, or `see`.
    pub(super) fn each(
        &self,
        own: bool,
        altered: &dyn Fn(Job) -> Result<Job>,
        see: &mut dyn FnMut(&Attribution) -> Result<()>,
    ) -> Result<()> {
        for config in self.distinct()? {
            let job = altered(self.job(config.clone())?)?;
            for attribution in self.of_method(&job, own)? {
                see(&attribution)?;
            }
        }
        if self.baselines {
            self.each_baseline(altered, see)?;
        }
        Ok(())
    }

    fn each_baseline(
        &self,
        altered: &dyn Fn(Job) -> Result<Job>,
        see: &mut dyn FnMut(&Attribution) -> Result<()>,
    ) -> Result<()> {
        let dot = Config {
            method: Some(Method::Identity),
            ..self.configured().clone()
        };
        let job = altered(self.job(dot)?)?;
        for attribution in self.of_method(&job, false)? {
            see(&Attribution {
                name: "gradient dot product".into(),
                is_baseline: true,
                ..attribution
            })?;
        }
        Baseline::each(&job, self.rows, self.seed(), &mut |baseline, influences| {
            see(&Attribution {
                name: baseline.as_str().into(),
                damping: None,
                is_baseline: true,
                influences,
                own: None,
            })
        })
    }

    /// The methods, each once: others may include the configured one.
    fn distinct(&self) -> Result<&[Config]> {
        let again = self.methods[1..].iter();
        let again = again.map(|other| includes(other, self.configured()));
        let again = again.collect::<Result<Vec<_>>>()?.contains(&true);
        Ok(&self.methods[usize::from(again)..])
    }

    /// The influence of each training point on itself by the configured method, `(n)`, under its
    /// first damping.
    ///
    /// # Errors
    /// Whatever the fit or the computation reports.
    pub(super) fn configured_own(&self) -> Result<Vec<f64>> {
        let job = self.job(self.configured().clone())?;
        let own = FittedMethod::new(&job, self.host)?.self_influences()?;
        Ok(own
            .iter()
            .step_by(own.len() / self.points)
            .copied()
            .collect())
    }

    /// The configuration, with its own method.
    pub(super) fn configured(&self) -> &Config {
        &self.methods[0]
    }

    /// The seed of whatever is drawn.
    pub(super) fn seed(&self) -> u64 {
        self.configured().seed
    }

    /// Where models come from.
    pub(super) fn models(&self) -> &'a dyn Models {
        self.models
    }

    /// A job that computes influences of a configuration, whatever its mode.
    pub(super) fn job(&self, mut config: Config) -> Result<Job> {
        config.compute.mode = Mode::Up;
        Ok(Job::of_inputs(config, self.models)?.watched_by(self.host.watch()))
    }

    /// The influences of a method, one matrix for each damping.
    fn of_method(&self, job: &Job, own: bool) -> Result<Vec<Attribution>> {
        let fitted = FittedMethod::new(job, self.host)?;
        let method = job.config.method()?;
        let dampings = method.curved().map(|_| match method.sweep() {
            Some(sweep) => sweep
                .into_iter()
                .map(|(written, _)| Some(written))
                .collect(),
            None => method
                .dampings()
                .iter()
                .map(|it| Some(it.to_string()))
                .collect(),
        });
        let dampings = dampings.unwrap_or_else(|| vec![None]);
        let count = dampings.len();
        let selves = own.then(|| fitted.self_influences()).transpose()?;
        let own = |damping: usize| {
            let selves = selves.as_ref()?.iter();
            Some(selves.skip(damping).step_by(count).copied().collect())
        };
        let matrices = matrices(fitted.influences(self.rows)?, count)?;
        let named = dampings.into_iter().zip(matrices).enumerate();
        let named = named.map(|(place, (damping, influences))| Attribution {
            name: method.name().as_str().to_owned(),
            damping,
            is_baseline: false,
            influences,
            own: own(place),
        });
        Ok(named.collect())
    }
}

/// Whether the attributions of a method include those of another: the same one, with the same
/// dampings or more.
fn includes(other: &Config, configured: &Config) -> Result<bool> {
    let about = |config: &Config| {
        let method = config.method()?;
        let curvature = method.curved().map(|curved| curved.curvature.name());
        let mut settings = config.origin.get("method").cloned();
        if let Some(settings) = settings.as_mut().and_then(|it| it.as_table_mut()) {
            settings.retain(|key, _| !["curvature", "damping", "sweep"].contains(&key));
        }
        let dampings: Vec<String> = method.dampings().iter().map(ToString::to_string).collect();
        Ok::<_, Error>((settings, curvature, dampings))
    };
    let (other, configured) = (about(other)?, about(configured)?);
    let damped = configured.2.iter().all(|one| other.2.contains(one));
    Ok((other.0, other.1) == (configured.0, configured.1) && damped)
}

/// The matrices `(rows, n)` of an array that may have an axis of dampings.
fn matrices(influences: ArrayD<f64>, dampings: usize) -> Result<Vec<Array2<f64>>> {
    let influences = match influences.ndim() {
        2 => influences.insert_axis(Axis(2)),
        _ => influences,
    };
    let each = (0..dampings).map(|damping| {
        let matrix = influences.index_axis(Axis(2), damping).to_owned();
        matrix.into_dimensionality::<Ix2>()
    });
    each.collect::<Result<_, _>>().context("influences")
}

/// A job with its fitted model.
pub(super) struct FittedMethod<'a> {
    job: &'a Job,
    host: &'a dyn Host,
    calculator: Box<dyn Calculator<Model = ErasedModel<Batch>>>,
}

impl<'a> FittedMethod<'a> {
    /// Fits.
    ///
    /// # Errors
    /// As [`Affordable::model`].
    pub(super) fn new(job: &'a Job, host: &'a dyn Host) -> Result<Self> {
        let watch = host.watch();
        watch.stage(Stage::Fit);
        let model = Affordable::new(job)?.model(None, &*watch)?;
        Ok(Self {
            job,
            host,
            calculator: calculator(job, model)?,
        })
    }

    /// The influences on the first test points, `(rows, n)` or `(rows, n, dampings)`; rows that the
    /// solver did not solve are taken as they are, and said.
    pub(super) fn influences(&self, rows: usize) -> Result<ArrayD<f64>> {
        let Job {
            config,
            train,
            test,
            ..
        } = self.job;
        let dampings = config.method()?.dampings().len().max(1);
        let taker = Taker {
            key: "compute.memory",
            what: "the matrix of all influences",
            advice: "look at fewer test points with --rows, or at fewer dampings",
        };
        // Twice: as it comes, and cut into one matrix for each damping.
        let needed = 2 * rows * train.len() * dampings * size_of::<f64>();
        memory::check(&config.compute, taker, needed)?;
        let (first, watch) = (FirstPoints { all: &**test, rows }, self.host.watch());
        let watched = Unsolved::of(&*watch);
        let lazy = bounded(
            self.calculator.influences(&first, &**train),
            &config.compute,
        )?
        .accepting_unsolved()
        .with_observer(&watched)
        .with_cancellation(self.host.cancellation());
        let influences = lazy.compute(Concatenate::new())?;
        let unsolved = watched.rows.load(Ordering::Relaxed);
        if unsolved > 0 {
            watch.warn(&format!(
                "{}: {unsolved} solutions did not reach their tolerance and are taken as they are",
                config.method()?.name().as_str()
            ));
        }
        Ok(influences)
    }

    /// The influence of each training point on itself, `(n)` or `(n, dampings)`.
    pub(super) fn self_influences(&self) -> Result<ArrayD<f64>> {
        let Job { config, train, .. } = self.job;
        let watch = self.host.watch();
        let own = self.calculator.self_influences(&**train);
        let lazy = bounded_self(own, &config.compute)?
            .accepting_unsolved()
            .with_observer(&*watch)
            .with_cancellation(self.host.cancellation());
        Ok(lazy.compute()?)
    }
}

/// The first points of a data set.
struct FirstPoints<'a, D> {
    all: &'a D,
    rows: usize,
}

impl<D: Dataset> Dataset for FirstPoints<'_, D> {
    type Batch = D::Batch;

    fn len(&self) -> usize {
        self.rows
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<D::Batch> {
        self.all.batch(range)
    }
}

/// Counts rows that are not solved, for whoever watches.
struct Unsolved<'a> {
    watch: &'a dyn Watch,
    rows: AtomicUsize,
}

impl<'a> Unsolved<'a> {
    fn of(watch: &'a dyn Watch) -> Self {
        Self {
            watch,
            rows: AtomicUsize::new(0),
        }
    }
}

impl Observer for Unsolved<'_> {
    fn planned(&self, plan: &Plan, finished: usize) {
        self.watch.planned(plan, finished);
    }

    fn phase(&self, phase: Phase) {
        self.watch.phase(phase);
    }

    fn solved(&self, _rows: &Range<usize>, reports: &[Report]) {
        let unsolved = reports.iter().filter(|report| !report.status.is_solved());
        self.rows.fetch_add(unsolved.count(), Ordering::Relaxed);
    }

    fn chunk_done(&self, chunk: &Chunk) {
        self.watch.chunk_done(chunk);
    }
}
