//! Reading ahead while others compute.

mod ahead;

use std::{
    fmt::{self, Debug},
    mem,
    ops::Range,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use influence_core::{Dataset, Error as CoreError, Result as CoreResult};

use crate::{Error, Result, Step, engine::guarded, sink::lock};
use ahead::Ahead;

/// How many batches are read ahead unless that is said.
const DEPTH: usize = 2;

/// A data set whose next batches are read by a background thread while the callers work on the ones they have.
///
/// After a range, the ranges of the same length that follow it are expected, and after the last one the first again, since calculators and
/// iterative solvers pass over the data several times. Requests may come from several threads and a little out of order. A batch that is ready or
/// being read is handed over, any other range is read by the caller itself, so that every range is read once a pass. At most
/// [`depth`](Self::with_depth) batches beyond those that callers hold are in memory.
///
/// An error met while reading ahead, or a panic, becomes the error of the request for that range. Dropping the data set ends the thread after
/// the read it is at.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/setup.rs")]
/// use influence_calculators::{Calculator, Prefetch, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let calculator = Sequential::new(model);
/// let plain = calculator.influences(&test, &train).with_chunks(2, 2)?.compute(Concatenate::new())?;
/// let train = Prefetch::new(train)?.with_depth(3);
/// assert_eq!(calculator.influences(&test, &train).with_chunks(2, 2)?.compute(Concatenate::new())?, plain);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Prefetch<D: Dataset> {
    shared: Arc<Shared<D>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<D: Dataset> {
    data: D,
    state: Mutex<State<D::Batch>>,
    changed: Condvar,
}

type Expected<B> = (Range<usize>, Arc<Ticket<B>>);

struct State<B> {
    ahead: Ahead<Arc<Ticket<B>>>,
    closing: bool,
}

/// What becomes of a range that is expected.
struct Ticket<B> {
    progress: Mutex<Progress<B>>,
    done: Condvar,
}

enum Progress<B> {
    Wanted,
    Reading,
    Done(CoreResult<B>),
    /// Handed over.
    Gone,
}

impl<D: Dataset> Debug for Prefetch<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch")
            .field("len", &self.shared.data.len())
            .finish_non_exhaustive()
    }
}

impl<D> Prefetch<D>
where
    D: Dataset + 'static,
    D::Batch: Send + 'static,
{
    /// Reads two batches ahead.
    ///
    /// # Errors
    /// [`Error::ThreadPool`] when the thread cannot be started.
    pub fn new(data: D) -> Result<Self> {
        let ahead = Ahead::new(data.len(), DEPTH);
        let shared = Arc::new(Shared {
            data,
            state: Mutex::new(State {
                ahead,
                closing: false,
            }),
            changed: Condvar::new(),
        });
        let reader = shared.clone();
        let thread = thread::Builder::new()
            .name("influence-reader".into())
            .spawn(move || reader.read_ahead());
        match thread {
            Ok(thread) => Ok(Self {
                shared,
                thread: Some(thread),
            }),
            Err(source) => Err(Error::ThreadPool {
                threads: 1,
                source: source.into(),
            }),
        }
    }
}

impl<D: Dataset> Prefetch<D> {
    /// Reads so many batches ahead; with 0, none.
    #[must_use]
    pub fn with_depth(self, depth: usize) -> Self {
        lock(&self.shared.state).ahead.set_depth(depth);
        self
    }

    /// The data set that is read.
    pub fn inner(&self) -> &D {
        &self.shared.data
    }
}

impl<D: Dataset> Dataset for Prefetch<D>
where
    D::Batch: Send,
{
    type Batch = D::Batch;

    fn len(&self) -> usize {
        self.shared.data.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<D::Batch> {
        CoreError::check_range(&range, self.len())?;
        if range.is_empty() {
            return self.shared.data.batch(range);
        }
        let ticket = lock(&self.shared.state).ahead.request(&range);
        self.shared.changed.notify_one();
        let ready = ticket.and_then(|ticket| ticket.redeem());
        ready.unwrap_or_else(|| self.shared.data.batch(range))
    }
}

impl<D: Dataset> Drop for Prefetch<D> {
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told to whom it concerned.
            drop(thread.join());
        }
    }
}

impl<D: Dataset> Shared<D> {
    fn read_ahead(&self) {
        while let Some((range, ticket)) = self.next() {
            let step = || Step::ReadingAhead {
                rows: range.clone(),
            };
            let read = guarded(step, || Ok(self.data.batch(range.clone())));
            ticket.fill(read.unwrap_or_else(|panicked| Err(CoreError::dataset(panicked))));
        }
    }

    /// The next range to read, `None` when it is time to end.
    fn next(&self) -> Option<Expected<D::Batch>> {
        let mut state = lock(&self.state);
        loop {
            if state.closing {
                return None;
            }
            if let Some((range, ticket)) = state.ahead.slots().find(|(_, ticket)| ticket.begin()) {
                return Some((range.clone(), ticket.clone()));
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<B> Default for Ticket<B> {
    fn default() -> Self {
        Self {
            progress: Mutex::new(Progress::Wanted),
            done: Condvar::new(),
        }
    }
}

impl<B> Ticket<B> {
    /// Whether the range is still to be read, which the caller must then do.
    fn begin(&self) -> bool {
        let mut progress = lock(&self.progress);
        let wanted = matches!(*progress, Progress::Wanted);
        if wanted {
            *progress = Progress::Reading;
        }
        wanted
    }

    fn fill(&self, read: CoreResult<B>) {
        *lock(&self.progress) = Progress::Done(read);
        self.done.notify_all();
    }

    /// The batch, once it is read; `None` when nobody has begun, and then nobody will.
    fn redeem(&self) -> Option<CoreResult<B>> {
        let mut progress = lock(&self.progress);
        loop {
            match mem::replace(&mut *progress, Progress::Gone) {
                Progress::Wanted | Progress::Gone => return None,
                Progress::Done(read) => return Some(read),
                Progress::Reading => {
                    *progress = Progress::Reading;
                    progress = self
                        .done
                        .wait(progress)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
