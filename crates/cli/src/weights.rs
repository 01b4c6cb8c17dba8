//! Weights of a model, by name, from a file of safetensors, PyTorch or burn.

mod burnpack;
mod file;
mod foreign;
mod pytorch;
mod rewritten;
mod stored;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{DType, TensorData};
use influence_core::Precision;

pub(crate) use file::Layout;
pub(crate) use rewritten::rewritten;
use stored::{Numbers, Stored};

/// What PyTorch's batch norm counts beside its weights.
const COUNTER: &str = "num_batches_tracked";

/// Named tensors in one precision, every number of them finite.
#[derive(Debug, Clone)]
pub struct Weights {
    source: String,
    tensors: BTreeMap<String, TensorData>,
    about: About,
}

/// What a file says beside the numbers.
#[derive(Debug, Clone, Default)]
struct About {
    /// The names in the order of the file, where that is the order of the model.
    order: Option<Vec<String>>,
    /// Modules and their classes, where whole modules were saved.
    modules: Vec<(String, String)>,
    /// Tensors that can be no weights, and why.
    unread: BTreeMap<String, String>,
    /// The key that was taken without being asked for.
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
            about: About::default(),
        }
    }

    /// Reads a file of safetensors, a state dict or checkpoint of PyTorch (`.pt`, `.pth`), or a record of burn (`.bpk`).
    ///
    /// The names and layouts are those of PyTorch in any case. `key` leads to the weights in a file that holds more; without one they are the
    /// only state dict that there is.
    ///
    /// # Errors
    /// When the file cannot be read, it is not clear which of its tensors are the weights, two of them are one, or a number is not finite in
    /// the precision.
    pub fn read(path: &Path, key: Option<&str>, precision: Precision) -> Result<Self> {
        Ok(match Self::as_stored(path, key, precision)? {
            (Layout::Pytorch, weights) => weights,
            (Layout::Burn, weights) => weights.of_burn(),
        })
    }

    fn of_burn(self) -> Self {
        let tensors = self.tensors.into_iter();
        let tensors = tensors.map(|(name, data)| burnpack::as_pytorch(name, data));
        let about = About {
            turned: true,
            ..self.about
        };
        Self {
            tensors: tensors.collect(),
            about,
            ..self
        }
    }

    /// Says which layers are tables: a record of burn does not tell them from linear layers, and has them as PyTorch does.
    pub(crate) fn with_tables<'a>(mut self, layers: impl Iterator<Item = &'a str>) -> Self {
        for layer in layers.filter(|_| self.about.turned) {
            if let Some(table) = self.tensors.get_mut(&format!("{layer}.weight")) {
                *table = burnpack::turned(table);
            }
        }
        self
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
        let weights = Self::of_file(source, stored, precision)?;
        weights.log();
        Ok((layout, weights))
    }

    fn of_file(source: String, stored: Stored, precision: Precision) -> Result<Self> {
        let mut weights = Self::new(source, BTreeMap::new());
        let names = stored.tensors.iter().map(|(name, _)| name.clone());
        weights.about = About {
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

    /// The names of all tensors: in the order of the model where the file says it, else sorted and `false`.
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

    /// What of the file is not taken for weights, for people: the key that was taken, and what was left out.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let About { key, left_out, .. } = &self.about;
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

/// The numbers of a tensor in a precision, or why they can be no weights: masks hold minus infinity.
///
/// # Errors
/// When a number is not finite, and the tensor is no mask.
fn in_precision(
    name: &str,
    numbers: Numbers,
    precision: Precision,
) -> Result<Result<TensorData, String>> {
    let data = match numbers {
        Numbers::Float(data) => data,
        Numbers::Other(kind) => {
            return Ok(Err(format!(
                "tensor `{name}` has dtype {kind}, weights must be F16, BF16, F32 or F64"
            )));
        }
    };
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
mod tests {
    use safetensors::{Dtype, serialize, tensor::TensorView};

    use super::*;

    fn read(
        dtype: Dtype,
        bytes: &[u8],
        shape: Vec<usize>,
        precision: Precision,
    ) -> Result<Weights> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let view = TensorView::new(dtype, shape, bytes).expect("bytes fit the shape");
        std::fs::write(
            file.path(),
            serialize([("fc.weight", view)], None).expect("serialised"),
        )
        .expect("written");
        Weights::read(file.path(), None, precision)
    }

    #[test]
    fn every_float_dtype_is_read() {
        for (dtype, bytes) in [
            (Dtype::F16, vec![0x00, 0x3e]),
            (Dtype::BF16, vec![0xc0, 0x3f]),
            (Dtype::F32, 1.5_f32.to_le_bytes().to_vec()),
            (Dtype::F64, 1.5_f64.to_le_bytes().to_vec()),
        ] {
            let weights = read(dtype, &bytes, vec![1], Precision::F64).expect("read");
            let tensor = weights.tensor("fc.weight").expect("there");
            assert_eq!(tensor.as_slice::<f64>().expect("f64"), [1.5], "{dtype:?}");
        }
    }

    #[test]
    fn tables_of_a_record_of_burn_are_not_turned() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.bpk");
        let values: Vec<f32> = (1_u8..7).map(f32::from).collect();
        let tensors = ["emb.weight", "fc.weight"].map(|name| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            let bytes = burn::tensor::Bytes::from_bytes_vec(bytes.collect());
            burn_pack::Tensor::new(name.to_owned(), DType::F32, vec![3, 2], None, bytes)
        });
        let written = burn_pack::Writer::new(tensors.to_vec()).write_to_file(&path);
        written.expect("written");
        let weights = Weights::read(&path, None, Precision::F32).expect("read");
        let weights = weights.with_tables(["emb"].into_iter());
        for (name, shape, expected) in [
            ("emb.weight", [3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ("fc.weight", [2, 3], [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]),
        ] {
            let tensor = weights.tensor(name).expect("there");
            assert_eq!(tensor.shape()[..], shape, "{name}");
            assert_eq!(tensor.as_slice::<f32>().expect("f32"), expected, "{name}");
        }
    }

    #[test]
    fn a_header_of_any_length_is_one_of_safetensors() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for length in 1..80 {
            let (name, bytes) = ("w".repeat(length), 1.5_f32.to_le_bytes());
            let view = TensorView::new(Dtype::F32, vec![1], &bytes).expect("bytes fit the shape");
            let written = serialize([(&name, view)], None).expect("serialised");
            std::fs::write(file.path(), &written).expect("written");
            let weights = Weights::read(file.path(), None, Precision::F32);
            let weights = weights.unwrap_or_else(|error| panic!("{:?}: {error:#}", &written[..8]));
            assert_eq!(weights.shape(&name), Some(&[1][..]));
        }
    }

    #[test]
    fn what_is_no_finite_float_is_refused_by_name() {
        let cases = [
            (Dtype::I64, 1_i64.to_le_bytes(), Precision::F32, "dtype I64"),
            (
                Dtype::F64,
                f64::NAN.to_le_bytes(),
                Precision::F64,
                "not finite",
            ),
            (
                Dtype::F64,
                1e300_f64.to_le_bytes(),
                Precision::F32,
                "not finite in F32",
            ),
        ];
        for (dtype, bytes, precision, part) in cases {
            let read = read(dtype, &bytes, vec![1], precision);
            let named = read.and_then(|weights| weights.tensor("fc.weight").cloned());
            let message = format!("{:#}", named.expect_err(part));
            assert!(
                message.contains(part) && message.contains("`fc.weight`"),
                "{message}"
            );
        }
    }
}
