use ndarray::{Array2, ArrayD, Axis};

use crate::{
    Error, Result,
    report::of_parts,
    solver::{Report, Solution},
};

/// An axis of scores beyond those of test and train points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreAxis {
    /// What it runs over: `block`, `damping`, `input_0`.
    pub name: String,
    /// Its length.
    pub len: usize,
    /// A label for each position, or none at all.
    pub labels: Vec<String>,
}

impl ScoreAxis {
    /// An axis with a label for each position.
    pub fn labelled(name: impl Into<String>, labels: Vec<String>) -> Self {
        Self {
            name: name.into(),
            len: labels.len(),
            labels,
        }
    }

    /// An axis of anonymous positions.
    pub fn plain(name: impl Into<String>, len: usize) -> Self {
        Self {
            name: name.into(),
            len,
            labels: Vec::new(),
        }
    }
}

/// Arrays of the same shape joined along a new last axis.
pub(super) fn stacked(arrays: impl Iterator<Item = Result<ArrayD<f64>>>) -> Result<ArrayD<f64>> {
    let arrays: Vec<ArrayD<f64>> = arrays.collect::<Result<_>>()?;
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    let last = Axis(arrays.first().map_or(0, ArrayD::ndim));
    let stacked = ndarray::stack(last, &views).map_err(|error| Error::backend("scores", error))?;
    Ok(stacked.as_standard_layout().into_owned())
}

/// Matrices of the same number of rows side by side.
pub(super) fn joined(matrices: impl Iterator<Item = Result<Array2<f64>>>) -> Result<Array2<f64>> {
    let matrices: Vec<Array2<f64>> = matrices.collect::<Result<_>>()?;
    let views: Vec<_> = matrices.iter().map(|matrix| matrix.view()).collect();
    ndarray::concatenate(Axis(1), &views).map_err(|error| Error::backend("factors", error))
}

/// The factors of several models, each row with the worst of its reports.
pub(super) fn side_by_side<F>(solutions: Vec<Solution<F>>) -> Solution<Vec<F>> {
    let mut rows = Vec::with_capacity(solutions.len());
    let mut reports: Option<Vec<Report>> = None;
    for solution in solutions {
        rows.push(solution.rows);
        reports = Some(of_parts(reports, solution.reports));
    }
    Solution {
        rows,
        reports: reports.unwrap_or_default(),
    }
}

/// The diagonal of the first two axes, `(n, n, ..)` → `(n, ..)`.
pub(super) fn diagonal(scores: &ArrayD<f64>) -> Result<ArrayD<f64>> {
    let shape = scores.shape();
    Error::check_size("self scores", "train points", shape[0], shape[1])?;
    let mut diagonal = ArrayD::zeros([&shape[..1], &shape[2..]].concat());
    for (index, mut entry) in diagonal.axis_iter_mut(Axis(0)).enumerate() {
        entry.assign(&scores.index_axis(Axis(0), index).index_axis(Axis(0), index));
    }
    Ok(diagonal)
}
