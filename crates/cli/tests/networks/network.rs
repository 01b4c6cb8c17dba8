//! A folder with an exported network, its data, and a configuration.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use ndarray::{Array2, ArrayD, ArrayView2};
use npyz::{AutoSerialize, Serialize};
use safetensors::{Dtype, SafeTensors};
use zarrs::{array::Array, filesystem::FilesystemStore};

use crate::npy;

/// What `torch` says of the network: `grad/NAME`, `influence/CURVATURE`, `input/NAME`, `target`.
pub(crate) struct Reference(Vec<u8>);

impl Reference {
    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("safetensors")
    }

    /// Numbers of float64, as rows.
    pub(crate) fn rows(&self, name: &str) -> Array2<f64> {
        let file = self.file();
        let view = file.tensor(name).expect("the reference has it");
        assert_eq!(view.dtype(), Dtype::F64, "{name}");
        let numbers = view.data().as_chunks::<8>().0.iter();
        let numbers = numbers.map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let [rows, columns] = *view.shape() else {
            panic!("{name}: not a matrix")
        };
        Array2::from_shape_vec((rows, columns), numbers).expect("a matrix")
    }

    /// The inner products of the gradients of all pairs of samples.
    pub(crate) fn products(&self) -> ArrayD<f64> {
        let file = self.file();
        let names = file.names().into_iter();
        let names = names.filter(|name| name.starts_with("grad/"));
        let each = names.map(|name| {
            let rows = self.rows(name);
            rows.dot(&rows.t())
        });
        let sum = each.reduce(|sum, each| sum + each).expect("parameters");
        sum.into_dyn()
    }
}

/// A folder with an exported network in it, and what torch says of it.
pub(crate) struct Network {
    folder: tempfile::TempDir,
    pub(crate) reference: Reference,
}

fn golden(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/golden/models");
    golden.join(name)
}

impl Network {
    /// The file of this name of a model, its reference and its weights; `model` and `data` are the
    /// lines of the sections of a configuration.
    pub(crate) fn new(name: &str, file: &str, reference: &str, sections: [&str; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let reference = format!("{reference}.safetensors");
        for (from, to) in [
            (file, "model.onnx"),
            (&reference, "data.safetensors"),
            ("weights.safetensors", "weights.safetensors"),
        ] {
            fs::copy(golden(name).join(from), folder.path().join(to)).expect("copied");
        }
        let data = golden(name).join(format!("{file}.data"));
        if data.exists() {
            fs::copy(&data, folder.path().join(format!("{file}.data"))).expect("copied");
        }
        let [model, data] = sections;
        let text = format!(
            "precision = \"f64\"\n[model]\nonnx = \"model.onnx\"\n{model}\n\
             [data]\ntrain = {{ {data} }}\ntest = {{ {data} }}\n\
             [method]\nname = \"identity\"\n[compute]\nthreads = 1\n"
        );
        fs::write(folder.path().join("influence.toml"), text).expect("written");
        let bytes = fs::read(folder.path().join("data.safetensors")).expect("the reference");
        Self {
            folder,
            reference: Reference(bytes),
        }
    }

    /// A perceptron that classifies.
    pub(crate) fn mlp(file: &str) -> Self {
        Self::new("mlp", file, "reference", [MODEL, DATA])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("text")
    }

    pub(crate) fn array<T: Serialize + AutoSerialize + Copy>(
        &self,
        name: &str,
        values: &[T],
        shape: &[u64],
    ) {
        npy::write(&self.path(name), values, shape);
    }

    pub(crate) fn influence(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command.current_dir(self.folder.path()).args(arguments);
        command.output().expect("the binary runs")
    }

    /// What a command prints, which must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.influence(arguments);
        let said = said(&outcome);
        assert!(outcome.status.success(), "{arguments:?}: {said}");
        said
    }

    /// What a command complains about, which must fail.
    pub(crate) fn complaint(&self, arguments: &[&str]) -> String {
        let outcome = self.influence(arguments);
        let said = said(&outcome);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}: {said}");
        said
    }

    /// The influences of a run with these settings.
    pub(crate) fn influences(&self, settings: &[&str]) -> ArrayD<f64> {
        let set = settings.iter().flat_map(|setting| ["--set", setting]);
        let command = ["run", "influence.toml", "--overwrite"].into_iter();
        self.done(&command.chain(set).collect::<Vec<_>>());
        self.read("influences.zarr", "influences")
    }

    pub(crate) fn read(&self, output: &str, name: &str) -> ArrayD<f64> {
        let store = FilesystemStore::new(self.path(output)).expect("a store");
        let array = Array::open(Arc::new(store), &format!("/{name}")).expect("the array is there");
        let all = array.subset_all();
        array.retrieve_array_subset(&all).expect("float64")
    }

    /// The tensors of a file of weights.
    pub(crate) fn weights(&self, name: &str) -> BTreeMap<String, Vec<f32>> {
        let bytes = fs::read(self.path(name)).expect("weights");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let numbers = |view: &[u8]| {
            let numbers = view.as_chunks::<4>().0.iter();
            numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let tensors = file.iter();
        tensors
            .map(|(name, view)| (name.to_owned(), numbers(view.data())))
            .collect()
    }
}

pub(crate) const MODEL: &str = "loss = \"cross-entropy\"";
pub(crate) const DATA: &str =
    "inputs = \"data.safetensors#input/x\", targets = \"data.safetensors#target\"";

pub(crate) fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

pub(crate) fn dynamic(rows: &ArrayView2<'_, f64>) -> ArrayD<f64> {
    rows.to_owned().into_dyn()
}
