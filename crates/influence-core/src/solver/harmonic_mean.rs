use std::sync::Arc;

use super::{Inverse, Prepared, Report, Solution, Solver, Status};
use crate::{
    Error, Result, Rows,
    operator::{Estimate, LinearOperator, check_damping},
};

/// The mean of the damped inverses of single samples in place of the inverse of their mean:
/// `DataInf`.
///
/// ```text
/// (1/n) Σ_i (g_i g_iᵀ + λI)⁻¹ = (1/λ) (I − (1/n) Σ_i g_i g_iᵀ / (λ + ‖g_i‖²))
/// ```
///
/// Nothing is solved: one pass over the data serves all right-hand sides. It is a cruder
/// approximation than its cheapness suggests where gradients are long beside λ. The operator must
/// be a mean of outer products of one vector per sample, the empirical Fisher; with blocks, `g` is
/// the part of the gradient in the block. λ must be positive.
///
/// # References
/// Kwon, Wu, Wu and Zou, *`DataInf`: efficiently estimating data influence in LoRA-tuned LLMs and
/// diffusion models*, 2024, equation 5.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::SampleMean, solver::{InverseHarmonicMean, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(SampleMean::new(array![[1.0, 0.0], [0.0, 2.0]], 1)?);
/// let solution = InverseHarmonicMean.invert(op, 1.0)?.solve(&array![[4.0, 10.0]])?.converged()?;
/// assert_eq!(solution, array![[3.0, 6.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InverseHarmonicMean;

impl<R: Rows> Solver<R> for InverseHarmonicMean {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        Ok(Box::new(PreparedHarmonicMean { op }))
    }

    fn stacks(&self) -> usize {
        4
    }
}

#[derive(Debug)]
struct PreparedHarmonicMean<R: Rows> {
    op: Arc<dyn LinearOperator<Rows = R>>,
}

impl<R: Rows> Prepared<R> for PreparedHarmonicMean<R> {
    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        check_damping(
            damping,
            damping > 0.0,
            "finite and positive for the inverse harmonic mean",
        )?;
        let samples = self.op.as_sample_outer_products();
        let samples = samples.ok_or(Error::Unsupported {
            what: "the inverse harmonic mean, which needs the empirical Fisher,",
            by: "this curvature",
        })?;
        let weighted = samples.normalised(damping)?;
        Ok(Box::new(HarmonicMeanInverse { weighted, damping }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.op.trace()?.over(self.op.dim() as f64))
    }
}

/// `(b − W b) / λ` with `W` the mean of `g gᵀ / (λ + ‖g‖²)`.
#[derive(Debug)]
struct HarmonicMeanInverse<R: Rows> {
    weighted: Arc<dyn LinearOperator<Rows = R>>,
    damping: f64,
}

impl<R: Rows> Inverse<R> for HarmonicMeanInverse<R> {
    fn dim(&self) -> usize {
        self.weighted.dim()
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        Error::check_size("harmonic mean", "vector length", self.dim(), rhs.dim())?;
        let difference = rhs.add_scaled(-1.0, &self.weighted.apply(rhs)?)?;
        let report = Report {
            iterations: 1,
            residual: 0.0,
            status: Status::Converged,
        };
        Ok(Solution {
            rows: difference.scaled(&vec![1.0 / self.damping; rhs.len()])?,
            reports: vec![report; rhs.len()],
        })
    }
}
