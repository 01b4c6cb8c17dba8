//! Curvatures of a burn model as operators.

mod batches;
mod cache;
mod gauss_newton;
mod hessian;
mod linearised;
mod mlp;
mod operators;
mod outer_products;
mod pairs;
mod parts;
mod training;
mod vectors;

use std::fmt;

#[cfg(test)]
pub(crate) use gauss_newton::GaussNewton;
pub(crate) use linearised::DirectionalDerivatives;
pub(crate) use outer_products::products;
pub(crate) use training::TrainingData;
pub(crate) use vectors::SampleVectors;

/// The matrix used as the curvature of the training loss; each is the **mean** over the training
/// samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Curvature {
    /// The exact Hessian; indefinite away from a minimum.
    #[default]
    Hessian,
    /// `Jᵀ H_out J`, with `J` the Jacobian of the outputs and `H_out` the second derivative of the
    /// loss with respect to them: exact, positive semi-definite, and the Hessian where the model is
    /// linear in its parameters. Its products cost about three gradients each, whatever the number
    /// of outputs; as a dense matrix, for its trace, and for products with many vectors it costs a
    /// forward and a backward pass per output.
    ///
    /// Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*,
    /// 2002.
    GaussNewton,
    /// `g gᵀ` with labels drawn from the outputs of the model, an estimate of the Fisher matrix for
    /// models with many outputs: its mean over draws is the Gauss-Newton matrix. Costs a forward
    /// and a backward pass per draw.
    ///
    /// Martens, *New insights and perspectives on the natural gradient method*, 2020, section 5.
    Fisher {
        /// Labels drawn for each sample, at least 1.
        draws: usize,
        /// Seed of the draws; each sample has its own random numbers, whatever the batches.
        seed: u64,
    },
    /// `g gᵀ` with the true labels; not the Gauss-Newton matrix, for which it is often mistaken.
    ///
    /// Kunstner, Hennig and Balles, *Limitations of the empirical Fisher approximation*, 2019.
    EmpiricalFisher,
}

impl Curvature {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss-newton",
            Self::Fisher { .. } => "fisher",
            Self::EmpiricalFisher => "empirical-fisher",
        }
    }

    /// The exact matrix that it is or stands for.
    pub(crate) fn exact(self) -> Self {
        match self {
            Self::Hessian => Self::Hessian,
            Self::GaussNewton | Self::Fisher { .. } | Self::EmpiricalFisher => Self::GaussNewton,
        }
    }

    /// The Fisher matrix near to it whose Kronecker factors cost one pass over the data.
    pub(crate) fn factorable(self) -> Self {
        match self {
            Self::Hessian | Self::GaussNewton => Self::Fisher { draws: 1, seed: 0 },
            Self::Fisher { .. } | Self::EmpiricalFisher => self,
        }
    }

    /// Whether it is made of the second derivative of the loss by the outputs of the task.
    pub(crate) fn needs_outputs(self) -> bool {
        matches!(self, Self::GaussNewton | Self::Fisher { .. })
    }
}

impl fmt::Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
