//! The true labels of training points, where somebody knows them.

use anyhow::{Context, Result, ensure};
use influence_data::{ArrayPath, ClassOrder, TableForm, classes};

use super::points::Evaluated;
use crate::{job::Job, readers::readers};

/// The true labels, for points that have labels.
///
/// # Errors
/// When the points have no labels, or the array does not fit them.
pub fn true_labels(
    path: &str,
    about: Option<&Evaluated<'_>>,
    count: usize,
    job: Option<&Job>,
) -> Result<Vec<usize>> {
    let about = about.context("the output does not say what labels it was made from")?;
    ensure!(
        count == 0 || about.points.class(0).is_some(),
        "the targets are numbers: there are no labels that could be wrong; leave --truth out"
    );
    truth(path, count, job)
}

/// The true labels of the training points; where these are some of the rows of their files, an
/// array of all rows is taken too.
///
/// # Errors
/// When it cannot be read, or does not fit the points.
pub fn truth(path: &str, expected: usize, job: Option<&Job>) -> Result<Vec<usize>> {
    let path = ArrayPath {
        form: job.map_or_else(TableForm::default, |job| job.config.data.form()),
        ..ArrayPath::from(path.to_owned())
    };
    let names = job.and_then(|job| job.classes.as_deref());
    let truth = classes(&path, ClassOrder::of_training(names), expected, readers())?;
    if truth.len() == expected {
        return Ok(truth);
    }
    let rows = job
        .map(|job| job.train.inner())
        .filter(|train| train.is_selected());
    let selected = rows.and_then(|train| {
        let labels = (0..expected).map(|point| truth.get(train.row(point)).copied());
        labels.collect()
    });
    selected.with_context(|| {
        format!(
            "{path}: expected {expected} labels, one for each training point, got {}",
            truth.len()
        )
    })
}
