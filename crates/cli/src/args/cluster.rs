//! Arguments of `influence cluster`.

use std::{num::NonZero, path::PathBuf};

use clap::{Args, ValueEnum};

use super::help::Examples;

/// What `cluster` may look like.
pub(super) const EXAMPLES: &[Examples] = &[(
    "cluster",
    &[
        (
            "a script for Slurm; `bash influence.slurm` then submits it",
            "influence cluster slurm influence.toml --shares 16 > influence.slurm",
        ),
        (
            "with one fit for all shares, 16 of them",
            "influence cluster slurm influence.toml --fitted fit.safetensors > job.sh",
        ),
        (
            "three Jobs of Kubernetes",
            "influence cluster kubernetes influence.toml --shares 64 > influence.yaml",
        ),
        (
            "the output of `influence self`",
            "influence cluster slurm influence.toml --self --shares 16 > self.slurm",
        ),
        (
            "with GNU parallel, on this machine or over ssh",
            "influence cluster parallel influence.toml --shares 16 > influence.sh",
        ),
    ],
)];

/// Arguments of `influence cluster`.
#[derive(Debug, Clone, Args)]
pub struct ClusterArguments {
    /// What the script is for
    #[arg(value_name = "SCHEDULER", value_enum)]
    pub scheduler: Scheduler,
    /// The configuration, as the machines of the cluster see it; it is not read now
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// How many shares there are: one or two for each process that runs at a time, no more than
    /// `influence declare` says have work
    #[arg(long, value_name = "N", default_value = "16")]
    pub shares: NonZero<usize>,
    /// Where the fit of all shares is kept; written before the shares if it is not there [default:
    /// each share fits by itself]
    #[arg(long, value_name = "PATH")]
    pub fitted: Option<PathBuf>,
    /// Compute the output of `influence self` instead of that of `influence run`
    #[arg(long = "self")]
    pub self_influences: bool,
}

/// What runs a share on each of several machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// A script for sbatch: an array of shares between two jobs.
    Slurm,
    /// Three Jobs, that of the shares indexed.
    Kubernetes,
    /// A script with an array of tasks.
    Hyperqueue,
    /// A script for GNU parallel.
    Parallel,
}
