//! Signals end a run in an orderly way, and a second one at once.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::job::{Job, event};
use serde_json::Value;

/// A running command, with stderr read as far as the tests ask.
///
/// Its jobs have many more events than a pipe holds: while nothing is read they cannot end.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(job: &Job, arguments: &[&str]) -> Self {
        Self::spawn(&mut job.command("json", arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stderr = child.stderr.take().expect("a pipe");
        Self {
            child,
            lines: BufReader::new(stderr).lines(),
        }
    }

    /// Reads until an event with this name (any name if empty) satisfies the condition.
    fn wait_for(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("more lines").expect("text");
            let event = event(&line);
            if (name.is_empty() || event["event"] == name) && holds(&event) {
                return event;
            }
        }
    }

    /// Reads until the event of the interruption; returns the announcing event, if any, and that
    /// one.
    fn end(&mut self) -> (Option<Value>, Value) {
        let mut told = None;
        loop {
            let event = self.wait_for("", |_| true);
            match event["event"].as_str() {
                Some("interrupting") => told = Some(event),
                Some("interrupted") => return (told, event),
                _ => {}
            }
        }
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(kill.expect("kill runs").success());
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

/// Whether the tests were started with SIGHUP ignored: the lowest bit of a hexadecimal number.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find(|line| line.starts_with("SigIgn:"));
    ignored.is_some_and(|line| line.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
}

fn number(event: &Value, key: &str) -> u64 {
    event[key].as_u64().expect(key)
}

#[test]
fn a_signal_lets_what_is_begun_be_finished() {
    let signals = ["INT", "TERM", "HUP"];
    let heeded = if ignores_hangup() { 2 } else { 3 };
    for signal in &signals[..heeded] {
        let job = Job::new(64, 512);
        let mut run = Running::start(&job, &["--set", "compute.test_chunk=1"]);
        run.wait_for("chunk", |_| true);
        run.signal(signal);
        let (told, end) = run.end();
        // Chunks in progress may be finished before the announcement.
        let expected =
            "interrupted: finishing the chunks in progress; interrupt again to stop at once";
        assert!(told.is_none_or(|told| told["message"] == expected));
        let (done, total) = (number(&end, "done"), number(&end, "total"));
        assert!(0 < done && done < total && total == 64 * 64, "{end}");
        let message = end["message"].as_str().expect("text");
        let expected = format!("interrupted: {done} of {total} chunks are written to ");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.ends_with("influences.zarr; go on with --resume"));
        assert_eq!(job.chunks_written() as u64, done);
        assert_eq!(run.code(), Some(130), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let job = Job::new(64, 512);
    let mut run = Running::start(&job, &["--set", "compute.test_chunk=1"]);
    run.wait_for("chunk", |_| true);
    // Different signals, because equal ones in quick succession are merged.
    run.signal("INT");
    run.signal("TERM");
    // Nothing reads its stderr, so it cannot end by itself.
    assert_eq!(run.code(), Some(130));
}

#[test]
#[cfg(target_os = "linux")]
fn a_hangup_stays_ignored_where_it_was() {
    let job = Job::new(64, 512);
    let command = job.command("json", &["--set", "compute.test_chunk=1"]);
    let mut outliving = Command::new("nohup");
    outliving
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(job.path(""));
    let mut run = Running::spawn(&mut outliving);
    run.wait_for("chunk", |_| true);
    run.signal("HUP");
    // If the hangup were not ignored, this would be the second signal.
    run.signal("TERM");
    run.wait_for("interrupted", |_| true);
    assert_eq!(run.code(), Some(130));
}

#[test]
fn before_chunks_are_computed_nothing_is_written() {
    let job = Job::new(2, 32768);
    // A fit sample by sample takes long enough.
    let mut run = Running::start(&job, &["--set", "compute.train_chunk=1"]);
    run.wait_for("phase", |event| event["phase"] == "fit");
    run.signal("INT");
    let end = run.wait_for("interrupted", |_| true);
    assert_eq!(end["message"], "interrupted: nothing was written");
    assert_eq!(run.code(), Some(130));
    assert!(!job.path("influences.zarr").exists());
}
