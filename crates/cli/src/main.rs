//! The command `influence`.

use std::process::ExitCode;

use influence_cli::{ConfiguredModels, run_with};

fn main() -> ExitCode {
    #[cfg(all(unix, feature = "wgpu"))]
    influence_cli::drivers::silence();
    run_with(&ConfiguredModels, std::env::args_os())
}
