//! The references in this folder.

use std::{collections::BTreeMap, path::PathBuf};

use burn::tensor::TensorData;
use influence_onnx::{LossKind, NetworkLoss, NetworkTask, TargetForm};
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A network in several exports, with references.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    folder: PathBuf,
}

impl Golden {
    pub(crate) fn new(name: &'static str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/models")
            .join(name);
        Self { name, folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The tensors of a file.
    pub(crate) fn tensors(&self, name: &str) -> BTreeMap<String, TensorData> {
        self.reference(name).tensors
    }

    /// What PyTorch computed, for one loss.
    pub(crate) fn reference(&self, name: &str) -> Reference {
        Reference::read(&self.path(&format!("{name}.safetensors")))
    }
}

/// The largest magnitude.
pub(crate) fn largest<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    numbers
        .into_iter()
        .fold(0.0, |most, number| most.max(number.abs()))
}

/// The largest difference, relative to the largest number that is expected.
pub(crate) fn difference(found: &Array2<f64>, expected: &Array2<f64>, least: f64) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    largest(&(found - expected)) / largest(expected).max(least)
}

/// Tensors of a file of safetensors.
pub(crate) struct Reference {
    tensors: BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
}

impl Reference {
    fn read(path: &std::path::Path) -> Self {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("metadata");
        let metadata = metadata.metadata().clone().unwrap_or_default();
        Self {
            tensors: tensors
                .iter()
                .map(|(name, view)| (name.to_owned(), data(&view)))
                .collect(),
            metadata: metadata.into_iter().collect(),
        }
    }

    pub(crate) fn input(&self, name: &str) -> TensorData {
        // Programs name the inputs of `forward(*values)` by their order.
        let name = match name {
            "values_0" => "input_ids",
            "values_1" => "attention_mask",
            name => name,
        };
        self.tensors[&format!("input/{name}")].clone()
    }

    /// The targets, if the task reads some.
    pub(crate) fn target(&self, task: &NetworkTask) -> Option<TensorData> {
        match task.targets() {
            TargetForm::None => None,
            _ => Some(self.tensors["target"].clone()),
        }
    }

    pub(crate) fn damping(&self) -> f64 {
        self.metadata["damping"].parse().expect("a number")
    }

    pub(crate) fn loss(&self) -> NetworkLoss {
        let kind = |kind| NetworkLoss::new(kind);
        match &*self.metadata["loss"] {
            "cross-entropy" => kind(LossKind::CrossEntropy),
            "sequence-cross-entropy" => kind(LossKind::SequenceCrossEntropy),
            "next-token" => kind(LossKind::NextToken),
            "mse" => kind(LossKind::MeanSquaredError),
            "binary-cross-entropy" => kind(LossKind::BinaryCrossEntropy),
            "output" => kind(LossKind::InFile),
            "ignore" => NetworkLoss {
                ignore: Some(-100),
                ..kind(LossKind::SequenceCrossEntropy)
            },
            "class-weights" => NetworkLoss {
                class_weights: Some(vec![0.5, 1.0, 2.0]),
                ..kind(LossKind::CrossEntropy)
            },
            "label-smoothing" => NetworkLoss {
                label_smoothing: 0.1,
                ..kind(LossKind::CrossEntropy)
            },
            other => panic!("the loss {other}"),
        }
    }

    /// The gradients of the samples, a matrix for each parameter.
    pub(crate) fn gradients(&self) -> BTreeMap<String, Array2<f64>> {
        let gradients = self.tensors.iter().filter_map(|(name, data)| {
            Some((name.strip_prefix("grad/")?.to_owned(), matrix(data)))
        });
        gradients.collect()
    }

    /// The outputs, one row for each sample.
    pub(crate) fn output(&self) -> Array2<f64> {
        matrix(&self.tensors["output"])
    }

    pub(crate) fn influences(&self, curvature: &str) -> Array2<f64> {
        matrix(&self.tensors[&format!("influence/{curvature}")])
    }
}

fn matrix(data: &TensorData) -> Array2<f64> {
    let rows = data.shape()[0];
    let numbers: Vec<f64> = data.iter::<f64>().collect();
    let columns = numbers.len() / rows;
    Array2::from_shape_vec((rows, columns), numbers).expect("rows")
}

/// Numbers of a view.
pub(crate) fn data(view: &TensorView<'_>) -> TensorData {
    let (bytes, shape) = (view.data(), view.shape().to_vec());
    macro_rules! numbers {
        ($type:ty, $bytes:literal) => {{
            let numbers = bytes
                .as_chunks::<$bytes>()
                .0
                .iter()
                .map(|bytes| <$type>::from_le_bytes(*bytes));
            TensorData::new(numbers.collect::<Vec<_>>(), shape)
        }};
    }
    match view.dtype() {
        Dtype::F32 => numbers!(f32, 4),
        Dtype::F64 => numbers!(f64, 8),
        Dtype::I64 => numbers!(i64, 8),
        Dtype::I32 => numbers!(i32, 4),
        Dtype::U8 => numbers!(u8, 1),
        Dtype::BOOL => TensorData::new(
            bytes.iter().map(|&byte| byte != 0).collect::<Vec<bool>>(),
            shape,
        ),
        other => panic!("the type {other:?}"),
    }
}
