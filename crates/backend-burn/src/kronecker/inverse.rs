//! The inverse of a layer's curvature in its Kronecker eigenbasis.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use influence_core::{
    Error as CoreError, PassFootprint, Precision, Result as CoreResult, Rows,
    operator::{Estimate, check_damping},
    solver::{Inverse, Prepared, Report, Solution, State, Status},
};
use ndarray::{Array3, ArrayD};

use super::{
    covariance::KroneckerEigen,
    layer::{LayerInputs, LinearLayer, Positions},
    low_rank::SeparableInverse,
};
use crate::{
    Stack,
    curvature::SampleVectors,
    product::Product as _,
    tensors::{array3, host, joined, tensor3},
};

/// The curvature of a layer: eigenvectors on the device, eigenvalues on the host.
#[derive(Debug)]
pub(super) struct FactoredLayer {
    bases: Arc<DeviceEigen>,
    /// `(groups, outputs, width)`.
    values: Array3<f64>,
    /// The relative error that scores may have of an approximate inverse.
    tolerance: f64,
}

#[derive(Debug)]
struct DeviceEigen {
    layer: LinearLayer,
    /// `(groups, width, width)`.
    inputs: Option<Tensor<3>>,
    /// `(groups, outputs, outputs)`.
    output_gradients: Tensor<3>,
    place: (Device, Precision),
}

/// Scalars of right-hand sides that are solved at a time.
const PIECE: usize = 1 << 20;

/// What is in use while factors of this many bytes are solved, some of them at a time: matrices on
/// either side of an eigenbasis.
pub(crate) fn workspace(factor: usize, precision: Precision) -> PassFootprint {
    const STACKS: usize = 4;
    PassFootprint {
        per_point: factor.saturating_mul(STACKS),
        points: (PIECE * precision.bytes() / factor.max(1)).max(1),
    }
}

// Names of arrays in files of fitted states: they must not change.
const INPUTS: &str = "input_vectors";
const OUTPUT_GRADIENTS: &str = "signal_vectors";
const VALUES: &str = "values";

impl FactoredLayer {
    pub(super) fn new(
        layer: LinearLayer,
        factors: KroneckerEigen,
        vectors: &SampleVectors,
        tolerance: f64,
    ) -> Self {
        let place = (vectors.source.device.clone(), vectors.source.precision);
        let KroneckerEigen {
            input_eigenvectors,
            output_eigenvectors,
            values,
        } = factors;
        Self {
            bases: Arc::new(DeviceEigen {
                layer,
                inputs: input_eigenvectors.map(|vectors| tensor3(&vectors, &place.0, place.1)),
                output_gradients: tensor3(&output_eigenvectors, &place.0, place.1),
                place,
            }),
            values,
            tolerance,
        }
    }

    pub(super) fn restore(
        layer: LinearLayer,
        state: &State,
        vectors: &SampleVectors,
        tolerance: f64,
    ) -> CoreResult<Self> {
        let (g, width, outputs) = (layer.shape.groups, layer.width(), layer.shape.outputs);
        let input_eigenvectors = if layer.shape.is_embedding {
            None
        } else {
            Some(cube(state, INPUTS, [g, width, width])?)
        };
        let factors = KroneckerEigen {
            input_eigenvectors,
            output_eigenvectors: cube(state, OUTPUT_GRADIENTS, [g, outputs, outputs])?,
            values: cube(state, VALUES, [g, outputs, width])?,
        };
        Ok(Self::new(layer, factors, vectors, tolerance))
    }
}

/// The array of this name and shape.
fn cube(state: &State, name: &str, shape: [usize; 3]) -> CoreResult<Array3<f64>> {
    let array = state.arrays().get(name).cloned();
    let array = array.filter(|array| array.shape() == shape);
    let array = array.and_then(|array: ArrayD<f64>| array.into_dimensionality().ok());
    array.ok_or_else(|| CoreError::State {
        name: name.to_owned(),
        expected: "shaped as the layer is",
    })
}

impl Prepared<Stack> for FactoredLayer {
    fn dim(&self) -> usize {
        self.values.len()
    }

