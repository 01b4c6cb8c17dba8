use std::{ops::Range, sync::Arc};

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::{Estimate, LinearOperator, SampleOuterProducts};
use crate::{Error, Result};

/// The mean of `w v vᵀ` over samples on the host, in batches: the empirical Fisher where the
/// vectors are gradients.
///
/// All weights are 1 to begin with. The reference of what backends compute from data, and what
/// stochastic solvers are tested with.
///
/// # Examples
/// ```
/// use influence_core::operator::{LinearOperator, SampleMean};
/// use ndarray::array;
///
/// let mean = SampleMean::new(array![[1.0, 1.0], [1.0, -1.0], [2.0, 0.0]], 2)?;
/// assert_eq!(mean.to_dense()?, array![[2.0, 0.0], [0.0, 2.0 / 3.0]]);
/// assert_eq!(mean.parts(), 2);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SampleMean {
    vectors: Array2<f64>,
    weights: Array1<f64>,
    batch_size: usize,
}

impl SampleMean {
    /// Takes one vector per sample, `(n, dim)`, in batches of this many samples; the last may be
    /// smaller, samples count alike.
    ///
    /// # Errors
    /// [`Error::Setting`] without samples or for batches of none, [`Error::NotFinite`] when a
    /// number is not.
    pub fn new(vectors: Array2<f64>, batch_size: usize) -> Result<Self> {
        for (name, count) in [("samples", vectors.nrows()), ("batch size", batch_size)] {
            if count == 0 {
                return Err(Error::Setting {
                    name,
                    requirement: "at least 1",
                    got: "0".into(),
                });
            }
        }
        if vectors.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                op: "sample mean",
                what: "an entry".into(),
            });
        }
        Ok(Self {
            weights: Array1::ones(vectors.nrows()),
            vectors,
            batch_size,
        })
    }

    fn squared_norms(&self) -> Array1<f64> {
        (&self.vectors * &self.vectors).sum_axis(Axis(1))
    }

    /// The products of some of the samples, divided by the number of all of them.
    fn products(&self, samples: Range<usize>, rows: &Array2<f64>) -> Result<Array2<f64>> {
        Error::check_size("sample mean", "vector length", self.dim(), rows.ncols())?;
        let vectors = self.vectors.slice(s![samples.clone(), ..]);
        let along = rows.dot(&vectors.t()) * self.weights.slice(s![samples]);
        Ok(along.dot(&vectors) / self.vectors.nrows() as f64)
    }
}

impl LinearOperator for SampleMean {
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        self.vectors.ncols()
    }

    fn apply(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
        self.products(0..self.vectors.nrows(), rows)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Error::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(values.to_owned())
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        let weighted = &self.vectors * &self.weights.view().insert_axis(Axis(1));
        Ok(self.vectors.t().dot(&weighted) / self.vectors.nrows() as f64)
    }

    fn trace(&self) -> Result<Estimate> {
        let sum = self.squared_norms().dot(&self.weights);
        Ok((sum / self.vectors.nrows() as f64).into())
    }

    fn as_sample_outer_products(&self) -> Option<&dyn SampleOuterProducts<Rows = Array2<f64>>> {
        Some(self)
    }

    fn parts(&self) -> usize {
        self.vectors.nrows().div_ceil(self.batch_size)
    }

    fn apply_part(&self, part: usize, rows: &Array2<f64>) -> Result<Array2<f64>> {
        let first = (part * self.batch_size).min(self.vectors.nrows());
        let last = (first + self.batch_size).min(self.vectors.nrows());
        self.products(first..last, rows)
    }
}

impl SampleOuterProducts for SampleMean {
    fn normalised(&self, damping: f64) -> Result<Arc<dyn LinearOperator<Rows = Array2<f64>>>> {
        let weights = &self.weights / (self.squared_norms() * &self.weights + damping);
        Ok(Arc::new(Self {
            weights,
            ..self.clone()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn it_conforms_and_its_trace_is_exact() -> Result<()> {
        let mean = SampleMean::new(testing::random((7, 4), 1), 3)?;
        testing::operator(&mean, 1e-14);
        assert!((mean.trace()?.value - mean.to_dense()?.diag().sum()).abs() < 1e-14);
        Ok(())
    }

    #[test]
    fn nothing_and_what_is_not_finite_are_refused() {
        for (shape, batch) in [((0, 3), 1), ((3, 3), 0)] {
            let refused = SampleMean::new(Array2::zeros(shape), batch);
            assert!(matches!(refused, Err(Error::Setting { .. })));
        }
        let refused = SampleMean::new(Array2::from_elem((2, 2), f64::NAN), 1);
        assert!(matches!(refused, Err(Error::NotFinite { .. })));
    }
}
