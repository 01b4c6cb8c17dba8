//! The worker: its answers, and that its numbers are those of a run.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::Arc,
};

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

/// A worker that takes one order after another.
struct Resident {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Resident {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let command = [&["worker", "config.toml"], arguments].concat();
        let mut child = program(folder, &command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let stdin = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self {
            child,
            stdin,
            lines,
        }
    }

    fn ask(&mut self, order: &str) -> Value {
        writeln!(self.stdin, "{order}").expect("read");
        let line = self.lines.next().expect("an answer").expect("text");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More training points than two leaves of a sum have.
fn many_points() -> Folder {
    const POINTS: usize = 4_500;
    let folder = Folder::new();
    let inputs: Vec<f32> = (0..4 * POINTS).map(|i| (i as f32 * 0.7).sin()).collect();
    folder.array("x_train.npy", &inputs, &[POINTS as u64, 4]);
    let classes: Vec<u8> = (0..POINTS).map(|i| u8::from(i % 3 == 0)).collect();
    folder.array("y_train.npy", &classes, &[POINTS as u64]);
    folder
}

#[test]
fn workers_fit_by_shares_and_hold_the_same_fit() {
    let folder = many_points();
    let set = ["--set", "method.name=ekfac"];
    let fit = [&["fit", "config.toml", "--fitted", "one"], &set[..]].concat();
    let (_, complaint, code) = said(&folder.path(""), &fit);
    assert_eq!(code, Some(0), "{complaint}");
    let arguments = [&set[..], &["--fitted", "fit"]].concat();
    let mut workers = [0, 1].map(|_| Resident::start(&folder.path(""), &arguments));
    let mut waited = 0;
    let done = (0..10).any(|_| {
        let shares = workers.iter_mut().enumerate();
        let answers = shares.map(|(index, worker)| {
            worker.ask(&format!(r#"{{"order": "fit", "share": "{index}/2"}}"#))
        });
        let answers: Vec<Value> = answers.collect();
        let mut is_done = |answer: &Value| {
            let done = answer["ok"]["done"].as_bool().expect("an answer");
            let waiting = answer["ok"]["waiting"].as_str().unwrap_or_default();
            assert_eq!(
                done,
                !waiting.contains("waits for other shares"),
                "{answer}"
            );
            waited += usize::from(!done);
            done
        };
        answers.iter().filter(|answer| is_done(answer)).count() > 0
    });
    assert!(done && waited > 0);
    let [one, other] = ["one", "fit"].map(|file| fs::read(folder.path(file)).expect("a fit"));
    assert!(one == other);
    assert!(!folder.path("fit.shares").exists());
    for worker in &mut workers {
        // What is there is not made again.
        assert_eq!(
            worker.ask(r#"{"order": "fit", "share": "0/2"}"#)["ok"]["done"],
            true
        );
        let answer = worker.ask(r#"{"order": "fit"}"#);
        assert!(answer["ok"]["parameters"].is_u64(), "{answer}");
    }
    let (said, _) = answers(
        &folder.path(""),
        &set,
        &[r#"{"order": "fit", "share": "0/2"}"#],
    );
    assert_eq!(said[0]["error"]["kind"], "input");
    let message = said[0]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("needs --fitted"), "{message}");
}
