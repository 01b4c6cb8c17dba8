//! Wrong labels: some labels are changed, a model is trained on them, and rankings are asked which
//! ones they are.
//!
//! The loss and the margin of the points themselves are the rankings to beat: a model that does not
//! fit wrong labels leaves a large loss on them, and no influence is needed.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use influence_calculators::Prefetch;
use influence_core::Dataset;
use influence_data::{Samples, Target, key::KeyError};
use ndarray::Axis;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use serde_json::json;

use super::{
    attribution::Contest,
    drawn::CurvePoint,
    outcome::{Evaluation, Finding, Statistic},
    statistics::{Detection, detected, found_among},
};
use crate::{
    job::Job,
    models::{Course, TaskModel},
    setup::Setup,
    watch::Stage,
};

/// Points that are evaluated at a time.
const BATCH: usize = 256;
/// The share of the points that is inspected.
const INSPECTED: f64 = 0.1;
/// Steps of the curve of what is found.
const STEPS: usize = 50;

/// Training points of which some have a wrong label, and a model that was trained on them.
#[derive(Debug)]
pub struct Flipped {
    samples: Samples,
    model: Box<dyn TaskModel>,
    wrong: Vec<bool>,
    /// Suspicions of the model alone, with their names.
    own: Vec<(&'static str, Vec<f64>)>,
    share: f64,
    seed: u64,
}

impl Flipped {
    /// Gives a share of the training points another class, drawn from the seed of the
    /// configuration, and trains its model on them.
    ///
    /// # Errors
    /// When points have no classes, or the model cannot be trained.
    pub fn train(contest: &Contest<'_>, share: f64) -> Result<Self> {
        let (config, watch) = (contest.configured(), contest.host.watch());
        let setup = Setup::untrained(config, contest.models())?;
        let Target::Class { classes } = setup.target else {
            bail!(KeyError::new(
                "data",
                "--flip changes classes, and these points have none"
            ));
        };
        let labels = labels(&setup.train)?;
        let (labels, is_flipped) = flipped(labels, classes, share, config.seed)?;
        let samples = setup.train.relabelled(labels.clone())?;
        watch.stage(Stage::Train);
        let course = Course {
            settings: &config.train,
            seed: config.seed,
            points: &samples,
            weights: None,
        };
        let epochs = config.train.epochs;
        let model = setup.model.trained(&course, &mut |number, loss, _| {
            watch.epoch(number, epochs, loss);
            Ok(())
        })?;
        let own = suspicions(&*model, &samples, &labels)?;
        Ok(Self {
            samples,
            model,
            wrong: is_flipped,
            own,
            share,
            seed: config.seed,
        })
    }

    /// Rates attributions by how well they find the wrong labels.
    ///
    /// # Errors
    /// Whatever a fit or a computation reports, or when a method needs more than one model.
    pub fn rate(&self, contest: &Contest<'_>) -> Result<Evaluation> {
        let mut findings = Vec::new();
        for (name, scores) in &self.own {
            findings.push(Finding {
                name: (*name).to_owned(),
                damping: None,
                is_baseline: true,
                statistics: self.statistics(scores.clone()),
                curve: self.curve(scores.clone()),
                scatters: Vec::new(),
            });
        }
        let altered = |mut job: Job| {
            ensure!(
                job.checkpoints.is_empty() && job.second_moments.is_none(),
                "--flip trains a model of its own, of which there are neither checkpoints nor second moments; choose another method"
            );
            job.model = self.model.duplicate();
            job.train = Arc::new(Prefetch::new(self.samples.clone())?);
            Ok(job)
        };
        contest.each(true, &altered, &mut |attribution| {
            let mean = attribution
                .influences
                .mean_axis(Axis(0))
                .context("no test points")?;
            let harm = mean.iter().map(|influence| -influence).collect();
            let own = attribution.own.clone().map(|own| ("self-influence", own));
            for (what, scores) in own.into_iter().chain([("mean influence", harm)]) {
                let curve = self.curve(scores.clone());
                let finding = Finding::of(attribution, self.statistics(scores));
                let name = format!("{what}, {}", finding.name);
                findings.push(Finding {
                    name,
                    ..finding.with_curve(curve)
                });
            }
            Ok(())
        })?;
        let flipped = self.wrong.iter().filter(|&&flipped| flipped).count();
        let about = json!({
            "share": self.share,
            "flipped": flipped,
            "training_points": self.wrong.len(),
            "test_points": contest.rows,
            "seed": self.seed,
            "intervals": "95 %, resampling training points",
        });
        Ok(Evaluation::new("flip", about, findings))
    }

