//! Files of weights as training scripts write them: those that are read give the influences of
//! torch, the others are refused by name.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use ndarray::Array2;

/// A folder with the files that `tests/golden/make_weights.py` made.
struct Checkpoints(tempfile::TempDir);

fn stored() -> PathBuf {
    super::golden("../weights")
}

impl Checkpoints {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(stored()).expect("the files ship") {
            let from = entry.expect("an entry").path();
            let name = from.file_name().expect("a name");
            fs::copy(&from, folder.path().join(name)).expect("copied");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The output of a command, and whether it succeeded.
    fn said(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command.current_dir(self.0.path()).args(arguments);
        let output = command.output().expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        (output.status.success(), said)
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (done, said) = self.said(arguments);
        assert!(done, "{arguments:?}: {said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (done, said) = self.said(arguments);
        assert!(!done, "{arguments:?}: {said}");
        said
    }

    /// Proposes a configuration, and returns the output of `init`.
    fn init(&self, weights: &str, more: &[&str]) -> String {
        self.done(&init(weights, more))
    }

    fn proposed(&self) -> String {
        fs::read_to_string(self.path("influence.toml")).expect("a configuration")
    }

    /// Influences by the exact method in f64, against the dense computation in torch.
    fn check(&self, weights: &str) {
        let exact = [
            "run",
            "influence.toml",
            "--overwrite",
            "--set",
            "precision=f64",
            "--set",
            "method.name=direct",
            "--set",
            "method.curvature=gauss-newton",
            "--set",
            "method.damping=0.05",
        ];
        self.done(&exact);
        let references = fs::read_to_string(self.path("reference.json")).expect("the references");
        let references: BTreeMap<String, Vec<Vec<f64>>> =
            serde_json::from_str(&references).expect("numbers");
        let rows = &references[weights];
        let flat: Vec<f64> = rows.concat();
        let expected = Array2::from_shape_vec((rows.len(), rows[0].len()), flat).expect("a matrix");
        let store = self.path("influences.zarr");
        let found = doubles(&store);
        assert_eq!(found.dim(), expected.dim());
        let scale = expected
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()));
        let apart = (&found - &expected)
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()));
        assert!(
            scale > 0.0 && apart < 1e-10 * scale,
            "{weights}: {apart:e} of {scale:e}"
        );
    }
}

fn doubles(store: &std::path::Path) -> Array2<f64> {
    let store = zarrs::filesystem::FilesystemStore::new(store).expect("a store");
    let array = zarrs::array::Array::open(std::sync::Arc::new(store), "/influences");
    let array = array.expect("the array is there");
    let values: ndarray::ArrayD<f64> = array
        .retrieve_array_subset(&array.subset_all())
        .expect("float64");
    values.into_dimensionality().expect("test by train")
}

fn init<'a>(weights: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "init",
        "--overwrite",
        "--activation",
        "tanh",
        "--weights",
        weights,
        "--train",
        "x_train.npy",
        "y_train.npy",
        "--test",
        "x_test.npy",
        "y_test.npy",
    ];
    arguments.extend(more);
    arguments
}

#[test]
fn what_torch_saved_gives_the_influences_that_torch_gives() {
    let folder = Checkpoints::new();
    for (weights, layers) in [
        ("flat.pt", ["model.fc1", "head"]),
        ("checkpoint.pt", ["0", "2"]),
        ("deep.pt", ["0", "2"]),
        ("module.pt", ["0", "2"]),
        ("legacy_module.pt", ["0", "2"]),
        ("protocol_4.pt", ["0", "2"]),
        ("name_of_21_characters.pt", ["0", "2"]),
        ("views.pt", ["0", "2"]),
        ("buffers.pt", ["0", "2"]),
    ] {
        folder.init(weights, &[]);
        let proposed = folder.proposed();
        for layer in layers {
            let line = format!("{{ kind = \"linear\", name = \"{layer}\" }}");
            assert!(proposed.contains(&line), "{weights}: {proposed}");
        }
        folder.check(weights);
    }
}

#[test]
fn a_key_says_which_state_dict_is_the_model() {
    let folder = Checkpoints::new();
    let complaint = folder.refused(&init("two.pt", &[]));
    for part in [
        "`generator`, `critic`",
        "model.state = \"generator\"",
        "--state",
    ] {
        assert!(complaint.contains(part), "{complaint}");
    }
    folder.init("two.pt", &["--state", "generator"]);
    assert!(folder.proposed().contains("state = \"generator\"\n"));
    folder.check("two.pt");
    let complaint = folder.refused(&[
        "plan",
        "influence.toml",
        "--overwrite",
        "--set",
        "model.state=critics",
    ]);
    assert!(
        complaint.contains("`critics`") && complaint.contains("`critic`"),
        "{complaint}"
    );
    folder.init("deep.pt", &["--state", "run.net"]);
    folder.check("deep.pt");
    // A prefix of names works too.
    folder.init("flat.pt", &["--state", "model"]);
    assert!(
        folder.proposed().contains("name = \"fc1\""),
        "{}",
        folder.proposed()
    );
    let set = "model.weights=new.safetensors";
    let complaint = folder.refused(&["train", "influence.toml", "--set", set]);
    assert!(complaint.contains("model.state"), "{complaint}");
}

