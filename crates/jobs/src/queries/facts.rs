//! Facts about an output.

use anyhow::Result;
use influence_core::{
    Chunk, ChunkGrid, Error as CoreError, Result as CoreResult,
    aggregate::{Aggregator, Histogram, Quantiles},
};
use ndarray::ArrayViewD;
use serde_json::{Value, json};

use super::stored::Stored;

/// The quantiles told, to a relative accuracy of one in a thousand.
const QUANTILES: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];
const ACCURACY: f64 = 1e-3;
/// Between these are the negative numbers, zero, and the positive ones.
const SIGNS: [f64; 4] = [f64::MIN, 0.0, f64::MIN_POSITIVE, f64::MAX];

/// What an output is, how it was made, and what its numbers are like: names and values, in the
/// order in which they are shown.
///
/// # Errors
/// When it cannot be read.
pub fn facts(stored: &Stored) -> Result<Vec<(String, Value)>> {
    let influences = &stored.influences;
    let attributes = influences.attributes();
    let own = &attributes["influence"];
    let mut facts = vec![
        ("output".to_owned(), json!(stored.shown())),
        ("array".to_owned(), json!(influences.array())),
        ("shape".to_owned(), json!(influences.shape())),
    ];
    let mut put = |name: &str, value: Value| facts.push((name.to_owned(), value));
    for name in ["axes", "chunks", "precision", "compression", "complete"] {
        if let Some(value) = own.get(name) {
            put(name, value.clone());
        }
    }
    let settings = [
        "method",
        "curvature",
        "damping",
        "blocks",
        "solver",
        "mode",
        "groups",
        "loss",
        "device",
        "seed",
        "version",
        "digests",
    ];
    for name in settings {
        if let Some(value) = attributes.get(name).filter(|value| !value.is_null()) {
            put(name, value.clone());
        }
    }
    if let Some(solver) = own.get("solver") {
        put("rows solved", solver["rows"].clone());
        put("worst residual", solver["worst_residual"].clone());
    }
    if influences.is_complete() {
        let grid = influences.grid().shape();
        let pairs = grid.iter().product::<usize>();
        let scores = influences.shape().iter().product::<usize>() / pairs.max(1);
        let (quantiles, signs) = influences.compute((
            Flat::new(Quantiles::new(&QUANTILES, ACCURACY)?, scores),
            Flat::new(Histogram::new(&SIGNS)?, scores),
        ))?;
        for (quantile, value) in QUANTILES.iter().zip(&quantiles) {
            put(&quantile_name(*quantile), json!(value));
        }
        let share = |bin: usize| signs.bins[[0, bin]] as f64 / (pairs * scores) as f64;
        put("negative", json!(share(0)));
        put("positive", json!(share(2)));
    }
    Ok(facts)
}

fn quantile_name(quantile: f64) -> String {
    match quantile {
        0.0 => "minimum".into(),
        0.5 => "median".into(),
        1.0 => "maximum".into(),
        other => format!("quantile {other}"),
    }
}

/// Passes on each score of a pair as if it were a pair by itself.
#[derive(Debug, Clone)]
struct Flat<A> {
    inner: A,
    scores: usize,
    grid: Option<ChunkGrid>,
}

impl<A> Flat<A> {
    /// For this many scores of each pair.
    fn new(inner: A, scores: usize) -> Self {
        Self {
            inner,
            scores,
            grid: None,
        }
    }
}

impl<A: Aggregator> Aggregator for Flat<A> {
    type Output = A::Output;

    fn begin(&mut self, grid: &ChunkGrid) -> CoreResult<()> {
        let wide = |[rows, columns]: [usize; 2]| [rows, columns * self.scores];
        let grid = ChunkGrid::new(wide(grid.shape()), wide(grid.chunk_shape()))?;
        self.inner.begin(&grid)?;
        self.grid = Some(grid);
        Ok(())
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> CoreResult<()> {
        let wide = self.grid.as_ref().map(|grid| grid.chunk(chunk.index));
        let wide = wide.ok_or(CoreError::Chunks {
            what: "a chunk came before the grid",
            expected: 0,
            got: 1,
        })?;
        let sides = (wide.rows.len(), wide.columns.len());
        let values = values.to_shape(sides);
        let values = values.map_err(|source| CoreError::backend("flatten scores", source))?;
        self.inner.accept(&wide, values.view().into_dyn())
    }

    fn merge(&mut self, other: Self) -> CoreResult<()> {
        self.inner.merge(other.inner)
    }

    fn fork(&self) -> Option<Self> {
        let inner = self.inner.fork()?;
        Some(Self {
            inner,
            scores: self.scores,
            grid: self.grid.clone(),
        })
    }

    fn finish(self) -> CoreResult<A::Output> {
        self.inner.finish()
    }
}
