//! Weights of a model, by name, from a file of safetensors, PyTorch or burn.

mod file;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};
use burn::tensor::{DType, TensorData};
use influence_core::Precision;

pub(crate) use file::Layout;

/// Named tensors in one precision, every number of them finite.
#[derive(Debug, Clone)]
pub struct Weights {
    source: String,
    tensors: BTreeMap<String, TensorData>,
}

impl Weights {
    /// Takes tensors from elsewhere; `source` names that place in messages.
    pub fn new(source: impl Into<String>, tensors: BTreeMap<String, TensorData>) -> Self {
        Self {
            source: source.into(),
            tensors,
        }
    }

    /// Reads a file of safetensors, a state dict or checkpoint of PyTorch (`.pt`, `.pth`), or a record of burn (`.bpk`).
    ///
    /// The names and layouts are those of PyTorch in any case.
    ///
    /// # Errors
    /// When the file cannot be read, a tensor is not floating-point, or a number is not finite in the precision.
    pub fn read(path: &Path, precision: Precision) -> Result<Self> {
        Ok(match Self::as_stored(path, precision)? {
            (Layout::Pytorch, weights) => weights,
            (Layout::Burn, Self { source, tensors }) => Self {
                source,
                tensors: tensors.into_iter().map(file::of_burn).collect(),
            },
        })
    }

    /// Reads a file as [`read`](Self::read), and says how its tensors are laid out.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn as_stored(path: &Path, precision: Precision) -> Result<(Layout, Self)> {
        let source = path.display().to_string();
        let (layout, stored) = file::read(path).with_context(|| source.clone())?;
        let mut tensors = BTreeMap::new();
        for (name, data) in stored {
            let data = data.convert_dtype(float_dtype(precision));
            if let Some(index) = data.iter::<f64>().position(|value| !value.is_finite()) {
                bail!(
                    "{source}: tensor `{name}` holds a number that is not finite in {precision:?}, at flat index {index}"
                );
            }
            tensors.insert(name, data);
        }
        Ok((layout, Self { source, tensors }))
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

    /// A tensor.
    ///
    /// # Errors
    /// When there is none of that name; the message lists those there are.
    pub fn tensor(&self, name: &str) -> Result<&TensorData> {
        self.tensors.get(name).with_context(|| {
            let known: Vec<&str> = self.names().collect();
            format!(
                "{} has no tensor `{name}`; it has {}",
                self.source,
                known.join(", ")
            )
        })
    }
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
        Weights::read(file.path(), precision)
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
    fn a_header_of_any_length_is_one_of_safetensors() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for length in 1..80 {
            let (name, bytes) = ("w".repeat(length), 1.5_f32.to_le_bytes());
            let view = TensorView::new(Dtype::F32, vec![1], &bytes).expect("bytes fit the shape");
            let written = serialize([(&name, view)], None).expect("serialised");
            std::fs::write(file.path(), &written).expect("written");
            let weights = Weights::read(file.path(), Precision::F32);
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
            let message = format!(
                "{:#}",
                read(dtype, &bytes, vec![1], precision).expect_err(part)
            );
            assert!(
                message.contains(part) && message.contains("`fc.weight`"),
                "{message}"
            );
        }
    }
}
