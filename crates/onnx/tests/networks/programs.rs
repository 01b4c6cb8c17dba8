//! Programs of `torch.export` against PyTorch in 64 bits, and archives that are refused.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{Device, TensorData};
use influence_backend_burn::{ArrayDataset, Evaluator, Fit};
use influence_core::{Dataset, InfluenceModel, Precision, solver::Identity};
use influence_onnx::{LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask, ReadSettings};
use ndarray::{Array2, s};
use safetensors::SafeTensors;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::golden::{Golden, difference, largest};
use crate::opened::Opened;

/// Networks, and the largest difference of their gradients in 64 bits.
const NETWORKS: [(&str, f64); 20] = [
    ("mlp", EXACT),
    ("batch_norm", EXACT),
    ("residual_cnn", EXACT),
    ("mobile_block", EXACT),
    ("lstm", EXACT),
    ("lstm_bidirectional", EXACT),
    ("gru", EXACT),
    ("rnn", EXACT),
    ("nano_gpt", EXACT),
    ("gpt2", EXACT),
    ("bert", EXACT),
    ("bert_padded", EXACT),
    ("padding", EXACT),
    ("frozen", EXACT),
    ("fresh", EXACT),
    ("encoder", EXACT),
    ("encoder_norm_first", EXACT),
    ("vision_transformer", EXACT),
    // Its table of angles is recorded in 32 bits.
    ("llama", 1e-6),
    ("two_inputs", EXACT),
];

const EXACT: f64 = 1e-12;

