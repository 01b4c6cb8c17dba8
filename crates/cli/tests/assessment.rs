//! The assessment of a model before its influences are computed.

#[path = "support/npy.rs"]
mod npy;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ndarray::{Array1, Array2, Axis};
use npyz::NpyFile;
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use serde_json::Value;

const CHANCE: &str = "no better than chance";
const CONSTANT: &str = "no better than a constant";
const LOSS: &str = "larger than that of a constant prediction";
const UNSCALED: &str = "data.scale is not set";
const ALL: [&str; 4] = [CHANCE, CONSTANT, LOSS, UNSCALED];

const ONE: &str = "{ kind = \"linear\", name = \"fc\" }";
const THREE: &str = "{ kind = \"linear\", name = \"inp\" }, { kind = \"relu\" }, { kind = \"linear\", name = \"hidden\" }, \
    { kind = \"relu\" }, { kind = \"linear\", name = \"out\" }";
/// The same layers in another order, which the shapes allow.
const SWAPPED: &str = "{ kind = \"linear\", name = \"hidden\" }, { kind = \"relu\" }, { kind = \"linear\", name = \"inp\" }, \
    { kind = \"relu\" }, { kind = \"linear\", name = \"out\" }";

/// Numbers between −1 and 1 without a pattern that separates three classes.
fn numbers(points: usize) -> Array2<f32> {
    Array2::from_shape_fn((points, 3), |(row, column)| {
        (((row * 3 + column) * 7919 + 13) as f32 * 0.618).sin()
    })
}

/// The place of the largest number of each row.
fn places(x: &Array2<f32>) -> Vec<i64> {
    let place = |row: ndarray::ArrayView1<'_, f32>| {
        let best = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        i64::try_from(best.expect("three")).expect("small")
    };
    x.rows().into_iter().map(place).collect()
}

/// The output of a command.
struct Said {
    out: String,
    /// The events `assessed`, the training points first.
    assessed: Vec<Value>,
    warnings: Vec<String>,
}

impl Said {
    fn warns_of(&self, expected: &[&str]) {
        let all = self.warnings.join("\n");
        for text in ALL {
            assert_eq!(
                all.contains(text),
                expected.contains(&text),
                "{text}: {all}"
            );
        }
    }

    fn number(&self, side: usize, key: &str) -> f64 {
        self.assessed[side][key].as_f64().expect("a number")
    }
}

/// A configuration of a model with its data.
struct Case(tempfile::TempDir);

impl Case {
    fn new(loss: &str, layers: &str) -> Self {
        let case = Self(tempfile::tempdir().expect("a folder"));
        let config = format!(
            "[model]\nweights = \"model.safetensors\"\nloss = \"{loss}\"\nlayers = [{layers}]\n[data]\n\
             train = {{ inputs = \"x.npy\", targets = \"y.npy\" }}\ntest = {{ inputs = \"xt.npy\", targets = \"yt.npy\" }}\n\
             [method]\nname = \"identity\"\n"
        );
        fs::write(case.path("c.toml"), config).expect("written");
        case
    }

    /// The class is the index of the largest input, which a model of one layer can learn.
    fn of_places() -> Self {
        let case = Self::new("cross-entropy", ONE);
        for (side, points) in [("", 60), ("t", 30)] {
            let x = numbers(points);
            case.inputs(&format!("x{side}.npy"), &x);
            case.classes(&format!("y{side}.npy"), &places(&x));
        }
        case.weights(&[("fc", Array2::eye(3) * 8.0, vec![0.0; 3])]);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn inputs(&self, name: &str, x: &Array2<f32>) {
        let shape = [x.nrows() as u64, x.ncols() as u64];
        npy::write(
            &self.path(name),
            &x.iter().copied().collect::<Vec<_>>(),
            &shape,
        );
    }

    fn classes(&self, name: &str, y: &[i64]) {
        npy::write(&self.path(name), y, &[y.len() as u64]);
    }

    /// Linear layers, weights `(out, in)`.
    fn weights(&self, layers: &[(&str, Array2<f32>, Vec<f32>)]) {
        let bytes = |values: &mut dyn Iterator<Item = &f32>| -> Vec<u8> {
            values.flat_map(|value| value.to_le_bytes()).collect()
        };
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layers
            .iter()
            .flat_map(|(name, weight, bias)| {
                let shape = weight.shape().to_vec();
                [
                    (format!("{name}.weight"), shape, bytes(&mut weight.iter())),
                    (
                        format!("{name}.bias"),
                        vec![bias.len()],
                        bytes(&mut bias.iter()),
                    ),
                ]
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.as_str(), view.expect("bytes fit the shape"))
        });
        let file = serialize(views, None).expect("serialised");
        fs::write(self.path("model.safetensors"), file).expect("written");
    }

