//! Selections, scales and names that do not fit the data, and training that is impossible.

use crate::{
    folder::Folder,
    table::{Case, case, check, nothing, of_command, set},
};

/// A text file beside the configuration, and a key that names it.
fn text(
    name: &'static str,
    file: &'static str,
    text: &'static str,
    value: &'static str,
    parts: &[&'static str],
) -> Case {
    let spoil = move |folder: &Folder| folder.write(file, text.as_bytes());
    case(name, spoil, &["--set", value], parts)
}

/// A training with some keys set.
fn train(name: &'static str, values: &[&'static str], parts: &[&'static str]) -> Case {
    let set = values.iter().flat_map(|value| ["--set", *value]);
    let arguments: Vec<&str> = ["train", "config.toml"].into_iter().chain(set).collect();
    of_command(name, nothing, &arguments, parts)
}

const TRAIN: &str = r#"train = { inputs = "x_train.npy", targets = "y_train.npy" }"#;
const BOTH: &str = r#"train = { inputs = "x_train.npy", targets = "y_train.npy" }
test = { inputs = "x_test.npy", targets = "y_test.npy" }"#;
const ALL: &str = r#"all = { inputs = "x_train.npy", targets = "y_train.npy" }"#;

#[test]
fn selections_and_names_are_named() {
    let rows = "data.train.subset=rows.txt";
    let ids = "data.train.ids=ids.txt";
    check(&[
        text(
            "a row that is not there",
            "rows.txt",
            "0\n99",
            rows,
            &["data.train", "rows.txt"],
        ),
        text(
            "a row before the first",
            "rows.txt",
            "-1",
            rows,
            &["rows.txt", "got -1"],
        ),
        text(
            "a row in words",
            "rows.txt",
            "0\none",
            rows,
            &["rows.txt", "line 2", "`one`"],
        ),
        text(
            "no rows",
            "rows.txt",
            "",
            rows,
            &["rows.txt", "lists no rows"],
        ),
        set("rows in a missing file", rows, &["rows.txt"]),
        set(
            "rows as floating-point numbers",
            "data.train.subset=x_train.npy",
            &["x_train.npy", "integers"],
        ),
        text(
            "too few ids",
            "ids.txt",
            "a\nb",
            ids,
            &["ids.txt", "expected 6 names", "got 2"],
        ),
        text(
            "two points of one name",
            "ids.txt",
            "a\nb\nc\nb\ne\nf",
            ids,
            &["ids.txt", "rows 1 and 3 (counted from 0)", "`b`"],
        ),
        text(
            "ids in a column that is not there",
            "t.csv",
            "id\n1\n",
            "data.train.ids=t.csv#name",
            &["t.csv", "no column `name`", "id"],
        ),
        set(
            "too few names of classes",
            "data.classes=[\"a\"]",
            &["data.classes", "expected 2 names", "got 1"],
        ),
        set(
            "names of classes that are numbers",
            "data.classes=[1, 2]",
            &["data.classes", "list of names"],
        ),
        set(
            "names of classes in a missing file",
            "data.classes=no.txt",
            &["data.classes", "no.txt"],
        ),
    ]);
}

#[test]
fn splits_and_scales_are_named() {
    check(&[
        set(
            "all points beside both sides",
            r#"data.all={ inputs = "x_train.npy", targets = "y_train.npy" }"#,
            &["data.all", "leave out either it or both of them"],
        ),
        set(
            "a split of nothing",
            "data.split={ test = 0.5 }",
            &["data.split", "data.all, which is missing"],
        ),
        case(
            "all points without a split",
            |folder: &Folder| folder.config(BOTH, ALL),
            &[],
            &["data.split is missing", "{ test = 0.2 }"],
        ),
        case(
            "a split that leaves a side empty",
            |folder: &Folder| {
                folder.config(BOTH, &format!("{ALL}\nsplit = {{ test = 0.01 }}"));
            },
            &[],
            &["data.split.test", "without points"],
        ),
        case(
            "one side only",
            |folder: &Folder| folder.config(TRAIN, ""),
            &[],
            &["data.train is missing"],
        ),
        set(
            "a scale of no name",
            "data.scale=robust",
            &["data.scale", "standard", "robust"],
        ),
        set(
            "a scale by zero",
            "data.scale={ divide = 0 }",
            &["data.scale", "not zero"],
        ),
        set(
            "a scale of too few numbers",
            "data.scale={ divide = [1, 2] }",
            &["data.scale", "expected numbers 4, got 2"],
        ),
        set(
            "an unknown key of a scale",
            "data.scale={ times = 2 }",
            &["data.scale", "times"],
        ),
    ]);
}

#[test]
fn trainings_are_named() {
    let new = "model.weights=new.safetensors";
    let sized = r#"model.layers=[{ kind = "linear", name = "fc", outputs = 2 }]"#;
    check(&[
        train(
            "weights that are there",
            &[],
            &["model.weights", "model.safetensors exists", "--overwrite"],
        ),
        train(
            "weights that are no safetensors",
            &["model.weights=new.pt"],
            &["model.weights", "new.pt", ".safetensors"],
        ),
        train(
            "weights in a folder that is not there",
            &["model.weights=no/w.safetensors", sized],
            &["model.weights", "does not exist"],
        ),
        train(
            "a layer without a size",
            &[new],
            &["model.layers", "linear `fc1`", "outputs = 10"],
        ),
        train(
            "a convolution of flat inputs",
            &[
                new,
                r#"model.layers=[{ kind = "conv2d", name = "c", outputs = 2, kernel_size = 3 }]"#,
            ],
            &["model.layers", "images"],
        ),
        train(
            "no epochs",
            &[new, sized, "train.epochs=0"],
            &["train.epochs", "at least 1"],
        ),
        train(
            "another spelling",
            &[new, sized, "train.optimizer=adam"],
            &["train.optimizer", "did you mean `optimiser`"],
        ),
        train(
            "an unknown optimiser",
            &[new, sized, "train.optimiser=adamw"],
            &["train.optimiser", "did you mean `adam`"],
        ),
        train(
            "momentum of Adam",
            &[new, sized, "train.momentum=0.9"],
            &["train.momentum", "sgd"],
        ),
    ]);
}
