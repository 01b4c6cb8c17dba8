//! Arguments of the commands that read outputs.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use influence_jobs::queries::By;

use super::{
    help::{self, Examples},
    run::ThreadArguments,
};
use crate::{
    listing::{Destination, ListingFormat},
    report::picture::Size,
};

/// What the commands that read outputs may look like.
pub(super) const EXAMPLES: &[Examples] = &[
    (
        "verify",
        &[
            (
                "compare checksums, and compute 4 chunks again",
                "influence verify influences.zarr",
            ),
            (
                "checksums alone: neither model nor data need be there",
                "influence verify influences.zarr --sample 0",
            ),
        ],
    ),
    (
        "inspect",
        &[
            ("for people", "influence inspect influences.zarr"),
            ("for programs", "influence inspect influences.zarr --json"),
            (
                "inputs, operators and parameters of a network, or why it is refused",
                "influence inspect model.onnx",
            ),
        ],
    ),
    (
        "top",
        &[
            (
                "the test points with the largest loss",
                "influence top influences.zarr",
            ),
            (
                "test points 0 and 17, three training points on either side",
                "influence top influences.zarr --points 0,17 -k 3",
            ),
            (
                "for a spreadsheet",
                "influence top influences.zarr --format csv > top.csv",
            ),
        ],
    ),
    (
        "mislabelled",
        &[
            (
                "by mean influence on the test points",
                "influence mislabelled influences.zarr",
            ),
            (
                "by influence on themselves, and how good the ranking is",
                "influence mislabelled self.zarr --truth labels.npy --show 50",
            ),
        ],
    ),
    (
        "report",
        &[
            ("writes influences.html", help::PATH[2]),
            (
                "flat inputs as pictures, and self-influences too",
                "influence report influences.zarr --image 8x8 --self self.zarr",
            ),
        ],
    ),
];

/// Arguments of `influence verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArguments {
    /// The output: a directory, or a URL
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// How many chunks are computed again; 0 needs neither model nor data
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub sample: usize,
    /// Override a key of the configuration that the output was made with, such as
    /// `data.train.inputs=/elsewhere/x.npy`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// Arguments of `influence inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArguments {
    /// The output: a directory, or a URL; or a network in a file (.onnx, .pt2)
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// The state dict that a network was exported with, which has the names of its parameters
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Print an object of JSON
    #[arg(long)]
    pub json: bool,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// The destination of a listing, and its format.
#[derive(Debug, Clone, Args)]
pub struct ListingArguments {
    /// The format [default: from the ending of the file, else table]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<ListingFormat>,
    /// Write to a file, .csv, .json or .parquet, instead of stdout
    #[arg(long = "output", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "file")]
    pub overwrite: bool,
}

impl ListingArguments {
    /// The destination of the listing.
    ///
    /// # Errors
    /// When the format and the file do not fit, or a file is in the way.
    pub(crate) fn destination(&self) -> Result<Destination<'_>> {
        Destination::new(self.format, self.file.as_deref(), self.overwrite)
    }
}

/// Arguments of `influence top`.
#[derive(Debug, Clone, Args)]
pub struct TopArguments {
    /// The output of `influence run`: a directory, or a URL
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// The test points by their ids, or where they have none counted from 0, such as `0,17,4`; may
    /// be given several times [default: those with the largest loss]
    ///
    /// An id with a comma is given by itself, `--points "Ada, Countess"`, or in quotes among
    /// others, `--points '"Ada, Countess",Bob'`.
    #[arg(long, value_name = "POINTS")]
    pub points: Vec<String>,
    /// How many test points are shown where none are named
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub show: usize,
    /// How many training points are shown on either side
    #[arg(short = 'k', long, value_name = "K", default_value_t = 5)]
    pub count: usize,
    /// Where it goes, and in what form
    #[command(flatten)]
    pub listing: ListingArguments,
    /// Override a key of the configuration that the output was made with, such as
    /// `data.train.inputs=/elsewhere/x.npy`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// What training points are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RankBy {
    /// The training loss, the largest first
    Loss,
    /// The influence on themselves, the largest first
    #[value(name = "self")]
    SelfInfluence,
    /// The mean influence on the test points, the most harmful first
    Mean,
}

impl From<RankBy> for By {
    fn from(ranking: RankBy) -> Self {
        match ranking {
            RankBy::Loss => Self::Loss,
            RankBy::SelfInfluence => Self::SelfInfluence,
            RankBy::Mean => Self::Mean,
        }
    }
}

/// Arguments of `influence mislabelled`.
#[derive(Debug, Clone, Args)]
pub struct MislabelledArguments {
    /// The output of `influence run` or `influence self`: a directory, or a URL
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// The output of `influence self` of the same training points, to be shown beside
    #[arg(long = "self", value_name = "OUTPUT")]
    pub self_influences: Option<PathBuf>,
    /// What the points are ranked by [default: loss, or mean where the model has memorised its
    /// training labels]
    #[arg(long, value_name = "RANKING", value_enum)]
    pub by: Option<RankBy>,
    /// How many training points are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
    /// The true labels of the training points, where they are known: says how good each ranking is
    #[arg(long, value_name = "ARRAY")]
    pub truth: Option<String>,
    /// Where it goes, and in what form
    #[command(flatten)]
    pub listing: ListingArguments,
    /// Override a key of the configuration that the output was made with, such as
    /// `data.train.inputs=/elsewhere/x.npy`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}

/// Arguments of `influence report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// The output of `influence run`: a directory, or a URL
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// Where to write the page [default: beside the output, with the ending .html]
    #[arg(long, value_name = "PATH")]
    pub html: Option<PathBuf>,
    /// The output of `influence self` of the same points, to be shown too
    #[arg(long = "self", value_name = "OUTPUT")]
    pub self_influences: Option<PathBuf>,
    /// The output of the same run with compute.mode = by-block, to show what share each layer has
    #[arg(long, value_name = "OUTPUT")]
    pub by_layer: Option<PathBuf>,
    /// The true labels of the training points, where they are known
    #[arg(long, value_name = "ARRAY")]
    pub truth: Option<String>,
    /// Write every chart of the page into this folder too, as SVG
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// Write charts as PNG beside the SVG
    #[arg(long, requires = "plots")]
    pub png: bool,
    /// Replace charts that are there
    #[arg(long, requires = "plots")]
    pub overwrite: bool,
    /// Image size, such as 8x8 or 3x32x32 [default: from the shape of the inputs, or the first
    /// reshape of the model]
    #[arg(long, value_name = "SIZE")]
    pub image: Option<Size>,
    /// The test points by their ids, or where they have none counted from 0, such as `0,17,4`; may
    /// be given several times [default: those with the largest loss]
    ///
    /// An id with a comma is given by itself, `--points "Ada, Countess"`, or in quotes among
    /// others, `--points '"Ada, Countess",Bob'`.
    #[arg(long, value_name = "POINTS")]
    pub points: Vec<String>,
    /// How many test points are shown where none are named
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub show: usize,
    /// How many training points are shown on either side
    #[arg(short = 'k', long, value_name = "K", default_value_t = 5)]
    pub count: usize,
    /// How many suspicious training points are shown
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub suspects: usize,
    /// Override a key of the configuration that the output was made with, such as
    /// `data.train.inputs=/elsewhere/x.npy`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many threads compute
    #[command(flatten)]
    pub threads: ThreadArguments,
}
