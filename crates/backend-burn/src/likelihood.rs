//! The second derivative of the loss by the outputs, `H_out`: the middle of the Gauss-Newton and
//! Fisher matrices.
//!
//! For a network with outputs `o (n, c)` and a loss `ℓ_i(o_i)` of each sample, the Gauss-Newton
//! matrix is the mean of `J_iᵀ H_i J_i`, where `J_i` is the Jacobian of the outputs and
//! `H_i = ∂²ℓ_i/∂o_i²`, `(c, c)`. With `H_i = Σ_r u_r u_rᵀ` it is the mean of `Σ_r v_r v_rᵀ` with
//! `v_r = J_iᵀ u_r`, one backward pass for each square-root factor `u_r (n, c)`; and a random `u`
//! with `E[u uᵀ] = H_i` gives the Fisher matrix by draws.
//!
//! `H_i` follows from the loss, so it is derived and not believed. The recorded loss is cut
//! where it reads the outputs (`trace/head`); what follows, the *head*, is differentiated twice.
//! There are two ways to use it:
//!
//! 1. A loss that the task declares has a second derivative in closed form, which costs nothing and
//!    does not cancel in 32 bits. It is compared with the head along random directions, on every
//!    batch and for every sample: at two made-up points, where neither the softmax nor the sigmoid
//!    saturates, and at the outputs themselves. A weight for each sample and position is found in
//!    passing. Class weights, masked positions and sums in place of means all have this form: they
//!    multiply the loss by a factor that does not depend on the outputs.
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
mod closed_form;
mod derived;
mod factors;
mod formulas;
mod random;

use burn::tensor::Tensor;
use influence_core::Precision;

use crate::Result;

pub(crate) use blocks::Blocks;
pub(crate) use closed_form::ClosedForm;
pub(crate) use derived::Derivation;
pub(crate) use factors::SquareRootFactors;
#[cfg(test)]
pub(crate) use formulas::{drawn, square_root_factors};

/// The second derivative of the loss of each sample of a batch by its outputs.
#[derive(Debug)]
pub(crate) enum OutputHessian {
    /// That of a declared loss, in closed form.
    Closed(Box<ClosedForm>),
    /// That of the recorded loss.
    Blocks(Blocks),
}

impl OutputHessian {
    pub(crate) fn square_root_factors(&self) -> Result<SquareRootFactors> {
        match self {
            Self::Closed(closed) => closed.square_root_factors(),
            Self::Blocks(blocks) => blocks.square_root_factors(),
        }
    }

    /// A vector `u (n, c)` with `E[u uᵀ]` the second derivative, for each sample of a batch that
    /// begins at this number.
    ///
    /// The draw for a sample depends on the seed and the index of the sample alone.
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

    /// Its products with a direction of each sample, `(n, c)`.
    pub(crate) fn along(&self, direction: &Tensor<2>) -> Result<Tensor<2>> {
        match self {
            Self::Closed(closed) => closed.along(direction),
            Self::Blocks(blocks) => Ok(blocks.along(direction)),
        }
    }

    /// How many numbers it is kept as.
    pub(crate) fn scalars(&self) -> usize {
        match self {
            Self::Closed(closed) => closed.scalars(),
            Self::Blocks(blocks) => blocks.scalars(),
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
