//! The command line.

mod answers;
pub(crate) mod help;

use std::{num::NonZero, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use influence_data::{Decimal, Delimiter, TableForm};

use crate::{config::Memory, log, output::Existing, progress::Style};

pub use answers::{
    InspectArguments, ListingArguments, MislabelledArguments, ReportArguments, TopArguments,
    VerifyArguments,
};

/// Which training points made this model say this?
///
/// `influence` computes, for every test point and every training point, how much the training point helped (positive) or
/// harmed (negative) the model on the test point, and writes the matrix as a Zarr array of shape (test, train).
#[derive(Debug, Parser)]
#[command(
    name = "influence",
    version,
    max_term_width = 100,
    help_template = help::template(&Command::augment_subcommands(clap::Command::new("influence"))),
    after_long_help = help::shared()
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is told while it is done
    #[command(flatten)]
    pub reporting: Reporting,
}

const TELLING: &str = "Progress and logs";

/// What is told, on stderr, while a command runs.
#[derive(Debug, Clone, Copy, Args)]
pub struct Reporting {
    /// How progress is shown, on stderr: auto, bar, lines, json or none
    #[arg(long, value_name = "STYLE", value_enum, default_value_t, global = true, hide_possible_values = true, help_heading = TELLING)]
    pub progress: Style,
    /// Log more: -v what is done, -vv also each step, -vvv everything; `RUST_LOG` goes before it
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = TELLING)]
    pub verbose: u8,
    /// Say nothing but errors and what was asked for
    #[arg(short, long, global = true, help_heading = TELLING, conflicts_with_all = ["verbose", "progress"])]
    pub quiet: bool,
    /// How log lines are written, text or json [default: json where progress is json, else text]
    #[arg(long, value_name = "FORMAT", value_enum, global = true, hide_possible_values = true, hide_short_help = true, help_heading = TELLING)]
    log_format: Option<log::Format>,
}

impl Reporting {
    /// How progress is shown.
    pub fn style(&self) -> Style {
        if self.quiet {
            Style::Quiet
        } else {
            self.progress
        }
    }

    /// How much is logged.
    pub fn level(&self) -> log::Level {
        if self.quiet {
            log::Level::Quiet
        } else {
            log::Level::Verbose(self.verbose)
        }
    }