    fn said(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command.current_dir(self.0.path()).args(arguments);
        let outcome = command.args(["--progress", "json"]).output();
        let outcome = outcome.expect("the binary runs");
        let complaint = String::from_utf8(outcome.stderr).expect("text");
        assert!(outcome.status.success(), "{arguments:?}: {complaint}");
        let events = complaint.lines();
        let events: Vec<Value> = events
            .map(|line| serde_json::from_str(line).expect("an object"))
            .collect();
        let named = |name: &str| -> Vec<Value> {
            let events = events.iter().filter(|event| event["event"] == name);
            events.cloned().collect()
        };
        let message = |event: &Value| event["message"].as_str().expect("text").to_owned();
        Said {
            out: String::from_utf8(outcome.stdout).expect("text"),
            assessed: named("assessed"),
            warnings: named("warning").iter().map(message).collect(),
        }
    }

    fn run(&self) -> Said {
        self.said(&["run", "c.toml", "--overwrite"])
    }
}

#[test]
fn a_good_model_is_told_and_not_warned_of() {
    let case = Case::of_places();
    let said = case.run();
    said.warns_of(&[]);
    assert_eq!(said.warnings.len(), 0, "{:?}", said.warnings);
    assert!(
        [0, 1]
            .iter()
            .all(|&side| said.number(side, "accuracy") > 0.9999)
    );
    assert_eq!(
        [&said.assessed[0]["side"], &said.assessed[1]["side"]],
        ["training", "test"]
    );
    assert!(
        said.out.contains("60 training     loss 0.")
            && said.out.contains("30 test         loss 0."),
        "{}",
        said.out
    );
}

#[test]
fn every_command_that_takes_a_model_says_how_good_it_is() {
    let case = Case::of_places();
    // The labels are those of other classes.
    for name in ["y.npy", "yt.npy"] {
        let x = numbers(if name == "y.npy" { 60 } else { 30 });
        let wrong: Vec<i64> = places(&x).iter().map(|place| (place + 1) % 3).collect();
        case.classes(name, &wrong);
    }
    let damped = ["--set", "method={ name = \"direct\", damping = 0.1 }"];
    let data = ["--train", "x.npy", "y.npy", "--test", "xt.npy", "yt.npy"];
    let init = [
        &["init", "--weights", "model.safetensors", "i.toml"][..],
        &data,
    ]
    .concat();
    for (arguments, sides) in [
        (&["run", "c.toml"][..], 2),
        (&["run", "c.toml", "--overwrite", "--dry-run"], 2),
        (&["plan", "c.toml", "--overwrite"], 2),
        (
            &[&["fit", "c.toml", "--fitted", "f.safetensors"], &damped[..]].concat(),
            2,
        ),
        (
            &[
                &["sweep", "c.toml", "--overwrite", "--damping", "1,0.1"],
                &damped[..],
            ]
            .concat(),
            2,
        ),
        (&["self", "c.toml", "--overwrite"], 1),
        (&init, 2),
    ] {
        let said = case.said(arguments);
        said.warns_of(&[CHANCE]);
        assert_eq!(said.assessed.len(), sides, "{arguments:?}");
        assert!(said.number(0, "accuracy") < 1e-4);
        assert!(
            said.out.contains("60 training     loss "),
            "{arguments:?}: {}",
            said.out
        );
        assert_eq!(said.out.contains("30 test  "), sides == 2, "{arguments:?}");
    }
}

