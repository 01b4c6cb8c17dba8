//! What each level of output prints.

use crate::{
    folder::Folder,
    program::{computed, said},
};

#[test]
fn without_arguments_help_is_shown() {
    let folder = Folder::new();
    let (out, err, code) = said(&folder.path(""), &[]);
    assert_eq!((out.as_str(), code), ("", Some(2)));
    assert!(
        err.contains("Usage: influence") && err.contains("Compute:"),
        "{err}"
    );
}

#[test]
fn a_quiet_command_says_nothing_of_itself() {
    let folder = Folder::new();
    for arguments in [
        &["run", "config.toml", "-q"][..],
        &[
            "run",
            "config.toml",
            "-q",
            "--overwrite",
            "--set",
            "method.name=arnoldi",
            "--set",
            "method.rank=1",
        ],
        &[
            "--quiet",
            "self",
            "config.toml",
            "--set",
            "output.path=self.zarr",
        ],
        &["fit", "config.toml", "--fitted", "fit.safetensors", "-q"],
        &["report", "influences.zarr", "-q"],
        &["man", "pages", "-q"],
    ] {
        let (out, err, code) = said(&folder.path(""), arguments);
        let said = (out.as_str(), err.as_str(), code);
        assert_eq!(said, ("", "", Some(0)), "{arguments:?}");
    }
    for file in [
        "influences.zarr",
        "self.zarr",
        "fit.safetensors",
        "influences.html",
        "pages",
    ] {
        assert!(folder.path(file).exists(), "{file}");
    }
}

#[test]
fn a_quiet_command_answers_and_fails_aloud() {
    let folder = computed();
    for arguments in [
        &["top", "influences.zarr", "-q"][..],
        &["inspect", "influences.zarr", "-q"],
        &["plan", "config.toml", "-q", "--overwrite"],
        &["verify", "influences.zarr", "-q"],
    ] {
        let (out, err, code) = said(&folder.path(""), arguments);
        assert_eq!((err.as_str(), code), ("", Some(0)), "{arguments:?}");
        assert!(!out.is_empty(), "{arguments:?}");
    }
    let (out, err, code) = said(&folder.path(""), &["run", "config.toml", "-q"]);
    assert_eq!((out.as_str(), code), ("", Some(2)));
    assert!(err.starts_with("error: output.path: "), "{err}");
}

#[test]
fn an_error_shows_its_line_to_people_and_its_place_to_programs() {
    let folder = Folder::new();
    folder.config("damping = 0.1", "dampng = 0.1");
    let (_, err, _) = said(&folder.path(""), &["run", "config.toml"]);
    let lines: Vec<&str> = err.lines().collect();
    assert!(
        lines[0].starts_with("error: config.toml:10: method.dampng: unknown key; "),
        "{err}"
    );
    assert_eq!(lines[1..], ["   |", "10 | dampng = 0.1", "   | ^^^^^^"]);

    let (_, err, _) = said(
        &folder.path(""),
        &["run", "config.toml", "--progress", "json"],
    );
    let last = err.lines().last().expect("a line");
    let event: serde_json::Value = serde_json::from_str(last).expect("an object");
    assert_eq!(event["event"], "failed");
    let error = event["error"].as_str().expect("text");
    assert!(
        error.starts_with("config.toml:10: method.dampng: unknown key; "),
        "{error}"
    );
    assert!(!error.contains(['\n', '^']), "{error}");
}
