//! `influence init`: a configuration to begin with, from the weights and the data that are there.

use std::{fs, io::Write};

use anyhow::{Context, Result, ensure};
use influence_jobs::{
    assessment::Assessment,
    init::{Proposal, check, propose},
    job::Job,
    models::Models,
    output::check_file,
    watch::Watch,
};

use crate::{args::InitArguments, error::message, session::Session};

/// The first words of a configuration that does not run as it is.
const HAND: &str = "edit it before running";

/// Writes a configuration with a comment on each choice, and checks it as `run` would.
///
/// # Errors
/// When the files cannot be read, the weights are of no kind of layer that is known, or the
/// configuration is there already.
pub(super) fn run(
    arguments: &InitArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let path = &arguments.config;
    let shown = path.display();
    ensure!(
        !path.exists() || arguments.overwrite,
        "{shown} exists; choose another path, or replace it with --overwrite"
    );
    check_file(path)?;
    let proposal = propose(&arguments.request(), models)?;
    let mut text = proposal.text();
    let trained = arguments.weights.is_some() || arguments.onnx.is_some();
    let checked = trained.then(|| check(&text, path, models));
    if let Some(Err(error)) = &checked {
        text = format!("# {HAND}: {}\n{text}", message(error));
    }
    fs::write(path, &text).with_context(|| shown.to_string())?;
    session.remark(proposal.warnings());
    writeln!(out, "wrote {shown}")?;
    for line in proposal.found() {
        writeln!(out, "{line}")?;
    }
    let command = proposal.command();
    if !proposal.has_test_points() {
        writeln!(
            out,
            "there are no test points, so it is for self-influences"
        )?;
    }
    match checked {
        None => writeln!(
            out,
            "next: look at the layers in it, then `influence train {shown}` and `{command} {shown}`"
        )?,
        Some(Ok(job)) => {
            describe(&proposal, &job, session, out)?;
            let what = if arguments.onnx.is_some() {
                "it"
            } else {
                "the layers in it"
            };
            writeln!(out, "next: look at {what}, then `{command} {shown}`")?;
        }
        Some(Err(error)) => {
            let needed = format!("{shown}: {HAND}: {}", message(&error));
            session.progress().warn(&needed);
        }
    }
    Ok(())
}

/// Says what the model is, and how good it is on the points.
fn describe(proposal: &Proposal, job: &Job, session: &Session, out: &mut impl Write) -> Result<()> {
    let assessment = Assessment::of_job(job)?;
    assessment.tell(session.progress());
    let [k, n] = job.shape();
    let tested = if proposal.has_test_points() {
        format!(", {k} test points")
    } else {
        String::new()
    };
    writeln!(
        out,
        "the model has {} parameters; {n} training points{tested}",
        job.dim
    )?;
    assessment.print(out)
}
