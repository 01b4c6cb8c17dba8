//! Configurations, with the settings of a command line in place of their own.

use std::{num::NonZero, path::Path};

use anyhow::Result;
use influence_jobs::config::{Config, Memory};

use crate::args::{FitArguments, RunArguments, WorkerArguments};

/// The configuration of a run.
pub(super) fn of_run(arguments: &RunArguments) -> Result<Config> {
    let RunArguments {
        config,
        set,
        memory,
        threads,
        ..
    } = arguments;
    granted(config, set, *memory, *threads)
}

/// The configuration of a fit.
pub(super) fn of_fit(arguments: &FitArguments) -> Result<Config> {
    let FitArguments {
        config,
        set,
        memory,
        threads,
        ..
    } = arguments;
    granted(config, set, *memory, threads.count)
}

/// The configuration of a worker.
pub(super) fn of_worker(arguments: &WorkerArguments) -> Result<Config> {
    let WorkerArguments {
        config,
        set,
        memory,
        threads,
        ..
    } = arguments;
    granted(config, set, *memory, threads.count)
}

pub(super) fn granted(
    path: &Path,
    set: &[String],
    memory: Option<Memory>,
    threads: Option<NonZero<usize>>,
) -> Result<Config> {
    let config = Config::load(path, set)?;
    Ok(Config {
        compute: config.compute.granted(memory, threads),
        ..config
    })
}
