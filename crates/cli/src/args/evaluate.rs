//! Arguments of `influence evaluate`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, builder::Resettable};
use influence_core::Share;
use influence_jobs::config::Memory;

use super::{
    help::Examples,
    outputs::ListingArguments,
    run::ThreadArguments,
    values::{damping, share_of_points},
};

/// What the command may look like.
pub(super) const EXAMPLES: &[Examples] = &[(
    "evaluate",
    &[
        (
            "retrain on 100 random halves, 5 seeds each, and rate the method by them",
            "influence evaluate influence.toml --lds 100 --seeds 5",
        ),
        (
            "the same retrainings, a quarter of them here, the others elsewhere",
            "influence evaluate influence.toml --lds 100 --seeds 5 --share 0/4",
        ),
        (
            "other methods and dampings by the same retrainings",
            "influence evaluate influence.toml --lds 100 --seeds 5 --sweep --methods cg,ekfac --damping 0.01,0.1,1 --relative",
        ),
        (
            "leave out 40 points, one at a time, and train on from the weights",
            "influence evaluate influence.toml --loo 40",
        ),
        (
            "unlearn 40 points, one at a time, without retraining",
            "influence evaluate influence.toml --pbrf 40",
        ),
        (
            "take a step on each of the 5 points that help a test point most",
            "influence evaluate influence.toml --tail-patch 5",
        ),
        (
            "change a tenth of the labels, and look for them",
            "influence evaluate influence.toml --flip 0.1",
        ),
        (
            "a page with charts",
            "influence evaluate influence.toml --lds 100 --loo 40 --html evaluation.html",
        ),
        (
            "for a program",
            "influence evaluate influence.toml --lds 100 --format json > evaluation.json",
        ),
    ],
)];

/// Arguments of `influence evaluate`.
#[derive(Debug, Clone, Args)]
#[command(group(
    ArgGroup::new("studies")
        .args(["lds", "loo", "pbrf", "tail_patch", "removal", "brittleness", "flip"])
        .required(true)
        .multiple(true)
))]
#[command(group(ArgGroup::new("written").args(["file", "plots"]).multiple(true)))]
#[command(mut_arg("overwrite", |arg| {
    arg.requires(Resettable::Reset).requires("written").help("Replace the file, and charts, that are there")
}))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct EvaluateArguments {
    /// The configuration, as for `run`; its `[train]` says how models are retrained
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Retrain on M random subsets of the training points: the linear datamodelling score, how well
    /// influences order the losses of the retrained models
    #[arg(long, value_name = "M")]
    pub lds: Option<usize>,
    /// The share of the training points that a subset keeps
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share_of_points)]
    pub fraction: f64,
    /// Leave out N training points, one at a time, and train on from the weights of the model: half
    /// are those with the largest influence on themselves, half random
    #[arg(long, value_name = "N")]
    pub loo: Option<usize>,
    /// Train from scratch without each point, in place of training on
    #[arg(long, requires = "loo")]
    pub from_scratch: bool,
    /// Unlearn N training points, one at a time, chosen as with --loo: the proximal Bregman
    /// response of the trained weights, which influences approximate, without retraining
    #[arg(long, value_name = "N", conflicts_with = "share")]
    pub pbrf: Option<usize>,
    /// Take one step of gradient descent on each of the N training points that help a test point
    /// most, each from the trained weights: by how much the loss on the test point falls
    #[arg(long, value_name = "N", conflicts_with = "share")]
    pub tail_patch: Option<usize>,
    /// Retrain without the most helpful K training points, such as `5,10,20`, for each method
    #[arg(long, value_name = "K", value_delimiter = ',')]
    pub removal: Vec<usize>,
    /// Retrain without the K training points that are the most helpful ones on each test point,
    /// such as `5,20`: how few change its class; take few test points with --rows
    #[arg(long, value_name = "K", value_delimiter = ',')]
    pub brittleness: Vec<usize>,
    /// Change this share of the labels, train a model on them, and rank points by suspicion
    #[arg(long, value_name = "SHARE", value_parser = share_of_points)]
    pub flip: Option<f64>,
    /// Let points that are left out keep their places in the batches and weigh nothing, so that the
    /// other steps are those of the training on all points: what `magic` differentiates
    #[arg(long, conflicts_with_all = ["pbrf", "tail_patch", "flip"])]
    pub in_place: bool,
    /// From how many seeds each model is retrained [default: 5, with --loo 1]
    #[arg(long, value_name = "S")]
    pub seeds: Option<usize>,
    /// The first of these seeds, from which the others are counted [default: the configuration's]
    #[arg(long, value_name = "SEED", conflicts_with_all = ["pbrf", "tail_patch", "flip"])]
    pub first_seed: Option<u64>,
    /// How many test points are looked at, the first ones [default: all]
    #[arg(long, value_name = "Q")]
    pub rows: Option<usize>,
    /// The folder that keeps what retrainings gave; they are done once, and go on where they were
    /// stopped [default: beside the output, with the ending .bank]
    #[arg(long, value_name = "FOLDER")]
    pub bank: Option<PathBuf>,
    /// Do a share of the retrainings, such as `0/4`, and stop; shares may run at once, on machines
    /// that see the same folder
    #[arg(long, value_name = "I/N", conflicts_with = "flip")]
    pub share: Option<Share>,
    /// Rate methods under several dampings too, and name the best one
    #[arg(long)]
    pub sweep: bool,
    /// The methods of the sweep, such as `cg,ekfac` [default: the one of the configuration]
    #[arg(long, value_name = "METHOD", value_delimiter = ',', requires = "sweep")]
    pub methods: Vec<String>,
    /// The dampings of the sweep [default: 0.01, 0.1, 1 and 10 times the mean eigenvalue]
    #[arg(long, value_name = "LAMBDA", value_delimiter = ',', requires = "sweep", value_parser = damping)]
    pub damping: Vec<f64>,
    /// Take the dampings as multiples of the mean eigenvalue of each block
    #[arg(long, requires = "damping")]
    pub relative: bool,
    /// Write the method and the damping with the best score into the configuration
    #[arg(long, requires_all = ["sweep", "lds"])]
    pub write: bool,
    /// Leave out what methods are compared with: gradients, neighbours, labels, chance
    #[arg(long)]
    pub no_baselines: bool,
    /// Where it goes, and in what form
    #[command(flatten)]
    pub listing: ListingArguments,
    /// Pictures of what was found
    #[command(flatten)]
    pub page: PageArguments,
    /// Override a key of the configuration, such as `train.epochs=50`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How much memory the computation may take, such as 512MiB or 2GB; instead of compute.memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// Where pictures of an evaluation go.
