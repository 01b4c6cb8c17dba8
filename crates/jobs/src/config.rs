//! The configuration of `influence run`: TOML, read strictly.

mod compute;
mod layer;
mod memory;
pub mod method;
mod mistake;
mod model;
mod origin;
pub(crate) mod overrides;
mod place;
mod rewritten;
mod sizes;
mod train;
mod weight_files;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use influence_core::Precision;
use influence_data::{Data, key::KeyPath};
use serde::Deserialize;
use thiserror::Error;
use toml::Table;

use crate::output::is_url;
use origin::origin;

pub use compute::{Compute, Mode, Strategy};
pub(crate) use layer::CONFIRM;
pub use layer::{Layer, Layers};
pub use memory::Memory;
pub use method::{Method, MethodName, SourceSettings};
pub(crate) use model::missing;
pub use model::{Loss, MeasurementKey, Model};
pub use place::{Place, Places};
pub use sizes::{Padding, Pair, Sizes};
pub use train::{Optimiser, Schedule, Training};
pub use weight_files::WeightFiles;

/// All there is to say about a run; [`Config::load`] gives it with absolute or file-relative paths
/// resolved.
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
    pub precision: Precision,
    /// The model.
    pub model: Model,
    /// The data.
    pub data: Data,
    /// The method; training needs none.
    pub method: Option<Method>,
    /// How the model is trained, for `influence train`. Every key has a default.
    #[serde(default)]
    pub train: Training,
    /// How the work is cut and spread. Every key has a default.
    #[serde(default)]
    pub compute: Compute,
    /// Where the result goes.
    #[serde(default)]
    pub output: OutputSettings,
    /// What the result is made from, as it was read, with absolute paths: all but `compute` and
    /// `output`.
    #[serde(skip)]
    pub origin: Table,
    /// Where each key is, for messages.
    #[serde(skip)]
    pub places: Places,
}

/// Where the result goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSettings {
    /// The Zarr store, a directory or a URL (needs feature s3, gcs or azure); it will hold the
    /// array `influences` of shape `(test, train)`. Default `influences.zarr`.
    pub path: PathBuf,
}

impl Default for OutputSettings {
    fn default() -> Self {
        Self {
            path: "influences.zarr".into(),
        }
    }
}

/// A configuration without a method, where one is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("missing key `method`")]
pub struct MissingMethod;

fn cpu() -> String {
    "cpu".into()
}

impl Config {
    /// Reads a file, applies the overrides, and checks every setting that can be checked by itself.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or a key is unknown, missing, of the wrong type
    /// or out of its domain.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_by(path, overrides, Self::from_table)
    }

    /// As [`load`](Self::load), of a file that need not have a method.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for_training(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_by(path, overrides, Self::of_sections)
    }

    fn load_by(
        path: &Path,
        overrides: &[String],
        read: impl FnOnce(Table) -> Result<Self>,
    ) -> Result<Self> {
        let shown = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(shown)?;
        let text = String::from_utf8(bytes).map_err(|error| not_text(path, &error))?;
        let places = Places::new(path, &text, overrides);
        let mut table = text.parse::<Table>().map_err(|error| {
            let place = places.of_bytes(&error.span().unwrap_or_default());
            anyhow!(mistake::one_line(error.message())).context(place)
        })?;
        overrides::apply(&mut table, overrides)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let read = method::with_weight_decay(table).and_then(|table| {
            let origin = origin(table.clone(), base);
            Ok((origin, read(table)?))
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
        let config = Self::of_sections(table)?;
        config.method()?;
        Ok(config)
    }

    /// As [`from_table`](Self::from_table), of a table that need not have a method.
    fn of_sections(table: Table) -> Result<Self> {
        let table = method::with_weight_decay(table)?;
        layer::check_confirmed(&table)?;
        // Read on its own first: serde would not keep which key of it an error is about.
        table
            .get("method")
            .cloned()
            .map(Method::of_section)
            .transpose()?;
        let mut config: Self = mistake::read_at(KeyPath::default(), table.into())?;
        config.data.spread_form();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.compute.check()?;
        self.model.check()?;
        self.data.sides()?;
        Ok(self.train.check()?)
    }

    /// The method.
    ///
    /// # Errors
    /// When there is none, as in a configuration for training.
    pub fn method(&self) -> std::result::Result<&Method, MissingMethod> {
        self.method.as_ref().ok_or(MissingMethod)
    }

    /// The seed of a model by its place in the list of weights: the models of an ensemble have
    /// seeds that follow each other.
    pub(crate) fn member_seed(&self, place: usize) -> u64 {
        self.seed.wrapping_add(place as u64)
    }

    /// With paths relative to a folder.
    #[must_use]
    pub fn resolved(mut self, base: &Path) -> Self {
        let files = self.data.files_mut().map(|array| &mut array.path);
        let of_method = self.method.iter_mut().flat_map(Method::files_mut);
        let weights = self.model.weights.iter_mut();
        let weights = weights.flat_map(WeightFiles::all_mut);
        let output = Some(&mut self.output.path).filter(|path| !is_url(path));
        for path in files
            .chain(weights)
            .chain(&mut self.model.onnx)
            .chain(of_method)
            .chain(output)
        {
            *path = base.join(&*path);
        }
        self
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
