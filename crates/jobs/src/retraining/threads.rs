//! Many tasks at once, each in one thread.

use std::{
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Error, Result};
use influence_calculators::{Cancellation, on_one_thread};

/// Does the tasks from 0 to before `tasks`, on this many threads. A task has a thread to itself,
/// whose kernels use no other.
///
/// Tasks are taken in their order, and none after a failure or once the work is cancelled. Of
/// several errors that of the first task is returned, whatever the number of threads.
pub(super) fn each(
    tasks: usize,
    threads: usize,
    cancellation: &Cancellation,
    work: &(dyn Fn(usize) -> Result<()> + Sync),
) -> Result<()> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let run = || {
        while !cancellation.is_cancelled() {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            if let Err(error) = work(task) {
                next.store(tasks, Ordering::Relaxed);
                keep_first(&failure, task, error);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, tasks.max(1)))
            .map(|_| scope.spawn(|| on_one_thread(run)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            Ok::<_, Error>(ended?)
        })
    })?;
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), |(_, error)| Err(error))
}

fn keep_first(failure: &Mutex<Option<(usize, Error)>>, task: usize, error: Error) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    if failure.as_ref().is_none_or(|(first, _)| task < *first) {
        *failure = Some((task, error));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn every_task_is_done_once_and_the_first_error_is_returned() -> Result<()> {
        let on = |threads, tasks: usize, bad: &[usize]| {
            let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            let outcome = each(tasks, threads, &Cancellation::new(), &|task| {
                done[task].fetch_add(1, Ordering::Relaxed);
                if bad.contains(&task) {
                    bail!("task {task}");
                }
                Ok(())
            });
            let done: Vec<usize> = done.into_iter().map(AtomicUsize::into_inner).collect();
            (outcome, done)
        };
        for threads in [1, 3, 50] {
            let (outcome, done) = on(threads, 20, &[]);
            outcome?;
            assert_eq!(done, [1; 20]);
            let (outcome, done) = on(threads, 20, &[5, 6]);
            assert_eq!(outcome.expect_err("two fail").to_string(), "task 5");
            assert!(done[..5].iter().all(|&times| times == 1));
        }
        on(2, 0, &[]).0
    }

    #[test]
    fn no_task_is_begun_once_the_work_is_cancelled() -> Result<()> {
        let (cancellation, done) = (Cancellation::new(), AtomicUsize::new(0));
        each(9, 1, &cancellation, &|task| {
            done.fetch_add(1, Ordering::Relaxed);
            if task == 2 {
                cancellation.cancel();
            }
            Ok(())
        })?;
        assert_eq!(done.into_inner(), 3);
        Ok(())
    }
}
