//! The worker: its answers, and that its numbers are those of a run.

use std::{fs, io::Write, path::Path, process::Stdio, sync::Arc};

use serde_json::Value;
use zarrs::{array::Array, filesystem::FilesystemStore};

use crate::{
    folder::Folder,
    program::{program, said, texts},
};

/// Chunks of a point each, so that there are several shares.
const CHUNKS: [&str; 4] = [
    "--set",
    "compute.test_chunk=1",
    "--set",
    "compute.train_chunk=2",
];

/// What the worker answers to orders, and its exit code.
fn answers(folder: &Path, arguments: &[&str], orders: &[&str]) -> (Vec<Value>, Option<i32>) {
    let command = [&["worker", "config.toml"], arguments].concat();
    let mut child = program(folder, &command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(orders.join("\n").as_bytes()).expect("read");
    drop(stdin);
    let (out, complaint, code) = texts(&child.wait_with_output().expect("it ends"));
    let lines = out.lines().map(serde_json::from_str);
    let answers = lines.collect::<Result<_, _>>();
    (
        answers.unwrap_or_else(|it| panic!("{it}: {out}{complaint}")),
        code,
    )
}

/// The numbers of an output.
fn stored(output: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let store = Arc::new(FilesystemStore::new(output).expect("a store"));
    let array = Array::open(store, &format!("/{name}")).expect("the array is there");
    let values = array.retrieve_array_subset::<ndarray::ArrayD<f32>>(&array.subset_all());
    let values = values.expect("numbers");
    (values.shape().to_vec(), values.iter().copied().collect())
}

/// The numbers that a worker wrote to a file.
fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("a file");
    let (whole, _) = bytes.as_chunks();
    whole
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// A side of a part, or an axis.
fn list(value: &Value) -> Vec<usize> {
    let numbers = value.as_array().expect("a list").iter();
    let numbers = numbers.map(|number| number.as_u64().expect("a number"));
    numbers
        .map(|number| number.try_into().expect("small"))
        .collect()
}

/// Puts the numbers of a part where they belong, in C order.
fn place(whole: &mut [f32], shape: &[usize], part: &Value, values: &[f32]) {
    let inner: usize = shape[2..].iter().product();
    let [rows, columns] = ["rows", "columns"].map(|side| list(&part[side]));
    let width = (columns[1] - columns[0]) * inner;
    for (index, row) in (rows[0]..rows[1]).enumerate() {
        let at = (row * shape[1] + columns[0]) * inner;
        whole[at..at + width].copy_from_slice(&values[index * width..(index + 1) * width]);
    }
}

#[test]
fn the_parts_of_a_worker_are_those_of_a_run() {
    let folder = Folder::new();
    for (name, settings) in [
        ("direct", &["method.name=direct"][..]),
        ("cg", &["method.name=cg"]),
        ("ekfac", &["method.name=ekfac"]),
        ("arnoldi", &["method.name=arnoldi", "method.rank=4"]),
        ("perturbation", &["compute.mode=perturbation"]),
    ] {
        let output = format!("output.path={name}.zarr");
        let set = settings.iter().copied().chain([&*output]);
        let set: Vec<&str> = set
            .flat_map(|setting| ["--set", setting])
            .chain(CHUNKS)
            .collect();
        let run = [&["run", "config.toml"], &set[..]].concat();
        let (_, complaint, code) = said(&folder.path(""), &run);
        assert_eq!(code, Some(0), "{complaint}");
        let (shape, expected) = stored(&folder.path(&format!("{name}.zarr")), "influences");

        let orders = [
            r#"{"order": "describe", "quantity": "influences", "shares": 2}"#,
            r#"{"order": "scores", "share": "1/2", "path": "1"}"#,
            r#"{"order": "scores", "share": "0/2", "path": "0"}"#,
        ];
        let (said, code) = answers(&folder.path(""), &set, &orders);
        assert_eq!(code, Some(0), "{said:?}");
        let about = &said[0]["ok"];
        assert_eq!(
            (list(&about["shape"]), &about["dtype"]),
            (shape.clone(), &"<f4".into())
        );
        let mut got = vec![f32::NAN; expected.len()];
        for share in 0..2 {
            let values = numbers(&folder.path(&share.to_string()));
            place(&mut got, &shape, &about["parts"][share], &values);
        }
        let bits = |values: &[f32]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&got), bits(&expected), "{name}");
    }
}

#[test]
fn self_influences_and_scores_of_factors_are_those_of_a_run() {
    let folder = Folder::new();
    for (command, output) in [("run", "influences.zarr"), ("self", "self.zarr")] {
        let path = format!("output.path={output}");
        let run = [&[command, "config.toml", "--set", &path], &CHUNKS[..]].concat();
        let (_, complaint, code) = said(&folder.path(""), &run);
        assert_eq!(code, Some(0), "{complaint}");
    }
    let orders = [
        r#"{"order": "self-influences", "share": "0/1", "path": "own"}"#,
        r#"{"order": "factors", "share": "1/2", "path": "factors"}"#,
        r#"{"order": "scores", "share": "0/1", "path": "scores", "factors": "factors"}"#,
    ];
    let (said, _) = answers(&folder.path(""), &CHUNKS, &orders);
    assert!(
        said.iter().all(|answer| answer["ok"].is_object()),
        "{said:?}"
    );
    let (_, own) = stored(&folder.path("self.zarr"), "self_influences");
    assert_eq!(numbers(&folder.path("own")), own);
    // The second test point of two.
    let (shape, influences) = stored(&folder.path("influences.zarr"), "influences");
    assert_eq!(numbers(&folder.path("scores")), influences[shape[1]..]);
}

#[test]
fn what_is_wrong_is_answered_and_the_next_order_carried_out() {
    let folder = Folder::new();
    let orders = [
        "nonsense",
        r#"{"order": "scores", "share": "0/1", "path": "not/there"}"#,
        "",
        r#"{"order": "ping"}"#,
    ];
    let (said, code) = answers(&folder.path(""), &[], &orders);
    let kinds: Vec<_> = said.iter().map(|answer| &answer["error"]["kind"]).collect();
    assert_eq!(kinds, [&"order".into(), &"storage".into(), &Value::Null]);
    assert!(said[2]["ok"]["pid"].is_u64(), "{said:?}");
    assert_eq!(code, Some(0));

    folder.config("damping = 0.1", "dampin = 0.1");
    let (said, code) = answers(&folder.path(""), &[], &[r#"{"order": "fit"}"#]);
    let message = said[0]["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("config.toml:10: method.dampin: unknown key"),
        "{message}"
    );
    assert_eq!(
        (&said[0]["error"]["kind"], code),
        (&"input".into(), Some(0))
    );
}

#[test]
fn a_fit_is_written_by_order_and_then_read() {
    let folder = Folder::new();
    let fitted = ["--fitted", "fit.safetensors"];
    let order = [r#"{"order": "fit"}"#];
    let (said, _) = answers(&folder.path(""), &fitted, &order);
    assert_eq!(said[0]["ok"]["parameters"], 21, "{said:?}");
    let kept = fs::read(folder.path("fit.safetensors")).expect("the fit");
    answers(&folder.path(""), &fitted, &order);
    assert_eq!(
        fs::read(folder.path("fit.safetensors")).expect("the fit"),
        kept
    );
}

#[test]
fn a_reader_of_answers_that_goes_away_ends_it() {
    let folder = Folder::new();
    let mut child = program(&folder.path(""), &["worker", "config.toml"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"{\"order\": \"ping\"}\n").expect("read");
    // The input stays open: it is the answer that cannot be given.
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}
