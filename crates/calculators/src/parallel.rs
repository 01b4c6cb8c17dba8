//! Many tasks at once, on a pool of threads that belongs to the calculator.
//!
//! *Why tasks are not jobs of the pool.* The kernels of a model may use rayon themselves. A thread
//! that waits in such a kernel fills the wait with other jobs of its pool. Were a task a job, the
//! thread would begin the next task in the middle of its own: the model would be re-entered on one
//! thread, the memory of two tasks would be in use at once, and a replica kept per thread would be
//! borrowed twice. So each thread runs one job, a loop that takes task after task from a
//! [`TaskQueue`]; while it waits in a kernel it can only pick up parts of kernels, or of a product
//! with a curvature. Threads without a task help with those.
//!
//! *Why the reported error does not depend on the threads.* Tasks are taken in order, so that of
//! the tasks that fail, the one with the lowest number is always among those begun. The queue keeps
//! that one and hands out no further task.
//!
//! *Why a mutex guards the pool.* Two computations on one pool would lend each other threads, and
//! with them begin tasks on top of tasks. They take turns instead. A thread of the pool that starts
//! a computation on its own calculator would wait for itself: that is refused as [`Error::Nested`].

mod queue;

use std::{
    any::Any,
    cell::RefCell,
    fmt::{self, Debug},
    num::NonZero,
    sync::Mutex,
    thread,
};

use influence_core::{InfluenceModel, ThreadSafe};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Calculator, Error, Result, Step, engine::core_step, sink::lock};
use queue::TaskQueue;

thread_local! {
    /// The replica of the model that this thread works with: a thread of a pool serves one
    /// calculator as long as it lives.
    static REPLICA: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// One model, shared by all worker threads.
#[derive(Debug)]
pub struct Shared<M>(M);

/// One model for each worker thread, made and kept there.
pub struct Replicas<M>(Box<dyn Fn() -> influence_core::Result<M> + Send + Sync>);

impl<M> Debug for Replicas<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").finish_non_exhaustive()
    }
}

/// Sets the number of threads for all that a process computes outside of a [`Parallel`] calculator:
/// kernels of a fit, reading and checking outputs.
///
/// A process has one such pool, so this works once, and before anything is computed. Returns
/// whether it did.
pub fn share_threads(threads: NonZero<usize>) -> bool {
    let pool = ThreadPoolBuilder::new().num_threads(threads.get());
    pool.build_global().is_ok()
}

/// Runs work in a thread of its own, whose kernels use no other thread.
///
/// For work of which several are done at once, one on each core: the kernels of one then do not
/// wait for those of another.
///
/// # Errors
/// [`Error::ThreadPool`] when the thread cannot be started.
///
/// # Examples
/// ```
/// let sum = influence_calculators::on_one_thread(|| (1..=4).sum::<i32>())?;
/// assert_eq!(sum, 10);
/// # Ok::<(), influence_calculators::Error>(())
/// ```
pub fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R> {
    match ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => Ok(pool.install(work)),
        Err(source) => Err(Error::ThreadPool {
            threads: 1,
            source: source.into(),
        }),
    }
}

/// Runs tasks on a fixed number of threads of its own; the same bits as
/// [`Sequential`](crate::Sequential), whatever that number.
///
/// A thread takes one task after another until none is left. Tasks are not jobs of the thread pool:
/// a thread that waits inside a parallel kernel of the model helps with kernels but never begins
/// another task, and a thread without a task helps with the kernels of the others. So the model is
/// not re-entered on one thread, and no more than this number of threads is ever busy.
///
/// Dropping the calculator ends the threads and with them the replicas.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/setup.rs")]
/// use std::num::NonZero;
/// use influence_calculators::{Calculator, Parallel, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let parallel = Parallel::new(&model, NonZero::new(2))?;
/// let influences = parallel.influences(&test, &train).with_chunks(2, 2)?;
/// let sequential = Sequential::new(&model);
/// let expected = sequential.influences(&test, &train).with_chunks(2, 2)?;
/// assert_eq!(influences.compute(Concatenate::new())?, expected.compute(Concatenate::new())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// A model that is merely `Send + Sync` is refused at compile time:
/// ```compile_fail
/// use influence_core::{InfluenceModel, ThreadSafe};
///
/// fn share<M: InfluenceModel + Send + Sync>(model: M) -> influence_calculators::Result<()> {
///     influence_calculators::Parallel::new(model, None).map(drop)
/// }
/// ```
/// With the promise it is accepted:
/// ```
/// use influence_core::{InfluenceModel, ThreadSafe};
///
/// fn share<M: InfluenceModel + ThreadSafe>(model: M) -> influence_calculators::Result<()> {
///     influence_calculators::Parallel::new(model, None).map(drop)
/// }
/// ```
pub struct Parallel<S> {
    pool: ThreadPool,
    // One computation at a time: a thread waiting in a kernel would otherwise begin the tasks of
    // another computation on top of it.
    turn: Mutex<()>,
    models: S,
}

