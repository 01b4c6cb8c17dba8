//! The second pass: the eigenvalues, measured along the eigenvectors of the first.
//!
//! They are the mean over samples of `(Q_Sᵀ G Q_A)²`, entry by entry, with the gradients
//! `G = Σ_t δ_t ⊗ a_t` of the layer.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Int, Tensor};
use influence_core::{Result as CoreResult, summation::Sums};
use ndarray::{Array3, Ix0, Ix3, arr0};

use super::{
    covariance::KroneckerEigen,
    lanes::{LaneSums, sums_over},
    layer::{LayerInputs, LinearLayer, Positions},
    parallel::missing,
    running_sum::RunningSum,
};
use crate::{
    Gradients,
    curvature::SampleVectors,
    device::piece_sizes,
    gradient::squared_products,
    product::Product as _,
    tensors::{Unpacked, scatter_rows, tensor3},
};

/// Scalars of per-sample gradients that are multiplied out at a time on the CPU: few enough that
/// squaring them finds them in a cache.
const CHUNK: usize = 1 << 21;

/// The Kronecker eigenvectors of a layer where the data are.
struct Bases {
    inputs: Option<Tensor<3>>,
    output_gradients: Tensor<3>,
}

/// Replaces the products of eigenvalues by the mean squares of the gradients along the
/// eigenvectors, in the mean over samples and models.
pub(super) fn correct_eigenvalues(
    models: &[Arc<SampleVectors>],
    layers: &[&LinearLayer],
    factors: &mut [KroneckerEigen],
) -> CoreResult<()> {
    let vectors = models.first().ok_or_else(missing)?;
    let place = |array| tensor3(array, &vectors.source.device, vectors.source.precision);
    let bases = factors.iter().map(|factors| Bases {
        inputs: factors.input_eigenvectors.as_ref().map(place),
        output_gradients: place(&factors.output_eigenvectors),
    });
    let bases: Vec<Bases> = bases.collect();
    let zero = || SquareLane::zero(layers, &bases);
    let leaf = |parts: Range<usize>| sums_over(models, &parts, zero);
    let operand = || Ok(eigenvectors(factors));
    let sums = vectors.data.sum("eigenvalues", &operand, &leaf)?;
    let mut sums = Unpacked::new(sums);
    let samples = sums.next::<Ix0>()?.into_scalar().max(1.0);
    for factors in factors {
        factors.values = sums.next::<Ix3>()? / samples;
    }
    Ok(())
}

/// The eigenvectors of all layers.
fn eigenvectors(factors: &[KroneckerEigen]) -> Sums {
    let of_layer = |factors: &KroneckerEigen| {
        let inputs = factors.input_eigenvectors.clone();
        inputs
            .into_iter()
            .chain([factors.output_eigenvectors.clone()])
    };
    let all = factors.iter().flat_map(of_layer);
    all.map(Array3::into_dyn).collect()
}

/// The sums of a lane: the number of samples, and those of each layer.
struct SquareLane<'a> {
    samples: usize,
    /// Of each layer, the squares of the gradients along the eigenvectors.
    totals: Vec<(&'a LinearLayer, &'a Bases, RunningSum)>,
}

impl<'a> SquareLane<'a> {
    fn zero(layers: &[&'a LinearLayer], bases: &'a [Bases]) -> Self {
        let zero = |(&layer, bases): (&&'a LinearLayer, &'a Bases)| {
            let shape = &layer.shape;
            let total = RunningSum::zero((shape.groups, shape.outputs, layer.width()));
            (layer, bases, total)
        };
        Self {
            samples: 0,
            totals: layers.iter().zip(bases).map(zero).collect(),
        }
    }
}

impl LaneSums for SquareLane<'_> {
    fn add(&mut self, vectors: &[Gradients]) -> CoreResult<()> {
        self.samples += vectors.first().map_or(0, Gradients::len);
        for (layer, bases, total) in &mut self.totals {
            for gradients in vectors {
                if let Some(positions) = layer.positions_of(gradients) {
                    total.add(squares(&rotated(positions, bases), layer))?;
                }
            }
        }
        Ok(())
    }

    fn into_arrays(self) -> CoreResult<Sums> {
        let samples = Ok(arr0(self.samples as f64).into_dyn());
        let totals = self.totals.into_iter();
        let totals = totals.map(|(_, _, sum)| Ok(sum.whole()?.into_dyn()));
        std::iter::once(samples).chain(totals).collect()
    }
}

/// Inputs and output gradients in the eigenbases.
fn rotated(positions: Positions, bases: &Bases) -> Positions {
    let turn = |values: Tensor<4>, basis: &Tensor<3>| {
        let ([n, g, t, d], width) = (values.dims(), basis.dims()[2]);
        let values = values.swap_dims(0, 1).reshape([g, n * t, d]);
        values
            .product(basis.clone())
            .reshape([g, n, t, width])
            .swap_dims(0, 1)
    };
    Positions {
        inputs: match (positions.inputs, &bases.inputs) {
            (LayerInputs::Dense(values), Some(basis)) => LayerInputs::Dense(turn(values, basis)),
            (other, _) => other,
        },
        output_gradients: turn(positions.output_gradients, &bases.output_gradients),
    }
}

/// The sum over samples of the squared entries of `Σ_t δ_t ⊗ a_t`, `(groups, outputs, width)`.
fn squares(
    Positions {
        inputs,
        output_gradients,
    }: &Positions,
    layer: &LinearLayer,
) -> Tensor<3> {
    let [n, g, t, outputs] = output_gradients.dims();
    let width = layer.width();
    if let (1, LayerInputs::Dense(inputs)) = (t, inputs) {
        return squared_products(output_gradients, inputs);
    }
    let mut sum = Tensor::zeros(
        [g, outputs, width],
        (&output_gradients.device(), output_gradients.dtype()),
    );
    let most = piece_sizes(&output_gradients.device()).scalars.max(CHUNK);
    let step = (most / (g * outputs * width).max(1)).max(1);
    for first in (0..n).step_by(step) {
        let samples = first..(first + step).min(n);
        let back = output_gradients
            .clone()
            .slice([samples.clone(), 0..g, 0..t, 0..outputs]);
        let products = match inputs {
            LayerInputs::Dense(inputs) => {
                let own = inputs.clone().slice([samples, 0..g, 0..t, 0..width]);
                back.swap_dims(2, 3).product(own)
            }
            LayerInputs::Indices(rows) => {
                let own = rows.clone().slice([samples, 0..t]);
                embedding_gradients(&own, back, width)
            }
        };
        sum = sum + products.square().sum_dim(0).squeeze_dim(0);
    }
    sum
}

/// Output gradients `(n, 1, t, outputs)` added up at the rows of tables,
/// `(n, 1, outputs, entries)`.
fn embedding_gradients(
    rows: &Tensor<2, Int>,
    output_gradients: Tensor<4>,
    entries: usize,
) -> Tensor<4> {
    let [n, _, t, outputs] = output_gradients.dims();
    let positions = crate::gradient::positions(rows, entries);
    scatter_rows(
        n * entries,
        positions,
        output_gradients.reshape([n * t, outputs]),
    )
    .reshape([n, 1, entries, outputs])
    .swap_dims(2, 3)
}
