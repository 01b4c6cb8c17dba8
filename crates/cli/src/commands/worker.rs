//! `influence worker`: computes what is ordered on stdin, and answers on stdout.

use std::io::{BufRead, Write, stdin};

use anyhow::Result;
use influence_jobs::{
    models::Models,
    worker::{Refusal, Worker},
};
use serde_json::{Value, json};

use super::configuration::of_worker;
use crate::{args::WorkerArguments, error::message, session::Session};

/// Answers each order until there are no more.
///
/// # Errors
/// When orders cannot be read or answers not be written. What is wrong with an order, or with the
/// configuration, is answered.
pub(super) fn run(
    arguments: &WorkerArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    end_with_parent();
    let config = || of_worker(arguments);
    let mut worker = Worker::new(config, arguments.fitted.as_deref(), models, session);
    for line in stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        session.progress().begin_command();
        writeln!(out, "{}", answer(worker.answer(&line)))?;
        out.flush()?;
    }
    Ok(())
}

fn answer(outcome: Result<Value, Refusal>) -> Value {
    match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(Refusal { kind, error }) => {
            json!({ "error": { "kind": kind, "message": message(&error) } })
        }
    }
}

/// Lets the system end this process when the thread that started it ends, where it can: orders
/// that nobody waits for any more are not carried out to their end. Elsewhere the process ends with
/// its input.
fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL) {
        tracing::debug!(%error, "this process may outlive the one that started it");
    }
}
