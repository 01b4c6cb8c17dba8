//! The two passes over the data: covariances of inputs and signals, and the curvature along their eigenvectors.

use burn::tensor::{Int, Tensor};
use influence_core::{
    Result as CoreResult,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array3, Axis};

use super::{
    in_parallel,
    layer::{Inputs, Layer, Positions},
    missing,
    rest::Rest,
    to_array, to_tensor,
};
use crate::{Gradients, curvature::SampleVectors, fit::Watch, stack::scatter_rows};

/// Scalars of per-sample gradients that are multiplied out at a time: 64 MiB of 32-bit floats.
const CHUNK: usize = 1 << 24;

/// Sums over positions and samples for each layer.
pub(super) struct Covariances(Vec<Sums>);

struct Sums {
    /// `(groups, width, width)`, or the frequencies `(1, 1, entries)` of rows looked up.
    inputs: Total,
    looked_up: bool,
    /// `(groups, outputs, outputs)`.
    signals: Total,
    samples: usize,
    /// Positions of a sample.
    positions: usize,
}

/// The Kronecker factors of a layer in their eigenbases.
pub(super) struct Factors {
    /// `(groups, width, width)`, one eigenvector per column; nothing where the inputs are looked up, whose covariance is diagonal.
    pub(super) input_vectors: Option<Array3<f64>>,
    /// `(groups, outputs, outputs)`, one eigenvector per column.
    pub(super) signal_vectors: Array3<f64>,
    /// The curvature along their products, `(groups, outputs, width)`.
    pub(super) values: Array3<f64>,
}

impl Covariances {
    /// The first pass, in which the matrices of the other blocks are added up, too.
    pub(super) fn of(
        vectors: &SampleVectors,
        layers: &[&Layer],
        rest: &mut [Rest],
    ) -> CoreResult<Self> {
        let zero = |layer: &&Layer| Sums::zero(layer);
        let mut sums: Vec<Sums> = layers.iter().map(zero).collect();
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

    /// Eigenvectors, and the products of eigenvalues; `threads` matrices are decomposed side by side.
    pub(super) fn factored(self, threads: usize, watch: &Watch) -> CoreResult<Vec<Factors>> {
        let means = self.0.into_iter().map(Sums::means);
        let means: Vec<Means> = means.collect::<CoreResult<_>>()?;
        let matrices = means.iter().flat_map(Means::matrices).collect();
        let mut bases = in_parallel(threads, matrices, watch, eigenvectors)?.into_iter();
        let mut next = || bases.next().ok_or_else(missing);
        means
            .iter()
            .map(|means| means.factored(&mut next))
            .collect()
    }
}

impl Sums {
    fn zero(layer: &Layer) -> Self {
        let (g, width, outputs) = (layer.shape.groups, layer.width(), layer.shape.outputs);
        let looked_up = layer.shape.looked_up;
        Self {
            inputs: Total::zero((g, if looked_up { 1 } else { width }, width)),
            looked_up,
            signals: Total::zero((g, outputs, outputs)),
            samples: 0,
            positions: 0,
        }
    }

    /// Adds a batch: its inputs, which all vectors share, and the signals of each.
    fn add(&mut self, layer: &Layer, vectors: &[Gradients]) -> CoreResult<()> {
        for (index, gradients) in vectors.iter().enumerate() {
            // A layer that no output depends on has no gradient.
            let Some(Positions { inputs, signals }) = layer.positions_of(gradients) else {
                continue;
            };
            if index == 0 {
                let [n, _, t, _] = signals.dims();
                self.samples += n;
                self.positions = t;
                match inputs {
                    Inputs::Dense(inputs) => self.inputs.add(gram(inputs))?,
                    Inputs::Rows(rows) => self.inputs.sum += &frequencies(&rows, layer.width())?,
                }
            }
            self.signals.add(gram(signals))?;
        }
        Ok(())
    }

    fn means(self) -> CoreResult<Means> {
        let samples = self.samples.max(1) as f64;
        Ok(Means {
            inputs: self.inputs.whole()? / (samples * self.positions.max(1) as f64),
            looked_up: self.looked_up,
            signals: self.signals.whole()? / samples,
        })
    }
}

/// The covariances of a layer.
struct Means {
    inputs: Array3<f64>,
    looked_up: bool,
    signals: Array3<f64>,
}

impl Means {
    /// The matrices to be decomposed.
    fn matrices(&self) -> impl Iterator<Item = &Array3<f64>> {
        let inputs = (!self.looked_up).then_some(&self.inputs);
        std::iter::once(&self.signals).chain(inputs)
    }

    /// The factors, of the eigenvalues and eigenvectors of the [`matrices`](Self::matrices) in order.
    fn factored(&self, next: &mut impl FnMut() -> CoreResult<Basis>) -> CoreResult<Factors> {
        let (signal_values, signal_vectors) = next()?;
        let (input_values, input_vectors) = if self.looked_up {
            (self.inputs.index_axis(Axis(1), 0).to_owned(), None)
        } else {
            let (values, vectors) = next()?;
            (values, Some(vectors))
        };
        let shape = (
            self.signals.len_of(Axis(0)),
            signal_values.ncols(),
            input_values.ncols(),
        );
        let values = Array3::from_shape_fn(shape, |(g, s, a)| {
            signal_values[[g, s]] * input_values[[g, a]]
        });
        Ok(Factors {
            input_vectors,
            signal_vectors,
            values,
        })
    }
}

/// A sum over batches, a few at a time on the device, in `f64` on the host.
struct Total {
    sum: Array3<f64>,
    recent: Option<Tensor<3>>,
    added: usize,
}

impl Total {
    /// Batches that are added up on the device: reading matrices takes as long as forming them, and rounds less than these few sums.
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
            self.sum += &to_array(&recent)?;
        }
        Ok(())
    }

    fn whole(mut self) -> CoreResult<Array3<f64>> {
        self.read()?;
        Ok(self.sum)
    }
}

