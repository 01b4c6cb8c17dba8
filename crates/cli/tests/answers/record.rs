//! The record of time and memory beside an output.

use std::fs;

use serde_json::Value;

use super::{Folder, number};

fn record(folder: &Folder, name: &str) -> Value {
    let text = fs::read(folder.path(name)).expect("a record");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_run_says_what_it_took() {
    let folder = Folder::computed();
    let taken = record(&folder, "influences.run.json");
    let phases = taken["phases"].as_array().expect("phases");
    let names: Vec<&str> = phases
        .iter()
        .filter_map(|phase| phase["phase"].as_str())
        .collect();
    assert_eq!(names[..2], ["check", "fit"]);
    assert!(names.contains(&"scores"), "{names:?}");
    let sum: f64 = phases.iter().map(|phase| number(&phase["seconds"])).sum();
    assert!((sum - number(&taken["seconds"])).abs() < 1e-6);
    let started = taken["started"].as_str().expect("a time");
    assert!(
        started.starts_with("20") && started.ends_with('Z') && started.len() == 20,
        "{started}"
    );
    assert_eq!(taken["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(taken["device"], "cpu");
    assert_eq!(taken["resumed"], false);
    assert!(number(&taken["threads"]) >= 1.0 && number(&taken["cores"]) >= 1.0);
    assert_eq!(
        record(&folder, "self.run.json")["phases"][0]["phase"],
        "check"
    );
    folder.done(&[
        "sweep",
        "influence.toml",
        "--damping",
        "0.1,0.2",
        "--set",
        "output.path=sweep.zarr",
        "--threads",
        "1",
    ]);
    assert_eq!(record(&folder, "sweep.run.json")["threads"], 1);
}

#[test]
fn a_record_of_another_run_is_not_shown() {
    let folder = Folder::computed();
    let report = |output: &str| {
        folder.done(&["report", output]);
        let page = folder.path(output).with_extension("html");
        fs::read_to_string(page).expect("the page")
    };
    let started = record(&folder, "influences.run.json")["started"].to_string();
    let page = report("influences.zarr");
    assert!(page.contains("id=\"timings\"") && page.contains(started.trim_matches('"')));
    let path = folder.path("influences.run.json");
    fs::copy(folder.path("self.run.json"), &path).expect("copied");
    assert!(!report("influences.zarr").contains("id=\"timings\""));
    fs::remove_file(&path).expect("removed");
    assert!(!report("influences.zarr").contains("id=\"timings\""));
}

/// A run whose record cannot be written still succeeds.
#[test]
fn a_record_in_the_way_of_something_is_a_warning() {
    let folder = Folder::new();
    folder.init();
    fs::create_dir(folder.path("influences.run.json")).expect("made");
    let output = folder.command(&["run", "influence.toml"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("what the run took is not recorded"), "{said}");
    assert!(folder.influences().iter().all(|value| value.is_finite()));
}
