//! A small run in a separate folder.

use std::{fs, path::PathBuf, process::Command};

use npyz::{AutoSerialize, Serialize};
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::Value;

use crate::{files::files, npy};

const CONFIG: &str = r#"
[model]
weights = "model.safetensors"
loss = "mse"
layers = [{ kind = "linear", name = "fc" }]
[data]
train = { inputs = "x_train.npy", targets = "y_train.npy" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }
[method]
damping = 0.1
[compute]
train_chunk = 8
threads = 2
"#;

/// A linear model of 4 inputs, with this many test and training points.
pub(crate) struct Job(tempfile::TempDir);

impl Job {
    pub(crate) fn new(test: usize, train: usize) -> Self {
        let job = Self(tempfile::tempdir().expect("a folder"));
        fs::write(job.path("config.toml"), CONFIG).expect("written");
        let line = [0.5_f32, -0.25, 1.0, 0.75];
        let weights: Vec<u8> = line.map(f32::to_le_bytes).concat();
        let view = TensorView::new(Dtype::F32, vec![1, 4], &weights).expect("bytes fit the shape");
        let bytes = serialize([("fc.weight", view)], None).expect("serialised");
        fs::write(job.path("model.safetensors"), bytes).expect("written");
        for (name, count) in [("test", test), ("train", train)] {
            let wave = |index: usize| (index as f32 * 0.37).sin();
            let inputs: Vec<f32> = (0..4 * count).map(wave).collect();
            // The model's prediction plus noise: a run warns about a model that fits nothing.
            let said = inputs.chunks(4).map(|row| {
                let products = row.iter().zip(&line).map(|(input, weight)| input * weight);
                products.sum::<f32>()
            });
            let targets = said
                .enumerate()
                .map(|(index, said)| said + 0.1 * wave(5 * index));
            let targets: Vec<f32> = targets.collect();
            let count = count as u64;
            job.array(&format!("x_{name}.npy"), &inputs, &[count, 4]);
            job.array(&format!("y_{name}.npy"), &targets, &[count]);
        }
        job
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn array<T: Serialize + AutoSerialize + Copy>(&self, name: &str, values: &[T], shape: &[u64]) {
        npy::write(&self.path(name), values, shape);
    }

    /// The run, with its progress shown in a style.
    pub(crate) fn command(&self, style: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        command
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .args(["run", "config.toml", "--progress", style])
            .args(arguments);
        command
    }

    /// The number of chunks of the output that exist.
    pub(crate) fn chunks_written(&self) -> usize {
        files(&self.path("influences.zarr/influences/c")).len()
    }
}

/// A line of stderr as JSON.
pub(crate) fn event(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
