//! No crate has a circle of modules.
//!
//! **The rule.** Draw an arrow from one file to another where the first names an item that the
//! second defines. No way along the arrows may lead back to where it began.
//!
//! - *Names* are read from paths: `use` in all its forms, and `a::b` in code. A path through a
//!   re-export leads to the file that defines the item. Calls of methods draw no arrow.
//! - *Re-exports* of what lies within a module (`pub use child::X`) draw no arrow, unless the
//!   file uses the name itself. Neither does a declaration (`mod child;`).
//! - *A type of an ancestor* (struct, enum, union, trait, alias) may be named by the modules
//!   within: a parent that holds the common type may still call its children. A function, a
//!   constant or a glob of the parent (`super::helper`, `super::*`) draws an arrow.
//! - *Tests* (`#[cfg(test)]`) may name anything.
//!
//! An inline module belongs to its file. A circle is cut by moving what both sides need into a
//! module below them.

mod graph;
mod source;
mod tokens;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;
use graph::{Circle, circles};
pub(crate) use source::{Kind, modules};

/// The circles that are still there, by the folder of the crate. Entries may only be taken away.
const ALLOWED: &[(&str, &[&str])] = &[];

#[test]
fn no_crate_has_a_circle_of_modules() {
    let mut wrong = Vec::new();
    for (name, root) in crates() {
        let found = circles(&root);
        for circle in &found {
            println!("{name}: a circle of {}", describe(circle));
        }
        let allowed: Vec<&[&str]> = ALLOWED
            .iter()
            .filter(|(of, _)| *of == name)
            .map(|(_, modules)| *modules)
            .collect();
        wrong.extend(
            found
                .iter()
                .filter(|circle| !allowed.contains(&strings(circle).as_slice()))
                .map(|circle| format!("{name}: a new circle of {}", describe(circle))),
        );
        wrong.extend(
            allowed
                .iter()
                .filter(|modules| !found.iter().any(|circle| strings(circle) == **modules))
                .map(|modules| {
                    format!("{name}: no longer a circle, take it off the list: {modules:?}")
                }),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn strings(circle: &Circle) -> Vec<&str> {
    circle.modules.iter().map(String::as_str).collect()
}

fn describe(circle: &Circle) -> String {
    let Circle { modules, arrows } = circle;
    format!(
        "{} files ({})\n    {}",
        modules.len(),
        modules.join(", "),
        arrows.join("\n    ")
    )
}

/// The folder and the root module of each package of the workspace.
pub(crate) fn crates() -> Vec<(String, PathBuf)> {
    let workspace = workspace();
    let folders = fs::read_dir(workspace.join("crates")).expect("a folder of crates");
    let mut found = vec![
        ("influence".to_owned(), workspace.join("src/lib.rs")),
        ("tests".to_owned(), workspace.join("tests/main.rs")),
    ];
    for folder in folders {
        let folder = folder.expect("an entry of the folder");
        let root = folder.path().join("src/lib.rs");
        if root.exists() {
            found.push((folder.file_name().to_string_lossy().into_owned(), root));
        }
    }
    found.sort();
    found
}

/// The modules of each circle of a crate with these files.
fn found_in(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    circles(&folder.path().join("lib.rs"))
        .into_iter()
        .map(|circle| circle.modules)
        .collect()
}

#[test]
fn groups_over_several_lines_and_paths_in_code_are_seen() {
    let found = found_in(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        (
            "a.rs",
            "use std::fmt;\nuse crate::{\n    // why\n    b::{\n        self, Inner as Other,\n    },\n};",
        ),
        (
            "b.rs",
            "pub struct Inner;\nfn f() { let _ = '\"'; super::c::g::<u8>(\"a::A\") }",
        ),
        ("c.rs", "pub fn g<'a, T>() {}\nfn h() -> crate::a::A {}"),
    ]);
    assert_eq!(found, [["a", "b", "c"]]);
}

#[test]
fn a_path_through_a_re_export_leads_to_the_definition() {
    let found = found_in(&[
        (
            "lib.rs",
            "mod a;\npub use a::deep::Item;\npub use a::helper;",
        ),
        ("a.rs", "pub mod deep;\npub fn helper() {}"),
        ("a/deep.rs", "pub struct Item;\nfn f() { crate::helper() }"),
    ]);
    assert!(found.is_empty(), "{found:?}");
    let found = found_in(&[
        (
            "lib.rs",
            "mod a;\npub use a::deep::Item;\npub use a::helper;",
        ),
        ("a.rs", "pub mod deep;\npub fn helper(_: crate::Item) {}"),
        ("a/deep.rs", "pub struct Item;\nfn f() { crate::helper() }"),
    ]);
    assert_eq!(found, [["a", "a::deep"]]);
}

#[test]
fn names_of_other_crates_draw_no_arrows() {
    let files = |import| {
        [
            ("lib.rs", import),
            ("a.rs", "pub fn f() { crate::other::g() }"),
        ]
    };
    let with = |import| found_in(&files(import));
    assert!(with("mod a;\npub use elsewhere::other;\nfn h() { a::f() }").is_empty());
    assert!(with("mod a;\npub use elsewhere::*;\nfn h() { a::f() }").is_empty());
    let inner = "mod a;\npub mod other { pub fn g() {} }\nfn h() { a::f() }";
    assert_eq!(with(inner), [["a", "crate"]]);
}

#[test]
fn types_of_an_ancestor_are_free_and_its_functions_are_not() {
    let parent = "mod child;\npub struct Common;\nconst MOST: u8 = 1;\nfn f() { child::g() }";
    let lib = ("lib.rs", "mod parent;");
    let of = |child| found_in(&[lib, ("parent.rs", parent), ("parent/child.rs", child)]);
    assert!(of("use super::Common;\npub fn g() {}").is_empty());
    for child in ["use super::MOST;", "use super::*;", "fn g() { super::f() }"] {
        assert_eq!(of(child), [["parent", "parent::child"]], "{child}");
    }
}

#[test]
fn tests_and_comments_draw_no_arrows() {
    let found = found_in(&[
        ("lib.rs", "mod a;\nmod b;"),
        (
            "a.rs",
            "pub fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::b::g;\n}\nuse crate::b::h;",
        ),
        (
            "b.rs",
            "pub fn g() {}\npub fn h() {}\n/* use crate::a::f; /* */ */\n// crate::a::f\n",
        ),
    ]);
    assert!(found.is_empty(), "{found:?}");
    let found = found_in(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "pub fn f() {}\nuse crate::b::h;"),
        (
            "b.rs",
            "pub fn h() {}\n#[cfg(any(test, feature = \"testing\"))]\nuse crate::a::f;",
        ),
    ]);
    assert_eq!(found, [["a", "b"]]);
}
