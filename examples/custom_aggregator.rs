//! A custom aggregator: for each test point, the number of training points of each class that help
//! it.
//!
//! It works on a result while it is computed, sequentially or in parallel, and on a stored one. It
//! never sees the whole matrix.
//!
//! ```sh
//! cargo run --release --example custom_aggregator
//! ```

#[path = "support/digits.rs"]
mod digits;
#[path = "support/mlp.rs"]
mod mlp;

use std::{collections::BTreeSet, sync::Arc};

use influence::{
    Aggregator, Calculator, Chunk, ChunkGrid, Concatenate, Curvature, Fit, Parallel, Sequential,
    StoredInfluences, ZarrOptions,
    foundation::{Error, Result, testing},
};
use ndarray::{Array2, ArrayD, ArrayViewD};

use digits::{Digits, Outcome};

/// Counts the helpful training points of each class, `(test, class)`.
///
/// Counts are integers, so their sum does not depend on the order in which chunks arrive.
#[derive(Debug, Clone)]
struct Helpers {
    classes: Arc<[usize]>,
    grid: Option<ChunkGrid>,
    seen: BTreeSet<[usize; 2]>,
    counts: Array2<u64>,
}

impl Helpers {
    fn new(classes: Vec<usize>) -> Self {
        Self {
            classes: classes.into(),
            grid: None,
            seen: BTreeSet::new(),
            counts: Array2::zeros((0, 0)),
        }
    }

    fn refuse(&self, what: &'static str) -> Error {
        Error::Chunks {
            what,
            expected: self.grid.as_ref().map_or(0, ChunkGrid::len),
            got: self.seen.len(),
        }
    }
}

impl Aggregator for Helpers {
    type Output = Array2<u64>;

    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        let [test, train] = grid.shape();
        Error::check_size("helpers", "classes", train, self.classes.len())?;
        let classes = self.classes.iter().max().map_or(0, |last| last + 1);
        self.counts = Array2::zeros((test, classes));
        self.grid = Some(grid.clone());
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        let own = self.grid.as_ref().map(|grid| grid.chunk(chunk.index));
        if own.as_ref() != Some(chunk) {
            return Err(self.refuse("a chunk of another grid"));
        }
        Error::check_size("helpers", "rows", chunk.rows.len(), values.shape()[0])?;
        Error::check_size("helpers", "columns", chunk.columns.len(), values.shape()[1])?;
        if !self.seen.insert(chunk.index) {
            return Err(self.refuse("a chunk came twice"));
        }
        for (place, &influence) in values.indexed_iter() {
            let (test, train) = (chunk.rows.start + place[0], chunk.columns.start + place[1]);
            self.counts[[test, self.classes[train]]] += u64::from(influence > 0.0);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        if !self.seen.is_disjoint(&other.seen) {
            return Err(self.refuse("a chunk came twice"));
        }
        self.seen.extend(other.seen);
        self.counts += &other.counts;
        Ok(())
    }

    /// Lets every thread count separately.
    fn fork(&self) -> Option<Self> {
        let mut fork = Self::new(self.classes.to_vec());
        fork.begin(self.grid.as_ref()?).ok()?;
        Some(fork)
    }

    fn finish(self) -> Result<Array2<u64>> {
        if self.seen.len() < self.grid.as_ref().map_or(usize::MAX, ChunkGrid::len) {
            return Err(self.refuse("chunks are missing"));
        }
        Ok(self.counts)
    }
}

fn main() -> Outcome<()> {
    // The contract, on made-up values: any order of arrival, merges, forks, and refusals.
    testing::aggregator(
        || Helpers::new((0..11).map(|point| point % 3).collect()),
        |a, b| a == b,
    );

    let digits = Digits::read(0..600)?;
    let (train, test) = (digits.dataset()?, Digits::read(1700..1710)?.dataset()?);
    let model = Fit::new(mlp::task())
        .with_curvature(Curvature::GaussNewton)
        .with_damping(0.01)
        .fit(&mlp::trained(&digits), Arc::new(train.clone()))?;
    let classes = digits.labels.iter().map(|&label| usize::try_from(label));
    let helpers = Helpers::new(classes.collect::<std::result::Result<_, _>>()?);

    let (sequential, parallel) = (Sequential::new(&model), Parallel::new(&model, None)?);
    let lazy = sequential.influences(&test, &train).with_chunks(4, 100)?;
    let counts = lazy.compute(helpers.clone())?;
    let folder = tempfile::tempdir()?;
    // Counted while the output is written, and again from the output.
    let (_, (in_parallel, all)) = parallel
        .influences(&test, &train)
        .with_chunks(4, 100)?
        .to_zarr_and(
            folder.path(),
            &ZarrOptions::default(),
            (helpers.clone(), Concatenate::new()),
        )?;
    let stored = StoredInfluences::open(folder.path())?.compute(helpers.clone())?;

    assert_eq!(
        in_parallel,
        counted(&all, &helpers.classes),
        "as counted in the whole matrix"
    );
    assert_eq!((&counts, &stored), (&in_parallel, &in_parallel));
    println!(
        "training points that help, by test digit (rows) and class 0 to 9 (columns):\n{counts}"
    );
    Ok(())
}

/// The same counts from the whole matrix.
fn counted(influences: &ArrayD<f64>, classes: &[usize]) -> Array2<u64> {
    let mut counts = Array2::zeros((influences.shape()[0], 10));
    for (place, &influence) in influences.indexed_iter() {
        counts[[place[0], classes[place[1]]]] += u64::from(influence > 0.0);
    }
    counts
}