#[test]
fn layers_in_another_order_are_no_better_than_chance() {
    let shift = Array2::from_shape_fn(
        (3, 3),
        |(row, column)| {
            if column == (row + 1) % 3 { 1.0 } else { 0.0 }
        },
    );
    let layers = [
        ("inp", Array2::eye(3), vec![10.0; 3]),
        ("hidden", shift.clone(), vec![-9.0; 3]),
        ("out", shift.reversed_axes() * 8.0, vec![0.0; 3]),
    ];
    for (order, expected) in [(THREE, &[][..]), (SWAPPED, &[CHANCE])] {
        let case = Case::new("cross-entropy", order);
        for (side, points) in [("", 60), ("t", 30)] {
            let x = numbers(points);
            case.inputs(&format!("x{side}.npy"), &x);
            case.classes(&format!("y{side}.npy"), &places(&x));
        }
        case.weights(&layers);
        case.run().warns_of(expected);
    }
}

#[test]
fn wrong_labels_of_test_points_alone_are_told_as_that() {
    let case = Case::of_places();
    let wrong: Vec<i64> = places(&numbers(30)).iter().map(|place| 2 - place).collect();
    case.classes("yt.npy", &wrong);
    let said = case.run();
    said.warns_of(&[CHANCE]);
    assert!(
        said.warnings[0].starts_with("on test points "),
        "{:?}",
        said.warnings
    );
}

#[test]
fn pixels_that_are_not_scaled_are_told_with_the_line_that_scales_them() {
    let case = Case::of_places();
    let pixels = |points| numbers(points).mapv(|x| ((x + 1.0) * 127.5).round());
    for (side, points) in [("", 60), ("t", 30)] {
        case.inputs(&format!("x{side}.npy"), &pixels(points));
        case.classes(&format!("y{side}.npy"), &places(&pixels(points)));
    }
    // The largest pixel is the largest at any scale: all predictions are right, and the softmax
    // saturated.
    let on_scaled = [("fc", Array2::eye(3) * 30.0, vec![0.0; 3])];
    case.weights(&on_scaled);
    let said = case.run();
    said.warns_of(&[UNSCALED]);
    assert!(
        said.warnings[0].contains("`scale = { divide = 255 }`"),
        "{:?}",
        said.warnings
    );
    case.said(&[
        "run",
        "c.toml",
        "--overwrite",
        "--set",
        "data.scale={ divide = 255 }",
    ])
    .warns_of(&[]);
    // Some labels differ from the predictions; the model is certain of all others.
    let mut labels = places(&pixels(60));
    (0..60)
        .step_by(5)
        .for_each(|point| labels[point] = (labels[point] + 1) % 3);
    case.classes("y.npy", &labels);
    case.run().warns_of(&[LOSS, UNSCALED]);
    // A model that was trained on unscaled pixels.
    case.weights(&[("fc", Array2::eye(3) * (30.0 / 255.0), vec![0.0; 3])]);
    case.classes("y.npy", &places(&pixels(60)));
    case.run().warns_of(&[]);
}

/// Two outputs of three inputs from the weights, with some noise.
fn regression(inputs: impl Fn(f32) -> f32) -> Case {
    let case = Case::new("mse", ONE);
    let weight = Array2::from_shape_fn((2, 3), |(row, column)| (row + column) as f32 - 1.0);
    for (side, points) in [("", 60), ("t", 30)] {
        let x = numbers(points);
        let noise = Array2::from_shape_fn((points, 2), |(row, column)| {
            0.3 * ((row * 2 + column) as f32 * 2.3).cos()
        });
        let y = x.dot(&weight.t()) + noise;
        case.inputs(&format!("x{side}.npy"), &x.mapv(&inputs));
        case.inputs(&format!("y{side}.npy"), &y);
    }
    case.weights(&[("fc", weight, vec![0.0; 2])]);
    case
}

#[test]
fn the_explained_variance_is_that_of_the_formula() {
    let said = regression(|x| x).run();
    said.warns_of(&[]);
    for (side, points) in [60, 30].into_iter().enumerate() {
        // The residuals are the noise.
        let noise = Array2::from_shape_fn((points, 2), |(row, column)| {
            0.3 * ((row * 2 + column) as f64 * 2.3).cos()
        });
        let x = numbers(points).mapv(f64::from);
        let weight = Array2::from_shape_fn((2, 3), |(row, column)| (row + column) as f64 - 1.0);
        let y = x.dot(&weight.t()) + &noise;
        let variance = (&y - &y.mean_axis(Axis(0)).expect("rows")).mapv(|d| d * d);
        let residual = noise.mapv(|d| d * d);
        let r2 = 1.0 - residual.sum_axis(Axis(0)) / variance.sum_axis(Axis(0));
        let expected = [("r2", r2.mean()), ("loss", residual.mean())];
        for (key, value) in expected {
            let error = said.number(side, key) - value.expect("numbers");
            assert!(error.abs() < 1e-5, "{key}: {error}");
        }
    }
    assert!(said.out.contains(" (mean of 2 outputs, "), "{}", said.out);
}

