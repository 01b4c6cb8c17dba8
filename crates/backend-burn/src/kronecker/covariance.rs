//! The first pass over the data, and the eigenvectors of what it sums.
//!
//! It sums the covariances of inputs `A = E[a aᵀ]` and output gradients `S = E[δ δᵀ]` of each
//! layer. Their eigenvectors `Q_A`, `Q_S` are the directions in which `A ⊗ S` is diagonal, with the
//! products of eigenvalues.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use influence_core::{
    Error as CoreError, Result as CoreResult,
    block::Block,
    linalg::{Eigen, eigen, symmetric_part},
    summation::Sums,
};
use ndarray::{Array1, Array2, Array3, Axis, arr1};

use super::{
    lanes::{LaneSums, sums_over},
    layer::{LayerInputs, LinearLayer, Positions},
    parallel::{KRONECKER, in_parallel, missing},
    running_sum::RunningSum,
    unfactored::UnfactoredFisher,
};
use crate::{
    Gradients, curvature::SampleVectors, observe::FitProgress, product::Product as _,
    tensors::Unpacked,
};

/// The covariances of each layer.
pub(super) struct CovarianceSet(Vec<Covariance>);

/// Sums over positions and samples for a layer.
struct CovarianceSums {
    /// `(groups, width, width)`, or for an embedding the frequencies of rows `(1, 1, entries)`.
    inputs: RunningSum,
    /// `(groups, outputs, outputs)`.
    output_gradients: RunningSum,
    samples: usize,
    /// Of all samples.
    positions: usize,
}

/// The Kronecker factors of a layer in their eigenbases.
pub(super) struct KroneckerEigen {
    /// `(groups, width, width)`, one eigenvector per column; `None` for an embedding, where the
    /// covariance of inputs is diagonal.
    pub(super) input_eigenvectors: Option<Array3<f64>>,
    /// `(groups, outputs, outputs)`, one eigenvector per column.
    pub(super) output_eigenvectors: Array3<f64>,
    /// The curvature along their products, `(groups, outputs, width)`.
    pub(super) values: Array3<f64>,
}

impl CovarianceSet {
    /// The first pass, over the data of each model, in which the matrices of the other blocks are
    /// added up, too.
    pub(super) fn of(
        models: &[Arc<SampleVectors>],
        layers: &[&LinearLayer],
        others: &[&Block],
    ) -> CoreResult<(Self, Vec<UnfactoredFisher>)> {
        let data = &models.first().ok_or_else(missing)?.data;
        let zero = || CovarianceLane::zero(layers, others);
        let sums = data.sum("covariances", &|| Ok(Vec::new()), &|parts| {
            sums_over(models, &parts, zero)
        })?;
        let mut sums = Unpacked::new(sums);
        let covariances = layers.iter().map(|layer| Covariance::new(layer, &mut sums));
        let covariances = covariances.collect::<CoreResult<_>>()?;
        let others = others
            .iter()
            .map(|block| UnfactoredFisher::new(block, &mut sums));
        Ok((Self(covariances), others.collect::<CoreResult<_>>()?))
    }

    /// Eigenvectors, and the products of eigenvalues; `threads` matrices are decomposed side by
    /// side, and of equal ones one: layers that read the same, such as the queries, keys and values
    /// of attention, have the same covariance of inputs, to the bit.
    ///
    /// # Errors
    /// Names the layer whose covariance cannot be decomposed; the matrices behind it are left.
    pub(super) fn factored(
        self,
        threads: usize,
        watch: &FitProgress,
    ) -> CoreResult<Vec<KroneckerEigen>> {
        let mut different: Vec<(&str, &Array3<f64>)> = Vec::new();
        let mut places = Vec::new();
        for (layer, matrix) in self.0.iter().flat_map(Covariance::matrices) {
            let known = different.iter().position(|(_, known)| *known == matrix);
            places.push(known.unwrap_or(different.len()));
            if known.is_none() {
                different.push((layer, matrix));
            }
        }
        let bases = in_parallel(threads, different, watch, of_layer)?;
        let mut bases: Vec<Option<GroupEigen>> = bases.into_iter().map(Some).collect();
        let mut places = places.into_iter();
        let mut next = || {
            let place = places.next().ok_or_else(missing)?;
            let base = if places.as_slice().contains(&place) {
                bases[place].clone()
            } else {
                bases[place].take()
            };
            base.ok_or_else(missing)
        };
        self.0
            .iter()
            .map(|covariance| covariance.factored(&mut next))
            .collect()
    }
}

/// The sums of a lane: those of each layer, then those of the other blocks.
struct CovarianceLane<'a> {
    layers: Vec<(&'a LinearLayer, CovarianceSums)>,
    others: Vec<UnfactoredFisher>,
}

