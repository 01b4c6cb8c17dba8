//! The memory of a fit of Kronecker factors.

use influence_core::block::Block;

use super::{lanes::LANES, layer::LinearLayer, unfactored::UnfactoredFisher};
use crate::curvature::SampleVectors;

/// Bytes that the fit of all blocks takes, an upper bound.
pub(super) fn bytes(
    vectors: &SampleVectors,
    blocks: &[Block],
    layers: &[Option<LinearLayer>],
    dampings: usize,
    threads: usize,
) -> usize {
    /// A covariance and its eigenvectors, in `f64`.
    const KEPT: usize = 2 * size_of::<f64>();
    /// Copies and scratch space of its decomposition, in `f64`.
    const DECOMPOSED: usize = 4 * size_of::<f64>();
    /// Intermediate results from the eigenvalues of a layer to an inverse, in `f64`, and what of
    /// them stays on the device.
    const VALUES: usize = 8 * size_of::<f64>();
    const INVERSE: usize = 4;
    let square = |side: usize| side.saturating_mul(side);
    let precision = vectors.source.precision.bytes();
    let linear = || layers.iter().flatten();
    let sides = linear().flat_map(|layer| {
        let inputs = (!layer.shape.is_embedding).then(|| layer.width());
        let sides = inputs.into_iter().chain([layer.shape.outputs]);
        sides.map(|side| (layer.shape.groups, square(side)))
    });
    let mut sides: Vec<(usize, usize)> = sides.collect();
    sides.sort_unstable_by_key(|&(_, entries)| std::cmp::Reverse(entries));
    let kept = sides.iter().map(|&(groups, entries)| {
        let entries = groups.saturating_mul(entries);
        entries.saturating_mul(KEPT + precision)
    });
    let decomposed = sides.iter().take(threads);
    let decomposed = decomposed.map(|&(_, entries)| entries.saturating_mul(DECOMPOSED));
    let values = linear().map(|layer| {
        let entries = layer.shape.groups * layer.shape.outputs * layer.width();
        let inverses = dampings.saturating_mul(INVERSE * precision);
        entries.saturating_mul(inverses.saturating_add(VALUES))
    });
    let rest = blocks.iter().zip(layers);
    let rest = rest.filter(|(_, layer)| layer.is_none());
    let rest = rest.map(|(block, _)| UnfactoredFisher::bytes(block, dampings));
    let kept = total(kept.chain(rest));
    let all = total(decomposed.chain(values)).saturating_add(kept);
    all.max(passes(vectors, layers, &sides, kept))
}

/// Bytes that a pass over the data takes, in which sums of several subtrees are held: of
/// covariances, of which some are in `kept`, or of eigenvalues, beside the eigenvectors.
fn passes(
    vectors: &SampleVectors,
    layers: &[Option<LinearLayer>],
    sides: &[(usize, usize)],
    kept: usize,
) -> usize {
    /// The sums of a leaf in `f64`, and what they are made of on the device.
    const LEAF: usize = 3 * LANES;
    let held = vectors.data.sums_held();
    let covariances = total(sides.iter().map(|&(groups, entries)| groups * entries));
    let values = layers.iter().flatten();
    let values =
        total(values.map(|layer| layer.shape.groups * layer.shape.outputs * layer.width()));
    let sums = |entries: usize| entries.saturating_mul(size_of::<f64>());
    // Those of one lane are in `kept`.
    let first = sums(covariances).saturating_mul(held + LANES - 1);
    let second = sums(values).saturating_mul(held + LEAF);
    kept.saturating_add(first.max(second))
}

fn total(bytes: impl Iterator<Item = usize>) -> usize {
    bytes.fold(0, usize::saturating_add)
}