#[test]
fn programs_have_the_names_and_gradients_of_the_module() {
    let mut wrong = Vec::new();
    for (name, double) in NETWORKS {
        let opened = Opened::new(&Golden::new(name), "model.pt2", "reference");
        let expected = opened.reference.gradients();
        for (precision, tolerance) in [(Precision::F32, 2e-6), (Precision::F64, double)] {
            let found = opened.gradients(precision);
            assert_eq!(
                found.keys().collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>(),
                "{name}"
            );
            let least = 1e-3 * largest(expected.values().flatten());
            for (parameter, expected) in &expected {
                let difference = difference(&found[parameter], expected, least);
                if difference > tolerance {
                    wrong.push(format!(
                        "{name} {precision:?} {parameter}: {difference:.1e}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/programs")
}

/// Numbers by name, with their shape.
type Shaped = BTreeMap<String, (Vec<usize>, Vec<f64>)>;
/// Matrices by name, a row for each sample.
type Matrices = BTreeMap<String, Array2<f64>>;

/// Tensors of `programs/reference.safetensors`, and the names of the outputs in their order.
fn reference() -> (Shaped, Vec<String>) {
    let bytes = std::fs::read(folder().join("reference.safetensors")).expect("a file");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("metadata");
    let names = metadata.metadata().clone().expect("metadata")["outputs"].clone();
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let numbers = |name: &str, data: &[u8]| -> Vec<f64> {
        if name.starts_with("input/") {
            let chunks = data.as_chunks().0.iter();
            chunks
                .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
                .collect()
        } else {
            data.as_chunks()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes))
                .collect()
        }
    };
    let tensors = tensors.iter().map(|(name, view)| {
        (
            name.to_owned(),
            (view.shape().to_vec(), numbers(name, view.data())),
        )
    });
    let names = names.trim_matches(['[', ']']).split(", ");
    (
        tensors.collect(),
        names
            .map(|name| name.trim_matches('"').to_owned())
            .collect(),
    )
}

/// The output of a network, and its gradients, each sample a row.
fn computed(
    model: &NetworkFile,
    data: &ArrayDataset,
    sides: &[usize],
) -> Result<(Array2<f64>, Matrices), String> {
    let loss = NetworkLoss::new(LossKind::InFile);
    let task = NetworkTask::new(model, loss, Measurement::Loss, &[sides.to_vec()])
        .map_err(|error| error.to_string())?;
    let task = Arc::new(task);
    let network = model.network(&Device::flex());
    let batch = data.batch(0..data.len()).expect("a batch");
    let evaluator = Evaluator::new(task.clone(), &network, &Device::flex());
    let losses = evaluator
        .losses(&batch)
        .map_err(|error| error.to_string())?;
    let fit = Fit::new(task).with_precision(Precision::F64);
    let fitted = fit.with_solver(Identity).with_damping(1.0);
    let fitted = fitted
        .fit(&network, Arc::new(data.clone()))
        .map_err(|error| error.to_string())?;
    let factors = fitted.factors(&batch).expect("factors");
    let rows = fitted.factors_to_array(&factors.rows).expect("an array");
    let layout = fitted.source().layout().clone();
    let parameters = layout.parameters().iter().enumerate();
    let gradients = parameters.map(|(index, parameter)| {
        (
            parameter.name.clone(),
            rows.slice(s![.., layout.columns(index)]).to_owned(),
        )
    });
    let count = data.len();
    let losses = Array2::from_shape_vec((count, 1), losses).expect("losses");
    Ok((losses, gradients.collect()))
}

/// Weights of an interpolation are recorded in 32 bits; PyTorch has constants of 32 bits in the
/// derivatives of two functions.
fn tolerance(name: &str) -> f64 {
    if ["interpolated", "celu", "hardsigmoid"].contains(&name) {
        1e-7
    } else {
        1e-11
    }
}

#[test]
fn operators_have_the_values_and_gradients_of_torch() {
    let (tensors, names) = reference();
    let (shape, input) = &tensors["input/x"];
    let data = TensorData::new(input.clone(), shape.clone()).convert::<f32>();
    let data = ArrayDataset::new(vec![data]).expect("a data set");
    let mut wrong = Vec::new();
    for file in ["training.pt2", "core.pt2"] {
        let path = folder().join(file);
        let all = NetworkFile::read(&path, &ReadSettings::default());
        let outputs = all
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .outputs;
        assert_eq!(outputs.len(), names.len(), "{file}");
        for (name, output) in names.iter().zip(outputs) {
            // Programs that are taken apart have lost these; reading says so.
            if file == "core.pt2" && ["detach", "no_grad"].contains(&name.as_str()) {
                continue;
            }
            let settings = ReadSettings {
                output: Some(output),
                ..ReadSettings::default()
            };
            let model = NetworkFile::read(&path, &settings).expect("a network");
            let (found, gradients) = match computed(&model, &data, &shape[1..]) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(format!("{file} {name}: {error}"));
                    continue;
                }
            };
            let matrix = |key: &str| {
                let (shape, numbers) = tensors.get(&format!("{name}/{key}"))?;
                let columns = numbers.len() / shape[0];
                Some(Array2::from_shape_vec((shape[0], columns), numbers.clone()).expect("rows"))
            };
            let value = difference(&found, &matrix("output").expect("an output"), 1.0);
            if value > 1e-4 {
                wrong.push(format!("{file} {name}: value {value:.1e}"));
            }
            for (parameter, found) in &gradients {
                let expected = matrix(parameter).unwrap_or_else(|| Array2::zeros(found.dim()));
                assert!(
                    found.iter().all(|number| number.is_finite()),
                    "{file} {name}"
                );
                let difference = difference(found, &expected, 1.0);
                if difference > tolerance(name) {
                    wrong.push(format!("{file} {name} {parameter}: {difference:.1e}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The members of an archive by their names without the folder.
fn members(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).expect("a file");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let count = archive.len();
    let read = |index| {
        let mut entry = archive.by_index(index).expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        let name = entry.name().expect("a name").to_string();
        (name.split_once('/').expect("a folder").1.to_owned(), bytes)
    };
    (0..count).map(read).collect()
}

/// Reads an archive of these members.
fn read(members: &BTreeMap<String, Vec<u8>>) -> Result<NetworkFile, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = ZipWriter::new(file.as_file());
    for (name, bytes) in members {
        let options = SimpleFileOptions::default();
        writer
            .start_file(format!("model/{name}"), options)
            .expect("a member");
        writer.write_all(bytes).expect("bytes");
    }
    writer.finish().expect("an archive");
    NetworkFile::read(file.path(), &ReadSettings::default()).map_err(|error| error.to_string())
}

const PROGRAM: &str = "models/model.json";
const WEIGHTS: &str = "data/weights/model_weights_config.json";

fn small() -> BTreeMap<String, Vec<u8>> {
    members(&Golden::new("mlp").path("model.pt2"))
}

/// The message about an archive in which a text of one member is another.
fn refused(member: &str, from: &str, to: &str) -> String {
    let mut members = small();
    let text = String::from_utf8(members[member].clone()).expect("text");
    assert!(text.contains(from), "{from}");
    members.insert(member.to_owned(), text.replace(from, to).into_bytes());
    read(&members).map(|_| ()).expect_err(to)
}

#[test]
fn archives_that_cannot_be_trusted_are_refused() {
    for (member, from, to, words) in [
        (PROGRAM, "\"major\": 8", "\"major\": 9", "version 9."),
        (
            PROGRAM,
            "aten.tanh.",
            "aten.lgamma.",
            "aten.lgamma.default in `tanh`",
        ),
        (
            PROGRAM,
            "{\"as_tensor\": {\"name\": \"tanh\"}}",
            "{\"as_magic\": 1}",
            "as_magic",
        ),
        (
            PROGRAM,
            "\"requires_grad\": true",
            "\"requires_grad\": 1",
            "invalid type",
        ),
        (
            WEIGHTS,
            "\"requires_grad\": true",
            "\"requires_grad\": false",
            "requires_grad is False",
        ),
        (
            WEIGHTS,
            "\"weight_0\"",
            "\"../weight_0\"",
            "outside its folder",
        ),
        (
            WEIGHTS,
            "\"weight_0\"",
            "\"weight_9\"",
            "lacks `data/weights/weight_9`",
        ),
        (WEIGHTS, "\"dtype\": 7", "\"dtype\": 10", "type 10"),
        (
            WEIGHTS,
            "\"use_pickle\": false",
            "\"use_pickle\": true",
            "pickled",
        ),
        (
            WEIGHTS,
            "\"storage_offset\": {\"as_int\": 0}",
            "\"storage_offset\": {\"as_int\": 9}",
            "its shape",
        ),
        (
            WEIGHTS,
            "\"storage_offset\": {\"as_int\": 0}",
            "\"storage_offset\": {\"as_int\": -1}",
            "-1",
        ),
        (
            WEIGHTS,
            "\"sizes\": [{\"as_int\": ",
            "\"sizes\": [{\"as_int\": 99999999999",
            "its shape",
        ),
    ] {
        let message = refused(member, from, to);
        assert!(message.contains(words), "{to}: {message}");
    }
}

#[test]
fn damaged_archives_are_errors() {
    let bytes = std::fs::read(Golden::new("mlp").path("model.pt2")).expect("a file");
    for length in (0..bytes.len()).step_by(199) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes[..length]).expect("bytes");
        assert!(
            NetworkFile::read(file.path(), &ReadSettings::default()).is_err(),
            "{length}"
        );
    }
    for name in small()
        .keys()
        .filter(|name| name.ends_with("json") || name.contains("weight_"))
    {
        let mut members = small();
        members.remove(name);
        assert!(read(&members).is_err(), "{name}");
    }
    let mut members = small();
    let deep = "[".repeat(100_000);
    members.insert(
        PROGRAM.to_owned(),
        format!("{{\"schema_version\": {deep}").into_bytes(),
    );
    assert!(read(&members).is_err());
    members.insert(PROGRAM.to_owned(), vec![b' '; 64 << 20]);
    let message = read(&members).map(|_| ()).expect_err("a bomb");
    assert!(message.contains("longer than"), "{message}");
}

/// Programs with one value of another type, which must never panic.
#[test]
fn programs_with_other_values_never_panic() {
    let other = [
        "null",
        "-1",
        "99999999999999",
        "\"x\"",
        "[]",
        "{}",
        "1.5",
        "true",
    ];
    for member in [PROGRAM, WEIGHTS] {
        let text = String::from_utf8(small()[member].clone()).expect("text");
        let starts: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
        for (count, &at) in starts.iter().enumerate().step_by(3) {
            let end = text[at..]
                .find([',', '}', ']'])
                .map_or(text.len(), |end| at + end);
            let changed = format!(
                "{}{}{}",
                &text[..at],
                other[count % other.len()],
                &text[end..]
            );
            let mut members = small();
            members.insert(member.to_owned(), changed.into_bytes());
            if let Ok(model) = read(&members) {
                let loss = NetworkLoss::new(LossKind::CrossEntropy);
                let _ = NetworkTask::new(&model, loss, Measurement::Loss, &[vec![4]]);
            }
        }
    }
}
