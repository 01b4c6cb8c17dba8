//! Paths of outputs that exist or cannot be written, and runs that succeed.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    folder::Folder,
    table::{case, check, set},
};

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .current_dir(folder.path(""))
        .args(["run", "config.toml"])
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// A folder of another program at the path of the output.
fn taken(folder: &Folder) {
    fs::create_dir(folder.path("influences.zarr")).expect("made");
    folder.write("influences.zarr/precious", "data");
}

#[test]
fn an_output_in_the_way_is_left_alone() {
    check(&[
        set(
            "an output in no folder",
            "output.path=no/such/folder.zarr",
            &["output.path", "no/such"],
        ),
        set(
            "an output at an unknown store",
            "output.path=ftp://host/up.zarr",
            &["output.path", "ftp://", "s3://"],
        ),
        case(
            "an output that is taken",
            taken,
            &[],
            &["output.path", "influences.zarr", "not a zarr group"],
        ),
        case(
            "an output that is not ours to replace",
            taken,
            &["--overwrite"],
            &["output.path", "influences.zarr", "not a zarr group"],
        ),
        case(
            "an output that is not ours to go on with",
            taken,
            &["--resume"],
            &[
                "influences.zarr",
                "expected nothing or an output of this library",
            ],
        ),
        case(
            "a file where the output is to be",
            |folder| folder.write("influences.zarr", ""),
            &["--overwrite"],
            &["influences.zarr"],
        ),
    ]);
    let folder = Folder::new();
    taken(&folder);
    run(&folder, &["--overwrite"]);
    assert!(Path::exists(&folder.path("influences.zarr/precious")));
}

#[test]
fn a_valid_run_succeeds() {
    let folder = Folder::new();
    let output = run(&folder, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(folder.path("influences.zarr/influences").is_dir());
}

#[test]
fn overwriting_replaces_an_earlier_output() {
    let folder = Folder::new();
    for (arguments, code) in [
        (&[][..], 0),
        (&[], 2),
        (&["--overwrite", "--set", "method.name=cg"], 0),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_command_line_goes_before_the_configuration() {
    let folder = Folder::new();
    let arguments = ["--memory", "1GiB", "--threads", "2", "--resume"];
    let output = run(&folder, &arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .current_dir(folder.path(""))
        .args(["run", "config.toml"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}
