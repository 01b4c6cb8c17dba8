//! Host arrays of numbers, samples along the first axis.

use std::ops::Range;

use ndarray::{ArrayD, Axis, Slice};

use crate::{Error, Precision, Result};

/// Numbers of one field. What is read from files keeps the precision of floats, 16-bit ones become
/// 32-bit, and integers and bools become 64-bit integers.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// Integers.
    I64(ArrayD<i64>),
    /// Truth values, for tasks that read them; no file gives any.
    Bool(ArrayD<bool>),
}

/// The same expression for the array of each type.
macro_rules! of_any_type {
    ($values:expr, $array:ident => $result:expr) => {
        match $values {
            Values::F32($array) => $result,
            Values::F64($array) => $result,
            Values::I64($array) => $result,
            Values::Bool($array) => $result,
        }
    };
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
            .map_err(|_| misfit(expected, got))
    }

    /// The shape of the array.
    pub fn shape(&self) -> &[usize] {
        of_any_type!(self, array => array.shape())
    }

    /// The number of samples; a single number has no axis for them.
    pub fn samples(&self) -> Option<usize> {
        self.shape().first().copied()
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        of_any_type!(self, array => array.len())
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in C order as 64-bit floats; truth values are 0 and 1.
    pub fn floats(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            Self::F32(array) => Box::new(array.iter().map(|&number| number.into())),
            Self::F64(array) => Box::new(array.iter().copied()),
            Self::I64(array) => Box::new(array.iter().map(|&number| number as f64)),
            Self::Bool(array) => Box::new(array.iter().map(|&truth| f64::from(u8::from(truth)))),
        }
    }

    /// The numbers in C order as integers; decimals of floats are cut off, truth values are 0 and
    /// 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whoever asks for integers wants no decimals"
    )]
    pub fn integers(&self) -> Box<dyn Iterator<Item = i64> + '_> {
        match self {
            Self::F32(array) => Box::new(array.iter().map(|&number| number as i64)),
            Self::F64(array) => Box::new(array.iter().map(|&number| number as i64)),
            Self::I64(array) => Box::new(array.iter().copied()),
            Self::Bool(array) => Box::new(array.iter().map(|&truth| i64::from(truth))),
        }
    }

    /// The same numbers as floats of a precision.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(self.into_f32()),
            Precision::F64 => Self::F64(self.into_f64()),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "32 bits are asked for")]
    fn into_f32(self) -> ArrayD<f32> {
        match self {
            Self::F32(array) => array,
            Self::F64(array) => array.mapv(|number| number as f32),
            Self::I64(array) => array.mapv(|number| number as f32),
            Self::Bool(array) => array.mapv(|truth| f32::from(u8::from(truth))),
        }
    }

    /// The array of the numbers as 64-bit floats.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array,
            Self::I64(array) => array.mapv(|number| number as f64),
            Self::Bool(array) => array.mapv(|truth| f64::from(u8::from(truth))),
        }
    }

    /// The same numbers in another shape; numbers that lie in C order are not copied.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape has another number of them.
    pub fn reshaped(self, shape: &[usize]) -> Result<Self> {
        let [expected, got] = [shape.iter().product(), self.len()];
        of_any_type!(self, array => {
            // What lies otherwise is copied: its order in memory is not that of its numbers.
            let array = if array.is_standard_layout() {
                array
            } else {
                array.as_standard_layout().into_owned()
            };
            let array = array.into_shape_with_order(shape).map(Self::from);
            array.map_err(|_| misfit(expected, got))
        })
    }

    /// The samples of a range, which must be within those there are.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        of_any_type!(self, array => array.slice_axis(Axis(0), Slice::from(range)).to_owned().into())
    }

    /// Some of the samples, in this order; each must be one of those there are.
    #[must_use]
    pub fn select(&self, samples: &[usize]) -> Self {
        of_any_type!(self, array => selected(array, samples).into())
    }
}

/// Some of the samples of an array, copied as they lie in memory where that is their order.
fn selected<T: Clone>(array: &ArrayD<T>, samples: &[usize]) -> ArrayD<T> {
    let whole = array.as_slice().filter(|all| !all.is_empty());
    let plain = whole.and_then(|all| {
        let width = all.len() / array.shape()[0];
        let mut numbers = Vec::with_capacity(samples.len() * width);
        for &sample in samples {
            numbers.extend_from_slice(&all[sample * width..(sample + 1) * width]);
        }
        let shape = [&[samples.len()], &array.shape()[1..]].concat();
        ArrayD::from_shape_vec(shape, numbers).ok()
    });
    plain.unwrap_or_else(|| array.select(Axis(0), samples))
}

fn misfit(expected: usize, got: usize) -> Error {
    Error::Shape {
        op: "values",
        axis: "numbers",
        expected,
        got,
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

impl From<ArrayD<bool>> for Values {
    fn from(array: ArrayD<bool>) -> Self {
        Self::Bool(array)
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

    #[test]
    fn numbers_of_any_type_take_another_type_and_shape() -> Result<()> {
        let values = Values::new(vec![true, false], &[2, 1])?;
        let floats = values.clone().in_precision(Precision::F32);
        assert_eq!(floats, Values::new(vec![1.0_f32, 0.0], &[2, 1])?);
        assert_eq!(values.integers().collect::<Vec<_>>(), [1, 0]);
        let values = Values::new(vec![1.5_f32, -2.5], &[2])?;
        let wide = values.clone().in_precision(Precision::F64);
        assert_eq!(wide, Values::new(vec![1.5_f64, -2.5], &[2])?);
        assert_eq!(wide.integers().collect::<Vec<_>>(), [1, -2]);
        assert_eq!(wide.reshaped(&[2, 1])?.shape(), [2, 1]);
        assert!(values.reshaped(&[3]).is_err());
        Ok(())
    }

    #[test]
    fn samples_are_selected_whatever_lies_where_in_memory() -> Result<()> {
        let array = ndarray::array![[1_i64, 2], [3, 4], [5, 6]].into_dyn();
        let columns = array.t().as_standard_layout().into_owned();
        let expected = Values::new(vec![5_i64, 6, 1, 2, 5, 6], &[3, 2])?;
        assert_eq!(Values::from(array).select(&[2, 0, 2]), expected);
        assert_eq!(
            Values::from(columns.reversed_axes()).select(&[2, 0, 2]),
            expected
        );
        let none = Values::new::<i64>(vec![], &[0, 2])?;
        assert_eq!(none.select(&[]), none);
        Ok(())
    }

    #[test]
    fn arrays_in_fortran_order_are_reshaped_in_c_order() -> Result<()> {
        let array = ndarray::array![[1_i64, 2, 3], [4, 5, 6]];
        let turned = Values::from(array.reversed_axes().into_dyn());
        let flat = turned.reshaped(&[6])?;
        assert_eq!(flat, Values::new(vec![1_i64, 4, 2, 5, 3, 6], &[6])?);
        Ok(())
    }
}
