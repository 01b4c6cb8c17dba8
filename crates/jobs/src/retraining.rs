//! Trainings of one configuration on parts of its training points: the truth that attributions are
//! to predict.
//!
//! A *retraining* is that of a [`Subset`] and a seed. It gives the bits that `influence train`
//! gives with that seed on files of these points alone: the seed decides the first weights and the
//! order of the batches, and neither depends on what else is trained.

mod bank;
mod fingerprint;
mod subset;
mod threads;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use influence_backend_burn::{Batch, OutputLoss};
use influence_calculators::Error as CalculatorError;
use influence_core::{Dataset, Precision, Values};
use influence_data::{ChosenSamples, Samples};

use crate::{
    config::{Config, WeightFiles},
    memory::{self, Taker},
    models::{Course, Models, TaskModel},
    prediction::largest,
    setup::Setup,
    train::check_batches,
    watch::{Host, Stage},
};

pub use bank::{Bank, Study};
pub use subset::{Absence, Subset};

/// The most test points that are evaluated at a time.
const EVALUATED: usize = 256;

/// Why some models are not retrained.
const DRAWS: &str = "the model draws random numbers while it is trained, as with dropout; they come from one generator for all threads, so a retraining would not be the same alone and beside others: switch them off";

/// What retrainings need: the model before its training, for each seed, and the points on both
/// sides, in memory.
#[derive(Debug)]
pub struct Retraining<'a> {
    config: &'a Config,
    beginning: Beginning,
    /// Made one after another, see [`Models::initial`].
    initial: BTreeMap<u64, Mutex<Box<dyn TaskModel>>>,
    train: Batch,
    test: Batch,
    /// The names and shapes of the trained parameters.
    parameters: Vec<(String, Vec<usize>)>,
    remarks: Vec<String>,
}

/// The weights at which retrainings begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Those of a model before training, drawn from the seed.
    Scratch,
    /// Those of the model of the configuration, `model.weights`, whatever the seed: it is trained
    /// on.
    Trained,
}

/// What a retrained model makes of the test points.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The measurement of each: its loss, unless the model section explains something else.
    pub losses: Vec<f64>,
    /// The class with the largest output, where the model chooses one for each point.
    pub classes: Option<Vec<usize>>,
}

impl<'a> Retraining<'a> {
    /// Reads the points on both sides, and makes the models before training of these seeds.
    ///
    /// # Errors
    /// When the configuration does not describe a model that can be trained, or the points do not
    /// fit into memory.
    pub fn new(config: &'a Config, models: &dyn Models, seeds: &[u64]) -> Result<Self> {
        Self::beginning_at(Beginning::Scratch, config, models, seeds)
    }

    /// As [`new`](Self::new), of trainings that begin at these weights.
    ///
    /// # Errors
    /// As [`new`](Self::new), or when the weights cannot be read.
    pub fn beginning_at(
        beginning: Beginning,
        config: &'a Config,
        models: &dyn Models,
        seeds: &[u64],
    ) -> Result<Self> {
        let retraining = Self::of_inputs(beginning, config, models, seeds);
        retraining.map_err(|error| config.places.located(error))
    }

    fn of_inputs(
        beginning: Beginning,
        config: &'a Config,
        models: &dyn Models,
        seeds: &[u64],
    ) -> Result<Self> {
        let setup = Setup::untrained(config, models)?;
        let first = setup
            .train
            .batch(0..config.train.batch.min(setup.train.len()))?;
        ensure!(!setup.model.draws(&first)?, DRAWS);
        let (inputs, device) = (&setup.inputs, &setup.device);
        // Steps are taken in 32 bits whatever the precision of influences.
        let trained = Config {
            precision: Precision::F32,
            ..config.clone()
        };
        let initial = seeds.iter().map(|&seed| {
            let model = match beginning {
                Beginning::Scratch => models.initial(config, seed, inputs, device),
                Beginning::Trained => {
                    let weights = config.model.weights.as_ref().map(WeightFiles::first);
                    models.open(&trained, weights, inputs, device)
                }
            };
            Ok((seed, Mutex::new(model?)))
        });
        let parameters = setup.model.layout().parameters().iter();
        let parameters =
            parameters.map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
        Ok(Self {
            config,
            parameters: parameters.collect(),
            beginning,
            initial: initial.collect::<Result<_>>()?,
            train: held(config, "train", &setup.train)?,
            test: held(config, "test", &setup.test)?,
            remarks: setup.remarks,
        })
    }

    /// The number of training points.
    pub fn train_points(&self) -> usize {
        self.train.len()
    }

    /// The number of test points.
    pub fn test_points(&self) -> usize {
        self.test.len()
    }

