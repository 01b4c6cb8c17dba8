//! Several processes write one output on the command line.

use std::process::{Command, Output};

use crate::{files::files, job::Job};

/// Runs a command in the folder of a job.
fn influence(job: &Job, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_influence"))
        .current_dir(job.path(""))
        .env_remove("RUST_LOG")
        .args(line.split(' '))
        .output()
        .expect("the binary runs")
}

fn done(job: &Job, line: &str) {
    let outcome = influence(job, line);
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(outcome.status.success(), "{line}: {said}");
}

fn refused(job: &Job, line: &str, expected: &str) {
    let outcome = influence(job, line);
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(outcome.status.code(), Some(2), "{line}: {said}");
    assert!(said.contains(expected), "{line}: {said}");
}

#[test]
fn shares_have_the_bytes_of_one_run() {
    let sweep = "--set method.sweep=[0.1,1.0]";
    for (command, declare, set) in [
        ("run", "declare config.toml", ""),
        ("self", "declare config.toml --self", ""),
        ("run", "declare config.toml", sweep),
    ] {
        let job = Job::new(6, 40);
        let line = |words: &str| format!("{words} {set}").trim_end().to_owned();
        done(&job, &line(&format!("{command} config.toml")));
        let expected = files(&job.path("influences.zarr"));
        done(&job, &line(&format!("{declare} --overwrite")));
        for share in ["2/3", "0/3"] {
            done(
                &job,
                &line(&format!("{command} config.toml --share {share}")),
            );
        }
        let part = files(&job.path("influences.zarr"));
        assert!(part != expected);
        done(&job, &line("finish config.toml"));
        assert!(
            files(&job.path("influences.zarr")) == expected,
            "{command} {set}"
        );
        done(&job, "verify influences.zarr");
    }
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
    done(&job, "declare config.toml");
    refused(
        &job,
        "run config.toml --share 0/2 --set method.damping=0.2",
        "damping",
    );
    refused(&job, "declare config.toml", "influences.zarr exists");
    done(&job, "run config.toml --share 0/2");
}
