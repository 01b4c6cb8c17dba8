//! Comments wrap at 100 columns.
//!
//! Blocks of code, rows of tables and lines that hold a URL may be longer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;

const WIDTH: usize = 100;

/// The comments that are still wider, by folder. Numbers may only become smaller.
const WIDER: &[(&str, usize)] = &[
    ("crates/cli", 44),
    ("crates/influence-core", 1),
    ("crates/jobs", 1),
];

#[test]
fn comments_wrap() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let allowed = WIDER
            .iter()
            .find(|(name, _)| *name == folder)
            .map_or(0, |(_, count)| *count);
        let mut found = Vec::new();
        for file in sources(&workspace().join(&folder)) {
            let text = fs::read_to_string(&file).expect("text");
            found.extend(too_wide(&text).map(|line| format!("{}:{line}", file.display())));
        }
        if found.len() > allowed {
            wrong.push(format!(
                "{folder}: {} comments wider than {WIDTH} columns, at most {allowed} allowed:\n{}",
                found.len(),
                found.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folders with code: each crate, and those of the root.
fn folders() -> Vec<String> {
    let crates = fs::read_dir(workspace().join("crates")).expect("a folder of crates");
    let names = crates.map(|entry| entry.expect("an entry of the folder").file_name());
    let crates = names.map(|name| format!("crates/{}", name.to_string_lossy()));
    let others = ["src", "tests", "examples", "benches"].map(str::to_owned);
    crates.chain(others).collect()
}

/// All files of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The numbers of the lines whose comments are too wide.
fn too_wide(text: &str) -> impl Iterator<Item = usize> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            in_code = false;
            return None;
        };
        let comment = comment.trim_start_matches(['/', '!']).trim_start();
        let fence = comment.starts_with("```");
        in_code ^= fence;
        let free = in_code || fence || comment.starts_with('|') || comment.contains("://");
        (!free && line.chars().count() > WIDTH).then_some(i + 1)
    })
}

#[test]
fn only_prose_must_wrap() {
    let wide = "a ".repeat(60);
    let text = format!(
        "//! {wide}\nlet x = \"{wide}\";\n/// | {wide}\n    // {wide}\n/// ```\n/// {wide}\n/// ```\n// https://a/{wide}\n// λ\n"
    );
    assert_eq!(too_wide(&text).collect::<Vec<_>>(), [1, 4]);
}
