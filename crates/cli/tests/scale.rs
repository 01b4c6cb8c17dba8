//! The real binary within a bound on memory, interrupted, resumed and verified.

#[path = "support/files.rs"]
mod files;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use files::files;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli/mlp/config.toml")
}

/// Runs a command on the golden network; chunks are small, so that there are many.
fn influence(command: &str, output: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_influence"))
        .arg(command)
        .arg(config())
        .args([
            "--set",
            "compute.test_chunk=8",
            "--set",
            "compute.train_chunk=32",
        ])
        .arg("--set")
        .arg(format!("output.path={}", output.display()))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn verify(output: &Path, sample: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_influence"))
        .arg("verify")
        .arg(output)
        .args(["--sample", sample])
        .output()
        .expect("the binary runs")
}

fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

fn succeeded(outcome: &Output) -> String {
    assert!(outcome.status.success(), "{}", said(outcome));
    said(outcome)
}

#[test]
fn memory_and_threads_change_no_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.zarr");
    succeeded(&influence("run", &plain, &[]));
    let expected = files(&plain);
    for (index, arguments) in [
        &["--memory", "512MiB"][..],
        &["--threads", "1"],
        &["--set", "compute.strategy=sequential"],
    ]
    .into_iter()
    .enumerate()
    {
        let output = folder.path().join(format!("{index}.zarr"));
        succeeded(&influence("run", &output, arguments));
        assert!(files(&output) == expected, "{arguments:?} changed a byte");
    }
}

#[test]
fn damage_is_found_and_made_good_and_other_settings_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("influences.zarr");
    succeeded(&influence("run", &output, &[]));
    let expected = files(&output);
    let text = succeeded(&verify(&output, "3"));
    assert!(text.contains("0 missing, 0 damaged"), "{text}");
    assert!(text.contains("3 chunks, 0 numbers differ"), "{text}");

    let chunk = output.join("influences/c/1/2");
    let mut bytes = fs::read(&chunk).expect("the chunk");
    bytes.truncate(20);
    fs::write(&chunk, bytes).expect("written");
    fs::remove_file(output.join("influences/c/0/0")).expect("removed");
    let outcome = verify(&output, "0");
    let text = said(&outcome);
    assert_eq!(outcome.status.code(), Some(2), "{text}");
    assert!(text.contains("1 missing, 1 damaged"), "{text}");

    let refused = influence("run", &output, &["--resume", "--set", "method.damping=0.5"]);
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(
        text.contains("damping") && text.contains("this run has 0.5"),
        "{text}"
    );

    succeeded(&influence("run", &output, &["--resume"]));
    assert!(
        files(&output) == expected,
        "the bytes are those of an uninterrupted run"
    );
    succeeded(&verify(&output, "0"));
}

#[test]
fn a_plan_is_printed_and_nothing_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("influences.zarr");
    let text = succeeded(&influence("plan", &output, &["--memory", "512MiB"]));
    for part in [
        "passes",
        "operations",
        "scratch",
        "of 8 x 32 points",
        "120 training points",
    ] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let refused = influence("plan", &output, &["--set", "compute.memory=64MiB"]);
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("of memory"), "{text}");
}

#[test]
fn the_dot_product_takes_no_damping() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("influences.zarr");
    let refused = influence("run", &output, &["--set", "method.name=identity"]);
    assert!(
        said(&refused).contains("method.damping"),
        "{}",
        said(&refused)
    );
}
