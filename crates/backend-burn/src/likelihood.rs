//! The second derivative of the loss by the outputs, `H_out`: the middle of the Gauss-Newton and
//! Fisher matrices.
//!
//! For a network with outputs `o (n, c)` and a loss `ℓ_i(o_i)` of each sample, the Gauss-Newton
//! matrix is the mean of `J_iᵀ H_i J_i`, where `J_i` is the Jacobian of the outputs and `H_i =
//! ∂²ℓ_i/∂o_i²`, `(c, c)`. With `H_i = Σ_r u_r u_rᵀ` it is the mean of `Σ_r v_r v_rᵀ` with `v_r =
//! J_iᵀ u_r`, one backward pass for each root `u_r (n, c)`; and a random `u` with `E[u uᵀ] = H_i`
//! gives the Fisher matrix by draws.
//!
//! What `H_i` is follows from the loss and is not a matter of belief. The recorded loss is cut
//! where it reads the outputs (`trace/head`); what follows, the *head*, is differentiated twice.
//! There are two ways to use it:
//!
//! 1. A loss that the task declares has a second derivative in closed form, which costs nothing and
//!    does not cancel in 32 bits. It is held against the head along random directions, on every
//!    batch and for every sample: at two made-up points, where neither the softmax nor the sigmoid
//!    saturates, and at the outputs themselves. A factor for each sample and position is found in
//!    passing. It is what class weights, masked positions and sums in place of means come to, all
//!    of which multiply the loss by what does not depend on the outputs.
//! 2. Any other second derivative is taken from the head, column by column: as blocks, if a random
//!    direction shows no more than that, else whole. A block is decomposed into eigenvectors; those
//!    with eigenvalues below zero, where the loss is not convex, count negatively.
//!
//! Labels drawn for the Fisher matrix are those of the distribution behind a closed form, their
//! gradients multiplied by the root of the factor. Without a distribution `u = Σ_r √λ_r q_r ε_r`
//! with normal `ε_r` has the same second moment.
//!
//! Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*, 2002;
//! Martens, *New insights and perspectives on the natural gradient method*, 2020, sections 8 and 9.

mod blocks;
mod closed;
mod derived;

use burn::tensor::Tensor;
use influence_core::Precision;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{Error, OutputLoss, Result};

pub(crate) use blocks::Blocks;
#[cfg(test)]
pub(crate) use closed::{drawn, roots};
pub(crate) use derived::Derivation;

/// The second derivative of the loss of each sample of a batch by its outputs.
pub(crate) enum OutputHessian {
    /// That of a loss in closed form.
    Closed(Box<Closed>),
    /// That of the recorded loss.
    Blocks(Blocks),
}

/// A loss in closed form at the outputs of a batch.
pub(crate) struct Closed {
    pub(crate) loss: OutputLoss,
    /// `(n, c)`.
    pub(crate) outputs: Tensor<2>,
    /// By what it is multiplied, `(n, positions)`, where that is not 1.
    pub(crate) weights: Option<Tensor<2>>,
}

/// Vectors `(n, c)` whose outer products add up to the second derivative: those that are added,
/// less those that are taken away.
pub(crate) struct Roots {
    pub(crate) plus: Vectors,
    pub(crate) minus: Vectors,
}

type Vectors = Box<dyn Iterator<Item = Tensor<2>>>;

impl OutputHessian {
    pub(crate) fn roots(&self) -> Result<Roots> {
        match self {
            Self::Closed(closed) => closed.roots(),
            Self::Blocks(blocks) => blocks.roots(),
        }
    }

    /// A vector `u (n, c)` with `E[u uᵀ]` the second derivative, for each sample of a batch that
    /// begins at this number.
    ///
    /// What is drawn for a sample depends on the seed and the number of the sample alone.
    ///
    /// # Errors
    /// [`Error::NotConvex`] where the second derivative is no covariance.
    pub(crate) fn drawn(
        &self,
        seed: u64,
        first_sample: usize,
        precision: Precision,
    ) -> Result<Tensor<2>> {
        match self {
            Self::Closed(closed) => closed.drawn(seed, first_sample, precision),
            Self::Blocks(blocks) => blocks.drawn(seed, first_sample),
        }
    }

    /// The matrices themselves, `(n, c, c)`.
    pub(crate) fn matrices(&self) -> Result<Tensor<3>> {
        match self {
            Self::Closed(closed) => closed.matrices(),
            Self::Blocks(blocks) => Ok(blocks.matrices()),
        }
    }
}

impl Closed {
    fn roots(&self) -> Result<Roots> {
        let Some(weights) = self.spread() else {
            return Ok(Roots {
                plus: closed::roots(self.loss, &self.outputs)?,
                minus: Box::new(std::iter::empty()),
            });
        };
        let part = |weights: Tensor<2>| -> Result<Vectors> {
            let share = weights.clamp_min(0.0).sqrt();
            let roots = closed::roots(self.loss, &self.outputs)?;
            Ok(Box::new(roots.map(move |root| root * share.clone())))
        };
        let minus = if self.least()? < 0.0 {
            part(weights.clone().neg())?
        } else {
            Box::new(std::iter::empty())
        };
        Ok(Roots {
            plus: part(weights)?,
            minus,
        })
    }

    fn drawn(&self, seed: u64, first_sample: usize, precision: Precision) -> Result<Tensor<2>> {
        let drawn = closed::drawn(self.loss, &self.outputs, seed, first_sample, precision)?;
        if self.least()? < 0.0 {
            return Err(Error::NotConvex);
        }
        Ok(match self.spread() {
            Some(weights) => drawn * weights.sqrt(),
            None => drawn,
        })
    }

    fn matrices(&self) -> Result<Tensor<3>> {
        let roots = closed::roots(self.loss, &self.outputs)?;
        let roots: Vec<Tensor<3>> = roots.map(|root| root.unsqueeze_dim(2)).collect();
        let roots: Tensor<3> = Tensor::cat(roots, 2);
        let weighted = match self.spread() {
            Some(weights) => roots.clone() * weights.unsqueeze_dim(2),
            None => roots.clone(),
        };
        Ok(weighted.matmul(roots.swap_dims(1, 2)))
    }

    /// By what the loss is multiplied, 1 included: `(n, positions)`, or `(n, 1)` where it is 1.
    pub(crate) fn found_weights(&self) -> Tensor<2> {
        let ones = || self.outputs.clone().narrow(1, 0, 1).ones_like();
        self.weights.clone().unwrap_or_else(ones)
    }

    /// The weight of each output, `(n, c)`.
    fn spread(&self) -> Option<Tensor<2>> {
        let weights = self.weights.clone()?;
        let ([n, width], positions) = (self.outputs.dims(), weights.dims()[1]);
        let spread: Tensor<3> = weights.unsqueeze_dim(2);
        let spread = spread.repeat_dim(2, width / positions.max(1));
        Some(spread.reshape([n, width]))
    }

    fn least(&self) -> Result<f64> {
        let Some(weights) = &self.weights else {
            return Ok(1.0);
        };
        let weights = values(weights)?;
        Ok(weights.into_iter().fold(f64::INFINITY, f64::min))
    }
}

/// The values of a tensor on the host.
fn values(tensor: &Tensor<2>) -> Result<Vec<f64>> {
    crate::stack::host(tensor).map_err(|error| Error::Engine {
        message: error.to_string(),
    })
}

/// The random numbers of one sample.
fn stream(seed: u64, sample: usize) -> Xoshiro256PlusPlus {
    // Seeds are expanded by the generator, so neighbouring ones give unrelated streams.
    Xoshiro256PlusPlus::seed_from_u64(seed ^ (sample as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