#[test]
fn features_that_are_not_scaled_are_told() {
    let said = regression(|x| 50.0 + 20.0 * x).run();
    said.warns_of(&[CONSTANT, UNSCALED]);
    assert!(
        said.warnings[1].contains("`scale = \"standard\"`"),
        "{:?}",
        said.warnings
    );
}

#[test]
fn rows_in_another_order_are_no_better_than_a_constant() {
    let case = regression(|x| x);
    let x = numbers(60);
    let turned = Array2::from_shape_fn((60, 3), |(row, column)| x[[(row + 7) % 60, column]]);
    case.inputs("x.npy", &turned);
    case.run().warns_of(&[CONSTANT]);
}

#[test]
fn of_many_points_a_sample_is_evaluated() {
    let case = Case::of_places();
    case.inputs("x.npy", &numbers(2500));
    case.classes("y.npy", &places(&numbers(2500)));
    let said = case.run();
    assert_eq!(
        [&said.assessed[0]["points"], &said.assessed[0]["sample"]],
        [2500, 1000]
    );
    assert!(said.out.contains("2500 training   loss "), "{}", said.out);
    assert!(said.out.contains(", of a sample of 1000\n"), "{}", said.out);
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/cli/mlp")
        .join(file)
}

/// Cross-entropy and accuracy of a network with one hidden layer of tanh, written out.
fn written_out(side: &str) -> (f64, f64) {
    let bytes = fs::read(golden("model.safetensors")).expect("it ships");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensor = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).expect("it is there");
        let numbers = view.data().chunks_exact(4);
        let numbers = numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")));
        numbers.map(f64::from).collect()
    };
    let array = |name: &str| {
        let file = fs::File::open(golden(&format!("{name}_{side}.npy")));
        NpyFile::new(std::io::BufReader::new(file.expect("it ships"))).expect("a numpy array")
    };
    let layer = |x: &Array2<f64>, name: &str| {
        let bias = Array1::from_vec(tensor(&format!("{name}.bias")));
        let weight = tensor(&format!("{name}.weight"));
        let weight = Array2::from_shape_vec((bias.len(), x.ncols()), weight).expect("(out, in)");
        x.dot(&weight.t()) + bias
    };
    let x: Vec<f32> = array("x").into_vec().expect("float32");
    let y: Vec<i64> = array("y").into_vec().expect("int64");
    let x = Array2::from_shape_vec((y.len(), 64), x).expect("64 pixels");
    let hidden = layer(&x.mapv(f64::from), "fc1").mapv(f64::tanh);
    let outputs = layer(&hidden, "fc2");
    let (mut loss, mut right) = (0.0, 0.0);
    for (row, class) in outputs.rows().into_iter().zip(&y) {
        let own = row[usize::try_from(*class).expect("a class")];
        loss += row.mapv(f64::exp).sum().ln() - own;
        right += f64::from(u8::from(row.iter().all(|&other| other <= own)));
    }
    let count = y.len() as f64;
    (loss / count, right / count)
}

#[test]
fn loss_and_accuracy_are_those_of_the_formula() {
    let case = Case(tempfile::tempdir().expect("a folder"));
    let config = golden("config.toml");
    let output = format!("output.path={}", case.path("o.zarr").display());
    let said = case.said(&["run", config.to_str().expect("text"), "--set", &output]);
    for (side, name) in ["train", "test"].into_iter().enumerate() {
        let (loss, accuracy) = written_out(name);
        assert!((said.number(side, "loss") - loss).abs() < 1e-5 * loss.max(1.0));
        assert!((said.number(side, "accuracy") - accuracy).abs() < 1e-12);
    }
}