    /// What should be known of the files, in sentences.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The model that is trained on a subset.
    ///
    /// # Errors
    /// When the seed is none of those given to [`new`](Self::new), the subset has points that there
    /// are not, or the training fails.
    pub fn model(
        &self,
        subset: &Subset,
        absence: Absence,
        seed: u64,
    ) -> Result<Box<dyn TaskModel>> {
        match absence {
            Absence::Removed => self.weighted_model(subset, None, seed),
            Absence::Weightless => {
                subset.check(self.train.len())?;
                let mut weights = vec![0.0; self.train.len()];
                subset.points().iter().for_each(|&kept| weights[kept] = 1.0);
                let all = Subset::without(weights.len(), &[])?;
                self.weighted_model(&all, Some(&weights), seed)
            }
        }
    }

    /// As [`model`](Self::model), with a weight for each point of the subset, see [`Course`].
    ///
    /// # Errors
    /// As [`model`](Self::model), or when there are not as many weights as points.
    pub fn weighted_model(
        &self,
        subset: &Subset,
        weights: Option<&[f32]>,
        seed: u64,
    ) -> Result<Box<dyn TaskModel>> {
        subset.check(self.train.len())?;
        let initial = self
            .initial
            .get(&seed)
            .with_context(|| format!("there is no model before training for the seed {seed}"))?;
        // Not held while it trains: others begin at the same weights.
        let initial = initial
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .duplicate();
        let points = subset.points();
        check_batches(self.config, points.len(), initial.needs().batch)?;
        let course = Course {
            settings: &self.config.train,
            seed,
            points: &ChosenSamples {
                all: &self.train,
                points,
            },
            weights,
        };
        initial.trained(&course, &mut |_, _, _| Ok(()))
    }

    /// How many trainings may run at a time.
    fn threads(&self) -> usize {
        self.config.compute.threads()
    }

    /// What the model that is trained on a subset makes of the test points.
    ///
    /// # Errors
    /// As [`model`](Self::model) and [`outcome_of`](Self::outcome_of).
    pub fn outcome(&self, subset: &Subset, absence: Absence, seed: u64) -> Result<Outcome> {
        self.outcome_of(&*self.model(subset, absence, seed)?)
    }

    /// What a model makes of the test points.
    ///
    /// # Errors
    /// When the model cannot be evaluated.
    pub fn outcome_of(&self, model: &dyn TaskModel) -> Result<Outcome> {
        let points = self.test.len();
        let (mut losses, mut classes) = (Vec::with_capacity(points), Some(Vec::new()));
        for start in (0..points).step_by(EVALUATED) {
            let batch = self.test.slice(start..(start + EVALUATED).min(points))?;
            losses.extend(model.measurements(&batch)?);
            let chosen = chosen_classes(model, &batch)?;
            classes = classes
                .zip(chosen)
                .map(|(all, chosen)| [all, chosen].concat());
        }
        Ok(Outcome { losses, classes })
    }

    /// The measurements of the test points after the training on each of some subsets, side by
    /// side; nothing is kept.
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome); [`Cancelled`](CalculatorError::Cancelled) when the host
    /// cancels it.
    pub(crate) fn losses_of_each(
        &self,
        subsets: &[Subset],
        seed: u64,
        host: &dyn Host,
    ) -> Result<Vec<Vec<f64>>> {
        let (watch, done) = (host.watch(), AtomicUsize::new(0));
        watch.stage(Stage::Retrain);
        let found: Vec<OnceLock<Vec<f64>>> = subsets.iter().map(|_| OnceLock::new()).collect();
        threads::each(
            subsets.len(),
            self.threads(),
            host.cancellation(),
            &|task| {
                let outcome = self.outcome(&subsets[task], Absence::Removed, seed)?;
                found[task].get_or_init(|| outcome.losses);
                watch.retrained(done.fetch_add(1, Ordering::Relaxed) + 1, subsets.len());
                Ok(())
            },
        )?;
        let found: Option<_> = found.into_iter().map(OnceLock::into_inner).collect();
        found.ok_or_else(|| CalculatorError::Cancelled.into())
    }
}

/// The class with the largest output for each sample, if the model chooses one for each.
fn chosen_classes(model: &dyn TaskModel, batch: &Batch) -> Result<Option<Vec<usize>>> {
    let outputs = model.outputs(batch)?;
    let outputs = outputs.filter(|outputs| outputs.loss == OutputLoss::CrossEntropy);
    Ok(outputs.and_then(|outputs| {
        let rows = outputs.values.rows().into_iter();
        rows.map(|row| largest(row.iter().copied())).collect()
    }))
}

/// All points of a side, in memory.
fn held(config: &Config, side: &str, samples: &Samples) -> Result<Batch> {
    let numbers = samples
        .batch(0..1)?
        .fields()
        .iter()
        .map(Values::len)
        .sum::<usize>();
    let taker = Taker {
        key: "data",
        what: &format!("a copy of all {side} points"),
        advice: "take fewer of them",
    };
    let bytes = numbers * samples.len() * size_of::<f64>();
    memory::check(&config.compute, taker, bytes)?;
    Ok(samples.batch(0..samples.len())?)
}

#[cfg(test)]
mod tests;
