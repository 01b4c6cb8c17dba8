//! `influence train`: trains the model of a configuration and writes its weights.

use std::io::Write;

use anyhow::Result;
use influence_jobs::{config::Config, models::Models, train::Trainer, watch::Watch};

use crate::{args::TrainArguments, session::Session, summary::timings};

/// Trains, writes the weights, and prints how good the model is.
///
/// # Errors
/// When the configuration does not describe a model that can be trained, the weights are there
/// already, or the training fails.
pub(super) fn run(
    arguments: &TrainArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = Config::load_for_training(&arguments.config, &arguments.set)?;
    let trainer = Trainer::new(&config, models, arguments.overwrite)?;
    session.remark(trainer.remarks());
    let trained = trainer.train(session.progress())?;
    let seconds = timings(&session.progress().phases());
    session.print(|| {
        for model in &trained {
            writeln!(
                out,
                "trained         {} parameters, {} epochs, {:.4} loss in the last of them",
                model.parameters, config.train.epochs, model.loss
            )?;
            model.assessment.print(out)?;
        }
        writeln!(out, "seconds         {seconds}")?;
        for model in &trained {
            writeln!(out, "weights         {}", model.weights.display())?;
        }
        Ok(())
    })
}
