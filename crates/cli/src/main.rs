//! The command `influence`.

use std::process::ExitCode;

use influence_cli::{SequentialModels, run_with};

fn main() -> ExitCode {
    #[cfg(all(unix, feature = "wgpu"))]
    influence_cli::drivers::silence();
    run_with(&SequentialModels, std::env::args_os())
}