impl<'a> CovarianceLane<'a> {
    fn zero(layers: &[&'a LinearLayer], others: &[&Block]) -> Self {
        let of_layer = |&layer: &&'a LinearLayer| (layer, CovarianceSums::zero(layer));
        let of_block = |block: &&Block| UnfactoredFisher::zero(block);
        Self {
            layers: layers.iter().map(of_layer).collect(),
            others: others.iter().map(of_block).collect(),
        }
    }
}

impl LaneSums for CovarianceLane<'_> {
    fn add(&mut self, vectors: &[Gradients]) -> CoreResult<()> {
        for (layer, sums) in &mut self.layers {
            sums.add(layer, vectors)?;
        }
        let others = &mut self.others;
        others.iter_mut().try_for_each(|rest| rest.add(vectors))
    }

    fn into_arrays(self) -> CoreResult<Sums> {
        let mut arrays = Vec::new();
        for (_, sums) in self.layers {
            arrays.extend(sums.into_arrays()?);
        }
        let others = self.others.into_iter();
        arrays.extend(others.map(UnfactoredFisher::into_array));
        Ok(arrays)
    }
}

impl CovarianceSums {
    fn zero(layer: &LinearLayer) -> Self {
        let (g, width, outputs) = (layer.shape.groups, layer.width(), layer.shape.outputs);
        let rows = if layer.shape.is_embedding { 1 } else { width };
        Self {
            inputs: RunningSum::zero((g, rows, width)),
            output_gradients: RunningSum::zero((g, outputs, outputs)),
            samples: 0,
            positions: 0,
        }
    }

    /// Adds a batch: its inputs, which all vectors share, and the output gradients of each.
    fn add(&mut self, layer: &LinearLayer, vectors: &[Gradients]) -> CoreResult<()> {
        for (index, gradients) in vectors.iter().enumerate() {
            // A layer that no output depends on has no gradient.
            let Some(Positions {
                inputs,
                output_gradients,
            }) = layer.positions_of(gradients)
            else {
                continue;
            };
            if index == 0 {
                let [n, _, t, _] = output_gradients.dims();
                self.samples += n;
                self.positions += n * t;
                match inputs {
                    LayerInputs::Dense(inputs) => self.inputs.add(gram(inputs))?,
                    LayerInputs::Indices(rows) => {
                        self.inputs.add_host(&frequencies(&rows, layer.width())?);
                    }
                }
            }
            self.output_gradients.add(gram(output_gradients))?;
        }
        Ok(())
    }

    /// Inputs, output gradients and counts.
    fn into_arrays(self) -> CoreResult<Sums> {
        let counts = arr1(&[self.samples as f64, self.positions as f64]);
        Ok(vec![
            self.inputs.whole()?.into_dyn(),
            self.output_gradients.whole()?.into_dyn(),
            counts.into_dyn(),
        ])
    }
}

/// The covariances of a layer.
struct Covariance {
    layer: String,
    inputs: Array3<f64>,
    is_embedding: bool,
    output_gradients: Array3<f64>,
}

impl Covariance {
    /// The means, from the sums of the layer.
    fn new(layer: &LinearLayer, sums: &mut Unpacked) -> CoreResult<Self> {
        let inputs: Array3<f64> = sums.next()?;
        let output_gradients: Array3<f64> = sums.next()?;
        let counts: Array1<f64> = sums.next()?;
        Ok(Self {
            layer: layer.name.clone(),
            inputs: inputs / counts[1].max(1.0),
            is_embedding: layer.shape.is_embedding,
            output_gradients: output_gradients / counts[0].max(1.0),
        })
    }

    /// The matrices to be decomposed, with the name of the layer.
    fn matrices(&self) -> impl Iterator<Item = (&str, &Array3<f64>)> {
        let inputs = (!self.is_embedding).then_some(&self.inputs);
        let matrices = std::iter::once(&self.output_gradients).chain(inputs);
        matrices.map(|matrix| (self.layer.as_str(), matrix))
    }

    /// The factors, of the eigenvalues and eigenvectors of the [`matrices`](Self::matrices) in
    /// order.
    fn factored(
        &self,
        next: &mut impl FnMut() -> CoreResult<GroupEigen>,
    ) -> CoreResult<KroneckerEigen> {
        let (output_eigenvalues, output_eigenvectors) = next()?;
        let (input_eigenvalues, input_eigenvectors) = if self.is_embedding {
            (self.inputs.index_axis(Axis(1), 0).to_owned(), None)
        } else {
            let (values, vectors) = next()?;
            (values, Some(vectors))
        };
        let shape = (
            self.output_gradients.len_of(Axis(0)),
            output_eigenvalues.ncols(),
            input_eigenvalues.ncols(),
        );
        let values = Array3::from_shape_fn(shape, |(g, s, a)| {
            output_eigenvalues[[g, s]] * input_eigenvalues[[g, a]]
        });
        Ok(KroneckerEigen {
            input_eigenvectors,
            output_eigenvectors,
            values,
        })
    }
}

