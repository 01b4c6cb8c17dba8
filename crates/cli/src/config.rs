//! The configuration of `influence run`: TOML, read strictly.

mod layer;
mod memory;
mod method;
mod mistake;
mod place;
mod sizes;
mod train;

use std::{
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use influence_data::Data;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{output::is_url, overrides};

pub(crate) use layer::CONFIRM;
pub use layer::{Layer, Layers};
pub use memory::Memory;
pub use method::{
    Blocks, Checkpoint, CurvatureName, DampingValue, Lambda, Method, MethodName, PreconditionerName,
};
pub use place::{Place, Places};
pub use sizes::{Padding, Pair, Sizes};
pub use train::{Optimiser, Training};

/// All there is to say about a run; [`Config::load`] gives it with absolute or file-relative paths resolved.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The seed of whatever is drawn; recorded with the output. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// `cpu`, `ndarray`, `wgpu`, `cuda:0`. Default `cpu`.
    #[serde(default = "cpu")]
    pub device: String,
    /// `f32` or `f64`. Default `f32`.
    #[serde(default)]
    pub precision: PrecisionName,
    /// The model.
    pub model: Model,
    /// The data.
    pub data: Data,
    /// The method.
    pub method: Method,
    /// How the model is trained, for `influence train`. Every key has a default.
    #[serde(default)]
    pub train: Training,
    /// How the work is cut and spread. Every key has a default.
    #[serde(default)]
    pub compute: Compute,
    /// Where the result goes.
    #[serde(default)]
    pub output: Output,
    /// What the result is made from, as it was read, with absolute paths: all but `compute` and `output`.
    #[serde(skip)]
    pub origin: Table,
    /// Where each key is, for messages.
    #[serde(skip)]
    pub places: Places,
}

/// A precision by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 64-bit floating point, on CPU devices.
    F64,
}

impl From<PrecisionName> for influence_core::Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::F64 => Self::F64,
        }
    }
}

/// A model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Safetensors or a PyTorch file in state-dict layout, `NAME.weight` `(out, in[, kh, kw])`, `NAME.bias` `(out)`, or a record of burn.
    pub weights: PathBuf,
    /// The key of the weights in a file that holds more, as `net` or `checkpoint.model`; empty for all that it holds. Default: the only state
    /// dict that there is.
    pub state: Option<String>,
    /// The training loss, of a sequential model.
    pub loss: Option<Loss>,
    /// The layers in order, of a sequential model.
    pub layers: Option<Layers>,
}

impl Model {
    /// Checks that weights that are to be written need no key.
    ///
    /// # Errors
    /// When they have one.
    pub(crate) fn check_trained(&self) -> Result<()> {
        ensure!(
            self.state.is_none(),
            "model.state: `influence train` writes a file of its own, which holds nothing else; leave it out"
        );
        Ok(())
    }
}

/// A training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the softmax of the outputs; targets are class numbers.
    CrossEntropy,
    /// Squared error, mean over the outputs.
    Mse,
}

/// How the work is cut and spread.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// `parallel` (default) or `sequential`.
    pub strategy: Strategy,
    /// What is computed of every pair of points: `up` (default), `by-block` or `perturbation`.
    pub mode: Mode,
    /// Training points per chunk. Default: chosen automatically.
    pub train_chunk: Option<usize>,
    /// Test points per chunk. Default: chosen automatically.
    pub test_chunk: Option<usize>,
    /// Threads of the parallel strategy. Default: all cores.
    pub threads: Option<usize>,
    /// What the computation may take of the memory, roughly. Default: chosen automatically.
    pub memory: Option<Memory>,
    /// Whether the recorded gradient is held against burn's own before the fit. Default true.
    pub check_gradient: bool,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            strategy: Strategy::Parallel,
            mode: Mode::Up,
            train_chunk: None,
            test_chunk: None,
            threads: None,
            memory: None,
            check_gradient: true,
        }
    }
}

impl Compute {
    /// With a bound on memory and a number of threads in place of those configured, where given.
    #[must_use]
    pub fn granted(self, memory: Option<Memory>, threads: Option<NonZero<usize>>) -> Self {
        Self {
            memory: memory.or(self.memory),
            threads: threads.map(NonZero::get).or(self.threads),
            ..self
        }
    }

    /// How many threads compute; by default one for each core.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.strategy {
            Strategy::Sequential => 1,
            Strategy::Parallel => self.threads.unwrap_or_else(cores),
        }
    }
}

/// Which calculator does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Chunks side by side on threads.
    Parallel,
    /// One chunk after another.
    Sequential,
}

/// What is computed of every pair of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The influence.
    #[default]
    Up,
    /// The influence through each block of parameters; the blocks are those of the method.
    ByBlock,
    /// How the influence changes with each number of the training input.
    Perturbation,
}

/// Where the result goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// The Zarr store, a directory or a URL (needs feature s3, gcs or azure); it will hold the array `influences` of shape
    /// `(test, train)`. Default `influences.zarr`.
    pub path: PathBuf,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            path: "influences.zarr".into(),
        }
    }
}

