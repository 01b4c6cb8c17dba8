//! Kronecker-factored curvatures, layer by layer.

mod covariance;
mod diagonal;
mod factored;
mod layer;
mod low_rank;
mod rest;

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use burn::tensor::{Device, Tensor};
use influence_core::{
    Error as CoreError, Precision, Result as CoreResult,
    block::Block,
    solver::{Prepared, State},
};
use ndarray::Array3;

use crate::{
    Curvature, FitStep, Stack,
    curvature::SampleVectors,
    engine::panic_message,
    fit::Watch,
    stack::{host, tensor},
};

use covariance::{Covariances, corrected};
use factored::Factored;
use layer::Layer;
use rest::Rest;

/// How the Fisher matrix of a layer is approximated through its Kronecker factors.
///
/// A linear map with inputs `a` (a 1 appended where there is a bias) and signals `δ` at its outputs has gradients `a ⊗ δ`, and its curvature
/// `E[a aᵀ ⊗ δ δᵀ]` is taken as `A ⊗ S` with the means `A = E[a aᵀ]` and `S = E[δ δᵀ]` over training samples. Where the map is applied at several
/// positions, in sequences and convolutions, these count as independent: `A` is the mean over positions too, `S` the sum (the *expand*
/// setting of Eschenhagen et al., and what Grosse and Martens do for convolutions). The signals are those of the curvature chosen, which must be a Fisher matrix: the exact one
/// ([`GaussNewton`](Curvature::GaussNewton)), the one with drawn labels, or the empirical one.
///
/// Each group of a grouped convolution has factors of its own; the inputs of an embedding are kept as the frequencies they are.
/// What is no linear map, norms for one, keeps its exact Fisher matrix up to 2,048 scalars, and the diagonal of it beyond.
///
/// # References
/// Martens and Grosse, *Optimizing neural networks with Kronecker-factored approximate curvature*, 2015; Grosse and Martens, *A Kronecker-factored
/// approximate Fisher matrix for convolution layers*, 2016; Eschenhagen, Immer, Turner, Schneider and Hennig, *Kronecker-factored approximate
/// curvature for modern neural network architectures*, 2023.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kronecker {
    /// `A ⊗ S`: exact where inputs and signals are independent, as with one training sample, or in deep linear networks with squared error, and
    /// each map is applied at one position. Where it is applied at several, as in convolutions and sequences, it is exact for neither of these: the
    /// *reduce* setting, which sums over positions first, would be exact in deep linear networks that take the mean over positions, and is not implemented.
    Kfac,
    /// The eigenvectors of `A ⊗ S` with eigenvalues measured along them in a second pass over the data: of all matrices with these eigenvectors
    /// the nearest to the Fisher matrix. Where labels are drawn, the second pass draws others, since along the eigenvectors of a draw its own
    /// curvature is too small in most directions.
    ///
    /// George, Laurent, Bouthillier, Ballas and Vincent, *Fast approximate natural gradient descent in a Kronecker-factored eigenbasis*, 2018; Grosse
    /// et al., *Studying large language model generalization with influence functions*, 2023.
    Ekfac,
}

/// Most scalars of a block without a linear map whose Fisher matrix is kept whole.
const DENSE: usize = 2048;
/// Samples that show what the layers are.
const SHOWN: usize = 3;

impl Kronecker {
    /// Fits the curvature of each block.
    pub(crate) fn prepare(
        self,
        vectors: &Arc<SampleVectors>,
        blocks: &[Block],
        tolerance: f64,
        threads: usize,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let layers = layers(vectors, blocks)?;
        let linear: Vec<&Layer> = layers.iter().flatten().collect();
        let others = blocks.iter().zip(&layers);
        let others = others.filter(|(_, layer)| layer.is_none());
        let mut rest: Vec<Rest> = others.map(|(block, _)| Rest::zero(block)).collect();
        let mut factored =
            Covariances::of(vectors, &linear, &mut rest)?.factored(threads, &vectors.data.watch)?;
        if self == Self::Ekfac {
            corrected(&vectors.redrawn(), &linear, &mut factored)?;
        }
        let (mut factored, mut rest) = (factored.into_iter(), rest.into_iter());
        let of_block = |layer: &Option<Layer>| {
            let Some(layer) = layer else {
                let rest = rest.next().ok_or_else(missing)?;
                return rest.prepared(vectors.data.samples());
            };
            let factors = factored.next().ok_or_else(missing)?;
            Ok(Box::new(Factored::new(layer.clone(), factors, vectors, tolerance)) as _)
        };
        layers.iter().map(of_block).collect()
    }

