//! A folder with a valid run that tests damage.

use std::{collections::BTreeMap, fs, path::PathBuf};

use npyz::{AutoSerialize, Serialize};
use safetensors::{Dtype, serialize, tensor::TensorView};

use crate::npy;

pub(crate) const CONFIG: &str = r#"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [{ kind = "linear", name = "fc1" }, { kind = "tanh" }, { kind = "linear", name = "fc2" }]
[data]
train = { inputs = "x_train.npy", targets = "y_train.npy" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }
[method]
damping = 0.1
[compute]
threads = 1
"#;

/// The tensors of the model, with their shapes.
pub(crate) const TENSORS: [(&str, &[usize]); 3] = [
    ("fc1.weight", &[3, 4]),
    ("fc1.bias", &[3]),
    ("fc2.weight", &[2, 3]),
];

/// A valid run of 4 inputs, 3 hidden units, 2 classes, 6 training and 2 test points.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("config.toml", CONFIG);
        folder.weights(&TENSORS, 0.5);
        folder.array("x_train.npy", &[0.5_f32; 24], &[6, 4]);
        folder.array("y_train.npy", &[0_u8, 1, 0, 1, 0, 1], &[6]);
        folder.array("x_test.npy", &[0.25_f64; 8], &[2, 4]);
        folder.array("y_test.npy", &[1_i32, 0], &[2]);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("written");
    }

    /// The configuration with one piece replaced.
    pub(crate) fn config(&self, piece: &str, by: &str) {
        assert_eq!(CONFIG.matches(piece).count(), 1, "{piece}");
        self.write("config.toml", CONFIG.replace(piece, by));
    }

    pub(crate) fn array<T: Serialize + AutoSerialize + Copy>(
        &self,
        name: &str,
        values: &[T],
        shape: &[u64],
    ) {
        npy::write(&self.path(name), values, shape);
    }

    pub(crate) fn weights(&self, shapes: &[(&str, &[usize])], value: f32) {
        self.tensors("model.safetensors", shapes, value);
    }

    pub(crate) fn tensors(&self, file: &str, shapes: &[(&str, &[usize])], value: f32) {
        let bytes: Vec<Vec<u8>> = shapes
            .iter()
            .map(|(_, shape)| value.to_le_bytes().repeat(shape.iter().product()))
            .collect();
        let views = shapes.iter().zip(&bytes).map(|((name, shape), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            (*name, view.expect("bytes fit the shape"))
        });
        self.write(file, serialize(views, None).expect("serialised"));
    }

    /// Everything below the folder, with its length.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(below) = folders.pop() {
            let Ok(entries) = fs::read_dir(below) else {
                continue;
            };
            for entry in entries {
                let path = entry.expect("an entry").path();
                let length = fs::symlink_metadata(&path).map_or(0, |about| about.len());
                if path.is_dir() {
                    folders.push(path.clone());
                    found.insert(path, 0);
                } else {
                    found.insert(path, length);
                }
            }
        }
        found
    }
}
