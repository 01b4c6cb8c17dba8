//! What files say of the groups of rows.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use influence_core::{FieldSource, Labels};

use crate::{
    array_path::ArrayPath,
    key::AtKey,
    names,
    open::{self, beside},
    readers::Readers,
    settings::{GroupBy, Grouping},
};

/// What files say of the groups of rows: one label and one weight for each row of the data.
#[derive(Debug, Clone, Default)]
pub(super) struct RowGroups {
    pub(super) labels: Option<Arc<Labels>>,
    pub(super) weights: Option<Arc<[f64]>>,
}

impl RowGroups {
    /// Reads the files of a grouping, which must be of this many rows.
    ///
    /// # Errors
    /// When one of them cannot be read, or is of another number of rows.
    pub(super) fn open(
        grouping: &Grouping,
        rows: usize,
        readers: Readers,
        remarks: &mut Vec<String>,
    ) -> Result<Self> {
        let labels = match &grouping.by {
            GroupBy::All | GroupBy::Class => None,
            GroupBy::Labels(file) => Some(labels(file, readers, rows, remarks).at_key("by")?),
        };
        let weights = grouping.weights.as_ref();
        let weights =
            weights.map(|file| weights_of(file, readers, rows, remarks).at_key("weights"));
        Ok(Self {
            labels: labels.map(Arc::new),
            weights: weights.transpose()?.map(Into::into),
        })
    }
}

/// The label of each row.
fn labels(
    file: &ArrayPath,
    readers: Readers,
    expected: usize,
    remarks: &mut Vec<String>,
) -> Result<Labels> {
    let open = |at: &ArrayPath| -> Result<((Labels, Vec<String>), usize)> {
        let (labels, remarks) = names::labels(at, readers)?;
        let rows = labels.len();
        Ok(((labels, remarks), rows))
    };
    let (labels, more) = beside(file, expected, remarks, open)?;
    ensure!(
        labels.len() == expected,
        "{file}: expected {expected} labels, one for each row of the data, got {}",
        labels.len()
    );
    remarks.extend(more.iter().map(|remark| format!("{file}: {remark}")));
    Ok(labels)
}

/// The weight of each row.
fn weights_of(
    file: &ArrayPath,
    readers: Readers,
    expected: usize,
    remarks: &mut Vec<String>,
) -> Result<Vec<f64>> {
    let open = |at: &ArrayPath| {
        let opened = open::array(at, readers)?;
        let rows = opened.field.shape()[0];
        Ok((opened, rows))
    };
    let opened = beside(file, expected, remarks, open)?;
    let shape = opened.field.shape().to_vec();
    ensure!(
        shape == [expected] || shape == [expected, 1],
        "{file}: expected {expected} numbers, one for each row of the data, got {shape:?}"
    );
    let weights: Vec<f64> = opened.field.rows(0..expected)?.floats().collect();
    if let Some(row) = weights.iter().position(|weight| !weight.is_finite()) {
        bail!(
            "{file}: row {row} (counted from 0) has the weight {}, which is not finite",
            weights[row]
        );
    }
    remarks.extend(
        opened
            .remarks
            .iter()
            .map(|remark| format!("{file}: {remark}")),
    );
    Ok(weights)
}
