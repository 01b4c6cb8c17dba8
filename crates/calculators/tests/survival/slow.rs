//! A model that takes its time, and writes down which chunks it has scored.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    thread,
    time::Duration,
};

use influence_core::{
    BlockInfluence, Dataset, Error, FactorForm, Footprint, InfluenceModel, Result, ThreadSafe,
    solver::Direct,
    testing::{LeastSquares, Samples, SamplesDataset},
    wrapper::ModelWrapper,
};
use ndarray::{Array2, ArrayD};

const DIM: usize = 4;
/// How long the scores of a chunk take.
const SCORING: Duration = Duration::from_millis(1);

pub(super) struct Slow {
    model: BlockInfluence<LeastSquares>,
    /// Positions of rows and columns of chunks by the first number of their factors and gradients.
    rows: HashMap<u64, usize>,
    columns: HashMap<u64, usize>,
    log: File,
}

/// The test or train points.
pub(super) fn points(len: usize, seed: u64) -> SamplesDataset {
    SamplesDataset(Samples::random(len, DIM, seed))
}

impl Slow {
    /// A model that appends a line `row column` to a file for each chunk of such sides whose scores
    /// it has computed.
    pub(super) fn new(
        log: &Path,
        [test, train]: [&SamplesDataset; 2],
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        let fitted = Samples::random(30, DIM, 1);
        let model = LeastSquares::random(DIM, 2).fit(&fitted, 0.1, &Direct)?;
        let log = OpenOptions::new().create(true).append(true).open(log);
        let factors = |batch: &Samples| model.factors(batch).map(|solution| solution.rows);
        Ok(Self {
            rows: positions(test, rows, factors)?,
            columns: positions(train, columns, |batch| model.gradients(batch))?,
            log: log.map_err(|source| Error::backend("log", source))?,
            model,
        })
    }
}

fn positions(
    points: &SamplesDataset,
    side: usize,
    vectors: impl Fn(&Samples) -> Result<Array2<f64>>,
) -> Result<HashMap<u64, usize>> {
    let of = |position: usize| {
        let first = position * side;
        let batch = points.batch(first..(first + side).min(points.len()))?;
        Ok((vectors(&batch)?[[0, 0]].to_bits(), position))
    };
    (0..points.len().div_ceil(side)).map(of).collect()
}

impl ModelWrapper for Slow {
    type Inner = BlockInfluence<LeastSquares>;

    fn inner(&self) -> &BlockInfluence<LeastSquares> {
        &self.model
    }

    fn scores(&self, factors: &Array2<f64>, gradients: &Array2<f64>) -> Result<ArrayD<f64>> {
        thread::sleep(SCORING);
        let scores = self.model.scores(factors, gradients)?;
        let (row, column) = (factors[[0, 0]].to_bits(), gradients[[0, 0]].to_bits());
        // One write, so that lines of several threads do not mix.
        let line = format!("{} {}\n", self.rows[&row], self.columns[&column]);
        let written = (&self.log).write_all(line.as_bytes());
        written.map_err(|source| Error::backend("log", source))?;
        Ok(scores)
    }

    /// Gradients are costly and all vectors said to be large, so that factors are written to a
    /// scratch array where the gradients do not fit.
    fn footprint(&self, _sample: &Samples, _form: FactorForm) -> Result<Footprint> {
        Ok(Footprint {
            factor: 320,
            gradient: 320,
            gradient_flops: 1e6,
            ..Footprint::dense(self.model.dim(), self.model.precision())
        })
    }
}

impl ThreadSafe for Slow {}
