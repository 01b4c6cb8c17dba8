//! Paths of outputs are checked before the work, and nothing is left there.

use std::fs::{self, File};

use crate::{
    folder::Folder,
    program::{computed, said},
};

/// A command whose output path cannot be written to, even by root.
fn refused(folder: &Folder, arguments: &[&str], key: &str) {
    let arguments = [arguments, &["--progress", "lines"]].concat();
    let (out, err, code) = said(&folder.path(""), &arguments);
    assert_eq!((out.as_str(), code), ("", Some(2)), "{arguments:?}: {err}");
    assert!(err.contains(key), "{arguments:?} lacks `{key}`: {err}");
    for phase in ["] fit", "] train", "] scores"] {
        assert!(!err.contains(phase), "{arguments:?}: {err}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_to_is_refused_before_the_work() {
    let folder = computed();
    let before = folder.contents();
    let output = ["--set", "output.path=/proc/o.zarr"];
    for command in ["run", "self", "plan"] {
        refused(
            &folder,
            &[&[command, "config.toml"], &output[..]].concat(),
            "output.path",
        );
    }
    for command in ["run", "self"] {
        let arguments = [&[command, "config.toml", "--dry-run"], &output[..]].concat();
        refused(&folder, &arguments, "output.path");
    }
    let fit = ["fit", "config.toml", "--fitted", "/proc/f.safetensors"];
    refused(&folder, &fit, "--fitted");
    refused(&folder, &[&fit[..], &["--dry-run"]].concat(), "--fitted");
    let weights = ["--set", "model.weights=/proc/w.safetensors"];
    refused(
        &folder,
        &[&["train", "config.toml"], &weights[..]].concat(),
        "model.weights",
    );
    for (option, path) in [("--html", "/proc/r.html"), ("--plots", "/proc/plots")] {
        refused(
            &folder,
            &["report", "influences.zarr", option, path],
            option,
        );
    }
    for command in ["top", "mislabelled"] {
        refused(
            &folder,
            &[command, "influences.zarr", "--output", "/proc/t.csv"],
            "--output",
        );
    }
    assert_eq!(folder.contents(), before);
}

#[test]
fn an_output_that_another_run_writes_to_is_refused_before_the_fit() {
    let folder = Folder::new();
    fs::create_dir(folder.path("influences.zarr")).expect("made");
    let lock = File::create(folder.path("influences.zarr/.lock")).expect("made");
    lock.lock().expect("nobody has it");
    for arguments in [
        &["run", "config.toml"][..],
        &["run", "config.toml", "--dry-run"],
        &["self", "config.toml"],
        &["sweep", "config.toml", "--damping", "1"],
        &["plan", "config.toml"],
    ] {
        refused(&folder, arguments, "is being written by another run");
    }
    drop(lock);
    let (_, err, code) = said(&folder.path(""), &["run", "config.toml"]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn a_run_that_fails_leaves_no_trace_of_its_claim() {
    let folder = Folder::new();
    let before = folder.contents();
    for wrong in ["data.train.inputs=no.npy", "method.blocks=per-layers"] {
        let (_, err, code) = said(&folder.path(""), &["run", "config.toml", "--set", wrong]);
        assert_eq!(code, Some(2), "{err}");
        assert_eq!(folder.contents(), before, "{wrong}");
    }
}

#[test]
fn checkpoints_in_the_way_are_refused_before_training() {
    let folder = Folder::new();
    folder.write("w.epoch2.safetensors", "mine");
    let layers = "model.layers=[{ kind = \"linear\", name = \"fc\", outputs = 2 }]";
    let train = |more: &[&str]| {
        let mut arguments = vec!["train", "config.toml", "--set", layers];
        arguments.extend(["--set", "model.weights=w.safetensors"]);
        arguments.extend(["--set", "train.epochs=2", "--set", "train.checkpoints=2"]);
        arguments.extend(more);
        said(&folder.path(""), &arguments)
    };
    let (_, err, code) = train(&["--progress", "lines"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("w.epoch2.safetensors exists; replace it with --overwrite"),
        "{err}"
    );
    assert!(!err.contains("] train"), "{err}");
    assert!(!folder.path("w.safetensors").exists());
    let (_, err, code) = train(&["--overwrite"]);
    assert_eq!(code, Some(0), "{err}");
}
