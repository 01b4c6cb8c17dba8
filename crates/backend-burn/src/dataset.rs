//! Data sets of host arrays: in memory, in files read by range, or behind burn's own data sets.

mod burn_dataset;
mod fields;
mod file;
mod npy;
mod safetensors;

use std::{ops::Range, sync::Arc};

use burn::tensor::TensorData;
use influence_core::{Dataset, Error as CoreError, Result as CoreResult};

use crate::Error;

pub use burn_dataset::BurnDataset;
pub use fields::FieldDataset;
pub use npy::{NpyDataset, NpyField, check_npy_header, check_npy_kind};
pub use safetensors::SafetensorsField;

/// Consecutive samples as host arrays, one per field of the task, each with the samples along its first axis.
#[derive(Debug, Clone)]
pub struct Batch {
    fields: Vec<TensorData>,
    len: usize,
}

impl Batch {
    /// Joins the fields of a batch.
    ///
    /// # Errors
    /// [`Error::Field`] when there is no field, a field is a scalar, or the fields differ in their number of samples.
    pub fn new(fields: Vec<TensorData>) -> Result<Self, Error> {
        let count = |field: usize| {
            fields
                .get(field)
                .and_then(|data: &TensorData| data.shape().first().copied())
        };
        let describe = |field: usize| {
            fields
                .get(field)
                .map_or("nothing".to_owned(), |data| format!("{:?}", data.shape()))
        };
        let len = count(0).ok_or_else(|| Error::Field {
            field: 0,
            expected: "an array with samples along its first axis".into(),
            got: describe(0),
        })?;
        match (0..fields.len()).find(|&field| count(field) != Some(len)) {
            Some(field) => Err(Error::Field {
                field,
                expected: format!("{len} samples along the first axis"),
                got: describe(field),
            }),
            None => Ok(Self { fields, len }),
        }
    }

    /// The fields in the order in which the task reads them.
    pub fn fields(&self) -> &[TensorData] {
        &self.fields
    }

    /// The fields themselves, in the same order.
    pub fn into_fields(self) -> Vec<TensorData> {
        self.fields
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every sample twice.
    pub(crate) fn doubled(&self) -> Self {
        let double = |data: &TensorData| {
            let mut shape = data.shape().to_vec();
            shape[0] *= 2;
            TensorData::from_bytes_vec(data.as_bytes().repeat(2), shape, data.dtype())
        };
        Self {
            fields: self.fields.iter().map(double).collect(),
            len: 2 * self.len,
        }
    }

    /// One of the samples as a batch; the index must be in range.
    pub(crate) fn one(&self, sample: usize) -> Self {
        let fields = self
            .fields
            .iter()
            .map(|data| slice(data, &(sample..sample + 1)))
            .collect();
        Self { fields, len: 1 }
    }

    /// A range of the samples.
    ///
    /// # Errors
    /// [`CoreError::OutOfRange`] when the range leaves the batch.
    pub fn slice(&self, range: Range<usize>) -> CoreResult<Self> {
        CoreError::check_range(&range, self.len)?;
        let fields = self.fields.iter().map(|data| slice(data, &range)).collect();
        Ok(Self {
            fields,
            len: range.len(),
        })
    }
}

/// The samples of a range: a contiguous run of bytes, since the samples lie along the first axis.
fn slice(data: &TensorData, range: &Range<usize>) -> TensorData {
    let mut shape: Vec<usize> = data.shape().to_vec();
    let row = shape[1..].iter().product::<usize>() * data.dtype().size();
    shape[0] = range.len();
    let bytes = data.as_bytes()[range.start * row..range.end * row].to_vec();
    TensorData::from_bytes_vec(bytes, shape, data.dtype())
}

/// Samples held in memory, shared and never copied as a whole.
#[derive(Debug, Clone)]
pub struct ArrayDataset {
    whole: Arc<Batch>,
}

impl ArrayDataset {
    /// Takes one array per field, samples along the first axis.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn new(fields: Vec<TensorData>) -> Result<Self, Error> {
        Ok(Self {
            whole: Arc::new(Batch::new(fields)?),
        })
    }
}

impl Dataset for ArrayDataset {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.whole.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        self.whole.slice(range)
    }
}
