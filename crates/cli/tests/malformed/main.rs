//! Any mistake in a command or its files gives exit code 2, one message that names it, and no
//! output.
//!
//! With `INFLUENCE_TABLE=1` and `--nocapture` the tests print each case with its message, as rows
//! of a Markdown table.

mod arrays;
mod command;
mod config;
#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/npy.rs"]
mod npy;
mod output;
mod packed;
mod points;
mod spoil;
mod table;
mod tables;
mod weights;