#[derive(Debug, Clone, Args)]
pub struct PageArguments {
    /// Write a page with charts and tables, which opens without a network
    #[arg(long, value_name = "PATH", conflicts_with = "share")]
    pub html: Option<PathBuf>,
    /// Write every chart of the page into this folder, as SVG
    #[arg(long, value_name = "FOLDER", conflicts_with = "share")]
    pub plots: Option<PathBuf>,
    /// Write charts as PNG beside the SVG
    #[arg(long, requires = "plots")]
    pub png: bool,
}

impl EvaluateArguments {
    /// The folder of the bank, of a configuration with this output.
    pub fn bank(&self, output: &Path) -> PathBuf {
        let given = self.bank.clone();
        given.unwrap_or_else(|| output.with_extension("bank"))
    }

    /// Settings of the configuration for each method of the sweep: its own is changed, and others
    /// are put in its place.
    pub fn swept(&self, curvature: Option<&str>) -> Vec<String> {
        if !self.sweep {
            return Vec::new();
        }
        let dampings = self.dampings();
        if self.methods.is_empty() {
            return vec![format!("method.sweep=[{dampings}]")];
        }
        let with = |name: &String| {
            const UNDAMPED: [&str; 6] = ["identity", "cosine", "tracin", "adam", "magic", "source"];
            let damped = !UNDAMPED.contains(&name.as_str());
            let curved = damped && name != "inverse-harmonic-mean";
            let curvature = curvature.filter(|_| curved);
            let curvature = curvature.map(|curvature| format!("curvature = {curvature:?}"));
            let sweep = damped.then(|| format!("sweep = [{dampings}]"));
            let keys = [Some(format!("name = {name:?}")), curvature, sweep];
            let keys: Vec<String> = keys.into_iter().flatten().collect();
            format!("method={{ {} }}", keys.join(", "))
        };
        self.methods.iter().map(with).collect()
    }

    /// The dampings as a configuration writes them.
    fn dampings(&self) -> String {
        const RELATIVE: [f64; 4] = [0.01, 0.1, 1.0, 10.0];
        let (dampings, relative) = match self.damping.as_slice() {
            [] => (&RELATIVE[..], true),
            given => (given, self.relative),
        };
        let written = dampings.iter().map(|damping| {
            if relative {
                format!("{{ relative = {damping:?} }}")
            } else {
                format!("{damping:?}")
            }
        });
        written.collect::<Vec<_>>().join(", ")
    }
}
