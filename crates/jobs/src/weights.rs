//! Weights of a model, by name, from a file of safetensors, PyTorch or burn.

mod burnpack;
mod contents;
mod file;
mod foreign;
mod pytorch;
mod rewritten;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use influence_core::Precision;

use contents::{Contents, StoredTensor};
pub(crate) use file::Layout;
pub(crate) use rewritten::rewritten;

/// What PyTorch's batch norm counts beside its weights.
const COUNTER: &str = "num_batches_tracked";

/// Named tensors in one precision, every number of them finite.
#[derive(Debug, Clone)]
pub struct Weights {
    source: String,
    tensors: BTreeMap<String, TensorData>,
    about: WeightsMetadata,
}

/// What a file says beside the numbers.
#[derive(Debug, Clone, Default)]
struct WeightsMetadata {
    /// The names in the order of the file, where that is the order of the model.
    order: Option<Vec<String>>,
    /// Modules and their classes, where whole modules were saved.
    modules: Vec<(String, String)>,
    /// Tensors that can be no weights, and why.
    unread: BTreeMap<String, String>,
    /// The key that was chosen by default.
    key: Option<String>,
    /// What else in the file holds tensors.
    left_out: Vec<String>,
    /// Whether matrices lay the other way round, as burn has those of linear layers.
    turned: bool,
}

impl Weights {
    /// Takes tensors from elsewhere; `source` names that place in messages.
    pub fn new(source: impl Into<String>, tensors: BTreeMap<String, TensorData>) -> Self {
        Self {
            source: source.into(),
            tensors,
            about: WeightsMetadata::default(),
        }
    }

    /// Reads a file of safetensors, a state dict or checkpoint of PyTorch (`.pt`, `.pth`), or a
    /// record of burn (`.bpk`).
    ///
    /// The names and layouts are those of PyTorch in any case. `key` leads to the weights in a file
    /// that holds more; without one they are the only state dict that there is.
    ///
    /// # Errors
    /// When the file cannot be read, it is not clear which of its tensors are the weights, two of
    /// them are one, or a number is not finite in the precision.
    pub fn read(path: &Path, key: Option<&str>, precision: Precision) -> Result<Self> {
        Ok(match Self::as_stored(path, key, precision)? {
            (Layout::Pytorch, weights) => weights,
            (Layout::Burn, weights) => weights.of_burn(),
        })
    }

    fn of_burn(self) -> Self {
        let tensors = self.tensors.into_iter();
        let tensors = tensors.map(|(name, data)| burnpack::as_pytorch(name, data));
        let about = WeightsMetadata {
            turned: true,
            ..self.about
        };
        Self {
            tensors: tensors.collect(),
            about,
            ..self
        }
    }