impl<S: Debug> Debug for Parallel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("threads", &self.pool.current_num_threads())
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl<M: InfluenceModel + ThreadSafe> Parallel<Shared<M>> {
    /// Shares a model among `threads` threads, as many as there are cores for `None`.
    ///
    /// # Errors
    /// [`Error::ThreadPool`] when the threads cannot be started.
    pub fn new(model: M, threads: Option<NonZero<usize>>) -> Result<Self> {
        Self::start(Shared(model), threads)
    }
}

impl<M: InfluenceModel + 'static> Parallel<Replicas<M>> {
    /// Gives each of `threads` threads a model of its own, so that the model needs to be neither
    /// `Send` nor `Sync` nor marked.
    ///
    /// A thread calls `replica` when it gets its first task, keeps what it made for later
    /// computations, and makes another after an error. All replicas must give the same numbers, and
    /// factors made by one must be good for another.
    ///
    /// # Errors
    /// [`Error::ThreadPool`] when the threads cannot be started.
    pub fn with_replicas<F>(replica: F, threads: Option<NonZero<usize>>) -> Result<Self>
    where
        F: Fn() -> influence_core::Result<M> + Send + Sync + 'static,
    {
        Self::start(Replicas(Box::new(replica)), threads)
    }
}

impl<S> Parallel<S> {
    fn start(models: S, threads: Option<NonZero<usize>>) -> Result<Self> {
        let threads = threads
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get);
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("influence-{index}"));
        match pool.build() {
            Ok(pool) => {
                tracing::debug!(threads, "threads started");
                Ok(Self {
                    pool,
                    turn: Mutex::new(()),
                    models,
                })
            }
            Err(source) => Err(Error::ThreadPool {
                threads,
                source: source.into(),
            }),
        }
    }

    /// Runs `worker` once on each of `workers` threads and waits; the others help with kernels
    /// meanwhile.
    fn on_threads(&self, workers: usize, worker: impl Fn() + Sync) -> Result<()> {
        if self.pool.current_thread_index().is_some() {
            return Err(Error::Nested);
        }
        let _turn = lock(&self.turn);
        let pool = &self.pool;
        let work = |thread: rayon::BroadcastContext<'_>| {
            if thread.index() < workers {
                worker();
            }
        };
        let broadcast = || drop(pool.broadcast(work));
        if rayon::current_thread_index().is_none() {
            broadcast();
            return Ok(());
        }
        // A thread of another pool would fill the wait with jobs of that pool, which may ask for
        // this calculator and find the turn taken by their own thread: so it is a thread of no pool
        // that waits.
        thread::scope(
            |scope| match thread::Builder::new().spawn_scoped(scope, broadcast) {
                Ok(waiting) => waiting
                    .join()
                    .map_err(|panic| std::panic::resume_unwind(panic)),
                Err(source) => Err(Error::ThreadPool {
                    threads: 1,
                    source: source.into(),
                }),
            },
        )
    }
}

impl<M: InfluenceModel + ThreadSafe> Calculator for Parallel<Shared<M>> {
    type Model = M;

    fn run(
        &self,
        tasks: usize,
        workers: usize,
        work: &(dyn Fn(&M, usize) -> Result<()> + Sync),
    ) -> Result<()> {
        let (queue, model) = (TaskQueue::new(tasks), &self.models.0);
        self.on_threads(workers, || {
            queue.work_from(queue.next(), |task| work(model, task));
        })?;
        queue.outcome()
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        self.pool.install(work);
    }
}

impl<M: InfluenceModel + 'static> Calculator for Parallel<Replicas<M>> {
    type Model = M;

    fn run(
        &self,
        tasks: usize,
        workers: usize,
        work: &(dyn Fn(&M, usize) -> Result<()> + Sync),
    ) -> Result<()> {
        let (queue, build) = (TaskQueue::new(tasks), &self.models.0);
        self.on_threads(workers, || {
            // The task comes first: a thread without one needs no replica.
            let Some(first) = queue.next() else { return };
            let kept = REPLICA
                .take()
                .and_then(|replica| replica.downcast::<M>().ok());
            match kept.map_or_else(|| core_step(|| Step::Replica, || build().map(Box::new)), Ok) {
                Err(error) => queue.fail(first, error),
                Ok(model) => {
                    if queue.work_from(Some(first), |task| work(&model, task)) {
                        REPLICA.set(Some(model));
                    }
                }
            }
        })?;
        queue.outcome()
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        self.pool.install(work);
    }
}
