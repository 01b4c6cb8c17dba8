//! The inverse of a layer's curvature in its Kronecker eigenbasis.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use influence_core::{
    Error as CoreError, Precision, Result as CoreResult, Rows,
    operator::Estimate,
    solver::{Inverse, Prepared, Report, Solution, State, Status},
};
use ndarray::{Array3, ArrayD};

use super::{
    covariance::Factors,
    layer::{Inputs, Layer, Positions},
    low_rank::LowRank,
    to_array, to_tensor,
};
use crate::{Stack, curvature::SampleVectors, stack::host};

/// The curvature of a layer: eigenvectors on the device, eigenvalues on the host.
#[derive(Debug)]
pub(super) struct Factored {
    bases: Arc<Bases>,
    /// `(groups, outputs, width)`.
    values: Array3<f64>,
    /// The relative error that scores may have of an approximate inverse.
    tolerance: f64,
}

#[derive(Debug)]
struct Bases {
    layer: Layer,
    /// `(groups, width, width)`.
    inputs: Option<Tensor<3>>,
    /// `(groups, outputs, outputs)`.
    signals: Tensor<3>,
    place: (Device, Precision),
}

const INPUTS: &str = "input_vectors";
const SIGNALS: &str = "signal_vectors";
const VALUES: &str = "values";

impl Factored {
    pub(super) fn new(
        layer: Layer,
        factors: Factors,
        vectors: &SampleVectors,
        tolerance: f64,
    ) -> Self {
        let place = (vectors.source.device.clone(), vectors.source.precision);
        let Factors {
            input_vectors,
            signal_vectors,
            values,
        } = factors;
        Self {
            bases: Arc::new(Bases {
                layer,
                inputs: input_vectors.map(|vectors| to_tensor(&vectors, &place)),
                signals: to_tensor(&signal_vectors, &place),
                place,
            }),
            values,
            tolerance,
        }
    }

    pub(super) fn restore(
        layer: Layer,
        state: &State,
        vectors: &SampleVectors,
        tolerance: f64,
    ) -> CoreResult<Self> {
        let (g, width, outputs) = (layer.shape.groups, layer.width(), layer.shape.outputs);
        let input_vectors = if layer.shape.looked_up {
            None
        } else {
            Some(cube(state, INPUTS, [g, width, width])?)
        };
        let factors = Factors {
            input_vectors,
            signal_vectors: cube(state, SIGNALS, [g, outputs, outputs])?,
            values: cube(state, VALUES, [g, outputs, width])?,
        };
        Ok(Self::new(layer, factors, vectors, tolerance))
    }
}

/// The array of a name, of this shape.
fn cube(state: &State, name: &str, shape: [usize; 3]) -> CoreResult<Array3<f64>> {
    let array = state.arrays().get(name).cloned();
    let array = array.filter(|array| array.shape() == shape);
    let array = array.and_then(|array: ArrayD<f64>| array.into_dimensionality().ok());
    array.ok_or_else(|| CoreError::State {
        name: name.to_owned(),
        expected: "shaped as the layer is",
    })
}

impl Prepared<Stack> for Factored {
    fn dim(&self) -> usize {
        self.values.len()
    }

    fn inverse(&self, damping: f64) -> CoreResult<Box<dyn Inverse<Stack>>> {
        let valid = damping.is_finite() && damping >= 0.0;
        let largest = self
            .values
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(*value));
        let singular = |value: &f64| value + damping <= f64::EPSILON * largest;
        if !valid || self.values.iter().any(singular) {
            return Err(CoreError::Setting {
                name: "damping",
                requirement: "finite, and positive where Kronecker factors are singular",
                got: damping.to_string(),
            });
        }
        let inverse = self.values.mapv(|value| 1.0 / (value + damping));
        let place = |array: &_| to_tensor(array, &self.bases.place);
        let low_rank = match self.bases.inputs {
            Some(_) => LowRank::of(&self.values, damping, self.tolerance)?,
            None => None,
        };
        Ok(Box::new(FactoredInverse {
            inverse: place(&inverse),
            low_rank: low_rank.map(|found| Terms {
                signals: place(&found.signals),
                inputs: place(&found.inputs),
                residuals: place(&found.residuals),
            }),
            bases: Arc::clone(&self.bases),
        }))
    }

    fn mean_eigenvalue(&self) -> CoreResult<Estimate> {
        Ok(self.values.mean().unwrap_or(0.0).into())
    }

    fn state(&self) -> CoreResult<State> {
        let state = State::default()
            .with(SIGNALS, to_array(&self.bases.signals)?)
            .with(VALUES, self.values.clone());
        match &self.bases.inputs {
            Some(inputs) => Ok(state.with(INPUTS, to_array(inputs)?)),
            None => Ok(state),
        }
    }
}

