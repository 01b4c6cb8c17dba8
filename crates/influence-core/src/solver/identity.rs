use std::sync::Arc;

use super::{Inverse, Prepared, Report, Solution, Solver, Status};
use crate::{
    Error, Result, Rows,
    operator::{Estimate, LinearOperator},
};

/// Takes the curvature as the identity: factors are gradients, influences their inner products.
///
/// The operator is not applied, so neither curvature nor damping counts. This is the gradient
/// dot product, the influence of a step of gradient descent.
///
/// # References
/// Pruthi, Liu, Kale and Sundararajan, *Estimating training data influence by tracing gradient
/// descent*, 2020, section 3, for one checkpoint.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Identity, Solver}};
/// use ndarray::array;
///
/// let inverse = Identity.invert(Arc::new(Matrix::new(array![[4.0, 0.0], [0.0, 2.0]])?), 0.1)?;
/// assert_eq!(inverse.solve(&array![[8.0, 8.0]])?.converged()?, array![[8.0, 8.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity;

impl<R: Rows> Solver<R> for Identity {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        Ok(Box::new(IdentityInverse { dim: op.dim() }))
    }

    fn stacks(&self) -> usize {
        1
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy)]
struct IdentityInverse {
    dim: usize,
}

impl<R: Rows> Prepared<R> for IdentityInverse {
    fn dim(&self) -> usize {
        self.dim
    }

    fn inverse(&self, _damping: f64) -> Result<Box<dyn Inverse<R>>> {
        Ok(Box::new(*self))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(1.0.into())
    }
}

impl<R: Rows> Inverse<R> for IdentityInverse {
    fn dim(&self) -> usize {
        self.dim
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        Error::check_size("identity solver", "vector length", self.dim, rhs.dim())?;
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged,
        };
        Ok(Solution {
            rows: rhs.clone(),
            reports: vec![report; rhs.len()],
        })
    }
}