/// Eigenvalues `(groups, d)`, none below zero, and eigenvectors `(groups, d, d)`, one per column.
type Basis = (Array2<f64>, Array3<f64>);

/// The eigenvalues and eigenvectors of each group's matrix.
fn eigenvectors(matrices: &Array3<f64>) -> CoreResult<Basis> {
    let mut values = Array2::zeros((matrices.len_of(Axis(0)), matrices.len_of(Axis(1))));
    let mut vectors = Array3::zeros(matrices.raw_dim());
    for (group, matrix) in matrices.outer_iter().enumerate() {
        let found: Eigen = eigen(&((&matrix + &matrix.t()) * 0.5))?;
        values
            .row_mut(group)
            .assign(&found.values.mapv(|value| value.max(0.0)));
        vectors
            .index_axis_mut(Axis(0), group)
            .assign(&found.vectors);
    }
    Ok((values, vectors))
}

/// The second pass: replaces the products of eigenvalues by the mean squares of the gradients along the eigenvectors.
pub(super) fn corrected(
    vectors: &SampleVectors,
    layers: &[&Layer],
    factors: &mut [Factors],
) -> CoreResult<()> {
    let place = (vectors.source.device.clone(), vectors.source.precision);
    let bases: Vec<_> = factors
        .iter()
        .map(|factors| {
            let inputs = factors.input_vectors.as_ref();
            let inputs = inputs.map(|vectors| to_tensor(vectors, &place));
            (inputs, to_tensor(&factors.signal_vectors, &place))
        })
        .collect();
    let mut samples = 0;
    let totals = factors
        .iter()
        .map(|factors| Total::zero(factors.values.dim()));
    let mut totals: Vec<Total> = totals.collect();
    for part in 0..vectors.data.batches() {
        let signed = vectors.part(part)?;
        let gradients = signed.definite()?;
        samples += gradients.first().map_or(0, Gradients::len);
        for ((layer, (inputs, signals)), total) in layers.iter().zip(&bases).zip(&mut totals) {
            for gradients in gradients {
                if let Some(positions) = layer.positions_of(gradients) {
                    let rotated = rotated(positions, inputs.as_ref(), signals);
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

/// Inputs and signals in the eigenbases.
fn rotated(positions: Positions, inputs: Option<&Tensor<3>>, signals: &Tensor<3>) -> Positions {
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
        signals: turn(positions.signals, signals),
    }
}

/// The sum over samples of the squared entries of `Σ_t δ_t ⊗ a_t`, `(groups, outputs, width)`.
fn squares(Positions { inputs, signals }: &Positions, layer: &Layer) -> Tensor<3> {
    let [n, g, t, outputs] = signals.dims();
    let width = layer.width();
    if let (1, Inputs::Dense(inputs)) = (t, inputs) {
        // The square of a product is the product of the squares.
        let squared =
            |values: &Tensor<4>, d| values.clone().square().reshape([n, g, d]).swap_dims(0, 1);
        return squared(signals, outputs)
            .swap_dims(1, 2)
            .matmul(squared(inputs, width));
    }
    let mut sum = Tensor::zeros([g, outputs, width], (&signals.device(), signals.dtype()));
    let step = (CHUNK / (g * outputs * width).max(1)).max(1);
    for first in (0..n).step_by(step) {
        let samples = first..(first + step).min(n);
        let back = signals
            .clone()
            .slice([samples.clone(), 0..g, 0..t, 0..outputs]);
        let products = match inputs {
            Inputs::Dense(inputs) => {
                let own = inputs.clone().slice([samples, 0..g, 0..t, 0..width]);
                back.swap_dims(2, 3).matmul(own)
            }
            Inputs::Rows(rows) => {
                let own = rows.clone().slice([samples, 0..t]);
                looked_up(&own, back, width)
            }
        };
        sum = sum + products.square().sum_dim(0).squeeze_dim(0);
    }
    sum
}

/// Signals `(n, 1, t, outputs)` added up at the rows of tables, `(n, 1, outputs, entries)`.
fn looked_up(rows: &Tensor<2, Int>, signals: Tensor<4>, entries: usize) -> Tensor<4> {
    let [n, _, t, outputs] = signals.dims();
    let positions = crate::gradient::positions(rows, entries);
    scatter_rows(n * entries, positions, signals.reshape([n * t, outputs]))
        .reshape([n, 1, entries, outputs])
        .swap_dims(2, 3)
}

/// `Σ_n Σ_t x xᵀ` in each group, `(n, groups, t, d)` → `(groups, d, d)`.
fn gram(values: Tensor<4>) -> Tensor<3> {
    let [n, g, t, d] = values.dims();
    let values = values.swap_dims(0, 1).reshape([g, n * t, d]);
    values.clone().swap_dims(1, 2).matmul(values)
}

/// How often each row is looked up, `(1, 1, entries)`.
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
