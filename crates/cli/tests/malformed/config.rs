//! Configurations that are wrong, or do not fit the files.

use crate::{
    folder::Folder,
    table::{Case, case, check, nothing, set},
};

/// The configuration with one piece replaced.
fn with(name: &'static str, piece: &'static str, by: &'static str, parts: &[&'static str]) -> Case {
    case(
        name,
        move |folder: &Folder| folder.config(piece, by),
        &[],
        parts,
    )
}

/// Another configuration.
fn whole(name: &'static str, bytes: Vec<u8>, parts: &[&'static str]) -> Case {
    let spoil = move |folder: &Folder| folder.write("config.toml", &bytes);
    case(name, spoil, &[], parts)
}

#[test]
fn what_is_no_toml_is_placed() {
    check(&[
        whole(
            "two equals signs",
            b"seed = 0\nseed = = 1".into(),
            &["config.toml:2: "],
        ),
        whole(
            "a text without an end",
            b"device = \"cpu".into(),
            &["config.toml:1: ", "string"],
        ),
        whole(
            "a key twice",
            b"seed = 0\n\nseed = 1".into(),
            &["config.toml:3: ", "duplicate"],
        ),
        whole(
            "no UTF-8",
            b"seed = 0\ndevice = \"\xff\"".into(),
            &["config.toml:2: ", "UTF-8"],
        ),
        whole("zero bytes", vec![0; 4096], &["config.toml:1: "]),
        whole(
            "deep lists",
            format!("seed = {}", "[".repeat(100_000)).into(),
            &["config.toml:1: "],
        ),
        whole(
            "deep tables",
            format!("seed = {}", "{ a = ".repeat(100_000)).into(),
            &["config.toml:1: "],
        ),
        whole(
            "a deep key",
            format!("{} = 1", vec!["a"; 50_000].join(".")).into(),
            &["config.toml"],
        ),
        whole(
            "an empty file",
            Vec::new(),
            &["config.toml: missing key `model`"],
        ),
        whole(
            "escape codes in a key",
            b"\"\\u001b[31mseed\" = 1".into(),
            &["config.toml:1: ", "unknown key"],
        ),
        case(
            "no configuration",
            |folder| folder.remove("config.toml"),
            &[],
            &["config.toml", "No such file"],
        ),
        case(
            "a folder in its place",
            |folder| folder.replace_by_folder("config.toml"),
            &[],
            &["config.toml", "directory"],
        ),
    ]);
}

#[test]
fn keys_are_named_with_their_line() {
    check(&[
        with(
            "an unknown key",
            "damping = 0.1",
            "dampng = 0.1",
            &["config.toml:10: method.dampng: unknown key; did you mean `damping`?"],
        ),
        with(
            "an unknown section",
            "[compute]",
            "[computing]",
            &["config.toml:11: computing: unknown key; did you mean `compute`?"],
        ),
        with(
            "an unknown key of data",
            "targets = \"y_test.npy\"",
            "labels = \"y_test.npy\"",
            &["config.toml:8: data.test.labels: unknown key; "],
        ),
        with(
            "an unknown key of a layer",
            "name = \"fc2\"",
            "nam = \"fc2\"",
            &[
                "config.toml:5: model.layers: layer 3",
                "did you mean `name`?",
            ],
        ),
        with(
            "an unknown kind of layer",
            "\"tanh\"",
            "\"tann\"",
            &[
                "config.toml:5: model.layers: layer 2",
                "`tann`; did you mean `tanh`?",
            ],
        ),
        with(
            "no weights",
            "weights = \"model.safetensors\"\n",
            "",
            &["config.toml:2: model: missing key `weights`"],
        ),
        with(
            "no loss",
            "loss = \"cross-entropy\"\n",
            "",
            &["config.toml:2: ", "`loss`"],
        ),
        with(
            "no damping",
            "damping = 0.1\n",
            "",
            &["config.toml:9: method: missing key `damping`"],
        ),
        with(
            "no targets",
            ", targets = \"y_test.npy\"",
            "",
            &["config.toml:8: data.test: missing key `targets`"],
        ),
    ]);
}