fn cpu() -> String {
    "cpu".into()
}

impl Config {
    /// Reads a file, applies the overrides, and checks every setting that can be checked by itself.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or a key is unknown, missing, of the wrong type or out of its domain.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_completed(path, overrides, |_| ())
    }

    /// As [`load`](Self::load), of a file that need not have a method.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for_training(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_completed(path, overrides, |table| {
            let none = || Table::from_iter([("name".to_owned(), "identity".into())]).into();
            table.entry("method").or_insert_with(none);
        })
    }

    fn load_completed(
        path: &Path,
        overrides: &[String],
        complete: impl FnOnce(&mut Table),
    ) -> Result<Self> {
        let shown = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(shown)?;
        let text = String::from_utf8(bytes).map_err(|error| not_text(path, &error))?;
        let places = Places::new(path, &text, overrides);
        let mut table = text.parse::<Table>().map_err(|error| {
            let place = places.of_bytes(&error.span().unwrap_or_default());
            anyhow!(mistake::explain(&error)).context(place)
        })?;
        overrides::apply(&mut table, overrides)?;
        complete(&mut table);
        let base = path.parent().unwrap_or(Path::new(""));
        let read = method::with_weight_decay(table).and_then(|table| {
            let origin = origin(table.clone(), base);
            Ok((origin, Self::from_table(table)?))
        });
        let (origin, config) = read.map_err(|error| {
            let error = places.located(error);
            if error.is::<Place>() {
                error
            } else {
                error.context(shown())
            }
        })?;
        Ok(Self {
            origin,
            places,
            ..config.resolved(base)
        })
    }

    /// Reads and checks a table.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_table(table: Table) -> Result<Self> {
        let mut config: Self = method::with_weight_decay(table)?
            .try_into()
            .map_err(|error| anyhow!(mistake::explain(&error)))?;
        config.data.spread_form();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.compute.train_chunk != Some(0),
            "compute.train_chunk must be at least 1, got 0"
        );
        ensure!(
            self.compute.test_chunk != Some(0),
            "compute.test_chunk must be at least 1, got 0"
        );
        ensure!(
            self.compute.threads != Some(0),
            "compute.threads must be at least 1, got 0; leave it out to use all cores"
        );
        self.data.sides()?;
        self.train.check()?;
        self.method.check()
    }

    /// With paths relative to a folder.
    #[must_use]
    pub fn resolved(mut self, base: &Path) -> Self {
        let files = self.data.files_mut().map(|array| &mut array.path);
        let checkpoints = self.method.checkpoints.iter_mut().flatten();
        let checkpoints = checkpoints.map(|checkpoint| &mut checkpoint.weights);
        let output = Some(&mut self.output.path).filter(|path| !is_url(path));
        for path in files
            .chain([&mut self.model.weights])
            .chain(checkpoints)
            .chain(output)
        {
            *path = base.join(&*path);
        }
        self
    }
}

/// The keys that decide about the numbers, with absolute paths, so that they can be computed again from anywhere.
fn origin(mut table: Table, base: &Path) -> Table {
    table.remove("output");
    let compute = table.remove("compute");
    if let Some(mode) = compute.and_then(|compute| compute.get("mode").cloned()) {
        let compute = Table::from_iter([("mode".to_owned(), mode)]);
        table.insert("compute".into(), compute.into());
    }
    table.remove("train");
    if let Some(weights) = table
        .get_mut("model")
        .and_then(|model| model.get_mut("weights"))
    {
        make_absolute(weights, base);
    }
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
        for (key, value) in data.iter_mut() {
            match (key.as_str(), value) {
                ("train" | "test" | "all", toml::Value::Table(files)) => {
                    files
                        .iter_mut()
                        .for_each(|(_, file)| make_absolute(file, base));
                }
                ("classes", file) => make_absolute(file, base),
                _ => {}
            }
        }
    }
    let method = table.get_mut("method");
    let checkpoints = method.and_then(|method| method.get_mut("checkpoints")?.as_array_mut());
    for checkpoint in checkpoints.into_iter().flatten() {
        if let Some(weights) = checkpoint.get_mut("weights") {
            make_absolute(weights, base);
        }
    }
    table
}

fn make_absolute(value: &mut toml::Value, base: &Path) {
    let path = match value {
        toml::Value::Table(array) => array.get_mut("file"),
        path => Some(path),
    };
    if let Some(toml::Value::String(path)) = path
        && let Ok(absolute) = std::path::absolute(base.join(&*path))
    {
        *path = absolute.to_string_lossy().into_owned();
    }
}

/// A file that is no text, with the line where that shows.
fn not_text(path: &Path, error: &std::string::FromUtf8Error) -> anyhow::Error {
    let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = valid.split(|&byte| byte == b'\n').count();
    anyhow!("{}:{line}: expected UTF-8 text", path.display())
}

#[cfg(test)]
mod tests;
