//! Links between the documents of the project lead to files and headings that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;

/// The documents of the root and the chapters of the guide.
fn documents() -> Vec<PathBuf> {
    let folders = [workspace(), workspace().join("docs/src")];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = files.map(|file| file.expect("an entry of the folder").path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// The lines of a document outside of blocks of code.
fn prose(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).expect("text");
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        if !in_code && !fence {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// Where the links `[text](target)` of a line lead.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// The names under which headings of a document can be linked: as GitHub and mdBook make them.
fn anchors(document: &Path) -> BTreeSet<String> {
    let lines = prose(document);
    let headings = lines.iter().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect()
}

fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What is wrong with a link, if anything is.
fn broken(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => document.to_path_buf(),
        file => document.parent().expect("a folder").join(file),
    };
    if !path.exists() {
        return Some(format!("{}: {target}: no such file", document.display()));
    }
    let found = heading.is_empty() || anchors(&path).contains(heading);
    (!found).then(|| format!("{}: {target}: no such heading", document.display()))
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for document in documents() {
        for line in prose(&document) {
            for target in targets(&line) {
                count += 1;
                wrong.extend(broken(&document, target));
            }
        }
    }
    assert!(count > 30, "{count} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_chapter_is_in_the_table_of_contents() {
    let chapters = workspace().join("docs/src");
    let summary = fs::read_to_string(chapters.join("SUMMARY.md")).expect("the table of contents");
    for document in documents()
        .iter()
        .filter(|path| path.starts_with(&chapters))
    {
        let name = document.file_name().expect("a name").to_string_lossy();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name}"
        );
    }
}

#[test]
fn contributing_names_files_that_exist() {
    let workspace = workspace();
    let text = fs::read_to_string(workspace.join("CONTRIBUTING.md")).expect("text");
    let quoted = text.split('`').skip(1).step_by(2);
    let added = text.lines().filter_map(|line| line.strip_prefix("+++ "));
    let starts = ["crates/", "docs/", "src/", "tests/"];
    let paths = quoted
        .chain(added)
        .filter(|path| starts.iter().any(|start| path.starts_with(start)));
    let mut count = 0;
    for path in paths {
        count += 1;
        let path = workspace.join(path);
        let folder = path.parent().expect("a folder");
        // New files of the examples, and those that stand for any name, lie in folders that exist.
        let is_new = path.ends_with("NAME.rs") || text.contains(&format!("+++ {}", shown(&path)));
        assert!(
            path.exists() || is_new && folder.is_dir(),
            "{}",
            path.display()
        );
    }
    assert!(count > 20, "{count} paths");
}

/// A path as it is written from the folder of the workspace.
fn shown(path: &Path) -> String {
    let inner = path
        .strip_prefix(workspace())
        .expect("a path of the workspace");
    inner.display().to_string()
}

#[test]
fn headings_are_named_as_they_are_linked() {
    assert_eq!(anchor("`[method]`"), "method");
    assert_eq!(anchor("The same, key by key: 2"), "the-same-key-by-key-2");
    let targets: Vec<&str> = targets("see [a](b.md#c), [d](e) and [f]").collect();
    assert_eq!(targets, ["b.md#c", "e"]);
    let readme = workspace().join("README.md");
    assert!(broken(&readme, "docs/src/limits.md#limits").is_none());
    assert!(broken(&readme, "docs/src/limits.md#nothing").is_some());
    assert!(broken(&readme, "docs/nothing.md").is_some());
}
