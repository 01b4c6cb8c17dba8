//! The inverse of a layer's curvature in its Kronecker eigenbasis.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use influence_core::{
    Error as CoreError, Precision, Result as CoreResult, Rows,
    solver::{Inverse, Prepared, Report, Solution, State, Status},
};
use ndarray::{Array3, ArrayD};

use super::{covariance::Factors, layer::Layer, to_array, to_tensor};
use crate::{Stack, curvature::SampleVectors};

/// The curvature of a layer: eigenvectors on the device, eigenvalues on the host.
#[derive(Debug)]
pub(super) struct Factored {
    bases: Arc<Bases>,
    /// `(groups, outputs, width)`.
    values: Array3<f64>,
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
    pub(super) fn new(layer: Layer, factors: Factors, vectors: &SampleVectors) -> Self {
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
        }
    }

    pub(super) fn restore(
        layer: Layer,
        state: &State,
        vectors: &SampleVectors,
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
        Ok(Self::new(layer, factors, vectors))
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
        Ok(Box::new(FactoredInverse {
            inverse: to_tensor(&inverse, &self.bases.place),
            bases: Arc::clone(&self.bases),
        }))
    }

    fn mean_eigenvalue(&self) -> CoreResult<f64> {
        Ok(self.values.mean().unwrap_or(0.0))
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
}

impl Inverse<Stack> for FactoredInverse {
    fn dim(&self) -> usize {
        self.inverse.shape().num_elements()
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
        let matrices = self.bases.layer.matrices(rhs.tensor()).swap_dims(0, 1);
        let along = self.bases.turned(matrices, false) * self.inverse.clone().unsqueeze_dim(1);
        let solved = self.bases.turned(along, true).swap_dims(0, 1);
        Ok(Solution {
            rows: Stack::new(self.bases.layer.rows(&solved)),
            reports: vec![report; rhs.len()],
        })
    }
}