    /// The share of the wrong labels that is found among a share of the points, the most suspicious
    /// ones.
    fn curve(&self, scores: Vec<f64>) -> Vec<CurvePoint> {
        let points = self.wrong.len();
        let mut counts: Vec<usize> = (0..=STEPS).map(|step| step * points / STEPS).collect();
        counts.dedup();
        let found = found_among(scores, &self.wrong, &counts);
        let points = points as f64;
        let found = counts.iter().zip(found);
        found
            .map(|(&count, found)| CurvePoint::bare(count as f64 / points, found))
            .collect()
    }

    fn statistics(&self, scores: Vec<f64>) -> Vec<Statistic> {
        let detections = [
            Detection::Auc,
            Detection::AveragePrecision,
            Detection::FoundAmong(INSPECTED),
        ];
        let names = ["auc", "average_precision", "found_in_first_tenth"];
        let found = detected(scores, &self.wrong, detections, self.seed);
        let named = names.into_iter().zip(found);
        named
            .map(|(name, interval)| Statistic::new(name, interval))
            .collect()
    }
}

/// The class of each point.
fn labels(samples: &Samples) -> Result<Vec<i64>> {
    let batch = samples.batch(0..samples.len())?;
    Ok(batch.fields()[samples.inputs()].integers().collect())
}

/// Labels of which a share is changed, each to another class, and which ones those are.
fn flipped(
    mut labels: Vec<i64>,
    classes: usize,
    share: f64,
    seed: u64,
) -> Result<(Vec<i64>, Vec<bool>)> {
    let count = influence_data::test_points(labels.len(), share);
    ensure!(
        count > 0 && count < labels.len() && classes > 1,
        "--flip {share}: of {} points in {classes} classes, {count} would get another class",
        labels.len()
    );
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut is_flipped = vec![false; labels.len()];
    let classes = i64::try_from(classes)?;
    for point in index::sample(&mut random, labels.len(), count) {
        is_flipped[point] = true;
        labels[point] = (labels[point] + random.random_range(1..classes)) % classes;
    }
    Ok((labels, is_flipped))
}

/// How suspicious points are by the model alone: their losses, and where classes have outputs, by
/// how much the largest output of another class is above that of their own.
fn suspicions(
    model: &dyn TaskModel,
    samples: &Samples,
    labels: &[i64],
) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let (mut losses, mut margins) = (Vec::new(), Vec::new());
    for start in (0..samples.len()).step_by(BATCH) {
        let batch = samples.batch(start..(start + BATCH).min(samples.len()))?;
        losses.extend(model.losses(&batch)?);
        let Some(outputs) = model.outputs(&batch)? else {
            continue;
        };
        for (row, &label) in outputs.values.rows().into_iter().zip(&labels[start..]) {
            let own = usize::try_from(label)?;
            let others = row.iter().enumerate().filter(|(class, _)| *class != own);
            let other = others
                .map(|(_, &value)| value)
                .fold(f64::NEG_INFINITY, f64::max);
            margins.push(other - row[own]);
        }
    }
    let mut found = vec![("loss", losses)];
    if margins.len() == labels.len() {
        found.push(("margin", margins));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_labels_gets_another_class() -> Result<()> {
        let labels: Vec<i64> = (0..200).map(|point| point % 3).collect();
        let (changed, is_flipped) = flipped(labels.clone(), 3, 0.1, 5)?;
        assert_eq!(is_flipped.iter().filter(|&&flipped| flipped).count(), 20);
        for ((before, after), flipped) in labels.iter().zip(&changed).zip(is_flipped) {
            assert_eq!(before != after, flipped);
            assert!((0..3).contains(after));
        }
        assert_eq!(flipped(labels.clone(), 3, 0.1, 5)?.0, changed);
        assert!(flipped(labels, 1, 0.1, 5).is_err());
        Ok(())
    }
}
