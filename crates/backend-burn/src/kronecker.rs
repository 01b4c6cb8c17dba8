//! Kronecker-factored curvatures, layer by layer: K-FAC and EK-FAC.
//!
//! A fit is one or two passes over the training data and a decomposition for each layer:
//!
//! 1. `layer` finds the linear map of each block in the gradients of a few samples. Blocks without
//!    one (norms, say) keep their Fisher matrix as it is (`unfactored`).
//! 2. `covariance` sums `a aᵀ` and `δ δᵀ` over the data and decomposes them, several matrices side
//!    by side (`parallel`). The products of their eigenvalues are K-FAC's eigenvalues.
//! 3. EK-FAC goes over the data once more (`eigenvalues`) and replaces them by the mean squares of
//!    the gradients along the eigenvectors.
//! 4. `inverse` solves in the eigenbasis, exactly or through few outer products (`low_rank`).

mod covariance;
mod eigenvalues;
mod inverse;
mod lanes;
mod layer;
mod low_rank;
mod memory;
mod parallel;
mod running_sum;
mod unfactored;

use std::{borrow::Borrow, sync::Arc};

use influence_core::{
    Error as CoreError, Result as CoreResult,
    block::Block,
    solver::{Prepared, State},
};

use crate::{Curvature, Stack, curvature::SampleVectors};

pub(crate) use inverse::workspace;

use covariance::CovarianceSet;
use eigenvalues::correct_eigenvalues;
use inverse::FactoredLayer;
use layer::LinearLayer;
use parallel::missing;
use unfactored::UnfactoredFisher;

/// How the Fisher matrix of a layer is approximated through its Kronecker factors.
///
/// A linear map with inputs `a` (a 1 appended where there is a bias) and output gradients `δ` has
/// gradients `a ⊗ δ`. Its curvature `E[a aᵀ ⊗ δ δᵀ]` is approximated by `A ⊗ S` with the means
/// `A = E[a aᵀ]` and `S = E[δ δᵀ]` over training samples. Where the map is applied at several
/// positions, as in sequences and convolutions, these count as independent: `A` is the mean over
/// positions too, `S` the sum (the *expand* setting of Eschenhagen et al., and what Grosse and
/// Martens do for convolutions). The output gradients are those of the curvature chosen, which must
/// be a Fisher matrix: the exact one ([`GaussNewton`](Curvature::GaussNewton)), the one with drawn
/// labels, or the empirical one.
///
/// Each group of a grouped convolution has its own factors. The covariance of the inputs of an
/// embedding is diagonal, with the frequencies of tokens. Other parameters, such as those of norms
/// and weights of which slices are used, keep their exact Fisher matrix up to 2,048 scalars, and
/// its diagonal beyond.
///
/// # References
/// Martens and Grosse, *Optimizing neural networks with Kronecker-factored approximate curvature*,
/// 2015; Grosse and Martens, *A Kronecker-factored approximate Fisher matrix for convolution
/// layers*, 2016; Eschenhagen, Immer, Turner, Schneider and Hennig, *Kronecker-factored approximate
/// curvature for modern neural network architectures*, 2023.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kronecker {
    /// `A ⊗ S`: exact where inputs and output gradients are independent, as with one training
    /// sample, or in deep linear networks with squared error, and each map is applied at one
    /// position. Where it is applied at several, as in convolutions and sequences, it is exact for
    /// neither of these: the *reduce* setting, which sums over positions first, would be exact in
    /// deep linear networks that take the mean over positions, and is not implemented.
    Kfac,
    /// The eigenvectors of `A ⊗ S` with eigenvalues measured along them in a second pass over the
    /// data: of all matrices with these eigenvectors the nearest to the Fisher matrix. Where labels
    /// are drawn, the second pass draws others, since along the eigenvectors of a draw its own
    /// curvature is too small in most directions.
    ///
    /// George, Laurent, Bouthillier, Ballas and Vincent, *Fast approximate natural gradient descent
    /// in a Kronecker-factored eigenbasis*, 2018; Grosse et al., *Studying large language model
    /// generalization with influence functions*, 2023.
    Ekfac,
}

