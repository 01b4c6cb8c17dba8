use std::{ops::Range, sync::Arc};

use ndarray::ArrayD;

use crate::{Error, Result};

/// One array of a data set, samples along its first axis, read by range, in any order and from any
/// thread.
///
/// Readers of files and stores implement it wherever they live; a backend joins several of them
/// into a [`Dataset`](crate::Dataset).
pub trait FieldSource: Send + Sync {
    /// The file or store and the array in it, as messages call it.
    fn name(&self) -> &str;

    /// The shape, samples first; it has at least one axis.
    fn shape(&self) -> &[usize];

    /// The samples of a range, of shape `(range.len(), shape[1..])`. Reading the same range again
    /// gives the same values.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the range leaves the array, [`Error::Dataset`] when it cannot be
    /// read.
    fn rows(&self, range: Range<usize>) -> Result<Values>;
}

impl<F: FieldSource + ?Sized> FieldSource for Arc<F> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn shape(&self) -> &[usize] {
        (**self).shape()
    }

    fn rows(&self, range: Range<usize>) -> Result<Values> {
        (**self).rows(range)
    }
}

/// Numbers as they are read: floats keep their precision, 16-bit ones become 32-bit, integers and
/// bools become 64-bit integers.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// Integers.
    I64(ArrayD<i64>),
}

impl Values {
    /// Takes the numbers of one array in C order; nothing is copied.
    ///
    /// # Errors
    /// [`Error::Shape`] when their number is not that of the shape.
    pub fn new<T>(numbers: Vec<T>, shape: &[usize]) -> Result<Self>
    where
        Self: From<ArrayD<T>>,
    {
        let [expected, got] = [shape.iter().product(), numbers.len()];
        ArrayD::from_shape_vec(shape, numbers)
            .map(Self::from)
            .map_err(|_| Error::Shape {
                op: "values",
                axis: "numbers",
                expected,
                got,
            })
    }

    /// The shape of the array.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(array) => array.shape(),
            Self::F64(array) => array.shape(),
            Self::I64(array) => array.shape(),
        }
    }
}

impl From<ArrayD<f32>> for Values {
    fn from(array: ArrayD<f32>) -> Self {
        Self::F32(array)
    }
}

impl From<ArrayD<f64>> for Values {
    fn from(array: ArrayD<f64>) -> Self {
        Self::F64(array)
    }
}

impl From<ArrayD<i64>> for Values {
    fn from(array: ArrayD<i64>) -> Self {
        Self::I64(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_shape_or_say_what_does_not_fit() {
        let values = Values::new(vec![1_i64, 2, 3, 4], &[2, 2]);
        assert_eq!(values.expect("four numbers").shape(), [2, 2]);
        let error = Values::new(vec![1.0_f32], &[2, 2]).expect_err("one number");
        assert_eq!(error.to_string(), "values: expected numbers 4, got 1");
    }
}
