use std::path::Path;

use anyhow::{Result, ensure};
use influence_core::{
    Chunk, ChunkGrid, Result as CoreResult,
    aggregate::{Aggregator, Along, Mean},
};
use influence_jobs::queries::Stored;
use ndarray::{Array1, ArrayViewD, Axis};
use serde_json::{Map, Value};

/// Settings that make other influences of the same points.
const SETTINGS: [&str; 4] = ["method", "curvature", "damping", "precision"];

/// How large the influences through each block are.
#[derive(Debug)]
pub(super) struct LayerShares {
    pub(super) names: Vec<String>,
    /// For each block, the mean magnitude of the influences on each test point.
    magnitudes: Vec<Array1<f64>>,
}

impl LayerShares {
    /// Reads the influences by block that belong to plain ones.
    pub(super) fn read(path: &Path, plain: &Stored) -> Result<Self> {
        let stored = Stored::open(path)?;
        let names = blocks(&stored, plain)?;
        stored.check_complete()?;
        let [theirs, ours] = [&stored, plain].map(|stored| stored.influences.attributes());
        check_same(&stored.shown(), theirs, ours)?;
        let through: Vec<Through> = (0..names.len()).map(Through::new).collect();
        Ok(Self {
            magnitudes: stored.influences.compute(through)?,
            names,
        })
    }

    /// The share of each block in the sum of all magnitudes.
    pub(super) fn shares(&self) -> Vec<f64> {
        shares(self.magnitudes.iter().map(|block| block.sum()))
    }

    /// The mean magnitude of the influences through each block.
    pub(super) fn means(&self) -> Vec<f64> {
        let means = self.magnitudes.iter();
        means.map(|means| means.mean().unwrap_or(0.0)).collect()
    }

    /// The block with the largest share in the influences on a test point, and that share.
    pub(super) fn foremost(&self, test: usize) -> Option<(&str, f64)> {
        let shares = shares(self.magnitudes.iter().map(|block| block[test]));
        let named = self.names.iter().map(String::as_str).zip(shares);
        named.reduce(|best, other| if other.1 > best.1 { other } else { best })
    }
}

fn shares(magnitudes: impl Iterator<Item = f64>) -> Vec<f64> {
    let magnitudes: Vec<f64> = magnitudes.collect();
    let total: f64 = magnitudes.iter().sum();
    let of_total = |magnitude: &f64| if total > 0.0 { magnitude / total } else { 0.0 };
    magnitudes.iter().map(of_total).collect()
}

/// The names of the blocks of an output by block, of as many points as a plain one.
fn blocks(stored: &Stored, plain: &Stored) -> Result<Vec<String>> {
    let (shape, points) = (stored.influences.shape(), plain.influences.shape());
    let axis = &stored.influences.attributes()["influence"]["axes"][0];
    ensure!(
        stored.influences.array() == "influences" && shape.len() == 3 && axis[0] == "block",
        "{}: expected influences of shape (test, train, block), as `influence run` writes them with compute.mode = by-block, got `{}` of shape {shape:?}",
        stored.shown(),
        stored.influences.array()
    );
    ensure!(
        shape[..2] == points,
        "{}: expected influences of {} training points on {} test points, as in {}, got the shape {shape:?}",
        stored.shown(),
        points[1],
        points[0],
        plain.shown()
    );
    let name = |block: usize| match &axis[2][block] {
        Value::String(name) => name.clone(),
        _ => block.to_string(),
    };
    Ok((0..shape[2]).map(name).collect())
}

/// Refuses what was made from other files, or by another method.
fn check_same(shown: &str, theirs: &Map<String, Value>, ours: &Map<String, Value>) -> Result<()> {
    ensure!(
        theirs.contains_key("digests"),
        "{shown} does not say what it was made from"
    );
    ensure!(
        theirs.get("digests") == ours.get("digests"),
        "{shown} was made from other weights or data than the output of the report"
    );
    for name in SETTINGS {
        let [theirs, ours] = [theirs, ours].map(|attributes| attributes.get(name));
        let text = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
        ensure!(
            theirs == ours,
            "{shown} was made with {name} {}, the output of the report with {}",
            text(theirs),
            text(ours)
        );
    }
    Ok(())
}

/// The mean magnitude of the influences through one block, by test point.
#[derive(Debug)]
struct Through {
    block: usize,
    magnitude: Mean,
}

impl Through {
    fn new(block: usize) -> Self {
        Self {
            block,
            magnitude: Mean::along(Along::Train),
        }
    }
}

impl Aggregator for Through {
    type Output = Array1<f64>;

    fn begin(&mut self, grid: &ChunkGrid) -> CoreResult<()> {
        self.magnitude.begin(grid)
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> CoreResult<()> {
        let values = values.index_axis(Axis(2), self.block).mapv(f64::abs);
        self.magnitude.accept(chunk, values.view())
    }

    fn merge(&mut self, other: Self) -> CoreResult<()> {
        self.magnitude.merge(other.magnitude)
    }

    fn fork(&self) -> Option<Self> {
        let magnitude = self.magnitude.fork()?;
        Some(Self {
            block: self.block,
            magnitude,
        })
    }

    fn finish(self) -> CoreResult<Array1<f64>> {
        self.magnitude.finish()
    }
}