#[test]
fn what_a_checkpoint_holds_beside_is_told() {
    let folder = Checkpoints::new();
    let said = folder.init("checkpoint.pt", &[]);
    for part in ["under `net`", "`optimizer`", "`loss`"] {
        assert!(said.contains(part), "{said}");
    }
    let said = folder.init("buffers.pt", &[]);
    for part in [
        "position_ids",
        "Long",
        "mask",
        "not finite",
        "attn.bias",
        "Bool",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // A buffer of numbers may matter.
    let complaint = folder.refused(&init("scale.pt", &[]));
    assert!(complaint.contains("`scale`"), "{complaint}");
}

#[test]
fn layers_keep_the_order_of_the_file_or_have_the_only_one_that_fits() {
    let folder = Checkpoints::new();
    let names = |folder: &Checkpoints| -> Vec<String> {
        let proposed: toml::Table = folder.proposed().parse().expect("a configuration");
        let layers = proposed["model"]["layers"]
            .as_array()
            .expect("layers")
            .clone();
        let name = |layer: &toml::Value| Some(layer.get("name")?.as_str()?.to_owned());
        layers.iter().filter_map(name).collect()
    };
    folder.init("order.pt", &[]);
    assert_eq!(names(&folder), ["inp", "hidden", "out"]);
    folder.check("order.pt");
    folder.init("single.safetensors", &[]);
    assert_eq!(names(&folder), ["stem", "block", "apex"]);
    folder.check("single.safetensors");
    // Two orders fit: nothing runs until one is confirmed.
    folder.init("order.safetensors", &[]);
    assert_eq!(names(&folder).last().map(String::as_str), Some("out"));
    let complaint = folder.refused(&["run", "influence.toml"]);
    for part in ["layer 1", "`hidden`", "not confirmed", "or here inp"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    let lines = folder.proposed();
    let (inp, hidden) = ("name = \"inp\"", "name = \"hidden\"");
    let right = lines
        .replace(inp, "name = \"\"")
        .replace(hidden, inp)
        .replace("name = \"\"", hidden);
    let confirmed: Vec<String> = right
        .lines()
        .map(|line| match line.split_once(", confirm") {
            Some((line, _)) => format!("{line} }},"),
            None => line.to_owned(),
        })
        .collect();
    fs::write(folder.path("influence.toml"), confirmed.join("\n")).expect("written");
    folder.check("order.pt");
}

#[test]
fn what_tensors_do_not_tell_must_be_confirmed() {
    let folder = Checkpoints::new();
    for (weights, kind, others) in [
        ("rms.pt", "rms_norm", ["layer_norm", "prelu"]),
        ("group.pt", "layer_norm", ["group_norm", "batch_norm"]),
    ] {
        folder.init(weights, &[]);
        let proposed = folder.proposed();
        let line = format!("{{ kind = \"{kind}\", name = \"1\", confirm = ");
        let line = proposed.lines().find(|known| known.contains(&line));
        let line = line.unwrap_or_else(|| panic!("{weights}: {proposed}"));
        assert!(others.iter().all(|other| line.contains(other)), "{line}");
        let complaint = folder.refused(&["run", "influence.toml"]);
        for part in ["influence.toml:", "model.layers", "`1`", "not confirmed"] {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
    folder.init("batch.pt", &[]);
    let proposed = folder.proposed();
    assert!(
        proposed.contains("{ kind = \"batch_norm\", name = \"1\" }"),
        "{proposed}"
    );
}

#[test]
fn weights_that_are_none_are_called_by_their_name() {
    let folder = Checkpoints::new();
    for (weights, parts) in [
        (
            "tied.pt",
            ["`0.weight` and `2.weight` are one tensor", "clone()"],
        ),
        ("tied.safetensors", ["are one tensor", "tied"]),
        ("dropped.safetensors", ["`2.bias` has no weight", "tied"]),
        (
            "weight_norm.pt",
            ["weight norm", "torch.nn.utils.remove_weight_norm(model.0)"],
        ),
        (
            "parametrized.pt",
            [
                "weight norm",
                "remove_parametrizations(model.0, \"weight\")",
            ],
        ),
        (
            "spectral_norm.pt",
            [
                "spectral norm",
                "torch.nn.utils.remove_spectral_norm(model.0)",
            ],
        ),
        (
            "pruned.pt",
            [
                "pruning",
                "torch.nn.utils.prune.remove(model.0, \"weight\")",
            ],
        ),
        ("quantized.pt", ["`0.weight`", "_rebuild_qtensor"]),
        ("tensor.pt", ["one tensor was saved", "no state dict"]),
        ("script.pt", ["TorchScript", "state_dict()"]),
    ] {
        let complaint = folder.refused(&init(weights, &[]));
        for part in parts {
            assert!(complaint.contains(part), "{weights}: {complaint}");
        }
    }
    for (file, bytes, part) in [
        (
            "a.safetensors",
            "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "git lfs pull",
        ),
        (
            "model.safetensors.index.json",
            "{\"metadata\": {}, \"weight_map\": {}}",
            "several files",
        ),
        ("a.pt", "<!DOCTYPE html><html></html>", "web page"),
        ("a.h5", "\u{89}HDF\r\n", "neither"),
    ] {
        fs::write(folder.path(file), bytes).expect("written");
        let complaint = folder.refused(&init(file, &[]));
        assert!(complaint.contains(part), "{file}: {complaint}");
    }
    fs::write(folder.path("a.h5"), b"\x89HDF\r\n\x1a\n").expect("written");
    assert!(folder.refused(&init("a.h5", &[])).contains("HDF5"));
}

#[test]
fn one_class_is_no_classification() {
    let folder = Checkpoints::new();
    super::npy::write(&folder.path("y_train.npy"), &[0_i64; 15], &[15]);
    let mut arguments = init("flat.pt", &[]);
    arguments.drain(4..6);
    let complaint = folder.refused(&arguments);
    assert!(complaint.contains("single class"), "{complaint}");
}
