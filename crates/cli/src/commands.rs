//! The commands: each reads its arguments, hands the work over, and prints what came of it.

mod cluster;
mod configuration;
mod declare;
mod demo;
mod doctor;
mod evaluate;
mod finish;
mod fit;
mod init;
mod inspect;
mod manual;
mod mislabelled;
mod plan;
mod run;
mod sweep;
mod top;
mod top_self;
mod train;
mod verify;
mod worker;

use std::io::Write;

use crate::{args::Command, report, session::Session};
use influence_jobs::{models::Models, run::Quantity};

/// Does what the command line says, within a session, and prints to `out`.
///
/// # Errors
/// Whatever the command reports.
pub fn execute(
    command: &Command,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match command {
        Command::Init(arguments) => {
            init::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Train(arguments) => {
            train::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Demo(arguments) => demo::run(arguments, session, out, execute)?,
        Command::Run(arguments) => {
            let out = &mut session.summary(out);
            run::run(Quantity::Influences, arguments, models, session, out)?;
        }
        Command::SelfInfluences(arguments) => {
            let out = &mut session.summary(out);
            run::run(Quantity::SelfInfluences, arguments, models, session, out)?;
        }
        Command::Sweep(arguments) => {
            sweep::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Declare(arguments) => {
            declare::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Finish(arguments) => {
            finish::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Cluster(arguments) => cluster::run(arguments, out)?,
        Command::Fit(arguments) => {
            fit::run(arguments, models, session, &mut session.summary(out))?;
        }
        Command::Worker(arguments) => worker::run(arguments, models, session, out)?,
        Command::Plan(arguments) => plan::run(arguments, models, session, out)?,
        Command::Verify(arguments) => verify::run(arguments, models, session, out)?,
        Command::Inspect(arguments) => inspect::run(arguments, out)?,
        Command::Top(arguments) => top::run(arguments, models, out)?,
        Command::Report(arguments) => {
            report::run(arguments, models, &mut session.summary(out))?;
        }
        Command::Evaluate(arguments) => evaluate::run(arguments, models, session, out)?,
        Command::Mislabelled(arguments) => mislabelled::run(arguments, models, out)?,
        Command::Doctor(arguments) => doctor::run(arguments, out)?,
        Command::Completions(arguments) => manual::completions(arguments, out)?,
        Command::Man(arguments) => manual::pages(arguments, &mut session.summary(out))?,
    }
    Ok(out.flush()?)
}
