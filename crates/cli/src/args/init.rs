//! Arguments of `influence init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use influence_data::{Decimal, Delimiter, TableForm};
use influence_jobs::init::{self, Request};

use super::{
    help::{self, Examples},
    values::weight_decay,
};

/// What `init` may look like.
pub(super) const EXAMPLES: &[Examples] = &[(
    "init",
    &[
        (
            "a perceptron that PyTorch saved, and numpy arrays",
            help::PATH[0],
        ),
        (
            "columns of a table, another activation, another name",
            "influence init --weights model.safetensors --activation tanh \
                 --train t.csv#-y t.csv#y --test v.csv#-y v.csv#y table.toml",
        ),
        (
            "no weights yet: a small network is to be trained on four fifths of the points",
            "influence init --all photos/ photos/#class --split 0.2",
        ),
        (
            "a network that PyTorch exported, of tokens and a mask",
            "influence init --onnx model.onnx --train ids=i.npy,mask=m.npy y.npy \
                 --test ids=it.npy,mask=mt.npy yt.npy",
        ),
    ],
)];

/// Arguments of `influence init`.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// A network in a file, in place of layers: ONNX, or what torch.export.save writes (.pt2)
    #[arg(long, value_name = "FILE")]
    pub onnx: Option<PathBuf>,
    /// The weights: safetensors, a state dict or checkpoint of PyTorch (.pt, .pth), or a record of
    /// burn (.bpk) [default: a small network is to be trained; with --onnx, those that the file
    /// has]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The key of the weights in a file that holds more, such as net or checkpoint.model [default:
    /// the only state dict that there is]
    #[arg(long, value_name = "KEY", requires = "weights")]
    pub state: Option<String>,
    /// Inputs and targets of the training points; with --onnx, inputs may be several, a.npy,b.npy
    /// or NAME=a.npy,NAME=b.npy, and targets may be left out
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 1..=2, required_unless_present = "all")]
    pub train: Vec<String>,
    /// Inputs and targets of the test points [default: none, for `influence self`]
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 1..=2, requires = "train")]
    pub test: Vec<String>,
    /// Inputs and targets of all points, to be split, in place of --train and --test
    #[arg(long, value_names = ["INPUTS", "TARGETS"], num_args = 1..=2, conflicts_with_all = ["train", "test"])]
    pub all: Vec<String>,
    /// The share of --all that becomes test points
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, requires = "all")]
    pub split: f64,
    /// Whether the first line of tables of text, such as .csv, has the names of their columns
    /// [default: detected from the lines]
    #[arg(long, value_name = "BOOL")]
    pub header: Option<bool>,
    /// What stands between their columns: `,`, `;`, `|` or tab [default: detected from the lines]
    #[arg(long, value_name = "CHARACTER", value_parser = |text: &str| Delimiter::try_from(text.to_owned()))]
    pub delimiter: Option<Delimiter>,
    /// What stands before the decimals of their numbers: `.` or `,` [default: .]
    #[arg(long, value_name = "CHARACTER", value_parser = |text: &str| Decimal::try_from(text.to_owned()))]
    pub decimal: Option<Decimal>,
    /// What the model has between its layers
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub activation: ActivationChoice,
    /// The weight decay with which the model was trained, or is to be: the damping that is exact
    /// for a model of one layer
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
    /// The files and choices that the configuration is proposed from.
    pub fn request(&self) -> Request {
        Request {
            config: self.config.clone(),
            onnx: self.onnx.clone(),
            weights: self.weights.clone(),
            state: self.state.clone(),
            train: self.train.clone(),
            test: self.test.clone(),
            all: self.all.clone(),
            split: self.split,
            form: TableForm {
                header: self.header,
                delimiter: self.delimiter,
                decimal: self.decimal,
            },
            activation: self.activation.into(),
            weight_decay: self.weight_decay,
        }
    }
}

/// An activation between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ActivationChoice {
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

impl From<ActivationChoice> for init::Activation {
    fn from(activation: ActivationChoice) -> Self {
        match activation {
            ActivationChoice::Relu => Self::Relu,
            ActivationChoice::Tanh => Self::Tanh,
            ActivationChoice::Sigmoid => Self::Sigmoid,
            ActivationChoice::Gelu => Self::Gelu,
        }
    }
}
