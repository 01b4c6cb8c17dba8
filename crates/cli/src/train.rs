//! `influence train`: trains the model of a configuration and writes its weights.

mod descent;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use influence_core::Dataset;

use crate::{
    args::TrainArguments,
    config::Config,
    data::{Samples, Target},
    output::check_file,
    plan::Ground,
    progress::Stage,
    session::Session,
    subject::{Models, Subject, largest},
    summary::timings,
};

pub use descent::{Epoch, Gather, descend};

/// Points of which the loss is taken at a time.
const BATCH: usize = 1024;
/// How the files of weights end.
const ENDING: &str = "safetensors";

/// Trains, writes the weights, and prints how good the model is.
///
/// # Errors
/// When the configuration does not describe a model that can be trained, the weights are there already, or the training fails.
pub fn run(
    arguments: &TrainArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = Config::load_for_training(&arguments.config, &arguments.set)?;
    let weights = config.model.weights.clone();
    let located = |error| config.places.located(error);
    check_place(&weights, arguments.overwrite)
        .context("model.weights")
        .map_err(located)?;
    let Ground {
        mut subject,
        target,
        train,
        test,
        remarks,
        ..
    } = Ground::untrained(&config, models).map_err(located)?;
    session.remark(&remarks);
    session.progress().stage(Stage::Train);
    let settings = &config.train;
    let mut last = 0.0;
    subject.train(settings, config.seed, &train, &mut |number, loss, saved| {
        last = loss;
        session.progress().epoch(number, settings.epochs, loss);
        match settings.checkpoints {
            Some(every) if number.is_multiple_of(every) => saved(&checkpoint(&weights, number)),
            _ => Ok(()),
        }
    })?;
    subject.save(&weights)?;
    let found = [("training", &train), ("test", &test)]
        .map(|(side, points)| Ok((side, points.len(), Quality::of(&*subject, points, target)?)));
    let found = found.into_iter().collect::<Result<Vec<_>>>()?;
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        writeln!(
            out,
            "trained         {} parameters, {} epochs, {last:.4} loss in the last of them",
            subject.layout().dim(),
            settings.epochs
        )?;
        for (side, points, quality) in &found {
            writeln!(out, "{:15} {quality}", format!("{points} {side}"))?;
        }
        writeln!(out, "seconds         {seconds}")?;
        writeln!(out, "weights         {}", weights.display())
    })?;
    Ok(())
}

/// Refuses a place for weights that is taken, or whose name does not say what they are.
fn check_place(weights: &Path, overwrite: bool) -> Result<()> {
    let shown = weights.display();
    ensure!(
        weights.extension().is_some_and(|found| found == ENDING),
        "{shown}: trained weights are written as safetensors; name a file .{ENDING}"
    );
    ensure!(
        overwrite || !weights.exists(),
        "{shown} exists; replace it by --overwrite, or choose another path"
    );
    check_file(weights)
}

/// `net.safetensors` after five epochs: `net.epoch5.safetensors`.
fn checkpoint(weights: &Path, epoch: usize) -> PathBuf {
    weights.with_extension(format!("epoch{epoch}.{ENDING}"))
}

/// How good a model is on some points.
#[derive(Debug)]
struct Quality {
    loss: f64,
    accuracy: Option<f64>,
}

impl Quality {
    fn of(subject: &dyn Subject, points: &Samples, target: Target) -> Result<Self> {
        let (mut loss, mut right) = (0.0, 0_usize);
        for start in (0..points.len()).step_by(BATCH) {
            let batch = points.batch(start..(start + BATCH).min(points.len()))?;
            loss += subject.losses(&batch)?.iter().sum::<f64>();
            let (Some((outputs, _)), [_, targets]) = (subject.outputs(&batch)?, batch.fields())
            else {
                continue;
            };
            let says = outputs
                .rows()
                .into_iter()
                .map(|row| largest(row.iter().copied()));
            let classes = targets.iter::<i64>().map(usize::try_from);
            let agree = says
                .zip(classes)
                .filter(|(says, class)| says.is_some() && *says == class.ok());
            right += agree.count();
        }
        let share = |count: usize| count as f64 / points.len() as f64;
        Ok(Self {
            loss: loss / points.len() as f64,
            accuracy: matches!(target, Target::Class { .. }).then(|| share(right)),
        })
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        match self.accuracy {
            Some(accuracy) => write!(f, ", accuracy {:.1} %", 100.0 * accuracy),
            None => Ok(()),
        }
    }
}
