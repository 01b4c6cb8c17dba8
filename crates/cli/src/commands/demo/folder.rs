//! The folder of the demonstration: its data and its configuration.

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use npyz::WriterBuilder;

use super::digits::{Digits, SIDE, SplitDigits};
use crate::args::DemoArguments;

/// The name of the configuration.
pub(super) const CONFIG: &str = "influence.toml";
/// The name of the array of true labels.
pub(super) const TRUTH: &str = "truth.npy";
/// What the configuration begins with: such a folder may be written again.
const MARK: &str = "# Written by `influence demo`";

/// A folder that belongs to the demonstration.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Takes a folder that is not there, is empty, or is left as an earlier demonstration wrote it.
    pub(super) fn claim(path: &Path) -> Result<Self> {
        let folder = Self(path.to_owned());
        let shown = path.display();
        let config = folder.path(CONFIG);
        if config.exists() {
            let found = fs::read_to_string(&config).with_context(|| shown.to_string())?;
            ensure!(
                without_choices(&found) == without_choices(&configuration(0, "", None)),
                "--output: {} was changed, and another demonstration would undo that; choose another folder",
                config.display()
            );
            return Ok(folder);
        }
        let taken = path.exists() && {
            let mut entries = fs::read_dir(path).with_context(|| {
                format!("--output: {shown} is not a folder; choose another path")
            })?;
            entries.next().is_some()
        };
        ensure!(
            !taken,
            "--output: {shown} holds files that no demonstration wrote; choose another folder"
        );
        fs::create_dir_all(path).with_context(|| format!("--output: {shown}"))?;
        Ok(folder)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Writes the points as arrays, and the configuration.
    pub(super) fn write(&self, split: &SplitDigits, arguments: &DemoArguments) -> Result<()> {
        // The configuration comes first: it says whose folder this is, should the rest not follow.
        let threads = arguments.threads.map(NonZero::get);
        let path = self.path(CONFIG);
        fs::write(
            &path,
            configuration(arguments.seed, &arguments.device, threads),
        )
        .with_context(|| path.display().to_string())?;
        self.points("train", &split.train)?;
        self.points("test", &split.test)?;
        self.array(TRUTH, &split.train.truth, &[split.train.len()])
    }

    fn points(&self, side: &str, points: &Digits) -> Result<()> {
        let images = [points.len(), SIDE, SIDE];
        self.array(&format!("x_{side}.npy"), &points.images, &images)?;
        self.array(&format!("y_{side}.npy"), &points.labels, &[points.len()])
    }

    fn array(&self, name: &str, numbers: &[u8], shape: &[usize]) -> Result<()> {
        let path = self.path(name);
        let write = || -> std::io::Result<()> {
            let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
            let mut bytes = Vec::new();
            let options = npyz::WriteOptions::new().default_dtype().shape(&shape);
            let mut writer = options.writer(&mut bytes).begin_nd()?;
            writer.extend(numbers.iter().copied())?;
            writer.finish()?;
            fs::write(&path, bytes)
        };
        write().with_context(|| path.display().to_string())
    }
}

/// The configuration but for what a command line chooses.
fn without_choices(text: &str) -> Vec<&str> {
    let chosen = ["seed = ", "device = ", "threads = "];
    let kept = |line: &&str| !chosen.iter().any(|key| line.starts_with(key));
    text.lines().filter(kept).collect()
}

fn configuration(seed: u64, device: &str, threads: Option<usize>) -> String {
    let threads = threads.map_or_else(String::new, |threads| format!("threads = {threads}\n"));
    format!(
        r#"{MARK}: the UCI digits, a tenth of the training labels flipped.
seed = {seed}
device = "{device}"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [
    {{ kind = "flatten" }},
    {{ kind = "linear", name = "fc1", outputs = 32 }},
    {{ kind = "tanh" }},
    {{ kind = "linear", name = "fc2", outputs = 10 }},
]
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test = {{ inputs = "x_test.npy", targets = "y_test.npy" }}
scale = {{ divide = 16 }}             # pixels are 0 to 16
[train]
learning_rate = 0.01
epochs = 40
weight_decay = 0.001               # keeps the network from learning the flipped labels by heart
[method]
name = "direct"
curvature = "gauss-newton"
damping = 0.02                     # the flipped labels found change little between 0.005 and 0.1
[compute]
test_chunk = 64
train_chunk = 256
{threads}[output]
path = "influences.zarr"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_demonstration_left_may_be_written_again_and_nothing_else() -> Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("demo");
        let folder = Folder::claim(&path)?;
        fs::write(folder.path(CONFIG), configuration(7, "wgpu", Some(2)))?;
        Folder::claim(&path)?;
        fs::write(
            folder.path(CONFIG),
            configuration(7, "cpu", None) + "# mine\n",
        )?;
        let error = Folder::claim(&path).expect_err("refused").to_string();
        assert!(error.contains("was changed"), "{error}");
        fs::remove_file(folder.path(CONFIG))?;
        Folder::claim(&path)?;
        fs::write(folder.path("mine.txt"), "")?;
        let error = Folder::claim(&path).expect_err("refused").to_string();
        assert!(error.contains("no demonstration wrote"), "{error}");
        Ok(())
    }
}