    /// Bytes that the fit takes, an estimate from above; each damping takes an inverse, each thread room to decompose a matrix.
    pub(crate) fn fit_bytes(
        vectors: &SampleVectors,
        blocks: &[Block],
        dampings: usize,
        threads: usize,
    ) -> CoreResult<usize> {
        let layers = layers(vectors, blocks)?;
        Ok(bytes(vectors, blocks, &layers, dampings, threads))
    }

    /// Takes up the curvature of each block from its state.
    pub(crate) fn restore<'a>(
        vectors: &Arc<SampleVectors>,
        blocks: &[Block],
        tolerance: f64,
        state: impl Fn(&Block) -> &'a State,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let layers = layers(vectors, blocks)?;
        let of_block = |(block, layer): (&Block, Option<Layer>)| match layer {
            Some(layer) => {
                Ok(Box::new(Factored::restore(layer, state(block), vectors, tolerance)?) as _)
            }
            None => Rest::restored(block, state(block)),
        };
        blocks.iter().zip(layers).map(of_block).collect()
    }
}

/// Bytes that the fit of all blocks takes, an estimate from above.
fn bytes(
    vectors: &SampleVectors,
    blocks: &[Block],
    layers: &[Option<Layer>],
    dampings: usize,
    threads: usize,
) -> usize {
    /// A covariance and its eigenvectors, in `f64`.
    const KEPT: usize = 2 * size_of::<f64>();
    /// The copies of it and the scratch space that a decomposition takes besides, in `f64`.
    const DECOMPOSED: usize = 4 * size_of::<f64>();
    /// What is made of the eigenvalues of a layer on the way to an inverse, in `f64`, and what stays of it on the device.
    const VALUES: usize = 8 * size_of::<f64>();
    const INVERSE: usize = 4;
    let square = |side: usize| side.saturating_mul(side);
    let precision = vectors.source.precision.bytes();
    let linear = || layers.iter().flatten();
    let sides = linear().flat_map(|layer| {
        let inputs = (!layer.shape.looked_up).then(|| layer.width());
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
    let rest = rest.map(|(block, _)| Rest::bytes(block, dampings));
    let all = kept.chain(decomposed).chain(values).chain(rest);
    all.fold(0, usize::saturating_add)
}

/// The linear map of each block, if it has one.
fn layers(vectors: &SampleVectors, blocks: &[Block]) -> CoreResult<Vec<Option<Layer>>> {
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
    let of_block = |block| Layer::find(block, layout, shown);
    blocks.iter().map(of_block).collect()
}

fn missing() -> CoreError {
    CoreError::backend("kronecker factors", "a layer was not seen")
}

/// What becomes of each item, in their order; the number of threads does not show in the results.
fn in_parallel<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    watch: &Watch,
    work: impl Fn(T) -> CoreResult<R> + Sync,
) -> CoreResult<Vec<R>> {
    let (threads, count) = (threads.min(items.len()), items.len());
    let items = Mutex::new(items.into_iter().enumerate());
    let next = || {
        let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
        next.inspect(|(index, _)| watch.fitting(FitStep::Eigenvectors, *index, count))
    };
    let some = || -> CoreResult<Vec<(usize, R)>> {
        let items = std::iter::from_fn(next);
        items
            .map(|(index, item)| Ok((index, work(item)?)))
            .collect()
    };
    let done: CoreResult<Vec<Vec<(usize, R)>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let results = workers.into_iter().map(|worker| {
            let panicked = |panic: Box<dyn Any + Send>| {
                Err(CoreError::backend(
                    "kronecker factors",
                    panic_message(&*panic),
                ))
            };
            worker.join().unwrap_or_else(panicked)
        });
        results.collect()
    });
    let mut done: Vec<(usize, R)> = done?.into_iter().flatten().collect();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// An array on a device, rounded to a precision.
fn to_tensor(array: &Array3<f64>, (device, precision): &(Device, Precision)) -> Tensor<3> {
    let (a, b, c) = array.dim();
    tensor(array.iter().copied(), [a, b, c], device, *precision)
}

/// A tensor on the host.
fn to_array(values: &Tensor<3>) -> CoreResult<Array3<f64>> {
    let [a, b, c] = values.dims();
    Array3::from_shape_vec((a, b, c), host(values)?)
        .map_err(|error| CoreError::backend("read tensor", error))
}