    /// Says which layers are tables: a record of burn does not tell them from linear layers, and
    /// has them as PyTorch does.
    pub(crate) fn with_tables<'a>(mut self, layers: impl Iterator<Item = &'a str>) -> Self {
        for layer in layers.filter(|_| self.about.turned) {
            if let Some(table) = self.tensors.get_mut(&format!("{layer}.weight")) {
                *table = burnpack::turned(table);
            }
        }
        self
    }

    /// Reads the weights of a network in a file: as they are stored, 16-bit numbers widened, and
    /// tensors may have two names.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn of_network(path: &Path, key: Option<&str>) -> Result<Self> {
        let source = path.display().to_string();
        let (_, stored) = file::read(path, key).with_context(|| source.clone())?;
        let weights = Self::of_file(source, stored, None)?;
        weights.log();
        Ok(weights)
    }

    /// Reads a file as [`read`](Self::read), and says how its tensors are laid out.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn as_stored(
        path: &Path,
        key: Option<&str>,
        precision: Precision,
    ) -> Result<(Layout, Self)> {
        let source = path.display().to_string();
        let (layout, stored) = file::read(path, key).with_context(|| source.clone())?;
        if let Some(tied) = &stored.tied {
            bail!("{source}: {tied}");
        }
        let weights = Self::of_file(source, stored, Some(precision))?;
        weights.log();
        Ok((layout, weights))
    }

    /// In a precision, or as they are stored.
    fn of_file(source: String, stored: Contents, precision: Option<Precision>) -> Result<Self> {
        let mut weights = Self::new(source, BTreeMap::new());
        let names = stored.tensors.iter().map(|(name, _)| name.clone());
        weights.about = WeightsMetadata {
            order: stored.in_order.then(|| names.collect()),
            modules: stored.modules,
            unread: BTreeMap::new(),
            key: stored.key,
            left_out: stored.left_out,
            turned: false,
        };
        // Sorted, so that the first mistake is the same one every time.
        let mut tensors = stored.tensors;
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, numbers) in tensors {
            let about = &mut weights.about;
            let twice = weights.tensors.contains_key(&name) || about.unread.contains_key(&name);
            ensure!(
                !twice,
                "{}: two tensors have the name `{name}`",
                weights.source
            );
            let read = in_precision(&name, numbers, precision);
            match read.with_context(|| weights.source.clone())? {
                Ok(data) => drop(weights.tensors.insert(name, data)),
                Err(reason) => drop(about.unread.insert(name, reason)),
            }
        }
        Ok(weights)
    }

    fn log(&self) {
        if let Some(key) = &self.about.key {
            tracing::info!("{}: the weights are those under `{key}`", self.source);
        }
        if !self.about.left_out.is_empty() {
            let left_out = self.about.left_out.join(", ");
            tracing::info!("{}: left out: {left_out}", self.source);
        }
        for reason in self.about.unread.values() {
            tracing::debug!("{}: left out: {reason}", self.source);
        }
    }

    /// All tensors by name.
    pub(crate) fn into_tensors(self) -> BTreeMap<String, TensorData> {
        self.tensors
    }

    /// Adds a tensor.
    pub(crate) fn insert(&mut self, name: String, tensor: TensorData) {
        self.tensors.insert(name, tensor);
    }

    /// Where the weights come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The shape of a tensor, if there is such a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| &**tensor.shape())
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The names of all tensors: in the order of the model where the file says it, else sorted and
    /// `false`.
    pub(crate) fn in_order(&self) -> (Vec<&str>, bool) {
        let Some(order) = &self.about.order else {
            return (self.names().collect(), false);
        };
        let known = order.iter().map(String::as_str);
        let read = known.filter(|name| self.tensors.contains_key(*name));
        (read.collect(), true)
    }

    /// The class of a module, where whole modules were saved.
    pub(crate) fn class(&self, module: &str) -> Option<&str> {
        let found = self.about.modules.iter().find(|(name, _)| name == module);
        found.map(|(_, class)| class.as_str())
    }

    /// What of the file is not taken for weights, for people: the key that was taken, and what was
    /// left out.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let WeightsMetadata { key, left_out, .. } = &self.about;
        let key = key.iter();
        let key = key.map(|key| format!("the weights are those under `{key}` of the file"));
        let left_out = left_out.iter().map(|name| format!("left out: `{name}`"));
        let unread = self.about.unread.iter();
        let unread = unread.filter(|(name, _)| !name.ends_with(COUNTER));
        let unread = unread.map(|(_, reason)| format!("left out: {reason}"));
        key.chain(left_out).chain(unread).collect()
    }

    /// The tensors that can be no weights, and why.
    pub(crate) fn unread(&self) -> &BTreeMap<String, String> {
        &self.about.unread
    }

    /// Checks that no tensor of these layers is one that cannot be a weight.
    ///
    /// # Errors
    /// When one is; the message says why.
    pub(crate) fn check_read<'a>(&self, layers: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let layers: Vec<&str> = layers.into_iter().collect();
        for (name, reason) in &self.about.unread {
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let is_used = !name.ends_with(COUNTER) && layers.contains(&layer);
            ensure!(!is_used, "{}: {reason}", self.source);
        }
        Ok(())
    }

    /// A tensor.
    ///
    /// # Errors
    /// When there is none of that name; the message lists those there are.
    pub fn tensor(&self, name: &str) -> Result<&TensorData> {
        if let Some(reason) = self.about.unread.get(name) {
            bail!("{}: {reason}", self.source);
        }
        self.tensors.get(name).with_context(|| {
            let known: Vec<&str> = self.names().collect();
            let hint = rewritten(&known).map_or_else(String::new, |hint| format!("; {hint}"));
            let known = known.join(", ");
            let source = &self.source;
            format!("{source} has no tensor `{name}`; it has {known}{hint}")
        })
    }
}

/// The numbers of a tensor in a precision, or why they can be no weights: masks hold minus
/// infinity.
///
/// # Errors
/// When a number is not finite, and the tensor is no mask.
fn in_precision(
    name: &str,
    numbers: StoredTensor,
    precision: Option<Precision>,
) -> Result<Result<TensorData, String>> {
    let data = match numbers {
        StoredTensor::Float(data) => data,
        StoredTensor::Other(kind) => {
            return Ok(Err(format!(
                "tensor `{name}` has dtype {kind}, weights must be F16, BF16, F32 or F64"
            )));
        }
    };
    let precision = precision.unwrap_or(match data.dtype() {
        DType::F64 => Precision::F64,
        _ => Precision::F32,
    });
    let is_masked = |value: f64| value == f64::NEG_INFINITY;
    let allowed = |value: f64| value.is_finite() || is_masked(value);
    let mask = data.iter::<f64>().all(allowed) && data.iter::<f64>().any(is_masked);
    let data = data.convert_dtype(float_dtype(precision));
    let Some(index) = data.iter::<f64>().position(|value| !value.is_finite()) else {
        return Ok(Ok(data));
    };
    let reason = format!(
        "tensor `{name}` holds a number that is not finite in {precision:?}, at flat index {index}"
    );
    ensure!(mask, reason);
    Ok(Err(reason))
}

/// The dtype of a precision.
pub(crate) fn float_dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

#[cfg(test)]
mod tests;
