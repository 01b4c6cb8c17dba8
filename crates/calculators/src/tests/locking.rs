//! One run writes to a folder at a time, and clears up after those before it.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use influence_core::Chunk;

use super::job::{Contents, Home, JOBS, Outcome, SCRATCH, SHAPE, data, parallel, sequential};
use crate::{Error, Observer, Phase, Plan, ZarrOptions, sink::lock};

fn options() -> ZarrOptions {
    ZarrOptions::default().resuming()
}

/// Stops at every chunk until it may continue.
struct Stopped {
    reached: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Observer for Stopped {
    fn chunk_done(&self, _chunk: &Chunk) {
        // Once the other side has seen enough, its ends are closed and nothing stops here any more.
        lock(&self.reached).send(()).ok();
        lock(&self.go_on).recv().ok();
    }
}

#[test]
fn a_second_run_is_refused_while_the_first_is_at_work() -> Outcome {
    let (job, data) = (JOBS[2], data(SHAPE)?);
    let expected = job.expected(&data, &options())?;
    let home = Home::Folder(tempfile::tempdir()?);
    let (model, other) = (job.model(), job.model());
    let (reached, reaches) = channel();
    let (goes_on, go_on) = channel();
    let stopped = Stopped {
        reached: Mutex::new(reached),
        go_on: Mutex::new(go_on),
    };
    let first = || {
        let calculator = sequential(&model);
        let lazy = job.influences(&calculator, &data, &data.train)?;
        lazy.with_observer(&stopped)
            .to_zarr(home.location(), &options())
    };
    thread::scope(|scope| -> Outcome {
        let first = scope.spawn(first);
        reaches.recv()?;
        let before = home.contents();
        for options in [
            options(),
            ZarrOptions::default().overwriting(),
            ZarrOptions::default(),
        ] {
            let second = job.run(&sequential(&other), &data, home.location(), &options);
            assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        }
        assert!(home.contents() == before);
        drop(goes_on);
        first.join().map_err(|_| "a panic")??;
        Ok(())
    })?;
    assert_eq!(other.counts(), [0, 0]);
    assert!(home.contents() == expected, "and no lock is left");
    job.run(&sequential(&other), &data, home.location(), &options())?;
    Ok(())
}

/// Panics at one of the occasions that it has.
#[derive(Clone, Copy, PartialEq)]
enum Panicking {
    Planned,
    Phase,
    Chunk,
}

impl Observer for Panicking {
    fn planned(&self, _plan: &Plan, _finished: usize) {
        assert!(*self != Self::Planned, "no plan pleases");
    }

    fn phase(&self, _phase: Phase) {
        assert!(*self != Self::Phase, "no phase pleases");
    }

    fn chunk_done(&self, _chunk: &Chunk) {
        assert!(*self != Self::Chunk, "no chunk pleases");
    }
}

#[test]
fn the_lock_is_free_after_a_panic_which_is_an_error() -> Outcome {
    let (job, data) = (SCRATCH, data(SHAPE)?);
    let expected = job.expected(&data, &options())?;
    for observer in [Panicking::Planned, Panicking::Phase, Panicking::Chunk] {
        let (home, model) = (Home::Folder(tempfile::tempdir()?), job.model());
        let calculator = parallel(&model, 2)?;
        let lazy = job.influences(&calculator, &data, &data.train)?;
        let outcome = lazy
            .with_observer(observer)
            .to_zarr(home.location(), &options());
        assert!(
            matches!(&outcome, Err(Error::Panicked { message, .. }) if message.contains("pleases")),
            "{outcome:?}"
        );
        job.run(&calculator, &data, home.location(), &options())?;
        assert!(home.contents() == expected);
    }
    Ok(())
}

/// Leaves what writers leave that are killed.
fn litter(folder: &Path, names: &[&str]) -> Outcome {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().ok_or("a folder")?)?;
        fs::write(path, "torn")?;
    }
    Ok(())
}

const LEFTOVERS: [&str; 5] = [
    ".zarr.json.4711-0.partial",
    "influences/.zarr.json.4711-1.partial",
    "influences/c/0/.1.4711-2.partial",
    "solver_status/c/.0.4711-3.partial",
    "scratch/factors/c/0/.0.4711-4.partial",
];

#[test]
fn what_killed_writers_left_behind_is_swept() -> Outcome {
    let (job, data) = (JOBS[0], data(SHAPE)?);
    let expected = job.expected(&data, &options())?;
    let home = Home::Folder(tempfile::tempdir()?);
    let Home::Folder(folder) = &home else {
        return Ok(());
    };
    let calculator = sequential(&job.model());
    let run = |options: &ZarrOptions| job.run(&calculator, &data, home.location(), options);
    // A run that was killed at its very first write.
    litter(folder.path(), &LEFTOVERS[..1])?;
    litter(folder.path(), &[".lock"])?;
    run(&options())?;
    assert!(home.contents() == expected);
    for options in [options(), ZarrOptions::default().overwriting()] {
        litter(folder.path(), &LEFTOVERS)?;
        run(&options)?;
        assert!(home.contents() == expected);
    }
    Ok(())
}

#[test]
fn what_others_keep_beside_the_output_stays() -> Outcome {
    let (job, data) = (JOBS[0], data(SHAPE)?);
    let mut expected: Contents = job.expected(&data, &options())?;
    let home = Home::Folder(tempfile::tempdir()?);
    let Home::Folder(folder) = &home else {
        return Ok(());
    };
    let calculator = sequential(&job.model());
    // Another output within this one may be in the midst of being written.
    let others = ["second/.zarr.json.4712-0.partial", "notes/draft.partial"];
    job.run(&calculator, &data, home.location(), &options())?;
    litter(folder.path(), &others)?;
    for options in [options(), ZarrOptions::default().overwriting()] {
        job.run(&calculator, &data, home.location(), &options)?;
        expected.extend(others.map(|name| (name.to_owned(), b"torn".to_vec())));
        assert!(home.contents() == expected);
    }
    Ok(())
}
