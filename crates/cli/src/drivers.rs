//! Graphics drivers, kept from writing to stderr by themselves.

use std::{env, os::unix::process::CommandExt, process::Command};

/// The variables that silence Mesa, libEGL and the Vulkan loader.
const SILENT: [(&str, &str); 5] = [
    ("EGL_LOG_LEVEL", "fatal"),
    ("LIBGL_DEBUG", "quiet"),
    ("MESA_DEBUG", "silent"),
    ("MESA_LOG", "null"),
    ("VK_LOADER_DEBUG", "none"),
];

/// Starts the program once more with the variables that silence drivers, unless all of them are
/// set; those that are stay as they are.
///
/// Drivers read the environment of the process, which cannot be changed safely while it runs. To be
/// called first of all.
pub fn silence() {
    let missing = SILENT.into_iter();
    let missing: Vec<_> = missing
        .filter(|(name, _)| env::var_os(name).is_none())
        .collect();
    let (Ok(program), false) = (env::current_exe(), missing.is_empty()) else {
        return;
    };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Comes back only where it fails, and then the drivers are heard.
    let error = again.args(arguments).envs(missing).exec();
    tracing::debug!(%error, "drivers are not silenced");
}
