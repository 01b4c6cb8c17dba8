//! Arguments of the commands that train, fit and compute.

use std::{num::NonZero, path::PathBuf};

use clap::Args;
use influence_core::Share;
use influence_jobs::{config::Memory, output::Existing, run::Portion};

use super::{
    help::{self, Examples},
    values::{damping, threads},
};

/// What the commands that train, fit and compute may look like.
pub(super) const EXAMPLES: &[Examples] = &[
    (
        "train",
        &[
            (
                "train what the file describes, and write its weights",
                "influence train influence.toml",
            ),
            (
                "longer, in place of weights that are there",
                "influence train influence.toml --set train.epochs=100 --overwrite",
            ),
        ],
    ),
    (
        "run",
        &[
            ("compute what the file describes", help::PATH[1]),
            (
                "the same with another damping and a bound on memory",
                "influence run influence.toml --set method.damping=0.01 --memory 1GiB",
            ),
            (
                "check everything, compute nothing",
                "influence run influence.toml --dry-run",
            ),
            (
                "go on where an earlier run was stopped",
                "influence run influence.toml --resume",
            ),
            (
                "after mpirun -n 8 --bind-to none: with eight processes",
                "influence run influence.toml --mpi",
            ),
        ],
    ),
    (
        "self",
        &[(
            "find unusual training points without a test set",
            "influence self influence.toml --set output.path=self.zarr",
        )],
    ),
    (
        "sweep",
        &[(
            "three dampings, as multiples of the mean eigenvalue",
            "influence sweep influence.toml --damping 1,0.1,0.01 --relative",
        )],
    ),
    (
        "fit",
        &[
            (
                "fit once",
                "influence fit influence.toml --fitted fit.safetensors",
            ),
            (
                "one of four shares, again and again while it ends with code 75",
                "influence fit influence.toml --fitted fit.safetensors --share 2/4",
            ),
            (
                "and score later, under any damping",
                "influence run influence.toml --fitted fit.safetensors",
            ),
        ],
    ),
    (
        "declare",
        &[
            (
                "once, before the shares",
                "influence declare influence.toml --fitted fit.safetensors",
            ),
            (
                "one of four shares, such as a task of a job array of a cluster",
                "influence run influence.toml --fitted fit.safetensors --share 2/4",
            ),
            (
                "once, after the shares",
                "influence finish influence.toml --fitted fit.safetensors",
            ),
        ],
    ),
    (
        "finish",
        &[(
            "check what the shares wrote, and compute what is missing",
            "influence finish influence.toml --fitted fit.safetensors",
        )],
    ),
    (
        "worker",
        &[(
            "answer the orders of a file, one a line",
            "influence worker influence.toml < orders.jsonl",
        )],
    ),
    (
        "plan",
        &[
            (
                "how long, how much memory, how large an output",
                "influence plan influence.toml",
            ),
            (
                "and with less memory",
                "influence plan influence.toml --memory 256MiB",
            ),
        ],
    ),
];

/// Arguments of `influence train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArguments {
    /// The configuration, TOML; relative paths in it are relative to it
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Override a key of the configuration, such as `train.epochs=50`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Replace weights that are there
    #[arg(long)]
    pub overwrite: bool,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// What happens to an existing output; without any of these the command is refused.
#[derive(Debug, Clone, Copy, Args)]
pub struct ExistingArguments {
    /// Replace the output if it is there
    #[arg(long)]
    overwrite: bool,
    /// Go on with the output of an earlier run that did not finish; what it holds is not computed
    /// again
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
}

impl ExistingArguments {
    /// What `--resume` says.
    pub const RESUME: Self = Self {
        overwrite: false,
        resume: true,
    };

    /// The choice made.
    pub fn choice(self) -> Existing {
        match (self.overwrite, self.resume) {
            (true, _) => Existing::Overwrite,
            (false, true) => Existing::Resume,
            (false, false) => Existing::Refuse,
        }
    }
}

