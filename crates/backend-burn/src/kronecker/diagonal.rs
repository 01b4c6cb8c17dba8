//! The diagonal of the Fisher matrix, for large blocks without a linear map.

use influence_core::{
    Error as CoreError, Result as CoreResult, Rows,
    block::Block,
    operator::{Estimate, check_damping},
    solver::{Inverse, Prepared, Report, Solution, State, Status},
};
use ndarray::{Array1, Axis};

use crate::Stack;

/// The mean squares of gradients.
#[derive(Debug)]
pub(super) struct DiagonalFisher {
    values: Array1<f64>,
}

const VALUES: &str = "diagonal";

impl DiagonalFisher {
    pub(super) fn new(values: Array1<f64>) -> Self {
        Self { values }
    }

    pub(super) fn restore(block: &Block, state: &State) -> CoreResult<Self> {
        let values = state.vector(VALUES)?;
        CoreError::check_size("diagonal", "vector length", block.dim(), values.len())?;
        Ok(Self { values })
    }
}

impl Prepared<Stack> for DiagonalFisher {
    fn dim(&self) -> usize {
        self.values.len()
    }

    fn inverse(&self, damping: f64) -> CoreResult<Box<dyn Inverse<Stack>>> {
        let damped = &self.values + damping;
        check_damping(
            damping,
            damped.iter().all(|value| *value > 0.0),
            "finite, and positive where a parameter has no curvature",
        )?;
        let inverse = damped.mapv(f64::recip);
        Ok(Box::new(DiagonalInverse { inverse }))
    }

    fn mean_eigenvalue(&self) -> CoreResult<Estimate> {
        Ok(self.values.mean().unwrap_or(0.0).into())
    }

    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &Stack) -> CoreResult<Stack> {
        scaled(rows, &self.values.mapv(function))
    }

    fn state(&self) -> CoreResult<State> {
        Ok(State::default().with(VALUES, self.values.clone()))
    }
}

#[derive(Debug)]
struct DiagonalInverse {
    inverse: Array1<f64>,
}

impl Inverse<Stack> for DiagonalInverse {
    fn dim(&self) -> usize {
        self.inverse.len()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &Stack) -> CoreResult<Solution<Stack>> {
        let rows = scaled(rhs, &self.inverse)?;
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged,
        };
        Ok(Solution {
            rows,
            reports: vec![report; rhs.len()],
        })
    }
}

/// Rows with each column times its factor.
fn scaled(rows: &Stack, factors: &Array1<f64>) -> CoreResult<Stack> {
    CoreError::check_size("diagonal", "vector length", factors.len(), rows.dim())?;
    let factors = rows.like(factors.view().insert_axis(Axis(0)))?;
    Ok(Stack::new(rows.tensor() * factors.tensor()))
}
