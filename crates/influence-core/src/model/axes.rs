use ndarray::{ArrayD, Axis};

use crate::{Error, Result};

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