/// Samples whose gradients show the layers.
const SHOWN: usize = 3;

impl Kronecker {
    /// Fits the curvature of each block: the mean over models of the same data, of which there is
    /// at least one. Their factors are means, and so are the eigenvalues along the eigenvectors
    /// that they have in common.
    pub(crate) fn prepare(
        self,
        models: &[Arc<SampleVectors>],
        blocks: &[Block],
        tolerance: f64,
        threads: usize,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let vectors = models.first().ok_or_else(missing)?;
        let layers = layers(vectors, blocks)?;
        let linear: Vec<&LinearLayer> = layers.iter().flatten().collect();
        let others = blocks.iter().zip(&layers);
        let others = others.filter(|(_, layer)| layer.is_none());
        let others: Vec<&Block> = others.map(|(block, _)| block).collect();
        let (covariances, rest) = CovarianceSet::of(models, &linear, &others)?;
        let mut factored = covariances.factored(threads, &vectors.data.watch)?;
        if self == Self::Ekfac {
            let redrawn: Vec<_> = models.iter().map(SampleVectors::redrawn).collect();
            correct_eigenvalues(&redrawn, &linear, &mut factored)?;
        }
        let (mut factored, mut rest) = (factored.into_iter(), rest.into_iter());
        let of_block = |layer: &Option<LinearLayer>| {
            let Some(layer) = layer else {
                let rest = rest.next().ok_or_else(missing)?;
                return rest.prepared(models.len() * vectors.data.samples());
            };
            let factors = factored.next().ok_or_else(missing)?;
            Ok(Box::new(FactoredLayer::new(
                layer.clone(),
                factors,
                vectors,
                tolerance,
            )) as _)
        };
        layers.iter().map(of_block).collect()
    }

    /// Bytes that the fit takes, an upper bound; each damping takes an inverse, each thread room to
    /// decompose a matrix.
    pub(crate) fn fit_bytes(
        vectors: &SampleVectors,
        blocks: &[Block],
        dampings: usize,
        threads: usize,
    ) -> CoreResult<usize> {
        let layers = layers(vectors, blocks)?;
        Ok(memory::bytes(vectors, blocks, &layers, dampings, threads))
    }

    /// Restores the curvature of each block from its state.
    pub(crate) fn restore<S: Borrow<State>>(
        vectors: &Arc<SampleVectors>,
        blocks: &[Block],
        tolerance: f64,
        state: impl Fn(&Block) -> S,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let layers = layers(vectors, blocks)?;
        let of_block = |(block, layer): (&Block, Option<LinearLayer>)| match layer {
            Some(layer) => Ok(Box::new(FactoredLayer::restore(
                layer,
                state(block).borrow(),
                vectors,
                tolerance,
            )?) as _),
            None => UnfactoredFisher::restored(block, state(block).borrow()),
        };
        blocks.iter().zip(layers).map(of_block).collect()
    }
}

/// The linear map of each block, if it has one.
fn layers(vectors: &SampleVectors, blocks: &[Block]) -> CoreResult<Vec<Option<LinearLayer>>> {
    if vectors.curvature == Curvature::Hessian {
        return Err(CoreError::Setting {
            name: "curvature",
            requirement: "a Fisher matrix with Kronecker factors: gauss-newton, fisher or empirical-fisher",
            got: vectors.curvature.to_string(),
        });
    }
    let sample = vectors.data.head(SHOWN)?;
    let shown = vectors
        .source
        .curvature_vectors(vectors.curvature, &sample, 0)?;
    let layout = vectors.source.layout();
    let shown = shown.definite()?;
    let of_block = |block| LinearLayer::find(block, layout, shown);
    blocks.iter().map(of_block).collect()
}
