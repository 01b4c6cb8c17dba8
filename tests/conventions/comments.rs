//! Comments wrap at 100 columns.
//!
//! Blocks of code, rows of tables and lines that hold a URL may be longer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;

const WIDTH: usize = 100;

#[test]
fn comments_wrap() {
    let mut wrong = Vec::new();
    for folder in ["crates", "src", "tests", "examples", "benches"] {
        for file in sources(&workspace().join(folder)) {
            let text = fs::read_to_string(&file).expect("text");
            wrong.extend(too_wide(&text).map(|line| format!("{}:{line}", file.display())));
        }
    }
    assert!(
        wrong.is_empty(),
        "comments wider than {WIDTH} columns:\n{}",
        wrong.join("\n")
    );
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
