use influence_data::TableForm;

use std::path::PathBuf;

use super::activation::Activation;

/// The files and choices that a configuration is proposed from.
///
/// Each of `train`, `test` and `all` holds two arrays, inputs and targets, or is empty. For a
/// network in a file the first may be several, `a.npy,b.npy` or `a=a.npy,b=b.npy`, and there may be
/// no targets.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the configuration will be: paths in it are relative to its folder.
    pub config: PathBuf,
    /// The file of a network, in place of layers.
    pub onnx: Option<PathBuf>,
    /// The weights; without them a small network is to be trained.
    pub weights: Option<PathBuf>,
    /// The key of the weights in a file that holds more.
    pub state: Option<String>,
    /// Inputs and targets of the training points.
    pub train: Vec<String>,
    /// Inputs and targets of the test points.
    pub test: Vec<String>,
    /// Inputs and targets of all points, to be split.
    pub all: Vec<String>,
    /// The share of `all` that becomes test points.
    pub split: f64,
    /// How tables of text are written, as far as that is known.
    pub form: TableForm,
    /// What the model has between its layers.
    pub activation: Activation,
    /// The weight decay of the training.
    pub weight_decay: Option<f64>,
}