    /// How log lines are written.
    pub fn log_format(&self) -> log::Format {
        let like_progress = match self.progress {
            Style::Json => log::Format::Json,
            _ => log::Format::Text,
        };
        self.log_format.unwrap_or(like_progress)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what influences are good for, on digits that ship with it
    ///
    /// Writes a folder with images, labels of which 10 % are flipped, and a configuration. Then it runs the commands of a first session in it, each
    /// printed as it is typed: `train`, `fit`, `run`, `self`, `top`, `mislabelled`. Every other command works on what it leaves behind.
    #[command(after_help = help::short("demo"), after_long_help = help::long("demo"))]
    Demo(DemoArguments),
    /// Write a configuration, from weights and data that are there
    ///
    /// The layers are read off the names and shapes of the weights, the loss off the targets, and a method is proposed by size and cost. Every choice has
    /// a comment; what the weights cannot tell, as activations and pooling, is yours to compare with the model. How good the proposed model is on the
    /// points is printed: at chance it is another one. Without weights, a small network is proposed for `influence train`.
    #[command(override_usage = help::INIT, after_help = help::short("init"), after_long_help = help::long("init"))]
    Init(InitArguments),
    /// Train the model of a configuration, and write its weights
    ///
    /// For models that were not trained elsewhere: layers say their sizes, as `{ kind = "linear", name = "fc1", outputs = 32 }`, and `[train]` how
    /// they are trained. The weights are written to `model.weights`, which ends in .safetensors; a method is not needed.
    #[command(after_help = help::short("train"), after_long_help = help::long("train"))]
    Train(TrainArguments),
    /// Compute the influences that a configuration describes
    ///
    /// The file names a sequential model with weights in PyTorch state-dict layout, training and test data, the method, and the output. Everything
    /// is checked before anything is computed or written; what is wrong is named with its line in the file.
    #[command(after_help = help::short("run"), after_long_help = help::long("run"))]
    Run(RunArguments),
    /// Compute the influence of every training point on itself
    ///
    /// Writes the array `self_influences` of shape (train). Large values are unusual points, mislabelled ones among them. The test points of the
    /// configuration are not used.
    #[command(name = "self", after_help = help::short("self"), after_long_help = help::long("self"))]
    Own(RunArguments),
    /// Compute the influences under several dampings, from one fit
    ///
    /// Writes the array `influences` of shape (test, train, damping).
    #[command(after_help = help::short("sweep"), after_long_help = help::long("sweep"))]
    Sweep(SweepArguments),
    /// Fit a method and keep what is expensive of it, for `--fitted`
    ///
    /// What is kept does not depend on the damping. It is tied to the method, the model and the data that it was made from: `run`, `self` and
    /// `sweep` refuse it for others.
    #[command(after_help = help::short("fit"), after_long_help = help::long("fit"))]
    Fit(FitArguments),
    /// Print what `run` would do, and compute nothing
    ///
    /// Chunks, passes over the data, operations, memory, scratch space, the size of the output, and how good the model is. Checks everything that
    /// `run` checks, looks at the gradients of a few training points, and computes and writes nothing else.
    #[command(
        mut_arg("dry_run", |option| option.hide(true)),
        mut_arg("overwrite", |option| option.help("Plan a run that replaces the output; it stays as it is")),
        mut_arg("resume", |option| option.help("Plan a run that goes on with the output; it stays as it is")),
        after_help = help::short("plan"),
        after_long_help = help::long("plan")
    )]
    Plan(RunArguments),
    /// Check an output: its checksums, and a sample computed again
    ///
    /// Every chunk is compared with its checksum, and a random sample of chunks with computing them again. The output says what it was made from:
    /// the files must still be there, unchanged.
    #[command(after_help = help::short("verify"), after_long_help = help::long("verify"))]
    Verify(VerifyArguments),
    /// Say what an output is, how it was made, what its numbers are
    ///
    /// Reads the output alone: neither model nor data need be there.
    #[command(after_help = help::short("inspect"), after_long_help = help::long("inspect"))]
    Inspect(InspectArguments),
    /// Show which training points helped and harmed on test points
    ///
    /// Reads the output of `influence run`, and from the files that it was made from what the points are. Of an output of `influence self` it shows the
    /// training points with the largest influence on themselves.
    #[command(after_help = help::short("top"), after_long_help = help::long("top"))]
    Top(TopArguments),
    /// Rank training points by how suspicious their labels are
    ///
    /// Shows the training loss, the influence on the point itself and the mean influence on the test points beside each other. The loss ranks best
    /// where the model does not fit wrong labels; where it has memorised them, the mean influence (`influence run`) and self-influence
    /// (`influence self`) do. Where targets are numbers, the points with the largest losses are outliers.
    #[command(after_help = help::short("mislabelled"), after_long_help = help::long("mislabelled"))]
    Mislabelled(MislabelledArguments),
    /// Write a page that shows all this, with pictures
    ///
    /// One HTML file that needs no network: test points with the training points that helped and harmed, the most suspicious labels, how the
    /// influences are distributed, through which layers they go, how well the systems were solved, what the run took, and how it was all made.
    #[command(after_help = help::short("report"), after_long_help = help::long("report"))]
    Report(ReportArguments),
    /// Say what this program and this machine can do
    ///
    /// Version, devices and how fast each multiplies matrices, precisions, cores, memory, and the folder for temporary files; what is missing is
    /// told with what follows from it. The exit code is 0 whatever is found.
    #[command(after_help = help::short("doctor"), after_long_help = help::long("doctor"))]
    Doctor(DoctorArguments),
    /// Print what a shell needs to complete this command line
    ///
    /// The script goes to stdout; where it belongs is up to the shell.
    #[command(after_help = help::short("completions"), after_long_help = help::long("completions"))]
    Completions(CompletionsArguments),
    /// Write manual pages: influence.1 and one for each command
    #[command(after_help = help::short("man"), after_long_help = help::long("man"))]
    Man(ManArguments),
}

/// What becomes of an output that is already there; without any of these the command is refused.
#[derive(Debug, Clone, Copy, Args)]
pub struct ExistingArguments {
    /// Replace the output if it is there
    #[arg(long)]
    overwrite: bool,
    /// Go on with the output of an earlier run that did not finish; what it holds is not computed again
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
}

impl ExistingArguments {
    /// The choice made.
    pub fn choice(self) -> Existing {
        match (self.overwrite, self.resume) {
            (true, _) => Existing::Overwrite,
            (false, true) => Existing::Resume,
            (false, false) => Existing::Refuse,
        }
    }
}