/// Eigenvalues `(groups, d)`, none below zero, and eigenvectors `(groups, d, d)`, one per column.
type GroupEigen = (Array2<f64>, Array3<f64>);

/// The [`eigenvectors`] of a covariance of a layer, or an error with its name.
fn of_layer((layer, matrices): (&str, &Array3<f64>)) -> CoreResult<GroupEigen> {
    eigenvectors(matrices).map_err(|error| match error {
        CoreError::NotFinite { op, .. } => CoreError::NotFinite {
            op,
            what: format!("a covariance of layer `{layer}`"),
        },
        error => CoreError::backend(KRONECKER, format!("layer `{layer}`: {error}")),
    })
}

/// The eigenvalues and eigenvectors of each group's matrix.
fn eigenvectors(matrices: &Array3<f64>) -> CoreResult<GroupEigen> {
    let mut values = Array2::zeros((matrices.len_of(Axis(0)), matrices.len_of(Axis(1))));
    let mut vectors = Array3::zeros(matrices.raw_dim());
    for (group, matrix) in matrices.outer_iter().enumerate() {
        // Sums of products in another order round differently above and below the diagonal.
        let (matrix, _) = symmetric_part(matrix.to_owned());
        let found: Eigen = eigen(&matrix)?;
        values
            .row_mut(group)
            // A covariance has no negative eigenvalues but by rounding.
            .assign(&found.values.mapv(|value| value.max(0.0)));
        vectors
            .index_axis_mut(Axis(0), group)
            .assign(&found.vectors);
    }
    Ok((values, vectors))
}

/// `Σ_n Σ_t x xᵀ` in each group, `(n, groups, t, d)` → `(groups, d, d)`.
fn gram(values: Tensor<4>) -> Tensor<3> {
    let [n, g, t, d] = values.dims();
    let values = values.swap_dims(0, 1).reshape([g, n * t, d]);
    values.clone().swap_dims(1, 2).product(values)
}

/// How often each row of an embedding occurs, `(1, 1, entries)`.
fn frequencies(rows: &Tensor<2, Int>, entries: usize) -> CoreResult<Array3<f64>> {
    let data = rows.clone().try_into_data();
    let data =
        data.map_err(|error| influence_core::Error::backend("read indices", error.to_string()))?;
    let mut counts = Array1::<f64>::zeros(entries);
    for row in data.iter::<i64>() {
        let count = usize::try_from(row)
            .ok()
            .and_then(|row| counts.get_mut(row));
        *count.ok_or_else(missing)? += 1.0;
    }
    Ok(counts.insert_axis(Axis(0)).insert_axis(Axis(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(layer: &str, entry: f64) -> Covariance {
        let of = |matrix: Array2<f64>| matrix.insert_axis(Axis(0));
        Covariance {
            layer: layer.to_owned(),
            inputs: of(ndarray::array![[2.0, entry], [entry, 2.0]]),
            is_embedding: false,
            output_gradients: of(Array2::eye(2)),
        }
    }

    #[test]
    fn a_covariance_that_is_not_finite_is_an_error_with_the_name_of_its_layer() -> CoreResult<()> {
        let factored = |layers: &[(&str, f64)]| {
            let of_layer = |&(layer, entry): &(&str, f64)| covariance(layer, entry);
            let covariances = layers.iter().map(of_layer).collect();
            CovarianceSet(covariances).factored(2, &FitProgress::default())
        };
        assert_eq!(factored(&[("a", 0.5), ("b", 0.5)])?.len(), 2);
        let among_others = factored(&[("a", 0.5), ("b", 0.2), ("c", 0.5), ("d", 0.2)])?;
        for (found, entry) in among_others.iter().zip([0.5, 0.2, 0.5, 0.2]) {
            let alone = factored(&[("alone", entry)])?;
            assert_eq!(found.values, alone[0].values);
            assert_eq!(found.input_eigenvectors, alone[0].input_eigenvectors);
        }
        let refused = factored(&[("a", 0.5), ("b", f64::NAN), ("c", f64::INFINITY)]).err();
        assert_eq!(
            refused.map(|error| error.to_string()).as_deref(),
            Some("eigendecomposition: a covariance of layer `b` is not finite")
        );
        Ok(())
    }
}