    fn inverse(&self, damping: f64) -> CoreResult<Box<dyn Inverse<Stack>>> {
        let largest = self
            .values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(*value));
        let singular = |value: &f64| value + damping <= f64::EPSILON * largest;
        check_damping(
            damping,
            !self.values.iter().any(singular),
            "finite, and positive where Kronecker factors are singular",
        )?;
        let inverse = self.values.mapv(|value| 1.0 / (value + damping));
        let (device, precision) = &self.bases.place;
        let place = |array: &_| tensor3(array, device, *precision);
        let low_rank = match self.bases.inputs {
            Some(_) => SeparableInverse::of(&self.values, damping, self.tolerance)?,
            None => None,
        };
        Ok(Box::new(FactoredInverse {
            inverse: place(&inverse),
            low_rank: low_rank.map(|found| LowRankTerms {
                output_factors: place(&found.output_factors),
                input_factors: place(&found.input_factors),
                residuals: place(&found.residuals),
            }),
            bases: Arc::clone(&self.bases),
        }))
    }

    fn mean_eigenvalue(&self) -> CoreResult<Estimate> {
        Ok(self.values.mean().unwrap_or(0.0).into())
    }

    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &Stack) -> CoreResult<Stack> {
        CoreError::check_size("kronecker", "vector length", self.dim(), rows.dim())?;
        if rows.is_empty() {
            return Ok(rows.clone());
        }
        let (device, precision) = &self.bases.place;
        let factors = tensor3(&self.values.mapv(function), device, *precision);
        Ok(self.bases.scaled(self.bases.coordinates(rows), &factors))
    }

    fn state(&self) -> CoreResult<State> {
        let state = State::default()
            .with(OUTPUT_GRADIENTS, array3(&self.bases.output_gradients)?)
            .with(VALUES, self.values.clone());
        match &self.bases.inputs {
            Some(inputs) => Ok(state.with(INPUTS, array3(inputs)?)),
            None => Ok(state),
        }
    }
}

#[derive(Debug)]
struct FactoredInverse {
    bases: Arc<DeviceEigen>,
    /// `1 / (Λ + λ)`, `(groups, outputs, width)`.
    inverse: Tensor<3>,
    low_rank: Option<LowRankTerms>,
}

/// A [`SeparableInverse`] on the device.
#[derive(Debug)]
struct LowRankTerms {
    output_factors: Tensor<3>,
    input_factors: Tensor<3>,
    residuals: Tensor<3>,
}

impl DeviceEigen {
    /// Matrices `(groups, k, outputs, width)` times the eigenvectors of both sides, or their
    /// transposes.
    ///
    /// `Q_Sᵀ G Q_A` as two matrix products, each over all `k` right-hand sides at once: the side
    /// that is multiplied lies last.
    fn turned(&self, matrices: Tensor<4>, transposed: bool) -> Tensor<4> {
        let [g, k, s, a] = matrices.dims();
        let of = |basis: &Tensor<3>| {
            if transposed {
                basis.clone().swap_dims(1, 2)
            } else {
                basis.clone()
            }
        };
        let matrices = match &self.inputs {
            None => matrices,
            Some(inputs) => matrices
                .reshape([g, k * s, a])
                .product(of(inputs))
                .reshape([g, k, s, a]),
        };
        matrices
            .swap_dims(2, 3)
            .reshape([g, k * a, s])
            .product(of(&self.output_gradients))
            .reshape([g, k, a, s])
            .swap_dims(2, 3)
    }

    /// Rows along the eigenvectors, `(groups, k, outputs, width)`.
    fn coordinates(&self, rows: &Stack) -> Tensor<4> {
        let matrices = self.layer.matrices(&rows.tensor()).swap_dims(0, 1);
        self.turned(matrices, false)
    }

    /// The rows with these [`coordinates`](Self::coordinates), each times its factor
    /// `(groups, outputs, width)`.
    fn scaled(&self, coordinates: Tensor<4>, factors: &Tensor<3>) -> Stack {
        let scaled = coordinates * factors.clone().unsqueeze_dim(1);
        let rows = self.turned(scaled, true).swap_dims(0, 1);
        Stack::new(self.layer.rows(&rows))
    }

    /// Inputs and output gradients of right-hand sides along the eigenvectors, `(groups, k, side)`,
    /// if they are outer products at a single position.
    fn along(&self, rhs: &Stack) -> CoreResult<Option<[Tensor<3>; 2]>> {
        let Some(inputs) = &self.inputs else {
            return Ok(None);
        };
        let positions = self.layer.alone(rhs.vectors())?;
        let Some(Positions {
            inputs: LayerInputs::Dense(own),
            output_gradients,
        }) = positions
        else {
            return Ok(None);
        };
        if output_gradients.dims()[2] != 1 {
            return Ok(None);
        }
        let along = |side: Tensor<4>, basis: &Tensor<3>| {
            let side = side.squeeze_dim::<3>(2).swap_dims(0, 1);
            side.product(basis.clone())
        };
        Ok(Some([
            along(own, inputs),
            along(output_gradients, &self.output_gradients),
        ]))
    }

    /// Terms along the eigenvectors, `(groups, k, rank, side)`, back in the coordinates of the
    /// layer: `(k, groups, rank, side)`.
    fn back(terms: Tensor<4>, basis: &Tensor<3>) -> Tensor<4> {
        let [g, k, rank, side] = terms.dims();
        terms
            .reshape([g, k * rank, side])
            .product(basis.clone().swap_dims(1, 2))
            .reshape([g, k, rank, side])
            .swap_dims(0, 1)
    }
}

