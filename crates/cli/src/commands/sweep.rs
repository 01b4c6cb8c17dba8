//! `influence sweep`: the influences under several dampings, from one fit.

use std::io::Write;

use anyhow::Result;
use influence_jobs::{models::Models, run::Quantity};

use super::run;
use crate::{args::SweepArguments, session::Session};

/// Runs the configuration with the dampings in place of its own.
///
/// # Errors
/// As [`run`](run::run).
pub(super) fn run(
    arguments: &SweepArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let SweepArguments {
        run: arguments,
        damping,
        relative,
    } = arguments;
    let shown = damping.iter().map(|damping| match relative {
        true => format!("{{ relative = {damping:?} }}"),
        false => format!("{damping:?}"),
    });
    let sweep = format!("method.sweep=[{}]", shown.collect::<Vec<_>>().join(", "));
    let mut arguments = arguments.clone();
    arguments.set.push(sweep);
    run::run(Quantity::Influences, &arguments, models, session, out)
}
