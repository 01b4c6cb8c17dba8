//! Data sets of burn: tensor data in memory, and burn's own data sets with their batchers.
//!
//! Batches are host arrays. Tensor data becomes host arrays here, and host arrays become tensor
//! data where a graph or a module reads them.

mod burn_dataset;
mod tensor_data;

use std::{ops::Range, sync::Arc};

use burn::tensor::TensorData;
use influence_core::{Batch, Dataset, Result as CoreResult};

use crate::Result;

pub use burn_dataset::BurnDataset;
pub(crate) use tensor_data::dtype;
pub use tensor_data::tensor_data;

/// Joins tensor data to a batch, one for each field that the task reads.
///
/// The buffers of 32- and 64-bit floats and of 64-bit integers change hands; 16-bit floats become
/// 32-bit ones and other integers 64-bit ones, which loses nothing.
///
/// # Errors
/// [`Error::Field`](crate::Error::Field) when a field holds quantised numbers, or integers that 64
/// signed bits do not hold; [`Error::Core`](crate::Error::Core) as [`Batch::new`].
///
/// # Examples
/// ```
/// use burn::tensor::TensorData;
/// use influence_backend_burn::batch_of;
///
/// let batch = batch_of(vec![TensorData::from([[0.5_f32], [1.0]]), TensorData::from([0_i64, 1])])?;
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), influence_backend_burn::Error>(())
/// ```
pub fn batch_of(fields: Vec<TensorData>) -> Result<Batch> {
    let fields = fields.into_iter().enumerate();
    let values = fields.map(|(field, data)| tensor_data::values(data, field));
    Ok(Batch::new(values.collect::<Result<_>>()?)?)
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
    /// As [`batch_of`].
    pub fn new(fields: Vec<TensorData>) -> Result<Self> {
        Ok(Self::from(batch_of(fields)?))
    }
}

impl From<Batch> for ArrayDataset {
    fn from(whole: Batch) -> Self {
        Self {
            whole: Arc::new(whole.starting_at(0)),
        }
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
