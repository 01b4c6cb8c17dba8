//! The command line.

mod cluster;
mod evaluate;
pub(crate) mod help;
mod init;
mod outputs;
mod reporting;
mod run;
mod values;

use std::{num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use help::{Example, Examples, Purpose};
use values::threads;

pub use cluster::{ClusterArguments, Scheduler};
pub use evaluate::{EvaluateArguments, PageArguments};
pub use init::{ActivationChoice, InitArguments};
pub use outputs::{
    InspectArguments, ListingArguments, MislabelledArguments, RankBy, ReportArguments,
    TopArguments, VerifyArguments,
};
pub use reporting::Reporting;
pub use run::{
    DeclareArguments, ExistingArguments, FitArguments, RunArguments, SweepArguments,
    ThreadArguments, TrainArguments, WorkerArguments,
};

/// Which training points made this model say this?
///
/// `influence` computes, for every test point and every training point, how much the training point
/// helped (positive) or harmed (negative) the model on the test point, and writes the matrix as a
/// Zarr array of shape (test, train).
#[derive(Debug, Parser)]
#[command(
    name = "influence",
    version,
    max_term_width = 100,
    help_template = help::template(
        &Command::augment_subcommands(clap::Command::new("influence")),
        TASKS
    ),
    after_long_help = help::shared()
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is reported while it runs
    #[command(flatten)]
    pub reporting: Reporting,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what influences are good for, on digits that ship with it
    ///
    /// Writes a folder with images, labels of which 10 % are flipped, and a configuration. Then it
    /// runs the commands of a first session in it, each printed as it is typed: `train`, `fit`,
    /// `run`, `self`, `top`, `mislabelled`. Every other command works on what it leaves behind.
    #[command(after_help = short("demo"), after_long_help = long("demo"))]
    Demo(DemoArguments),
    /// Write a configuration, from weights and data that are there
    ///
    /// The layers are read off the names and shapes of the weights, the loss off the targets, and a
    /// method is proposed by size and cost. Every choice has a comment; what the weights cannot
    /// tell, such as activations and pooling, is for you to compare with the model. How good the
    /// proposed model is on the points is printed: at chance it was not rebuilt correctly. A
    /// network in an ONNX file (--onnx) needs no layers. Without weights, a small network is
    /// proposed for `influence train`.
    #[command(
        override_usage = help::INIT,
        after_help = short("init"),
        after_long_help = long("init")
    )]
    Init(InitArguments),
    /// Train the model of a configuration, and write its weights
    ///
    /// For models that were not trained elsewhere: layers say their sizes, such as `{ kind =
    /// "linear", name = "fc1", outputs = 32 }`, and `[train]` how they are trained. The weights are
    /// written to `model.weights`, which ends in .safetensors; a method is not needed. A network in
    /// an ONNX file is trained on from the weights that the file has.
    #[command(after_help = short("train"), after_long_help = long("train"))]
    Train(TrainArguments),
    /// Compute the influences that a configuration describes
    ///
    /// The file names a sequential model with weights in PyTorch state-dict layout, or a network in
    /// an ONNX file, training and test data, the method, and the output. Everything is checked
    /// before anything is computed or written; what is wrong is named with its line in the file.
    #[command(after_help = short("run"), after_long_help = long("run"))]
    Run(RunArguments),
    /// Compute the influence of every training point on itself
    ///
    /// Writes the array `self_influences` of shape (train). Large values are unusual points,
    /// mislabelled ones among them. The test points of the configuration are not used.
    #[command(name = "self", after_help = short("self"), after_long_help = long("self"))]
    SelfInfluences(RunArguments),
    /// Compute the influences under several dampings, from one fit
    ///
    /// Writes the array `influences` of shape (test, train, damping).
    #[command(after_help = short("sweep"), after_long_help = long("sweep"))]
    Sweep(SweepArguments),
    /// Declare an output that several processes write together
    ///
    /// Writes everything but the numbers. Then any number of processes, on any machines that see
    /// the files, compute a share each: `influence run CONFIG.toml --share 0/4` to `--share 3/4`
    /// (or `self`, `sweep`), at the same time or not. One that was killed is run again, or not:
    /// `influence finish` checks all chunks and computes what is missing. The bytes are those of
    /// one run. All take the same settings, and best one fit by `--fitted`: without it each share
    /// fits for itself.
    #[command(
        mut_arg("share", |option| option.hide(true).conflicts_with("config")),
        mut_arg("mpi", |option| option.hide(true).conflicts_with("config")),
        after_help = short("declare"),
        after_long_help = long("declare")
    )]
    Declare(DeclareArguments),
    /// Finish an output that several processes wrote
    ///
    /// Checks every chunk against its checksum, computes what is missing, and completes the output.
    /// It is refused while a share is at work. Of an output of `influence self` it finishes that.
    #[command(
        mut_arg("overwrite", |option| option.hide(true).conflicts_with("config")),
        mut_arg("resume", |option| option.hide(true)),
        mut_arg("share", |option| option.hide(true).conflicts_with("config")),
        mut_arg("mpi", |option| option.hide(true).conflicts_with("config")),
        after_help = short("finish"),
        after_long_help = long("finish")
    )]
    Finish(RunArguments),
    /// Write a script with which a cluster computes an output in shares
    ///
    /// The script declares the output, computes its shares on the machines of the cluster, and
    /// finishes it, whatever happened to them. It is printed, and full of comments: edit what each
    /// process gets.
    #[command(after_help = short("cluster"), after_long_help = long("cluster"))]
    Cluster(ClusterArguments),
    /// Fit a method and keep its expensive parts, for `--fitted`
    ///
    /// What is kept does not depend on the damping. It is tied to the method, the model and the
    /// data that it was made from: `run`, `self` and `sweep` refuse it for others.
    #[command(after_help = short("fit"), after_long_help = long("fit"))]
    Fit(FitArguments),
    /// Compute what is ordered on stdin, for an engine such as Dask
    ///
    /// Holds the model, the data and the fit. Orders are objects of JSON, one a line, such as
    /// `{"order": "scores", "share": "3/16", "path": "values"}`; each is answered by a line on
    /// stdout, `{"ok": …}` or `{"error": {"kind": …, "message": …}}`. Ends with its input, and on
    /// Linux with the process that started it. The Python package influence-dask starts one on each
    /// worker of a cluster.
    #[command(after_help = short("worker"), after_long_help = long("worker"))]
    Worker(WorkerArguments),
    /// Print what `run` would do, and compute nothing
    ///
    /// Chunks, passes over the data, operations, memory, scratch space, the size of the output, and
    /// how good the model is. Checks everything that `run` checks, looks at the gradients of a few
    /// training points, and computes and writes nothing else.
    #[command(
        mut_arg("dry_run", |option| option.hide(true)),
        mut_arg("mpi", |option| option.hide(true).conflicts_with("config")),
        mut_arg("share", |option| {
            option.help("Plan one of several shares of an output that `influence declare` made")
        }),
        mut_arg("overwrite", |option| {
            option.help("Plan a run that replaces the output; it stays as it is")
        }),
        mut_arg("resume", |option| {
            option.help("Plan a run that goes on with the output; it stays as it is")
        }),
        after_help = short("plan"),
        after_long_help = long("plan")
    )]
    Plan(RunArguments),
    /// Check an output: its checksums, and a sample computed again
    ///
    /// Every chunk is compared with its checksum, and a random sample of chunks with computing them
    /// again. The output says what it was made from: the files must still be there, unchanged.
    #[command(after_help = short("verify"), after_long_help = long("verify"))]
    Verify(VerifyArguments),
    /// Say what an output is, how it was made, what its numbers are
    ///
    /// Reads the output alone: neither model nor data need be there. Of a network in an ONNX file
    /// it says what it reads and computes, which parameters are trained, and which of them are
    /// slow; or why the file is refused, and how to export it.
    #[command(after_help = short("inspect"), after_long_help = long("inspect"))]
    Inspect(InspectArguments),
    /// Show which training points helped and harmed on test points
    ///
    /// Reads the output of `influence run`, and from the files that it was made from what the
    /// points are. Of an output of `influence self` it shows the training points with the largest
    /// influence on themselves.
    #[command(after_help = short("top"), after_long_help = long("top"))]
    Top(TopArguments),
    /// Rank training points by how suspicious their labels are
    ///
    /// Shows the training loss, the influence on the point itself and the mean influence on the
    /// test points beside each other. The loss ranks best where the model does not fit wrong
    /// labels; where it has memorised them, the mean influence (`influence run`) and self-influence
    /// (`influence self`) do. Where targets are numbers, the points with the largest losses are
    /// outliers.
    #[command(after_help = short("mislabelled"), after_long_help = long("mislabelled"))]
    Mislabelled(MislabelledArguments),
    /// Rate influences by what retraining gives
    ///
    /// Do they predict what happens? Models are retrained as `[train]` says: on random subsets of
    /// the training points (--lds), without single points (--loo) or without those that are called
    /// the most helpful (--removal); or with wrong labels that are to be found (--flip). What they
    /// gave is kept in a folder, so that every method and damping is rated by the same retrainings,
    /// beside baselines. Each number has its 95 % interval.
    #[command(
        override_usage = help::EVALUATE,
        after_help = short("evaluate"),
        after_long_help = long("evaluate")
    )]
    Evaluate(EvaluateArguments),
    /// Write a page that shows all this, with pictures
    ///
    /// One HTML file that needs no network: test points with the training points that helped and
    /// harmed, the most suspicious labels, how the influences are distributed, through which layers
    /// they go, how well the systems were solved, what the run took, and how it was all made.
    #[command(after_help = short("report"), after_long_help = long("report"))]
    Report(ReportArguments),
    /// Say what this program and this machine can do
    ///
    /// Version, devices and how fast each multiplies matrices, precisions, cores, memory, and the
    /// folder for temporary files; also what is missing, and what follows from that. The exit code
    /// is 0 whatever is found. What a network in a file is says `influence inspect model.onnx`.
    #[command(after_help = short("doctor"), after_long_help = long("doctor"))]
    Doctor(DoctorArguments),
    /// Print what a shell needs to complete this command line
    ///
    /// The script goes to stdout; where it belongs is up to the shell.
    #[command(after_help = short("completions"), after_long_help = long("completions"))]
    Completions(CompletionsArguments),
    /// Write manual pages: influence.1 and one for each command
    #[command(after_help = short("man"), after_long_help = long("man"))]
    Man(ManArguments),
}

