//! One name, one type: no two types of the workspace have the same name.
//!
//! Structs, enums, unions and traits of all crates count, private ones too. Aliases, associated
//! types, types within functions, and those for tests alone do not.

use std::collections::BTreeMap;

use crate::modules::{Kind, crates, modules};

/// Names that several types may share, since each crate is expected to have one.
const SHARED: &[&str] = &["Error"];

/// Names that several types still share. Entries may only be taken away.
const REMAINING: &[&str] = &["Samples"];

#[test]
fn no_two_types_have_the_same_name() {
    let shared: BTreeMap<String, Vec<String>> = types()
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !SHARED.contains(&name.as_str()))
        .collect();
    let mut wrong: Vec<String> = shared
        .iter()
        .filter(|(name, _)| !REMAINING.contains(&name.as_str()))
        .map(|(name, places)| format!("{name} is the name of several types: {places:?}"))
        .collect();
    wrong.extend(
        REMAINING
            .iter()
            .filter(|name| !shared.contains_key(**name))
            .map(|name| format!("{name} is the name of one type now, take it off the list")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_is_sorted() {
    assert!(REMAINING.is_sorted());
}

/// The modules in which a type of each name is defined.
fn types() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let crates = crates().into_iter().filter(|(name, _)| name != "tests");
    for (name, root) in crates {
        for module in modules(&root) {
            let place = [std::slice::from_ref(&name), &module.path]
                .concat()
                .join("::");
            let types = module
                .items
                .into_iter()
                .filter(|(_, kind)| *kind == Kind::Type);
            for (item, _) in types {
                found.entry(item).or_default().push(place.clone());
            }
        }
    }
    found
}

#[test]
fn types_of_all_crates_are_seen() {
    let found = types();
    let places = |name: &str| found.get(name).cloned().unwrap_or_default();
    assert_eq!(places("LinearOperator"), ["influence-core::operator"]);
    assert_eq!(places("Curvature"), ["backend-burn::curvature"]);
    assert!(places("Error").len() > 3);
}
