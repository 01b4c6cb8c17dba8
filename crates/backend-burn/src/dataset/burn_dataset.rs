use std::{fmt, marker::PhantomData, ops::Range};

use burn::{
    data::{dataloader::batcher::Batcher, dataset::Dataset as Items},
    tensor::{Device, TensorData},
};
use influence_core::{Batch, Dataset, Error as CoreError, Result as CoreResult};

use super::batch_of;

/// A burn data set and batcher as a data set of host arrays.
///
/// # Examples
/// ```
/// use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
/// use burn::tensor::{Device, Int, Tensor};
/// use influence_backend_burn::BurnDataset;
/// use influence_core::{Dataset, Values};
///
/// #[derive(Clone, Debug)]
/// struct Item { features: [f32; 2], label: i64 }
///
/// struct Samples { features: Tensor<2>, labels: Tensor<1, Int> }
///
/// struct ToSamples;
/// impl Batcher<Item, Samples> for ToSamples {
///     fn batch(&self, items: Vec<Item>, device: &Device) -> Samples {
///         let features = items.iter().map(|item| Tensor::<1>::from_data(item.features, device).unsqueeze()).collect();
///         let labels = items.iter().map(|item| Tensor::from_data([item.label], device)).collect();
///         Samples { features: Tensor::cat(features, 0), labels: Tensor::cat(labels, 0) }
///     }
/// }
///
/// let items = InMemDataset::new(vec![Item { features: [0.5, 1.0], label: 1 }, Item { features: [0.0, 2.0], label: 0 }]);
/// let data = BurnDataset::new(items, ToSamples, Device::flex(), |batch: Samples| {
///     vec![batch.features.into_data(), batch.labels.into_data()]
/// });
/// assert_eq!(data.batch(1..2)?.fields()[0], Values::new(vec![0.0_f32, 2.0], &[1, 2])?);
/// # Ok::<(), influence_core::Error>(())
/// ```
pub struct BurnDataset<D, B, F, I, O> {
    items: D,
    batcher: B,
    device: Device,
    fields: F,
    kinds: PhantomData<fn(I) -> O>,
}

impl<D, B, F, I, O> fmt::Debug for BurnDataset<D, B, F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurnDataset")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl<D, B, F, I, O> BurnDataset<D, B, F, I, O>
where
    D: Items<I>,
    B: Batcher<I, O>,
    F: Fn(O) -> Vec<TensorData> + Send + Sync,
{
    /// Batches items on a device and takes from each batch the fields, in the order in which the
    /// task reads them.
    pub fn new(items: D, batcher: B, device: Device, fields: F) -> Self {
        Self {
            items,
            batcher,
            device,
            fields,
            kinds: PhantomData,
        }
    }
}

impl<D, B, F, I, O> Dataset for BurnDataset<D, B, F, I, O>
where
    D: Items<I>,
    B: Batcher<I, O>,
    F: Fn(O) -> Vec<TensorData> + Send + Sync,
{
    type Batch = Batch;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        CoreError::check_range(&range, self.items.len())?;
        let items = range
            .clone()
            .map(|index| self.items.get(index))
            .collect::<Result<Vec<_>, _>>()
            .map_err(CoreError::dataset)?;
        let batch = self.batcher.batch(items, &self.device);
        Ok(batch_of((self.fields)(batch))?.starting_at(range.start))
    }
}
