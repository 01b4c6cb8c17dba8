//! An output that was moved still finds its files.

use std::{fs, path::Path};

use crate::{folder::Folder, program::said};

/// A project with its data in one folder and its output in another.
fn project() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("project/data")).expect("made");
    fs::create_dir_all(folder.path("project/out")).expect("made");
    for file in [
        "x_train.npy",
        "y_train.npy",
        "x_test.npy",
        "y_test.npy",
        "model.safetensors",
    ] {
        fs::rename(folder.path(file), folder.path("project/data").join(file)).expect("moved");
    }
    let config = fs::read_to_string(folder.path("config.toml")).expect("read");
    let config = config
        .replace("\"x_", "\"data/x_")
        .replace("\"y_", "\"data/y_")
        .replace("\"model.", "\"data/model.");
    folder.write(
        "project/config.toml",
        config + "[output]\npath = \"out/o.zarr\"\n",
    );
    succeeds(&folder.path("project"), &["run", "config.toml"]);
    folder
}

fn succeeds(within: &Path, arguments: &[&str]) -> String {
    let (out, err, code) = said(within, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    out
}

#[test]
fn its_files_are_found_where_they_were_moved_to_together() {
    let folder = project();
    let top = succeeds(&folder.path("project"), &["top", "out/o.zarr"]);
    fs::rename(folder.path("project"), folder.path("elsewhere")).expect("moved");
    // A nearer file has the same name but other content.
    folder.array("elsewhere/out/x_train.npy", &[0.75_f32; 24], &[6, 4]);
    let moved = folder.path("elsewhere");
    assert_eq!(succeeds(&moved, &["top", "out/o.zarr"]), top);
    assert_eq!(
        succeeds(&folder.path(""), &["top", "elsewhere/out/o.zarr"]),
        top
    );
    for command in ["report", "mislabelled", "inspect", "verify"] {
        succeeds(&moved, &[command, "out/o.zarr"]);
    }
    let verified = succeeds(&moved, &["verify", "out/o.zarr"]);
    assert!(verified.contains(" 0 numbers differ"), "{verified}");
    let page = fs::read_to_string(moved.join("out/o.html")).expect("a page");
    assert!(
        page.contains("model<wbr>.safetensors"),
        "the page knows the model"
    );
}

#[test]
fn its_files_are_found_beside_it_under_their_names() {
    let folder = project();
    let top = succeeds(&folder.path("project"), &["top", "out/o.zarr"]);
    fs::create_dir(folder.path("flat")).expect("made");
    fs::rename(
        folder.path("project/out/o.zarr"),
        folder.path("flat/o.zarr"),
    )
    .expect("moved");
    for entry in fs::read_dir(folder.path("project/data")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::rename(&path, folder.path("flat").join(name)).expect("moved");
    }
    assert_eq!(succeeds(&folder.path("flat"), &["top", "o.zarr"]), top);
}

#[test]
fn a_file_that_is_nowhere_or_has_changed_is_named() {
    let folder = project();
    let labels = folder.path("project/data/y_train.npy");
    folder.array("project/data/y_train.npy", &[1_u8, 1, 0, 1, 0, 1], &[6]);
    let (_, err, code) = said(&folder.path("project"), &["top", "out/o.zarr"]);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("y_train.npy has changed since the output was written"),
        "{err}"
    );
    assert!(
        err.contains("--set data.train.targets=") && !err.contains("sha256"),
        "{err}"
    );
    fs::rename(&labels, folder.path("labels.npy")).expect("moved");
    let (_, err, _) = said(&folder.path("project"), &["verify", "out/o.zarr"]);
    let expected =
        "data/y_train.npy does not exist; say where it was moved to with --set data.train.targets=";
    assert!(err.contains(expected), "{err}");
    // The changed labels have another digest, wherever they are.
    let set = format!("data.train.targets={}", folder.path("labels.npy").display());
    let (_, err, code) = said(
        &folder.path("project"),
        &["top", "out/o.zarr", "--set", &set],
    );
    assert_eq!(code, Some(2));
    assert!(err.contains("labels.npy has changed since"), "{err}");
    folder.array("labels.npy", &[0_u8, 1, 0, 1, 0, 1], &[6]);
    succeeds(
        &folder.path("project"),
        &["top", "out/o.zarr", "--set", &set],
    );
}

#[test]
fn digests_are_folded_for_people_and_whole_for_programs() {
    let folder = project();
    let out = succeeds(&folder.path("project"), &["inspect", "out/o.zarr"]);
    let line = out.lines().find(|line| line.starts_with("digests"));
    let line = line.expect("a line");
    assert!(
        line.contains("weights sha256:") && line.len() < 250,
        "{line}"
    );
    let out = succeeds(
        &folder.path("project"),
        &["inspect", "out/o.zarr", "--json"],
    );
    let facts: serde_json::Value = serde_json::from_str(&out).expect("an object");
    let whole = facts["digests"]["train"]["inputs"]
        .as_str()
        .expect("a digest");
    assert_eq!(whole.len(), "sha256:".len() + 64);
}
