//! Symmetric linear operators on parameter space.

mod damped;
mod matrix;
mod sample_mean;
mod shift;

use std::{fmt::Debug, sync::Arc};

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::{Result, Rows, random};

pub use damped::Damped;
pub use matrix::Matrix;
pub use sample_mean::SampleMean;
pub use shift::{Shift, check_damping};

/// A number that may have been estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error; 0 where it is exact.
    pub standard_error: f64,
}

impl From<f64> for Estimate {
    fn from(value: f64) -> Self {
        Self {
            value,
            standard_error: 0.0,
        }
    }
}

impl Estimate {
    /// The mean of independent samples, at least two.
    fn of_samples(samples: &Array1<f64>) -> Self {
        let count = samples.len().max(1) as f64;
        Self {
            value: samples.sum() / count,
            standard_error: samples.std(1.0) / count.sqrt(),
        }
    }

    /// The number divided by another.
    #[must_use]
    pub fn over(self, divisor: f64) -> Self {
        Self {
            value: self.value / divisor,
            standard_error: self.standard_error / divisor,
        }
    }
}

/// A symmetric linear map on parameter space, applied to a stack of vectors at once.
///
/// Curvatures are such maps: they are never inverted here, that is the work of a
/// [`Solver`](crate::solver::Solver). Symmetry is a contract; definiteness is not assumed, solvers
/// find it out. Shapes: `(k, dim)` → `(k, dim)`. A curvature is the **mean** over samples, each
/// sample with the same weight.
///
/// # Examples
/// ```
/// use influence_core::operator::{Damped, LinearOperator, Matrix};
/// use ndarray::array;
///
/// let damped = Damped::new(Matrix::new(array![[2.0, 1.0], [1.0, 2.0]])?, 0.5)?;
/// assert_eq!(damped.apply(&array![[1.0, 0.0]])?, array![[2.5, 1.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
pub trait LinearOperator: Debug + Send + Sync {
    /// The stacks that the operator multiplies.
    type Rows: Rows;

    /// The length of the vectors.
    fn dim(&self) -> usize;

    /// The product with each vector.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the vectors do not have length `dim`, otherwise
    /// whatever the backend or the data report.
    fn apply(&self, rows: &Self::Rows) -> Result<Self::Rows>;

    /// The product with each vector, as a step of a fit: an operator that is a mean over data may
    /// [share the sum](crate::summation) with other processes, all of which ask for the same
    /// products in the same order.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), and whatever the sum reports.
    fn apply_shared(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        self.apply(rows)
    }

    /// Vectors with these values, `(k, dim)`, held where the operator multiplies: the way in for
    /// vectors made on the host.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the values do not have `dim` columns,
    /// [`Error::Backend`](crate::Error::Backend) when the transfer fails.
    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows>;

    /// The operator as a dense matrix on the host, `(dim, dim)`.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn to_dense(&self) -> Result<Array2<f64>>;

    /// The sum of the eigenvalues: exact where nothing is known of the operator up to a dimension
    /// of 2,048, at the price of the dense matrix (`dim` applications, in blocks, and at most 32
    /// MiB); beyond it an estimate from 64 random probes with a fixed seed.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn trace(&self) -> Result<Estimate> {
        const LARGEST_EXACT: usize = 2048;
        /// The standard error is about a fifth of the Frobenius norm at most.
        const PROBES: usize = 64;
        if self.dim() <= LARGEST_EXACT {
            return Ok(self.to_dense()?.diag().sum().into());
        }
        let signs = random::signs((PROBES, self.dim()), 0);
        let products = self.apply_shared(&self.rows(signs.view())?)?.to_host()? * signs;
        Ok(Estimate::of_samples(&products.sum_axis(Axis(1))))
    }

    /// The entries on the diagonal, exact; where nothing better is known, at the price of the dense
    /// matrix.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn diagonal(&self) -> Result<Array1<f64>> {
        Ok(self.to_dense()?.into_diag())
    }

    /// The same operator, if it is a mean of outer products of one vector per sample.
    fn as_sample_outer_products(&self) -> Option<&dyn SampleOuterProducts<Rows = Self::Rows>> {
        None
    }

    /// In how many parts the operator falls: a mean over data is a sum over batches of data.
    fn parts(&self) -> usize {
        1
    }

    /// The contribution of one part; the sum over all parts is [`apply`](Self::apply).
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn apply_part(&self, _part: usize, rows: &Self::Rows) -> Result<Self::Rows> {
        self.apply(rows)
    }
}

/// A mean of outer products `v vᵀ` of one vector per sample, such as the empirical Fisher: its
/// curvature can be taken sample by sample.
pub trait SampleOuterProducts: LinearOperator {
    /// The mean of `v vᵀ / (λ + ‖v‖²)`.
    ///
    /// # Errors
    /// Whatever the backend or the data report.
    fn normalised(&self, damping: f64) -> Result<Arc<dyn LinearOperator<Rows = Self::Rows>>>;
}

impl<Op: LinearOperator + ?Sized> LinearOperator for Arc<Op> {
    type Rows = Op::Rows;

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn apply(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        (**self).apply(rows)
    }

    fn apply_shared(&self, rows: &Self::Rows) -> Result<Self::Rows> {
        (**self).apply_shared(rows)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows> {
        (**self).rows(values)
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        (**self).to_dense()
    }

    fn trace(&self) -> Result<Estimate> {
        (**self).trace()
    }

    fn diagonal(&self) -> Result<Array1<f64>> {
        (**self).diagonal()
    }

    fn as_sample_outer_products(&self) -> Option<&dyn SampleOuterProducts<Rows = Self::Rows>> {
        (**self).as_sample_outer_products()
    }

    fn parts(&self) -> usize {
        (**self).parts()
    }

    fn apply_part(&self, part: usize, rows: &Self::Rows) -> Result<Self::Rows> {
        (**self).apply_part(part, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// `u uᵀ`, of which nothing is known but products.
    #[derive(Debug)]
    struct Outer(Array1<f64>);

    impl LinearOperator for Outer {
        type Rows = Array2<f64>;

        fn dim(&self) -> usize {
            self.0.len()
        }

        fn apply(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
            Error::check_size("product", "vector length", self.dim(), rows.ncols())?;
            let along = rows.dot(&self.0).insert_axis(Axis(1));
            Ok(along * &self.0)
        }

        fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
            Ok(values.to_owned())
        }

        fn to_dense(&self) -> Result<Array2<f64>> {
            self.apply(&Array2::eye(self.dim()))
        }
    }

    #[test]
    fn a_trace_is_exact_up_to_some_thousand_parameters_and_known_to_its_error_beyond() -> Result<()>
    {
        for (dim, exact) in [(3, true), (2048, true), (2049, false)] {
            let vector = Array1::from_shape_fn(dim, |j| (j as f64 * 0.7).sin());
            let truth = vector.dot(&vector);
            let trace = Outer(vector).trace()?;
            let error = (trace.value - truth).abs();
            if exact {
                assert!(
                    trace.standard_error <= 0.0 && error < 1e-12 * truth,
                    "{dim}"
                );
            } else {
                assert!(trace.standard_error > 0.01 * truth, "{trace:?}");
                assert!(error < 4.0 * trace.standard_error, "{trace:?}, {truth}");
            }
        }
        Ok(())
    }
}
