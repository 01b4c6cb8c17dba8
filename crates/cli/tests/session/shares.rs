//! Several processes write one output on the command line.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use crate::{files::files, job::Job};

/// A command in the folder of a job.
fn command(job: &Job, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .current_dir(job.path(""))
        .env_remove("RUST_LOG")
        .args(line.split(' '));
    command
}

fn influence(job: &Job, line: &str) -> Output {
    command(job, line).output().expect("the binary runs")
}

/// Runs a command that succeeds, and gives what it printed.
fn done(job: &Job, line: &str) -> String {
    let outcome = influence(job, line);
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(outcome.status.success(), "{line}: {said}");
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

fn refused(job: &Job, line: &str, expected: &str) {
    let outcome = influence(job, line);
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(outcome.status.code(), Some(2), "{line}: {said}");
    assert!(said.contains(expected), "{line}: {said}");
}

/// A job of 3 rows and 5 columns of chunks.
fn job() -> Job {
    let job = Job::new(6, 40);
    let config = OpenOptions::new()
        .append(true)
        .open(job.path("config.toml"));
    let mut config = config.expect("a configuration");
    config.write_all(b"test_chunk = 2\n").expect("written");
    job
}

/// What is shared: the commands that compute, declare and finish it.
struct Work {
    compute: String,
    declare: String,
    finish: String,
}

impl Work {
    /// Influences, with a setting.
    fn with(setting: &str) -> Self {
        let line = |command: &str| format!("{command} config.toml --set {setting}");
        Self {
            compute: line("run"),
            declare: line("declare"),
            finish: line("finish"),
        }
    }

    fn all() -> Vec<Self> {
        let settings = [
            "method.name=direct",
            "method.name=cg",
            "method.name=ekfac",
            "method.name=arnoldi --set method.rank=2",
            "compute.mode=perturbation",
            "compute.mode=by-block",
        ];
        let sweep = Self {
            compute: "sweep config.toml --damping 0.1,1.0".into(),
            ..Self::with("method.sweep=[0.1,1.0]")
        };
        let self_influences = Self {
            compute: "self config.toml".into(),
            declare: "declare config.toml --self".into(),
            finish: "finish config.toml".into(),
        };
        let works = settings.into_iter().map(Self::with);
        works.chain([sweep, self_influences]).collect()
    }

    /// Declares the output, computes all shares, the last one first, and finishes it.
    fn shared(&self, job: &Job, of: usize) -> BTreeMap<PathBuf, Vec<u8>> {
        done(job, &format!("{} --overwrite", self.declare));
        for index in (0..of).rev() {
            let line = format!("{} --share {index}/{of}", self.compute);
            if (index, of) == (2, 3) {
                killed(job, &line);
            }
            if (index, of) == (1, 3) {
                twice_at_once(job, &line);
            } else {
                done(job, &line);
            }
        }
        done(job, &self.finish);
        files(&job.path("influences.zarr"))
    }
}

/// Kills a command once it has written a chunk.
fn killed(job: &Job, line: &str) {
    let mut command = command(job, &format!("{line} --progress json"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let events = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut events = events.map(|event| event.expect("text"));
    assert!(events.any(|event| event.contains(r#""event":"chunk""#)));
    child.kill().expect("a process");
    child.wait().expect("it ends");
}

fn twice_at_once(job: &Job, line: &str) {
    let start = |_| {
        let mut command = command(job, line);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary runs")
    };
    let twins: [Child; 2] = [0, 1].map(start);
    for mut twin in twins {
        assert!(twin.wait().expect("it ends").success(), "{line}");
    }
}

#[test]
fn any_number_of_shares_has_the_bytes_of_one_run() {
    for work in Work::all() {
        let job = job();
        done(&job, &work.compute);
        let expected = files(&job.path("influences.zarr"));
        for of in [1, 2, 3, 5] {
            let found = work.shared(&job, of);
            assert!(found == expected, "{}, {of} shares", work.compute);
            done(&job, "verify influences.zarr");
        }
    }
}

#[test]
fn what_no_share_computed_is_computed_at_the_end() {
    let job = Job::new(6, 40);
    done(&job, "run config.toml");
    let expected = files(&job.path("influences.zarr"));
    done(&job, "declare config.toml --overwrite");
    done(&job, "run config.toml --share 1/3");
    assert!(files(&job.path("influences.zarr")) != expected);
    done(&job, "finish config.toml");
    assert!(files(&job.path("influences.zarr")) == expected);
}

#[test]
fn shares_say_what_they_compute() {
    let job = job();
    let printed = |line: &str, expected: &str| {
        let out = done(&job, line);
        assert!(out.contains(expected), "{line}: {out}");
    };
    let most = "declared in influences.zarr; at most 5 shares have work\n";
    printed("declare config.toml --dry-run", &format!("to be {most}"));
    assert!(!job.path("influences.zarr").exists());
    printed("declare config.toml", most);
    let some = "\nshare           2/3: 6 of 15 chunks\n";
    for command in ["plan", "run --dry-run", "run"] {
        printed(&format!("{command} config.toml --share 2/3"), some);
    }
    // Where solving is expensive, rows are shared, of which there are fewer.
    let cg = "config.toml --set method.name=cg";
    printed(
        &format!("declare {cg} --overwrite"),
        "at most 3 shares have work",
    );
    let none = "\nshare           0/5: nothing to compute, at most 3 shares have work\n";
    printed(&format!("plan {cg} --share 0/5"), none);
    printed(&format!("run {cg} --share 0/5"), none);
    printed(
        "declare config.toml --self --overwrite",
        "at most 5 shares have work",
    );
    let some = "\nshare           0/2: 2 of 5 chunks\n";
    printed("self config.toml --share 0/2 --dry-run", some);
    printed("self config.toml --share 0/2", some);
}

#[test]
fn a_share_says_what_it_lacks() {
    let job = Job::new(6, 40);
    refused(
        &job,
        "run config.toml --share 0/2",
        "is not declared; `influence declare`",
    );
    refused(&job, "finish config.toml", "influences.zarr does not exist");
    refused(
        &job,
        "run config.toml --share 2/2",
        "0/4 to 3/4 for four shares",
    );
    refused(
        &job,
        "run config.toml --share 0/2 --resume",
        "cannot be used with",
    );
    for line in [
        "declare config.toml --share 0/2",
        "finish config.toml --overwrite",
    ] {
        refused(&job, line, "cannot be used with");
    }
    done(&job, "declare config.toml");
    refused(
        &job,
        "run config.toml --share 0/2 --set method.damping=0.2",
        "damping",
    );
    refused(&job, "declare config.toml", "influences.zarr exists");
    done(&job, "run config.toml --share 0/2");
}
