use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::{Error, Result, sink::lock};

/// Tasks that threads take in order of their number.
///
/// Of the tasks that fail, the one with the lowest number is always among those begun: everything
/// before a task that was taken was taken before it. So the reported error does not depend on the
/// threads.
pub(super) struct TaskQueue {
    next: AtomicUsize,
    tasks: usize,
    failure: Mutex<Option<(usize, Error)>>,
}

impl TaskQueue {
    pub(super) fn new(tasks: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            tasks,
            failure: Mutex::new(None),
        }
    }

    /// The next task; none after a failure.
    pub(super) fn next(&self) -> Option<usize> {
        // Nothing is published through this counter: the end of the broadcast makes results
        // visible.
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next < self.tasks).then_some(next + 1)
            })
            .ok()
    }

    pub(super) fn fail(&self, task: usize, error: Error) {
        self.next.store(self.tasks, Ordering::Relaxed);
        let mut failure = lock(&self.failure);
        if failure.as_ref().is_none_or(|(first, _)| task < *first) {
            *failure = Some((task, error));
        }
    }

    /// Does the task that was taken and all that can be taken after it; false if one failed.
    pub(super) fn work_from(
        &self,
        taken: Option<usize>,
        work: impl Fn(usize) -> Result<()>,
    ) -> bool {
        let mut taken = taken;
        while let Some(task) = taken {
            if let Err(error) = work(task) {
                self.fail(task, error);
                return false;
            }
            taken = self.next();
        }
        true
    }

    pub(super) fn outcome(self) -> Result<()> {
        let failure = self
            .failure
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_nothing_is_begun_and_the_lowest_number_is_reported() {
        let queue = TaskQueue::new(9);
        assert_eq!([queue.next(), queue.next()], [Some(0), Some(1)]);
        for (task, threads) in [(5, 50), (1, 10), (3, 30)] {
            let source = "no threads".into();
            queue.fail(task, Error::ThreadPool { threads, source });
            assert_eq!(queue.next(), None);
        }
        assert!(matches!(
            queue.outcome(),
            Err(Error::ThreadPool { threads: 10, .. })
        ));
    }

    #[test]
    fn every_task_is_claimed_once() {
        let queue = TaskQueue::new(3);
        let tasks: Vec<usize> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(tasks, [0, 1, 2]);
        assert!(queue.outcome().is_ok());
    }
}
