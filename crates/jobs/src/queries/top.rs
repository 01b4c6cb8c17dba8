//! Who helped and who harmed a model on its test points.

use anyhow::{Result, ensure};
use influence_calculators::ZarrField;
use influence_core::{
    ChunkGrid, FieldSource, Values,
    aggregate::{Aggregator, Along, Order, Ranking, TopK},
};

use super::{
    points::{Evaluated, Points},
    stored::Stored,
};
use crate::{job::Job, output::location};

/// What is known of the points of an output, or of their groups.
#[derive(Debug)]
pub struct About<'a> {
    /// The training points.
    pub train: Points<'a>,
    /// The test points, with what the model says of them.
    pub test: Evaluated<'a>,
}

impl<'a> About<'a> {
    /// Reads the targets, and computes what the model says of the test points.
    ///
    /// # Errors
    /// When the points cannot be read, or the model cannot be evaluated.
    pub fn read(job: &'a Job) -> Result<Self> {
        Ok(Self {
            train: Points::of_columns(job)?,
            test: Evaluated::of_rows(job)?,
        })
    }
}

/// Who helped and who harmed one test point.
#[derive(Debug)]
pub struct Opinion {
    /// The number of the test point.
    pub test: usize,
    /// How many training points there are.
    training: usize,
    /// With positive influence, the most helpful first.
    pub helpful: Ranking,
    /// With negative influence, the most harmful first.
    pub harmful: Ranking,
}

impl Opinion {
    /// By how much the loss on the test point changes, to first order, if a training point with
    /// this influence is left out of the mean loss.
    pub fn loss_change(&self, influence: f64) -> f64 {
        influence / self.training as f64
    }
}

/// Reads the rows of some test points, and ranks the training points in each.
///
/// # Errors
/// When a row is not complete, or cannot be read.
pub fn opinions(stored: &Stored, points: &[usize], count: usize) -> Result<Vec<Opinion>> {
    let field = ZarrField::open(location(&stored.path)?, stored.influences.array())?;
    let grid = stored.influences.grid();
    let one = ChunkGrid::new([1, grid.shape()[1]], [1, grid.shape()[1]])?;
    let opinion = |&test: &usize| -> Result<Opinion> {
        let row = match field.rows(test..test + 1)? {
            Values::F32(row) => row.mapv(f64::from),
            Values::F64(row) => row,
            _ => anyhow::bail!("{}: influences are no integers", stored.shown()),
        };
        if !row.iter().all(|value| value.is_finite()) {
            stored.check_complete()?;
        }
        ensure!(
            row.iter().all(|value| value.is_finite()),
            "{}: the influences on test point {test} are missing or not finite",
            stored.shown()
        );
        let ranked = |order, wanted: fn(f64) -> bool| -> Result<Ranking> {
            let mut top = TopK::new(count, order, Along::Train);
            top.begin(&one)?;
            top.accept(&one.chunk([0, 0]), row.view())?;
            let ranking = top.finish()?.pop().unwrap_or_default();
            let kept = ranking.values.iter().take_while(|&&value| wanted(value));
            let kept = kept.count();
            Ok(Ranking {
                indices: ranking.indices[..kept].to_vec(),
                values: ranking.values[..kept].to_vec(),
            })
        };
        Ok(Opinion {
            test,
            training: stored.points()[1],
            helpful: ranked(Order::Largest, |value| value > 0.0)?,
            harmful: ranked(Order::Smallest, |value| value < 0.0)?,
        })
    };
    points.iter().map(opinion).collect()
}