/// Arguments of `influence run`.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The configuration, TOML; relative paths in it are relative to it
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Override a key of the configuration, such as `method.damping=0.01`; may be given several
    /// times
    ///
    /// The value is read as TOML, or taken as a string where that fails:
    /// `--set method.curvature=empirical-fisher`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take what `influence fit` kept, instead of fitting; refused if it was made from anything
    /// else
    #[arg(long, value_name = "PATH")]
    pub fitted: Option<PathBuf>,
    /// How much memory the computation may take, roughly, such as 512MiB or 2GB; instead of
    /// compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute; instead of compute.threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZero<usize>>,
    /// Check everything and say what would be done, but compute and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Compute one of several shares, such as 0/4 to 3/4, of an output that `influence declare`
    /// made
    #[arg(long, value_name = "I/N", conflicts_with_all = ["overwrite", "resume"])]
    pub share: Option<Share>,
    /// Compute it with all processes that `mpirun` started with this command line
    ///
    /// They fit together, and each computes a share. The first one declares the output and finishes
    /// it, and alone says how far it is. If one of them is lost the others end, and `--resume` goes
    /// on. The program has to be built with the feature `mpi`.
    #[arg(long, conflicts_with = "share")]
    pub mpi: bool,
    /// What happens to an existing output
    #[command(flatten)]
    pub existing: ExistingArguments,
}

impl RunArguments {
    /// What happens to an existing output, which a share joins.
    pub fn existing(&self) -> Existing {
        match self.share {
            Some(_) => Existing::Join,
            None => self.existing.choice(),
        }
    }

    /// The portion of the output that is written.
    pub fn portion(&self) -> Portion {
        self.share.map_or(Portion::Whole, Portion::Share)
    }
}

/// Arguments of `influence declare`.
#[derive(Debug, Clone, Args)]
pub struct DeclareArguments {
    /// What is declared
    #[command(flatten)]
    pub run: RunArguments,
    /// Declare the output of `influence self` instead of that of `influence run`
    #[arg(long = "self")]
    pub self_influences: bool,
}

/// Arguments of `influence sweep`.
#[derive(Debug, Clone, Args)]
pub struct SweepArguments {
    /// What is run
    #[command(flatten)]
    pub run: RunArguments,
    /// The dampings, in place of method.damping, such as `0.1,0.01,0.001`
    #[arg(long, value_name = "LAMBDA", value_delimiter = ',', required = true, value_parser = damping)]
    pub damping: Vec<f64>,
    /// Take them as multiples of the mean eigenvalue of each block
    #[arg(long)]
    pub relative: bool,
}

/// Arguments of `influence fit`.
#[derive(Debug, Clone, Args)]
pub struct FitArguments {
    /// The configuration, as for `run`
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Where to keep the fit, a safetensors file or its URL; one that is there is replaced
    #[arg(long, value_name = "PATH")]
    pub fitted: PathBuf,
    /// Do a share of the fit, such as `2/8`, counted from 0; `0/1` is all of it, and goes on where
    /// it was killed
    ///
    /// The shares may run at once or in turn, on several machines that see the same place. A share
    /// does its part of the next pass over the data, and ends with code 75 until the others have
    /// done theirs: run it again then. Sums are kept beside the fit, in a folder whose name ends
    /// with `.shares`, which the share that finishes removes. The fit has the bytes of one that was
    /// made by a single process.
    #[arg(long, value_name = "I/N")]
    pub share: Option<Share>,
    /// Fit with all processes that `mpirun` started with this command line, if the program was
    /// built with the feature `mpi`
    #[arg(long, conflicts_with = "share")]
    pub mpi: bool,
    /// Override a key of the configuration, such as `method.name=ekfac`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How much memory the fit may take, such as 512MiB or 2GB; instead of compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
    /// Check everything and say what would be done, but compute and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `influence worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerArguments {
    /// The configuration, as for `run`
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Override a key of the configuration, such as `method.damping=0.01`; may be given several
    /// times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take the fit that is kept there; the order `fit` writes it where it is missing
    #[arg(long, value_name = "PATH")]
    pub fitted: Option<PathBuf>,
    /// How much memory the computation may take, roughly, such as 512MiB or 2GB; instead of
    /// compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// How many threads compute, of commands that read a configuration or an output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ThreadArguments {
    /// How many threads compute; instead of compute.threads [default: all cores]
    #[arg(long = "threads", value_name = "N", value_parser = threads)]
    pub count: Option<NonZero<usize>>,
}
