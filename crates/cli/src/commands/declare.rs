//! `influence declare`: an output without its numbers, for shares to join.

use std::io::Write;

use anyhow::Result;
use influence_calculators::Share;
use influence_jobs::{
    fit::Affordable,
    job::Job,
    models::Models,
    run::{Portion, Quantity, compute_portion},
};

use super::configuration::of_run;
use crate::{
    args::DeclareArguments,
    session::Session,
    summary::{REHEARSED, with_work},
};

/// Declares the output of a configuration.
///
/// # Errors
/// Whatever is wrong with the configuration or the files; whatever the fit reports.
pub(super) fn run(
    arguments: &DeclareArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let DeclareArguments {
        run: arguments,
        self_influences,
    } = arguments;
    let quantity = if *self_influences {
        Quantity::SelfInfluences
    } else {
        Quantity::Influences
    };
    let config = of_run(arguments)?;
    quantity.check_points(&config)?;
    let job = Job::new(config, arguments.existing.choice(), models, session)?;
    session.remark(&job.remarks);
    let fit = Affordable::new(&job)?;
    let (what, output) = (quantity.of(&job), job.config.output.path.display());
    if arguments.dry_run {
        let shares = with_work(&quantity.plan(&fit, Share::WHOLE)?);
        writeln!(out, "{what}: to be declared in {output}; at most {shares}")?;
        return Ok(writeln!(out, "{REHEARSED}")?);
    }
    let fitted = arguments.fitted.as_deref();
    let declared = compute_portion(Portion::Declaration, quantity, &fit, fitted, session)?;
    let shares = with_work(&declared.plan);
    session.print(|| {
        Ok(writeln!(
            out,
            "{what}: declared in {output}; at most {shares}"
        )?)
    })
}
