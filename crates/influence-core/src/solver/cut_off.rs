use std::sync::Arc;

use super::{Inverse, Prepared, Report, Solution, State, Status};
use crate::{
    Error, Result, Rows,
    block::Strength,
    operator::{Estimate, check_damping},
};

/// Inverts a prepared operator along the eigenvectors of its larger eigenvalues alone.
///
/// ```text
/// x = Σ_{σ_j > c} v_j ⟨v_j, b⟩ / (σ_j + λ)
/// ```
///
/// An eigenvalue `σ`, without damping, that is not above the threshold `c` counts as infinitely
/// large: its direction is left out of every solution, where damping would let it in with
/// `1 / (σ + λ)`. Negative eigenvalues are left out, too, so that what is inverted is definite
/// whatever the operator is. λ may be 0. The eigenvectors of Kronecker factors are those of their
/// products.
///
/// Residuals refer to what is inverted, and are zero: what lies along the other directions is not
/// part of them. For a prepared operator that knows all its eigenvectors
/// ([`times_function`](Prepared::times_function)); others fail when they solve.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{
///     block::Strength,
///     operator::Matrix,
///     solver::{CutOff, Direct, Prepared, Solver},
/// };
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 0.0], [0.0, 1e-9]])?);
/// let inverse = CutOff::new(Direct.prepare(op)?, Strength::Absolute(1e-3))?.inverse(0.0)?;
/// assert_eq!(inverse.solve(&array![[8.0, 1.0]])?.rows, array![[2.0, 0.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CutOff<R: Rows> {
    prepared: Arc<dyn Prepared<R>>,
    strength: Strength,
}

impl<R: Rows> CutOff<R> {
    /// Leaves out what is not above this, or this times the mean eigenvalue.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number that is not finite and positive.
    pub fn new(prepared: Box<dyn Prepared<R>>, strength: Strength) -> Result<Self> {
        let (Strength::Absolute(value) | Strength::Relative(value)) = strength;
        if value.is_finite() && value > 0.0 {
            let prepared = prepared.into();
            return Ok(Self { prepared, strength });
        }
        Err(Error::Setting {
            name: "cut_off",
            requirement: "finite and positive",
            got: value.to_string(),
        })
    }
}

impl<R: Rows> Prepared<R> for CutOff<R> {
    fn dim(&self) -> usize {
        self.prepared.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        check_damping(damping, true, "finite and not negative")?;
        let threshold = match self.strength {
            Strength::Absolute(threshold) => threshold,
            // A mean below zero leaves every eigenvalue above zero.
            Strength::Relative(fraction) => {
                (fraction * self.prepared.mean_eigenvalue()?.value).max(0.0)
            }
        };
        Ok(Box::new(CutOffInverse {
            prepared: Arc::clone(&self.prepared),
            threshold,
            damping,
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        self.prepared.mean_eigenvalue()
    }

    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &R) -> Result<R> {
        self.prepared.times_function(function, rows)
    }

    fn state(&self) -> Result<State> {
        self.prepared.state()
    }
}

#[derive(Debug)]
struct CutOffInverse<R: Rows> {
    prepared: Arc<dyn Prepared<R>>,
    threshold: f64,
    damping: f64,
}

impl<R: Rows> Inverse<R> for CutOffInverse<R> {
    fn dim(&self) -> usize {
        self.prepared.dim()
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        let inverted = |value: f64| {
            if value > self.threshold {
                1.0 / (value + self.damping)
            } else {
                0.0
            }
        };
        let report = Report {
            iterations: 0,
            residual: 0.0,
            status: Status::Converged,
        };
        Ok(Solution {
            rows: self.prepared.times_function(&inverted, rhs)?,
            reports: vec![report; rhs.len()],
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::{
        linalg::{Eigen, eigen},
        operator::Matrix,
        solver::{Arnoldi, Direct, Solver},
        testing,
    };

    const VALUES: [f64; 6] = [3.0, 1.0, 0.3, 0.02, 0.0, -0.9];

    #[test]
    fn only_larger_eigenvalues_are_inverted() -> Result<()> {
        let matrix = testing::symmetric(&VALUES, 1);
        let Eigen { values, vectors } = eigen(&matrix)?;
        let rhs = testing::random((4, 6), 2);
        let op = Arc::new(Matrix::new(matrix)?);
        let mean = VALUES.iter().sum::<f64>() / 6.0;
        for (strength, threshold, kept) in [
            (Strength::Absolute(0.1), 0.1, 3),
            (Strength::Absolute(1e-6), 1e-6, 4),
            (Strength::Relative(1.0), mean, 2),
        ] {
            for damping in [0.0, 0.5] {
                let cut = CutOff::new(Direct.prepare(op.clone())?, strength)?;
                let found = cut.inverse(damping)?.solve(&rhs)?.converged()?;
                let inverse = values.mapv(|value| {
                    if value > threshold {
                        1.0 / (value + damping)
                    } else {
                        0.0
                    }
                });
                assert_eq!(inverse.iter().filter(|value| **value > 0.0).count(), kept);
                let expected = (rhs.dot(&vectors) * inverse).dot(&vectors.t());
                testing::assert_close("cut off", &found, &expected, 1e-11);
                let whole = Direct.invert(op.clone(), damping + 1e-9)?.solve(&rhs)?.rows;
                assert!((whole - found).iter().any(|left| left.abs() > 0.1));
            }
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_cut_is_refused() -> Result<()> {
        let op = Arc::new(Matrix::new(testing::symmetric(&VALUES, 1))?);
        for strength in [0.0, -1.0, f64::NAN].map(Strength::Absolute) {
            let prepared: Box<dyn Prepared<Array2<f64>>> = Direct.prepare(op.clone())?;
            assert!(matches!(
                CutOff::new(prepared, strength),
                Err(Error::Setting { .. })
            ));
        }
        let low_rank = CutOff::new(Arnoldi::new(2)?.prepare(op)?, Strength::Absolute(0.1))?;
        let refused = low_rank.inverse(0.1)?.solve(&testing::random((1, 6), 2));
        assert!(
            matches!(refused, Err(Error::Unsupported { .. })),
            "{refused:?}"
        );
        assert!(low_rank.inverse(-1.0).is_err());
        Ok(())
    }
}
