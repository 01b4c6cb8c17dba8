//! The second pass: the eigenvalues, measured along the eigenvectors of the first.
//!
//! They are the mean over samples of `(Q_Sᵀ G Q_A)²`, entry by entry, with the gradients
//! `G = Σ_t δ_t ⊗ a_t` of the layer.

use burn::tensor::{Int, Tensor};
use influence_core::Result as CoreResult;

use super::{
    covariance::KroneckerEigen,
    layer::{LayerInputs, LinearLayer, Positions},
    running_sum::RunningSum,
};
use crate::{
    Gradients,
    curvature::SampleVectors,
    tensors::{scatter_rows, tensor3},
};

/// Scalars of per-sample gradients that are multiplied out at a time: 64 MiB of 32-bit floats.
const CHUNK: usize = 1 << 24;

/// Replaces the products of eigenvalues by the mean squares of the gradients along
/// the eigenvectors.
pub(super) fn correct_eigenvalues(
    vectors: &SampleVectors,
    layers: &[&LinearLayer],
    factors: &mut [KroneckerEigen],
) -> CoreResult<()> {
    let place = |array| tensor3(array, &vectors.source.device, vectors.source.precision);
    let bases: Vec<_> = factors
        .iter()
        .map(|factors| {
            let inputs = factors.input_eigenvectors.as_ref();
            let inputs = inputs.map(place);
            (inputs, place(&factors.output_eigenvectors))
        })
        .collect();
    let mut samples = 0;
    let totals = factors
        .iter()
        .map(|factors| RunningSum::zero(factors.values.dim()));
    let mut totals: Vec<RunningSum> = totals.collect();
    for part in 0..vectors.data.batches() {
        let signed = vectors.part(part)?;
        let gradients = signed.definite()?;
        samples += gradients.first().map_or(0, Gradients::len);
        for ((layer, (inputs, output_gradients)), total) in
            layers.iter().zip(&bases).zip(&mut totals)
        {
            for gradients in gradients {
                if let Some(positions) = layer.positions_of(gradients) {
                    let rotated = rotated(positions, inputs.as_ref(), output_gradients);
                    total.add(squares(&rotated, layer))?;
                }
            }
        }
    }
    let samples = samples.max(1) as f64;
    for (factors, total) in factors.iter_mut().zip(totals) {
        factors.values = total.whole()? / samples;
    }
    Ok(())
}

/// Inputs and output gradients in the eigenbases.
fn rotated(
    positions: Positions,
    inputs: Option<&Tensor<3>>,
    output_gradients: &Tensor<3>,
) -> Positions {
    let turn = |values: Tensor<4>, basis: &Tensor<3>| {
        let ([n, g, t, d], width) = (values.dims(), basis.dims()[2]);
        let values = values.swap_dims(0, 1).reshape([g, n * t, d]);
        values
            .matmul(basis.clone())
            .reshape([g, n, t, width])
            .swap_dims(0, 1)
    };
    Positions {
        inputs: match (positions.inputs, inputs) {
            (LayerInputs::Dense(values), Some(basis)) => LayerInputs::Dense(turn(values, basis)),
            (other, _) => other,
        },
        output_gradients: turn(positions.output_gradients, output_gradients),
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
        // With one position, the square of a product is the product of the squares: no gradient is
        // formed.
        let squared =
            |values: &Tensor<4>, d| values.clone().square().reshape([n, g, d]).swap_dims(0, 1);
        return squared(output_gradients, outputs)
            .swap_dims(1, 2)
            .matmul(squared(inputs, width));
    }
    let mut sum = Tensor::zeros(
        [g, outputs, width],
        (&output_gradients.device(), output_gradients.dtype()),
    );
    let step = (CHUNK / (g * outputs * width).max(1)).max(1);
    for first in (0..n).step_by(step) {
        let samples = first..(first + step).min(n);
        let back = output_gradients
            .clone()
            .slice([samples.clone(), 0..g, 0..t, 0..outputs]);
        let products = match inputs {
            LayerInputs::Dense(inputs) => {
                let own = inputs.clone().slice([samples, 0..g, 0..t, 0..width]);
                back.swap_dims(2, 3).matmul(own)
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
