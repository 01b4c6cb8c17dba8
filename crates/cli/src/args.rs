//! The command line.

use std::{num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Which training points made this model say this?
///
/// `influence` computes, for every test point and every training point, how much the training point helped (positive) or
/// harmed (negative) the model on the test point, and writes the matrix as a Zarr array of shape (test, train).
#[derive(Debug, Parser)]
#[command(name = "influence", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what influences are good for, on handwritten digits that ship with the program
    ///
    /// Flips 10 % of the training labels, trains a small network, computes all influences of the training points on the
    /// test points, and shows which training points helped and harmed a few predictions, and how many of the flipped labels
    /// are found by looking at the most suspicious 10 % of the training points.
    Demo(DemoArguments),
    /// Compute the influences that a configuration file describes
    ///
    /// The file names a sequential model with weights in PyTorch state-dict layout, training and test data as .npy,
    /// .safetensors or Zarr, the method, and the output. Everything is checked before anything is computed or written.
    Run(RunArguments),
}

/// Arguments of `influence demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Where to write the Zarr store
    #[arg(long, value_name = "DIRECTORY", default_value = "influences.zarr")]
    pub output: PathBuf,
    /// Replace the output if it is there
    #[arg(long)]
    pub overwrite: bool,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZero<usize>>,
    /// What the split, the flipped labels and the first weights are drawn from; equal seeds give equal output
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `influence run`.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The configuration, TOML; relative paths in it are relative to it
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Override a key of the configuration, as `method.damping=0.01`; may be given several times
    ///
    /// The value is read as TOML, or taken as a string where that fails: `--set method.curvature=empirical-fisher`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Replace the output if it is there
    #[arg(long)]
    pub overwrite: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