/// Arguments of `influence demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// The folder to write to; one that an earlier demonstration wrote is written again
    #[arg(long, value_name = "FOLDER", default_value = "influence-demo")]
    pub output: PathBuf,
    /// What computes: one of the devices that `influence doctor` shows
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub device: String,
    /// How many threads compute [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZero<usize>>,
    /// What the split, the flipped labels and the first weights are drawn from; equal seeds give
    /// equal output
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

impl Command {
    /// Whether it is done by all processes of an MPI job.
    pub fn by_mpi(&self) -> bool {
        match self {
            Self::Run(arguments) | Self::SelfInfluences(arguments) => arguments.mpi,
            Self::Sweep(arguments) => arguments.run.mpi,
            Self::Fit(arguments) => arguments.mpi,
            _ => false,
        }
    }

    /// How many threads the command line grants.
    pub fn threads(&self) -> Option<NonZero<usize>> {
        match self {
            Self::Demo(arguments) => arguments.threads,
            Self::Run(arguments)
            | Self::SelfInfluences(arguments)
            | Self::Finish(arguments)
            | Self::Plan(arguments) => arguments.threads,
            Self::Declare(arguments) => arguments.run.threads,
            Self::Sweep(arguments) => arguments.run.threads,
            Self::Train(arguments) => arguments.threads.count,
            Self::Fit(arguments) => arguments.threads.count,
            Self::Worker(arguments) => arguments.threads.count,
            Self::Verify(arguments) => arguments.threads.count,
            Self::Inspect(arguments) => arguments.threads.count,
            Self::Top(arguments) => arguments.threads.count,
            Self::Mislabelled(arguments) => arguments.threads.count,
            Self::Report(arguments) => arguments.threads.count,
            Self::Evaluate(arguments) => arguments.threads.count,
            Self::Init(_)
            | Self::Cluster(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
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
    /// Where to write the pages; it is made if it is not there, and pages that are there are
    /// replaced
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// The commands by task.
const TASKS: &[Purpose] = &[
    ("Look", &["demo", "init", "plan"]),
    (
        "Compute",
        &[
            "train", "run", "self", "sweep", "fit", "declare", "finish", "cluster",
        ],
    ),
    (
        "Answer",
        &[
            "report",
            "top",
            "mislabelled",
            "evaluate",
            "inspect",
            "verify",
        ],
    ),
    (
        "Machine",
        &["doctor", "worker", "completions", "man", "help"],
    ),
];

/// What the other commands may look like.
const EXAMPLES: &[Examples] = &[
    (
        "demo",
        &[
            ("see what there is to see", "influence demo"),
            (
                "another split, and another folder",
                "influence demo --seed 3 --output digits",
            ),
        ],
    ),
    (
        "doctor",
        &[
            ("before a first run on a machine", "influence doctor"),
            ("to be sent with a bug report", "influence doctor --json"),
        ],
    ),
    (
        "completions",
        &[
            ("bash", "influence completions bash >> ~/.bash_completion"),
            ("zsh", "influence completions zsh > ~/.zfunc/_influence"),
            (
                "fish",
                "influence completions fish > ~/.config/fish/completions/influence.fish",
            ),
        ],
    ),
    (
        "man",
        &[(
            "for one user; then `man influence-run`",
            "influence man ~/.local/share/man/man1",
        )],
    ),
];

/// The examples of a command.
pub(crate) fn examples(command: &str) -> &'static [Example] {
    let tables = [
        EXAMPLES,
        cluster::EXAMPLES,
        evaluate::EXAMPLES,
        init::EXAMPLES,
        run::EXAMPLES,
        outputs::EXAMPLES,
    ];
    let mut named = tables.into_iter().flatten();
    let found = named.find(|(name, _)| *name == command);
    found.map_or(&[], |(_, examples)| examples)
}

/// What follows the options of a command in its short help.
fn short(command: &str) -> String {
    help::short(examples(command))
}

/// The same in its long help.
fn long(command: &str) -> String {
    help::long(examples(command))
}

#[cfg(test)]
mod tests;
