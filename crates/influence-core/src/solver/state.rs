use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayD, Dimension};

use crate::{Error, Result};

/// The expensive part of a preparation as named arrays, so that it need not be repeated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    arrays: BTreeMap<String, ArrayD<f64>>,
}

impl State {
    /// Adds an array.
    #[must_use]
    pub fn with<D: Dimension>(
        mut self,
        name: impl Into<String>,
        array: ndarray::Array<f64, D>,
    ) -> Self {
        self.arrays.insert(name.into(), array.into_dyn());
        self
    }

    /// The arrays by name.
    pub fn arrays(&self) -> &BTreeMap<String, ArrayD<f64>> {
        &self.arrays
    }

    /// The vector of a name.
    ///
    /// # Errors
    /// [`Error::State`] when there is none.
    pub fn vector(&self, name: &str) -> Result<Array1<f64>> {
        self.array(name, "a vector")
    }

    /// The matrix of a name.
    ///
    /// # Errors
    /// [`Error::State`] when there is none.
    pub fn matrix(&self, name: &str) -> Result<Array2<f64>> {
        self.array(name, "a matrix")
    }

    fn array<D: Dimension>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<ndarray::Array<f64, D>> {
        let array = self.arrays.get(name).cloned();
        let array = array.and_then(|array| array.into_dimensionality().ok());
        array.ok_or_else(|| Error::State {
            name: name.to_owned(),
            expected,
        })
    }
}

impl FromIterator<(String, ArrayD<f64>)> for State {
    fn from_iter<I: IntoIterator<Item = (String, ArrayD<f64>)>>(arrays: I) -> Self {
        Self {
            arrays: arrays.into_iter().collect(),
        }
    }
}
