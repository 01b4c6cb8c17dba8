//! Conventions of the project that the compiler does not check.

mod comments;
mod links;
mod modules;
mod names;

use std::{env, path::PathBuf};

/// The folder of the workspace.
fn workspace() -> PathBuf {
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    tests
        .parent()
        .expect("the tests lie within the workspace")
        .to_path_buf()
}
