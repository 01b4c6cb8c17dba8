//! Programs of `torch.export` against PyTorch in 64 bits, and archives that are refused.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Write},
    path::Path,
};

use influence_core::Precision;
use influence_onnx::{LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask, ReadSettings};
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
