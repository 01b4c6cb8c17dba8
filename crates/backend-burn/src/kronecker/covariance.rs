//! The two passes over the data.
//!
//! The first sums the covariances of inputs `A = E[a aᵀ]` and output gradients `S = E[δ δᵀ]` of
//! each layer. Their eigenvectors `Q_A`, `Q_S` are the directions in which `A ⊗ S` is diagonal,
//! with the products of eigenvalues. The second measures the eigenvalues instead: the mean over
//! samples of `(Q_Sᵀ G Q_A)²`, entry by entry, with the gradients `G = Σ_t δ_t ⊗ a_t` of the layer.

use burn::tensor::{Int, Tensor};
use influence_core::{
    Result as CoreResult,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array3, Axis};

use super::{
    layer::{Inputs, LinearLayer, Positions},
    parallel::{in_parallel, missing},
    unfactored::UnfactoredFisher,
};
use crate::{
    Gradients,
    curvature::SampleVectors,
    observe::Watch,
    tensors::{array3, scatter_rows, tensor3},
};

/// Scalars of per-sample gradients that are multiplied out at a time: 64 MiB of 32-bit floats.
const CHUNK: usize = 1 << 24;

/// Sums over positions and samples for each layer.
pub(super) struct CovarianceSet(Vec<CovarianceSums>);

struct CovarianceSums {
    /// `(groups, width, width)`, or for an embedding the frequencies of rows `(1, 1, entries)`.
    inputs: RunningSum,
    is_embedding: bool,
    /// `(groups, outputs, outputs)`.
    output_gradients: RunningSum,
    samples: usize,
    /// Positions of a sample.
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
    /// The first pass, in which the matrices of the other blocks are added up, too.
    pub(super) fn of(
        vectors: &SampleVectors,
        layers: &[&LinearLayer],
        rest: &mut [UnfactoredFisher],
    ) -> CoreResult<Self> {
        let zero = |layer: &&LinearLayer| CovarianceSums::zero(layer);
        let mut sums: Vec<CovarianceSums> = layers.iter().map(zero).collect();
        for part in 0..vectors.data.batches() {
            let signed = vectors.part(part)?;
            let gradients = signed.definite()?;
            for (layer, sums) in layers.iter().zip(&mut sums) {
                sums.add(layer, gradients)?;
            }
            rest.iter_mut().try_for_each(|rest| rest.add(gradients))?;
        }
        Ok(Self(sums))
    }

    /// Eigenvectors, and the products of eigenvalues; `threads` matrices are decomposed side by
    /// side.
    pub(super) fn factored(self, threads: usize, watch: &Watch) -> CoreResult<Vec<KroneckerEigen>> {
        let means = self.0.into_iter().map(CovarianceSums::means);
        let means: Vec<Covariance> = means.collect::<CoreResult<_>>()?;
        let matrices = means.iter().flat_map(Covariance::matrices).collect();
        let mut bases = in_parallel(threads, matrices, watch, eigenvectors)?.into_iter();
        let mut next = || bases.next().ok_or_else(missing);
        means
            .iter()
            .map(|means| means.factored(&mut next))
            .collect()
    }
}

impl CovarianceSums {
    fn zero(layer: &LinearLayer) -> Self {
        let (g, width, outputs) = (layer.shape.groups, layer.width(), layer.shape.outputs);
        let is_embedding = layer.shape.is_embedding;
        Self {
            inputs: RunningSum::zero((g, if is_embedding { 1 } else { width }, width)),
            is_embedding,
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
                self.positions = t;
                match inputs {
                    Inputs::Dense(inputs) => self.inputs.add(gram(inputs))?,
                    Inputs::Indices(rows) => self.inputs.sum += &frequencies(&rows, layer.width())?,
                }
            }
            self.output_gradients.add(gram(output_gradients))?;
        }
        Ok(())
    }

    fn means(self) -> CoreResult<Covariance> {
        let samples = self.samples.max(1) as f64;
        Ok(Covariance {
            inputs: self.inputs.whole()? / (samples * self.positions.max(1) as f64),
            is_embedding: self.is_embedding,
            output_gradients: self.output_gradients.whole()? / samples,
        })
    }
}

/// The covariances of a layer.
struct Covariance {
    inputs: Array3<f64>,
    is_embedding: bool,
    output_gradients: Array3<f64>,
}

impl Covariance {
    /// The matrices to be decomposed.
    fn matrices(&self) -> impl Iterator<Item = &Array3<f64>> {
        let inputs = (!self.is_embedding).then_some(&self.inputs);
        std::iter::once(&self.output_gradients).chain(inputs)
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

/// A sum over batches, a few at a time on the device, in `f64` on the host.
struct RunningSum {
    sum: Array3<f64>,
    recent: Option<Tensor<3>>,
    added: usize,
}

impl RunningSum {
    /// Batches summed on the device before they are read: reading a matrix takes as long as forming
    /// it, and so few sums in the precision of the device round little.
    const TOGETHER: usize = 8;

    fn zero(shape: (usize, usize, usize)) -> Self {
        Self {
            sum: Array3::zeros(shape),
            recent: None,
            added: 0,
        }
    }

    fn add(&mut self, values: Tensor<3>) -> CoreResult<()> {
        self.recent = Some(match self.recent.take() {
            Some(recent) => recent + values,
            None => values,
        });
        self.added += 1;
        if self.added.is_multiple_of(Self::TOGETHER) {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> CoreResult<()> {
        if let Some(recent) = self.recent.take() {
            self.sum += &array3(&recent)?;
        }
        Ok(())
    }

    fn whole(mut self) -> CoreResult<Array3<f64>> {
        self.read()?;
        Ok(self.sum)
    }
}

/// Eigenvalues `(groups, d)`, none below zero, and eigenvectors `(groups, d, d)`, one per column.
type GroupEigen = (Array2<f64>, Array3<f64>);

/// The eigenvalues and eigenvectors of each group's matrix.
fn eigenvectors(matrices: &Array3<f64>) -> CoreResult<GroupEigen> {
    let mut values = Array2::zeros((matrices.len_of(Axis(0)), matrices.len_of(Axis(1))));
    let mut vectors = Array3::zeros(matrices.raw_dim());
    for (group, matrix) in matrices.outer_iter().enumerate() {
        // Sums of products in another order round differently above and below the diagonal.
        let found: Eigen = eigen(&((&matrix + &matrix.t()) * 0.5))?;
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

/// The second pass: replaces the products of eigenvalues by the mean squares of the gradients along
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
            (Inputs::Dense(values), Some(basis)) => Inputs::Dense(turn(values, basis)),
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
    if let (1, Inputs::Dense(inputs)) = (t, inputs) {
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
            Inputs::Dense(inputs) => {
                let own = inputs.clone().slice([samples, 0..g, 0..t, 0..width]);
                back.swap_dims(2, 3).matmul(own)
            }
            Inputs::Indices(rows) => {
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

/// `Σ_n Σ_t x xᵀ` in each group, `(n, groups, t, d)` → `(groups, d, d)`.
fn gram(values: Tensor<4>) -> Tensor<3> {
    let [n, g, t, d] = values.dims();
    let values = values.swap_dims(0, 1).reshape([g, n * t, d]);
    values.clone().swap_dims(1, 2).matmul(values)
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