#[derive(Debug)]
struct FactoredInverse {
    bases: Arc<Bases>,
    /// `1 / (Λ + λ)`, `(groups, outputs, width)`.
    inverse: Tensor<3>,
    low_rank: Option<Terms>,
}

/// A [`LowRank`] on the device.
#[derive(Debug)]
struct Terms {
    signals: Tensor<3>,
    inputs: Tensor<3>,
    residuals: Tensor<3>,
}

impl Bases {
    /// Matrices `(groups, k, outputs, width)` times the eigenvectors of both sides, or their transposed.
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
                .matmul(of(inputs))
                .reshape([g, k, s, a]),
        };
        matrices
            .swap_dims(2, 3)
            .reshape([g, k * a, s])
            .matmul(of(&self.signals))
            .reshape([g, k, a, s])
            .swap_dims(2, 3)
    }

    /// Inputs and signals of right-hand sides along the eigenvectors, `(groups, k, side)`, if they are outer products at a single position.
    fn along(&self, rhs: &Stack) -> CoreResult<Option<[Tensor<3>; 2]>> {
        let Some(inputs) = &self.inputs else {
            return Ok(None);
        };
        let positions = self.layer.alone(rhs.vectors())?;
        let Some(Positions {
            inputs: Inputs::Dense(own),
            signals,
        }) = positions
        else {
            return Ok(None);
        };
        if signals.dims()[2] != 1 {
            return Ok(None);
        }
        let along = |side: Tensor<4>, basis: &Tensor<3>| {
            let side = side.squeeze_dim::<3>(2).swap_dims(0, 1);
            side.matmul(basis.clone())
        };
        Ok(Some([along(own, inputs), along(signals, &self.signals)]))
    }

    /// Terms along the eigenvectors, `(groups, k, rank, side)`, back in the coordinates of the layer: `(k, groups, rank, side)`.
    fn back(terms: Tensor<4>, basis: &Tensor<3>) -> Tensor<4> {
        let [g, k, rank, side] = terms.dims();
        terms
            .reshape([g, k * rank, side])
            .matmul(basis.clone().swap_dims(1, 2))
            .reshape([g, k, rank, side])
            .swap_dims(0, 1)
    }
}

impl FactoredInverse {
    /// Solutions that stay outer products, one for each term.
    fn thin(
        &self,
        terms: &Terms,
        basis: &Tensor<3>,
        [inputs, signals]: [Tensor<3>; 2],
    ) -> CoreResult<Solution<Stack>> {
        let bases = &self.bases;
        let weighted = |side: &Tensor<3>, terms: &Tensor<3>| {
            side.clone().unsqueeze_dim::<4>(2) * terms.clone().unsqueeze_dim::<4>(1)
        };
        let solved = bases.layer.gradients(
            Bases::back(weighted(&inputs, &terms.inputs), basis),
            Bases::back(weighted(&signals, &terms.signals), &bases.signals),
        );
        let (inputs, signals) = (inputs.square(), signals.square());
        let sums = |of: Tensor<3>| of.sum_dim(2).sum_dim(0).flatten::<1>(0, 2);
        let left = inputs
            .clone()
            .matmul(terms.residuals.clone().swap_dims(1, 2));
        let (left, whole) = (
            host(&sums(left * signals.clone()))?,
            host(&sums(inputs.sum_dim(2) * signals.sum_dim(2)))?,
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
            (Some([inputs, signals]), ..) => {
                signals.unsqueeze_dim::<4>(3) * inputs.unsqueeze_dim::<4>(2)
            }
            (None, ..) => {
                let matrices = bases.layer.matrices(&rhs.tensor()).swap_dims(0, 1);
                bases.turned(matrices, false)
            }
        };
        let along = along * self.inverse.clone().unsqueeze_dim(1);
        let solved = bases.turned(along, true).swap_dims(0, 1);
        Ok(Solution {
            rows: Stack::new(bases.layer.rows(&solved)),
            reports: vec![report; rhs.len()],
        })
    }
}