/// Arguments of `influence demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// The folder to write to; one that an earlier demonstration wrote is written again
    #[arg(long, value_name = "FOLDER", default_value = "influence-demo")]
    pub output: PathBuf,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZero<usize>>,
    /// What the split, the flipped labels and the first weights are drawn from; equal seeds give equal output
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `influence init`.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// The weights: safetensors, a state dict or checkpoint of PyTorch (.pt, .pth), or a record of burn (.bpk) [default: a small network is to be trained]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The key of the weights in a file that holds more, as net or checkpoint.model [default: the only state dict that there is]
    #[arg(long, value_name = "KEY", requires = "weights")]
    pub state: Option<String>,
    /// Inputs and targets of the training points
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 2, required_unless_present = "all")]
    pub train: Vec<String>,
    /// Inputs and targets of the test points [default: none, for `influence self`]
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 2, requires = "train")]
    pub test: Vec<String>,
    /// Inputs and targets of all points, to be split, in place of --train and --test
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 2, conflicts_with_all = ["train", "test"])]
    pub all: Vec<String>,
    /// The share of --all that becomes test points
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, requires = "all")]
    pub split: f64,
    /// Whether the first line of tables of text, as .csv, has the names of their columns [default: as the lines tell]
    #[arg(long, value_name = "BOOL")]
    pub header: Option<bool>,
    /// What stands between their columns: `,`, `;`, `|` or tab [default: as the lines tell]
    #[arg(long, value_name = "CHARACTER", value_parser = |text: &str| Delimiter::try_from(text.to_owned()))]
    pub delimiter: Option<Delimiter>,
    /// What stands before the decimals of their numbers: `.` or `,` [default: .]
    #[arg(long, value_name = "CHARACTER", value_parser = |text: &str| Decimal::try_from(text.to_owned()))]
    pub decimal: Option<Decimal>,
    /// What the model has between its layers
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub activation: Activation,
    /// The weight decay with which the model was trained, or is to be: the damping that is exact for a model of one layer
    #[arg(long, value_name = "RHO", value_parser = weight_decay)]
    pub weight_decay: Option<f64>,
    /// Where to write the configuration
    #[arg(value_name = "CONFIG.toml", default_value = "influence.toml")]
    pub config: PathBuf,
    /// Replace the configuration if it is there
    #[arg(long)]
    pub overwrite: bool,
}

impl InitArguments {
    /// How tables of text are written, as far as that is said.
    pub fn form(&self) -> TableForm {
        TableForm {
            header: self.header,
            delimiter: self.delimiter,
            decimal: self.decimal,
        }
    }
}

/// An activation between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x Φ(x)`, exact.
    Gelu,
}

impl Activation {
    /// The kind of layer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
        }
    }
}

/// Arguments of `influence train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArguments {
    /// The configuration, TOML; relative paths in it are relative to it
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Override a key of the configuration, as `train.epochs=50`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Replace weights that are there
    #[arg(long)]
    pub overwrite: bool,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
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
    /// Take what `influence fit` kept, instead of fitting; refused if it was made from anything else
    #[arg(long, value_name = "PATH")]
    pub fitted: Option<PathBuf>,
    /// How much memory the computation may take, roughly, as 512MiB or 2GB; instead of compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute; instead of compute.threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZero<usize>>,
    /// Check everything and say what would be done, but compute and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What becomes of an output that is already there
    #[command(flatten)]
    pub existing: ExistingArguments,
}

/// Arguments of `influence sweep`.
#[derive(Debug, Clone, Args)]
pub struct SweepArguments {
    /// What is run
    #[command(flatten)]
    pub run: RunArguments,
    /// The dampings, in place of method.damping, as `0.1,0.01,0.001`
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
    /// Where to keep the fit, a safetensors file; one that is there is replaced
    #[arg(long, value_name = "PATH")]
    pub fitted: PathBuf,
    /// Override a key of the configuration, as `method.name=ekfac`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How much memory the fit may take, as 512MiB or 2GB; instead of compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
    /// Check everything and say what would be done, but compute and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// How many threads compute, of commands that read a configuration or an output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ThreadArguments {
    /// How many threads compute; instead of compute.threads [default: all cores]
    #[arg(long = "threads", value_name = "N", value_parser = threads)]
    pub count: Option<NonZero<usize>>,
}

impl Command {
    /// How many threads the command line grants.
    pub fn threads(&self) -> Option<NonZero<usize>> {
        match self {
            Self::Demo(arguments) => arguments.threads,
            Self::Run(arguments) | Self::Own(arguments) | Self::Plan(arguments) => {
                arguments.threads
            }
            Self::Sweep(arguments) => arguments.run.threads,
            Self::Train(arguments) => arguments.threads.count,
            Self::Fit(arguments) => arguments.threads.count,
            Self::Verify(arguments) => arguments.threads.count,
            Self::Inspect(arguments) => arguments.threads.count,
            Self::Top(arguments) => arguments.threads.count,
            Self::Mislabelled(arguments) => arguments.threads.count,
            Self::Report(arguments) => arguments.threads.count,
            Self::Init(_) | Self::Doctor(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
}

/// A number of threads: at least one.
fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let count = text.trim().parse().ok().and_then(NonZero::new);
    count.ok_or_else(|| {
        "expected a number of threads, 1 or more; leave it out to use all cores".to_owned()
    })
}

/// A damping.
fn damping(text: &str) -> Result<f64, String> {
    not_negative(text).map_err(|error| format!("a damping is {error}"))
}

/// A weight decay.
fn weight_decay(text: &str) -> Result<f64, String> {
    not_negative(text).map_err(|error| format!("a weight decay is {error}"))
}

fn not_negative(text: &str) -> Result<f64, &'static str> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) => Err("finite and not negative"),
        Err(_) => Err("a number"),
    }
}

/// Arguments of `influence doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArguments {
    /// Print an object of JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `influence completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Arguments of `influence man`.
#[derive(Debug, Clone, Args)]
pub struct ManArguments {
    /// Where to write the pages; it is made if it is not there, and pages that are there are replaced
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests;
