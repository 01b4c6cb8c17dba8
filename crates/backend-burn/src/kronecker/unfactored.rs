//! The Fisher matrix of a block without a linear map: whole where it is small, else its diagonal.

use std::ops::Range;

use influence_core::{
    Precision, Result as CoreResult,
    block::Block,
    solver::{Diagonal, Direct, Prepared, Solver, State},
};
use ndarray::{Array1, Array2, ArrayD};

use crate::{
    Gradients, Stack,
    curvature::products,
    tensors::{Unpacked, host},
};

/// Most scalars of a block without a linear map whose Fisher matrix is kept whole.
const DENSE: usize = 2048;

/// The Fisher matrix of a block, summed over samples in `f64`.
pub(super) struct UnfactoredFisher {
    columns: Vec<Range<usize>>,
    sums: FisherSums,
}

enum FisherSums {
    Dense(Array2<f64>),
    Diagonal(Array1<f64>),
}

impl UnfactoredFisher {
    /// From the next of the sums over all data.
    pub(super) fn new(block: &Block, sums: &mut Unpacked) -> CoreResult<Self> {
        Ok(Self {
            columns: block.columns().to_vec(),
            sums: if block.dim() <= DENSE {
                FisherSums::Dense(sums.next()?)
            } else {
                FisherSums::Diagonal(sums.next()?)
            },
        })
    }

    pub(super) fn zero(block: &Block) -> Self {
        let dim = block.dim();
        Self {
            columns: block.columns().to_vec(),
            sums: if dim <= DENSE {
                FisherSums::Dense(Array2::zeros((dim, dim)))
            } else {
                FisherSums::Diagonal(Array1::zeros(dim))
            },
        }
    }

    /// Bytes that the fit of a block takes with this number of dampings, an upper bound.
    pub(super) fn bytes(block: &Block, dampings: usize) -> usize {
        let dim = block.dim();
        if dim <= DENSE {
            // Solved on the host in `f64`, whatever the rows.
            Solver::<Stack>::fit_bytes(&Direct, dim, Precision::F64, dampings)
        } else {
            Solver::<Stack>::fit_bytes(&Diagonal, dim, Precision::F64, dampings)
        }
    }

    /// Adds the vectors of a batch.
    pub(super) fn add(&mut self, vectors: &[Gradients]) -> CoreResult<()> {
        let restricted = vectors.iter().map(|vectors| vectors.columns(&self.columns));
        match &mut self.sums {
            FisherSums::Dense(sum) => {
                let restricted: Vec<Gradients> = restricted.collect();
                *sum += &products(&restricted.iter().collect::<Vec<_>>())?;
            }
            FisherSums::Diagonal(sum) => {
                for vectors in restricted {
                    *sum += &Array1::from(host(&vectors.sum_of_squares())?);
                }
            }
        }
        Ok(())
    }

    /// The sums, as an array of one or two axes.
    pub(super) fn into_array(self) -> ArrayD<f64> {
        match self.sums {
            FisherSums::Dense(sum) => sum.into_dyn(),
            FisherSums::Diagonal(sum) => sum.into_dyn(),
        }
    }

    /// The mean over this number of samples, prepared for any damping.
    pub(super) fn prepared(self, samples: usize) -> CoreResult<Box<dyn Prepared<Stack>>> {
        let samples = samples as f64;
        match self.sums {
            FisherSums::Dense(sum) => Direct::of_matrix(&(sum / samples)),
            FisherSums::Diagonal(sum) => Ok(Diagonal::of_values(sum / samples)),
        }
    }

    /// Restores the mean from its state.
    pub(super) fn restored(block: &Block, state: &State) -> CoreResult<Box<dyn Prepared<Stack>>> {
        if block.dim() <= DENSE {
            Direct::of_state(block.dim(), state)
        } else {
            Diagonal::of_state(block.dim(), state)
        }
    }
}
