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

/// How many batches are read ahead by default.
const DEPTH: usize = 2;

/// A data set whose next batches are read by a background thread while the callers work on the ones
/// they have.
///
/// After a range, the ranges of the same length that follow it are expected, and after the last one
/// the first again, since calculators and iterative solvers pass over the data several times.
/// Requests may come from several threads and a little out of order. A batch that is ready or being
/// read is handed over, any other range is read by the caller itself, so that every range is read
/// once a pass. At most [`depth`](Self::with_depth) batches beyond those that callers hold are in
/// memory.
///
/// An error met while reading ahead, or a panic, becomes the error of the request for that range.
/// Dropping the data set ends the thread after the read it is at.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/setup.rs")]
/// use influence_calculators::{Calculator, Prefetch, Sequential};
/// use influence_core::aggregate::Concatenate;
///
/// let calculator = Sequential::new(model);
/// let plain = calculator.influences(&test, &train).with_chunks(2, 2)?;
/// let plain = plain.compute(Concatenate::new())?;
/// let train = Prefetch::new(train)?.with_depth(3);
/// let ahead = calculator.influences(&test, &train).with_chunks(2, 2)?;
/// assert_eq!(ahead.compute(Concatenate::new())?, plain);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Prefetch<D: Dataset> {
    reader: Arc<Reader<D>>,
    thread: Option<JoinHandle<()>>,
}

/// Shared by the callers and the background thread.
struct Reader<D: Dataset> {
    data: D,
    requests: Mutex<Requests<D::Batch>>,
    changed: Condvar,
}

type Expected<B> = (Range<usize>, Arc<Ticket<B>>);

/// The ranges that are expected after those that were asked for.
struct Requests<B> {
    ahead: Ahead<Arc<Ticket<B>>>,
    closing: bool,
}

/// A range that is expected, and its batch once it is read.
struct Ticket<B> {
    readiness: Mutex<Readiness<B>>,
    done: Condvar,
}

/// How far the reading of a range is.
enum Readiness<B> {
    Wanted,
    Reading,
    Done(CoreResult<B>),
    /// Handed over.
    Gone,
}

impl<D: Dataset> Debug for Prefetch<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch")
            .field("len", &self.reader.data.len())
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
        let reader = Arc::new(Reader {
            data,
            requests: Mutex::new(Requests {
                ahead,
                closing: false,
            }),
            changed: Condvar::new(),
        });
        let background = reader.clone();
        let thread = thread::Builder::new()
            .name("influence-reader".into())
            .spawn(move || background.read_ahead());
        match thread {
            Ok(thread) => Ok(Self {
                reader,
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
    /// Reads this many batches ahead; with 0, none.
    #[must_use]
    pub fn with_depth(self, depth: usize) -> Self {
        lock(&self.reader.requests).ahead.set_depth(depth);
        self
    }

    /// The data set that is read.
    pub fn inner(&self) -> &D {
        &self.reader.data
    }
}

impl<D: Dataset> Dataset for Prefetch<D>
where
    D::Batch: Send,
{
    type Batch = D::Batch;

    fn len(&self) -> usize {
        self.reader.data.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<D::Batch> {
        CoreError::check_range(&range, self.len())?;
        if range.is_empty() {
            return self.reader.data.batch(range);
        }
        let ticket = lock(&self.reader.requests).ahead.request(&range);
        self.reader.changed.notify_one();
        let ready = ticket.and_then(|ticket| ticket.redeem());
        ready.unwrap_or_else(|| self.reader.data.batch(range))
    }
}

impl<D: Dataset> Drop for Prefetch<D> {
    fn drop(&mut self) {
        lock(&self.reader.requests).closing = true;
        self.reader.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was the error of a request already.
            drop(thread.join());
        }
    }
}

impl<D: Dataset> Reader<D> {
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
        let mut requests = lock(&self.requests);
        loop {
            if requests.closing {
                return None;
            }
            if let Some((range, ticket)) = requests.ahead.slots().find(|(_, ticket)| ticket.begin())
            {
                return Some((range.clone(), ticket.clone()));
            }
            requests = self
                .changed
                .wait(requests)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<B> Default for Ticket<B> {
    fn default() -> Self {
        Self {
            readiness: Mutex::new(Readiness::Wanted),
            done: Condvar::new(),
        }
    }
}

impl<B> Ticket<B> {
    /// Whether the range is still to be read, which the caller must then do.
    fn begin(&self) -> bool {
        let mut readiness = lock(&self.readiness);
        let wanted = matches!(*readiness, Readiness::Wanted);
        if wanted {
            *readiness = Readiness::Reading;
        }
        wanted
    }

    fn fill(&self, read: CoreResult<B>) {
        *lock(&self.readiness) = Readiness::Done(read);
        self.done.notify_all();
    }

    /// The batch, once it is read; `None` when nobody has begun, and then nobody will.
    fn redeem(&self) -> Option<CoreResult<B>> {
        let mut readiness = lock(&self.readiness);
        loop {
            match mem::replace(&mut *readiness, Readiness::Gone) {
                Readiness::Wanted | Readiness::Gone => return None,
                Readiness::Done(read) => return Some(read),
                Readiness::Reading => {
                    *readiness = Readiness::Reading;
                    readiness = self
                        .done
                        .wait(readiness)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