/// Rows of 32 bits with zeros where they have less than 2⁻⁴⁰ of their largest entry, which is far
/// below their rounding.
///
/// Where a row is zero, as at inputs that are never seen and units that are off, the way to the
/// eigenbasis and back leaves traces, products of rounding errors. Multiplied by a gradient they
/// are subnormal numbers, which take a CPU many times as long.
fn without_traces(rows: Tensor<2>) -> Tensor<2> {
    const LEAST: f64 = 1.0 / (1_u64 << 40) as f64;
    if rows.dtype() != DType::F32 {
        return rows;
    }
    let sizes = rows.clone().abs();
    let least = sizes.clone().max_dim(1).mul_scalar(LEAST);
    rows.mask_fill(sizes.lower(least), 0.0)
}

impl FactoredInverse {
    /// Solutions that are plain rows, some at a time; `along` are the sides of right-hand sides
    /// along the eigenvectors, if they are outer products.
    fn exact(&self, rhs: &Stack, along: Option<&[Tensor<3>; 2]>) -> CoreResult<Stack> {
        let (k, bases) = (rhs.len(), &self.bases);
        let step = (PIECE / self.dim().max(1)).max(1);
        let piece = |first: usize| {
            let rows = first..(first + step).min(k);
            let coordinates = match along {
                Some(sides) => {
                    let of = |side: &Tensor<3>| side.clone().narrow(1, rows.start, rows.len());
                    let [inputs, output_gradients] = sides.each_ref().map(of);
                    output_gradients.unsqueeze_dim::<4>(3) * inputs.unsqueeze_dim::<4>(2)
                }
                None if rows.len() == k => bases.coordinates(rhs),
                None => bases.coordinates(&rhs.select(&rows.collect::<Vec<_>>())?),
            };
            Ok(without_traces(
                bases.scaled(coordinates, &self.inverse).tensor(),
            ))
        };
        let pieces = (0..k).step_by(step).map(piece);
        let pieces = pieces.collect::<CoreResult<Vec<_>>>()?;
        Ok(Stack::new(joined(pieces, 0)))
    }

    /// Solutions that stay outer products, one for each term.
    fn thin(
        &self,
        terms: &LowRankTerms,
        basis: &Tensor<3>,
        [inputs, output_gradients]: [Tensor<3>; 2],
    ) -> CoreResult<Solution<Stack>> {
        let bases = &self.bases;
        let weighted = |side: &Tensor<3>, terms: &Tensor<3>| {
            side.clone().unsqueeze_dim::<4>(2) * terms.clone().unsqueeze_dim::<4>(1)
        };
        let solved = bases.layer.gradients(
            DeviceEigen::back(weighted(&inputs, &terms.input_factors), basis),
            DeviceEigen::back(
                weighted(&output_gradients, &terms.output_factors),
                &bases.output_gradients,
            ),
        );
        let (inputs, output_gradients) = (inputs.square(), output_gradients.square());
        // A right-hand side `δ̃ ⊗ ã` has the residual `(δ̃ ⊗ ã) ∘ (D⁻¹ Σ_r o_r ⊗ i_r − 1)`, whose
        // squared norm is a bilinear form in the squares of both sides: no matrix of the layer is
        // formed.
        let sums = |of: Tensor<3>| of.sum_dim(2).sum_dim(0).flatten::<1>(0, 2);
        let left = inputs
            .clone()
            .product(terms.residuals.clone().swap_dims(1, 2));
        let (left, whole) = (
            host(&sums(left * output_gradients.clone()))?,
            host(&sums(inputs.sum_dim(2) * output_gradients.sum_dim(2)))?,
        );
        let report = |(left, whole): (f64, &f64)| Report {
            iterations: 0,
            residual: if *whole > 0.0 {
                (left / whole).sqrt()
            } else {
                0.0
            },
            status: Status::Approximate,
        };
        Ok(Solution {
            rows: Stack::from(solved),
            reports: left.into_iter().zip(&whole).map(report).collect(),
        })
    }
}

impl Inverse<Stack> for FactoredInverse {
    fn dim(&self) -> usize {
        self.inverse.shape().num_elements()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &Stack) -> CoreResult<Solution<Stack>> {
        CoreError::check_size("kronecker", "vector length", self.dim(), rhs.dim())?;
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged,
        };
        if rhs.is_empty() {
            return Ok(Solution {
                rows: rhs.clone(),
                reports: Vec::new(),
            });
        }
        let bases = &self.bases;
        let along = match (bases.along(rhs)?, &self.low_rank, &bases.inputs) {
            (Some(along), Some(terms), Some(basis)) => return self.thin(terms, basis, along),
            (along, ..) => along,
        };
        Ok(Solution {
            rows: self.exact(rhs, along.as_ref())?,
            reports: vec![report; rhs.len()],
        })
    }
}
