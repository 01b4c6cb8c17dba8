//! `influence finish`: what shares have left out, and the end of an output.

use std::io::Write;

use anyhow::Result;
use influence_calculators::zarr::attributes;
use influence_jobs::{models::Models, output::location, run::Quantity};

use super::{configuration::of_run, run};
use crate::{
    args::{ExistingArguments, RunArguments},
    session::Session,
};

/// Resumes the output of a configuration, whichever quantity it holds.
///
/// # Errors
/// When there is no output, or a share is at work; otherwise as [`run`](run::run).
pub(super) fn run(
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let output = of_run(arguments)?.output.path;
    let quantity = Quantity::of_stored(&attributes(location(&output)?)?);
    let arguments = RunArguments {
        existing: ExistingArguments::RESUME,
        share: None,
        ..arguments.clone()
    };
    run::run(quantity, &arguments, models, session, out)
}
