use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use influence_core::{Dataset, Error as CoreError, Result as CoreResult};
use ndarray::Axis;

use super::{problem, whole};
use crate::{Calculator, Parallel, Prefetch, Sequential, sink::lock};

const LEN: usize = 95;
const SIZE: usize = 10;

/// A range of rows, counted as long as it lives.
struct Tracked {
    rows: Range<usize>,
    alive: Arc<AtomicUsize>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts how often each range is read, and how many batches are in memory at most.
#[derive(Default)]
struct Counted {
    reads: Mutex<BTreeMap<(usize, usize), usize>>,
    changed: Condvar,
    alive: Arc<AtomicUsize>,
    most: AtomicUsize,
    /// Whether some batches of seven rows fail.
    faulty: bool,
}

impl Counted {
    fn reads(&self, number: usize) -> usize {
        lock(&self.reads).get(&key(number)).copied().unwrap_or(0)
    }

    /// Waits until a batch has been asked for.
    fn wait_for(&self, number: usize) {
        let reads = lock(&self.reads);
        let waited = self
            .changed
            .wait_while(reads, |reads| !reads.contains_key(&key(number)));
        drop(waited.expect("nothing panics under the lock"));
    }
}

impl Dataset for Counted {
    type Batch = Tracked;

    fn len(&self) -> usize {
        LEN
    }

    fn batch(&self, rows: Range<usize>) -> CoreResult<Tracked> {
        CoreError::check_range(&rows, LEN)?;
        *lock(&self.reads).entry((rows.start, rows.end)).or_default() += 1;
        self.changed.notify_all();
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(alive, Ordering::SeqCst);
        let batch = Tracked {
            rows,
            alive: self.alive.clone(),
        };
        match batch.rows.start / SIZE {
            3 if self.faulty && batch.rows.len() == 7 => {
                Err(CoreError::dataset("row 3x is damaged"))
            }
            4 if self.faulty && batch.rows.len() == 7 => panic!("row 4x is a trap"),
            _ => Ok(batch),
        }
    }
}

fn key(number: usize) -> (usize, usize) {
    let range = range(number);
    (range.start, range.end)
}

fn range(number: usize) -> Range<usize> {
    number * SIZE..(number * SIZE + SIZE).min(LEN)
}

fn counted(depth: usize) -> (Arc<Counted>, Prefetch<Arc<Counted>>) {
    ahead_of(Counted::default(), depth)
}

fn ahead_of(data: Counted, depth: usize) -> (Arc<Counted>, Prefetch<Arc<Counted>>) {
    let data = Arc::new(data);
    let ahead = Prefetch::new(data.clone()).expect("a thread");
    (data, ahead.with_depth(depth))
}

/// Has `workers` threads take these batches in order, each holding one at a time, and checks what
/// they get.
fn take(ahead: &Prefetch<Arc<Counted>>, workers: usize, ranges: &[Range<usize>]) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(rows) = ranges.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let batch = ahead.batch(rows.clone()).expect("in range");
                    assert_eq!(batch.rows, *rows);
                }
            });
        }
    });
}

fn passes(count: usize) -> Vec<Range<usize>> {
    (0..count)
        .flat_map(|_| (0..LEN.div_ceil(SIZE)).map(range))
        .collect()
}

#[test]
fn the_batches_are_those_of_the_data() -> CoreResult<()> {
    let problem = problem(5, 23)?;
    for depth in [0, 1, 2, 5, 40] {
        let train = Prefetch::new(problem.train.clone())
            .expect("a thread")
            .with_depth(depth);
        influence_core::testing::dataset(&train, |batch| {
            let targets = batch.targets.view().insert_axis(Axis(1));
            ndarray::concatenate![Axis(1), batch.inputs, targets].into_dyn()
        });
    }
    Ok(())
}

#[test]
fn calculators_give_the_same_bits() -> Result<(), Box<dyn std::error::Error>> {
    let problem = problem(5, 23)?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 3])?;
    let train = Prefetch::new(problem.train.clone())?;
    for threads in [1, 2, 5] {
        let parallel = Parallel::new(&problem.model, std::num::NonZero::new(threads))?;
        let influences = parallel
            .influences(&problem.test, &train)
            .with_chunks(2, 3)?;
        assert_eq!(
            influences.compute(influence_core::aggregate::Concatenate::new())?,
            expected
        );
    }
    Ok(())
}

