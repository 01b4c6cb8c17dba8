//! Readers of stdout that go away.

use std::process::Stdio;

use crate::program::{computed, program};

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = computed();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["top", "influences.zarr"],
        &["top", "influences.zarr", "--format", "json"],
        &["top", "influences.zarr", "--format", "csv"],
        &["mislabelled", "influences.zarr"],
        &["mislabelled", "self.zarr", "--format", "csv"],
        &["inspect", "influences.zarr"],
        &["inspect", "influences.zarr", "--json"],
        &["verify", "influences.zarr", "--sample", "0"],
        &["plan", "config.toml", "--overwrite"],
        &["report", "influences.zarr"],
        &["run", "config.toml", "--overwrite"],
        &["run", "config.toml", "--overwrite", "--dry-run"],
        &["self", "config.toml", "--set", "output.path=self2.zarr"],
        &["fit", "config.toml", "--fitted", "fit.safetensors"],
        &["doctor"],
        &["doctor", "--json"],
        &["completions", "bash"],
        &["man", "pages"],
    ] {
        let mut child = program(&folder.path(""), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        for word in ["error", "panicked", "Broken pipe"] {
            assert!(!complaint.contains(word), "{arguments:?}: {complaint}");
        }
    }
}