#[test]
fn settings_are_named() {
    check(&[
        set(
            "an unknown key on the command line",
            "sead=1",
            &["--set sead=1: sead: unknown key; did you mean `seed`?"],
        ),
        set(
            "an unknown method",
            "method.name=guesswork",
            &["--set method.name=guesswork", "direct"],
        ),
        set(
            "an unknown loss",
            "model.loss=msa",
            &["did you mean `mse`?", "cross-entropy"],
        ),
        set(
            "an unknown precision",
            "precision=f16",
            &["precision", "f32"],
        ),
        set(
            "an unknown device",
            "device=abacus",
            &["--set device=abacus", "cpu"],
        ),
        set(
            "a negative damping on the command line",
            "method.damping=-1",
            &["method.damping", "-1"],
        ),
        set(
            "a damping that is not a number",
            "method.damping=nan",
            &["method.damping", "finite"],
        ),
        set(
            "a damping in words",
            "method.damping=little",
            &["method.damping", "a number"],
        ),
        set(
            "a key of another method",
            "method.rtol=1e-3",
            &["method.rtol", "cg"],
        ),
        set(
            "an empty sweep",
            "method.sweep=[]",
            &["method.sweep", "at least one"],
        ),
        set(
            "a chunk of nothing",
            "compute.train_chunk=0",
            &["compute.train_chunk"],
        ),
        set(
            "a negative chunk",
            "compute.test_chunk=-3",
            &["compute.test_chunk", "-3"],
        ),
        set(
            "memory in words",
            "compute.memory=much",
            &["compute.memory", "512MiB"],
        ),
        set(
            "too little memory",
            "compute.memory=1MiB",
            &["compute.memory", "at least 64MiB"],
        ),
        set(
            "a window of three sizes",
            "model.layers=[{kind='conv2d',name='fc1',stride=[1,2,3]}]",
            &["model.layers", "layer 1", "[1, 2, 3]"],
        ),
        set(
            "a method that does not fit a mode",
            "method.name=tracin",
            &["method.damping", "tracin"],
        ),
    ]);
}

#[test]
fn values_are_named_with_their_line() {
    check(&[
        with(
            "a text for a number",
            "threads = 1",
            "threads = \"all\"",
            &[
                "config.toml:12: compute.threads: expected a whole number",
                "\"all\"",
            ],
        ),
        with(
            "a number for a path",
            "weights = \"model.safetensors\"",
            "weights = 3",
            &["config.toml:3: model.weights: ", "string", "3"],
        ),
        with(
            "a number for a table",
            "train = { inputs = \"x_train.npy\", targets = \"y_train.npy\" }",
            "train = 7",
            &["config.toml:7: data.train: expected a table", "7"],
        ),
        with(
            "layers that are no list",
            "[{ kind = \"linear\", name = \"fc1\" }, { kind = \"tanh\" }, { kind = \"linear\", name = \"fc2\" }]",
            "\"fc1, fc2\"",
            &["config.toml:5: model.layers: expected a list"],
        ),
        with(
            "a negative damping",
            "damping = 0.1",
            "damping = -1",
            &["config.toml:10: method.damping must be finite and not negative, got -1"],
        ),
        with(
            "an integer of 80 bits",
            "threads = 1",
            "threads = 999999999999999999999999",
            &["config.toml:12: "],
        ),
        with(
            "zero threads",
            "threads = 1",
            "threads = 0",
            &["config.toml:12: ", "at least 1"],
        ),
    ]);
}

#[test]
fn blocks_are_named() {
    check(&[
        set(
            "damping by block without blocks",
            "method.damping={ fc1 = 1 }",
            &["method.damping", "full"],
        ),
        case(
            "a block without damping",
            nothing,
            &[
                "--set",
                "method.damping={ fc1 = 1 }",
                "--set",
                "method.blocks=layer-wise",
            ],
            &["method.damping", "fc2"],
        ),
        set(
            "blocks that lack parameters",
            "method.blocks={ a = ['fc1.weight'] }",
            &["method.blocks", "fc1.bias", "fc2.weight"],
        ),
        set(
            "blocks of unknown parameters",
            "method.blocks={ a = ['fc3.weight'] }",
            &["method.blocks", "fc3.weight", "known"],
        ),
    ]);
}
