use std::ops::Range;

use anyhow::Result;
use influence_calculators::Share;
use influence_core::{ChunkGrid, Dataset, InfluenceModel, Precision, ScoreAxis};
use serde::{Deserialize, Serialize};

use super::Held;

/// What is described or computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The influence of training points on test points.
    Influences,
    /// The factors of test points.
    Factors,
    /// The influence of training points on themselves.
    SelfInfluences,
}

/// What a result looks like before any of its numbers.
#[derive(Debug, Serialize)]
pub struct Description {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The lengths of a chunk.
    pub chunks: Vec<usize>,
    /// The names of the axes.
    pub dimensions: Vec<String>,
    /// The axes that have labels, with one for each position.
    pub labels: Vec<(String, Vec<String>)>,
    /// The numbers, as numpy writes their type.
    pub dtype: &'static str,
    /// The length of a factor.
    pub factor: usize,
    /// The part that each share is, in order. A part may be empty.
    pub parts: Vec<Rectangle>,
}

/// A rectangle of a result, in points; of self-influences the columns mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rectangle {
    /// The first row and the one after the last.
    pub rows: [usize; 2],
    /// The first column and the one after the last.
    pub columns: [usize; 2],
}

impl Rectangle {
    /// The points of rows and columns of chunks.
    pub(super) fn of(grid: &ChunkGrid, [rows, columns]: &[Range<usize>; 2]) -> Self {
        Self {
            rows: [rows.start, rows.end].map(|row| grid.rows(row).start),
            columns: [columns.start, columns.end].map(|column| grid.columns(column).start),
        }
    }
}

impl Held {
    /// Describes a result that is computed in shares.
    pub(super) fn describe(&self, subject: Subject, shares: usize) -> Result<Description> {
        let whole = self.plan(subject, Share::WHOLE)?;
        let grid = whole.grid();
        let (names, axes): (&[&str], _) = match subject {
            Subject::Influences => (&["test", "train"], self.axes()?),
            Subject::Factors => (&["test", "parameter"], Vec::new()),
            Subject::SelfInfluences => (&["train"], self.axes()?),
        };
        let sides = |sides: [usize; 2]| {
            let points = sides.into_iter().take(names.len());
            points.chain(axes.iter().map(|axis| axis.len)).collect()
        };
        let dimensions = names.iter().copied();
        let dimensions = dimensions.chain(axes.iter().map(|axis| axis.name.as_str()));
        let parts = (0..shares).map(|index| {
            let part = whole.part_of(Share::new(index, shares)?);
            Ok(Rectangle::of(grid, &part))
        });
        let labelled = axes.iter().filter(|axis| !axis.labels.is_empty());
        Ok(Description {
            shape: sides(grid.shape()),
            chunks: sides(grid.chunk_shape()),
            dimensions: dimensions.map(str::to_owned).collect(),
            labels: labelled
                .map(|axis| (axis.name.clone(), axis.labels.clone()))
                .collect(),
            dtype: match self.model.precision() {
                Precision::F32 => "<f4",
                Precision::F64 => "<f8",
            },
            factor: self.model.factor_len(),
            parts: parts.collect::<Result<_>>()?,
        })
    }

    /// The axes of a score.
    fn axes(&self) -> Result<Vec<ScoreAxis>> {
        let train = &self.job.train;
        Ok(self.model.axes(&train.batch(0..train.len().min(1))?)?)
    }
}