#[test]
fn every_range_is_read_once_a_pass() {
    for depth in [0, 1, 2, 4] {
        let (data, ahead) = counted(depth);
        take(&ahead, 1, &passes(3));
        drop(ahead);
        for number in 0..LEN.div_ceil(SIZE) {
            // The first batches are read ahead for a fourth pass that does not come.
            let reads = data.reads(number);
            let once_more = usize::from(number < depth);
            assert!(
                reads == 3 || reads == 3 + once_more,
                "batch {number}: {reads}"
            );
        }
    }
}

#[test]
fn memory_is_bounded_by_depth_and_workers() {
    for (depth, workers) in [(1, 1), (2, 4), (3, 2), (5, 8)] {
        let (data, ahead) = counted(depth);
        take(&ahead, workers, &passes(20));
        let random: Vec<Range<usize>> = pseudo_random().take(500).collect();
        take(&ahead, workers, &random);
        drop(ahead);
        let most = data.most.load(Ordering::SeqCst);
        assert!(
            most <= depth + workers,
            "{most} with depth {depth} and {workers} workers"
        );
        assert_eq!(
            data.alive.load(Ordering::SeqCst),
            0,
            "batches are left over"
        );
    }
}

/// Ranges of all sizes anywhere, among runs of consecutive ones.
fn pseudo_random() -> impl Iterator<Item = Range<usize>> {
    (0..).map(|index: usize| {
        if index % 20 < 12 {
            return range(index % 10);
        }
        // Steps prime to the length visit every row.
        let start = index * index * 37 % LEN;
        start..(start + 1 + index % 13).min(LEN)
    })
}

#[test]
fn errors_and_panics_arrive_where_they_belong() {
    // Batches of seven rows fail in the third and fourth ten.
    let sevens = |number: usize| number * 7..number * 7 + 7;
    let faulty = Counted {
        faulty: true,
        ..Counted::default()
    };
    let (data, ahead) = ahead_of(faulty, 1);
    for number in 0..7 {
        // The reader has begun, so that the panic is certainly its own.
        let rows = sevens(number);
        if number > 0 {
            let reads = lock(&data.reads);
            let begun = |reads: &mut BTreeMap<_, _>| !reads.contains_key(&(rows.start, rows.end));
            drop(data.changed.wait_while(reads, begun));
        }
        let outcome = ahead.batch(rows.clone());
        let message = outcome
            .map(|batch| batch.rows.clone())
            .map_err(|error| error.to_string());
        match rows.start / SIZE {
            3 => assert_eq!(message, Err("row 3x is damaged".into())),
            4 => assert_eq!(
                message,
                Err(format!(
                    "panicked while reading rows {rows:?} ahead: row 4x is a trap"
                ))
            ),
            _ => assert_eq!(message, Ok(rows)),
        }
    }
    let after = ahead.batch(range(0)).map(|batch| batch.rows.clone());
    assert_eq!(after.expect("the reader lives on"), range(0));
}

#[test]
fn requests_beyond_the_data_fail_as_before() {
    let (data, ahead) = counted(2);
    for rows in [0..LEN + 1, LEN..LEN + 1, LEN + 1..LEN + 2] {
        assert!(matches!(
            ahead.batch(rows),
            Err(CoreError::OutOfRange { len: LEN, .. })
        ));
    }
    assert_eq!(ahead.batch(3..3).expect("nothing is in range").rows, 3..3);
    assert_eq!(data.reads(0), 0);
}

#[test]
fn dropping_ends_the_thread_and_what_it_read() {
    let (data, ahead) = counted(2);
    let first = ahead.batch(range(0)).expect("in range");
    data.wait_for(2);
    drop(ahead);
    assert_eq!(Arc::strong_count(&data), 1);
    assert_eq!(
        (data.alive.load(Ordering::SeqCst), first.rows.clone()),
        (1, range(0))
    );
}
