//! Progress and logs.

use std::process::Stdio;

use crate::job::{Job, event};
use serde_json::Value;

/// Everything that the run writes to stderr.
fn said(job: &Job, style: &str, arguments: &[&str]) -> String {
    let output = job
        .command(style, arguments)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn events_are_well_formed_and_tell_of_every_chunk_once() {
    let job = Job::new(5, 30);
    let said = said(&job, "json", &["--set", "compute.test_chunk=2"]);
    let events: Vec<Value> = said.lines().map(event).collect();
    let named = |name: &str| -> Vec<&Value> {
        let events = events.iter();
        events.filter(|event| event["event"] == name).collect()
    };
    let phases: Vec<_> = named("phase").iter().map(|event| &event["phase"]).collect();
    assert_eq!(phases[..2], ["check", "fit"]);
    assert_eq!(phases.last().copied(), Some(&Value::from("scores")));

    let working = named("working");
    let told = working.first().expect("a fit is told of");
    assert_eq!([&told["phase"], &told["step"]], ["fit", "batches"]);
    assert_eq!([&told["done"], &told["total"]], [0, 1]);

    let [planned] = named("planned")[..] else {
        panic!("planned once")
    };
    assert_eq!(planned["chunks"], 3 * 4);
    assert_eq!([&planned["rows"], &planned["columns"]], [5, 30]);
    let solved = named("solved");
    let rows = |event: &Value| event["converged"].as_u64().expect("a number");
    assert_eq!(solved.iter().map(|event| rows(event)).sum::<u64>(), 5);

    let chunks = named("chunk");
    let mut places: Vec<_> = chunks
        .iter()
        .map(|event| (event["row"].as_u64(), event["column"].as_u64()))
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 12);
    for (before, event) in chunks.iter().enumerate() {
        assert_eq!(event["done"], before + 1);
        assert_eq!(event["total"], 12);
    }
    assert_eq!(chunks[11]["eta_seconds"].as_f64(), Some(0.0));
    assert!(chunks[11]["rate"].as_f64() > Some(0.0));
    let end = events.last().expect("events");
    assert_eq!(
        [&end["event"], &end["done"]],
        [&"finished".into(), &Value::from(12)]
    );
    assert_eq!(job.chunks_written(), 12);
}

#[test]
fn a_failure_is_the_last_event() {
    let job = Job::new(2, 2);
    let output = job
        .command("json", &["--set", "sead=1"])
        .output()
        .expect("runs");
    let said = String::from_utf8(output.stderr).expect("text");
    let end = event(said.lines().last().expect("a line"));
    assert_eq!(end["event"], "failed");
    let error = end["error"].as_str().expect("text");
    assert!(
        error.contains("sead: unknown key; did you mean `seed`?"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn lines_are_plain_and_nothing_is_nothing() {
    let job = Job::new(5, 30);
    let lines = said(&job, "lines", &["--overwrite"]);
    assert!(
        lines.contains(" s] fit\n") && lines.contains("] done; chunks written: 4\n"),
        "{lines}"
    );
    assert!(
        !lines.replace('\n', "").contains(char::is_control),
        "{lines}"
    );
    assert_eq!(said(&job, "none", &["--overwrite"]), "");
    assert_eq!(
        said(&job, "auto", &["--overwrite"]).lines().count(),
        lines.lines().count()
    );
}

#[test]
fn logs_are_as_verbose_as_asked_for() {
    let job = Job::new(5, 30);
    let logged = |arguments: &[&str]| said(&job, "none", &[&["--overwrite"], arguments].concat());
    let info = logged(&["-v"]);
    assert!(info.contains("INFO") && !info.contains("DEBUG"), "{info}");
    let debug = logged(&["-vv", "--log-format", "json"]);
    let written = debug
        .lines()
        .map(event)
        .find(|line| line["message"] == "value written");
    let written = written.expect("a value is written");
    assert!(
        written["bytes"].as_u64() > Some(0) && written["level"] == "DEBUG",
        "{written}"
    );
    assert_eq!(written["target"], "influence_calculators::zarr::durable");
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_of_stderr_that_goes_away_is_no_failure() {
    for style in ["json", "lines", "bar"] {
        let job = Job::new(64, 64);
        let mut command = job.command(style, &["-vvv"]);
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("runs");
        drop(child.stderr.take());
        assert!(child.wait().expect("it ends").success(), "{style}");
        assert_eq!(job.chunks_written(), 8);
    }
}
