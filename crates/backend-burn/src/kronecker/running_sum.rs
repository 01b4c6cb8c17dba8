//! Sums of matrices over few batches.

use burn::tensor::Tensor;
use influence_core::Result as CoreResult;
use ndarray::Array3;

use crate::tensors::add_to;

/// A sum over batches, a few at a time on the device, in `f64` on the host.
pub(super) struct RunningSum {
    sum: Array3<f64>,
    recent: Option<Tensor<3>>,
    added: usize,
}

impl RunningSum {
    /// Batches summed on the device before they are read: reading a matrix takes as long as forming
    /// it, and so few sums in the precision of the device round little.
    const TOGETHER: usize = 8;

    pub(super) fn zero(shape: (usize, usize, usize)) -> Self {
        Self {
            sum: Array3::zeros(shape),
            recent: None,
            added: 0,
        }
    }

    pub(super) fn add(&mut self, values: Tensor<3>) -> CoreResult<()> {
        self.recent = Some(match self.recent.take() {
            Some(recent) => recent + values,
            None => values,
        });
        self.added += 1;
        if self.added.is_multiple_of(Self::TOGETHER) {
            self.read()?;
        }
        Ok(())
    }

    /// Adds what is on the host already.
    pub(super) fn add_host(&mut self, values: &Array3<f64>) {
        self.sum += values;
    }

    fn read(&mut self) -> CoreResult<()> {
        if let Some(recent) = self.recent.take() {
            add_to(&mut self.sum, &recent)?;
        }
        Ok(())
    }

    pub(super) fn whole(mut self) -> CoreResult<Array3<f64>> {
        self.read()?;
        Ok(self.sum)
    }
}
