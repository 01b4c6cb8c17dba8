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
    assessment::{Assessment, Origin, Side},
    config::{Config, Training},
    output::check_file,
    plan::Ground,
    progress::Stage,
    session::Session,
    subject::Models,
    summary::timings,
};

pub use descent::{Epoch, descend};

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
    check_places(&weights, &config.train, arguments.overwrite)
        .context("model.weights")
        .map_err(located)?;
    let Ground {
        mut subject,
        train,
        test,
        remarks,
        ..
    } = Ground::untrained(&config, models).map_err(located)?;
    session.remark(&remarks);
    check_batches(&config, train.len(), subject.needs().batch).map_err(located)?;
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
    let sides = [(Side::Training, &train), (Side::Test, &test)];
    let assessment = Assessment::of((&*subject, Origin::Trained), &config, &sides)?;
    assessment.tell(session.progress());
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        writeln!(
            out,
            "trained         {} parameters, {} epochs, {last:.4} loss in the last of them",
            subject.layout().dim(),
            settings.epochs
        )?;
        assessment.print(out)?;
        writeln!(out, "seconds         {seconds}")?;
        Ok(writeln!(out, "weights         {}", weights.display())?)
    })
}

/// Refuses places for the weights and the checkpoints on the way to them.
fn check_places(weights: &Path, settings: &Training, overwrite: bool) -> Result<()> {
    check_place(weights, overwrite)?;
    let every = settings.checkpoints.unwrap_or(usize::MAX);
    let epochs = (1..=settings.epochs).filter(|epoch| epoch.is_multiple_of(every));
    for epoch in epochs {
        check_place(&checkpoint(weights, epoch), overwrite).context("checkpoints")?;
    }
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

/// Refuses batches of too few points, of which the last is the smallest.
fn check_batches(config: &Config, points: usize, fewest: usize) -> Result<()> {
    let batch = config.train.batch;
    let smallest = [points % batch, batch.min(points)];
    let smallest = smallest.into_iter().find(|&size| size > 0).unwrap_or(0);
    ensure!(
        smallest >= fewest,
        "train.batch: {points} points in batches of {batch} leave one of {smallest}, over which batch_norm has no variance; \
         choose another size"
    );
    Ok(())
}

/// `net.safetensors` after five epochs: `net.epoch5.safetensors`.
fn checkpoint(weights: &Path, epoch: usize) -> PathBuf {
    weights.with_extension(format!("epoch{epoch}.{ENDING}"))
}
