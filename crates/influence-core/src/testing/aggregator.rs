use std::fmt::Debug;

use ndarray::{Array2, s};

use super::{dense::random, succeed};
use crate::{Chunk, ChunkGrid, Error, Result, aggregate::Aggregator};

/// Aggregates a matrix cut into chunks of this shape, in the order of the grid.
///
/// # Errors
/// Whatever the aggregator reports.
pub fn aggregate<A: Aggregator>(
    mut aggregator: A,
    values: &Array2<f64>,
    chunk_shape: [usize; 2],
) -> Result<A::Output> {
    let grid = ChunkGrid::new([values.nrows(), values.ncols()], chunk_shape)?;
    aggregator.begin(&grid)?;
    grid.chunks()
        .try_for_each(|chunk| accept(&mut aggregator, values, &chunk))?;
    aggregator.finish()
}

fn accept<A: Aggregator>(aggregator: &mut A, values: &Array2<f64>, chunk: &Chunk) -> Result<()> {
    aggregator.accept(
        chunk,
        values
            .slice(s![chunk.rows.clone(), chunk.columns.clone()])
            .into_dyn(),
    )
}

/// Checks that the outcome is the same for shuffled arrival and for chunks shared out among
/// aggregators that are merged, whether begun or [forked](Aggregator::fork), and that duplicate,
/// missing, foreign and misshapen chunks are refused.
///
/// # Panics
/// When this does not hold.
pub fn aggregator<A: Aggregator>(
    make: impl Fn() -> A,
    same: impl Fn(&A::Output, &A::Output) -> bool,
) where
    A::Output: Debug,
{
    // Few distinct values, so that there are ties.
    let values = random((7, 11), 31).mapv(|value| (value * 3.0).round() / 3.0 + 0.1);
    let grid = succeed("grid", ChunkGrid::new([7, 11], [3, 2]));
    let expected = succeed("in order", aggregate(make(), &values, [3, 2]));
    let begun = || {
        let mut aggregator = make();
        succeed("begin", aggregator.begin(&grid));
        aggregator
    };
    for step in [5, 7, 11, 17] {
        let (mut whole, mut parts) = (begun(), [begun(), begun(), begun()]);
        for (turn, chunk) in shuffled(&grid, step).iter().enumerate() {
            succeed("accept", accept(&mut whole, &values, chunk));
            succeed("accept", accept(&mut parts[turn % 3], &values, chunk));
        }
        let outcome = succeed("finish", whole.finish());
        assert!(
            same(&outcome, &expected),
            "shuffled arrival gave {outcome:?}, expected {expected:?}"
        );
        let [mut first, second, third] = parts;
        succeed("merge", first.merge(third));
        succeed("merge", first.merge(second));
        let outcome = succeed("finish", first.finish());
        assert!(
            same(&outcome, &expected),
            "merged aggregators gave {outcome:?}, expected {expected:?}"
        );
    }
    assert!(
        make().fork().is_none(),
        "an aggregator without a grid must not fork"
    );
    if begun().fork().is_some() {
        let outcome = forked(begun(), &values, &grid);
        assert!(
            same(&outcome, &expected),
            "forked aggregators gave {outcome:?}, expected {expected:?}"
        );
    }
    refusals(begun, make(), &values, &grid);
}

/// The outcome of an aggregator, its fork and the fork's fork, each forked from one that holds
/// chunks already.
fn forked<A: Aggregator>(first: A, values: &Array2<f64>, grid: &ChunkGrid) -> A::Output {
    let mut parts = vec![first];
    for (turn, chunk) in shuffled(grid, 5).iter().enumerate() {
        let last = parts.len() - 1;
        succeed(
            "accept",
            accept(&mut parts[(turn * 2) % (last + 1)], values, chunk),
        );
        if last < 2 {
            match parts[last].fork() {
                Some(fork) => parts.push(fork),
                None => panic!("an aggregator that forks must do so at any time"),
            }
        }
    }
    let mut parts = parts.into_iter();
    let (Some(first), Some(mut second)) = (parts.next(), parts.next()) else {
        panic!("there are at least two aggregators");
    };
    for part in parts.rev() {
        succeed("merge", second.merge(part));
    }
    succeed("merge", second.merge(first));
    succeed("finish", second.finish())
}

/// The chunks of the grid in steps that are coprime to their number.
fn shuffled(grid: &ChunkGrid, step: usize) -> Vec<Chunk> {
    let chunks: Vec<Chunk> = grid.chunks().collect();
    (0..chunks.len())
        .map(|turn| chunks[(turn * step + 1) % chunks.len()].clone())
        .collect()
}

fn refusals<A: Aggregator>(
    begun: impl Fn() -> A,
    unannounced: A,
    values: &Array2<f64>,
    grid: &ChunkGrid,
) {
    let chunk = grid.chunk([1, 2]);
    let mut aggregator = begun();
    succeed("accept", accept(&mut aggregator, values, &chunk));
    assert!(
        matches!(
            accept(&mut aggregator, values, &chunk),
            Err(Error::Chunks { .. })
        ),
        "a chunk must be refused the second time"
    );
    let mut other = begun();
    succeed("accept", accept(&mut other, values, &chunk));
    assert!(
        matches!(aggregator.merge(other), Err(Error::Chunks { .. })),
        "merge must refuse a chunk that both hold"
    );
    assert!(
        matches!(aggregator.finish(), Err(Error::Chunks { .. })),
        "finish must refuse missing chunks"
    );
    let mut aggregator = begun();
    let narrow = values.slice(s![chunk.rows.clone(), 0..1]).into_dyn();
    assert!(
        matches!(aggregator.accept(&chunk, narrow), Err(Error::Shape { .. })),
        "values of another shape must be refused"
    );
    let foreign = Chunk {
        index: [0, 0],
        ..chunk
    };
    assert!(
        accept(&mut aggregator, values, &foreign).is_err(),
        "a chunk of another grid must be refused"
    );
    assert!(
        unannounced.finish().is_err(),
        "an aggregator without a grid must not finish"
    );
}
