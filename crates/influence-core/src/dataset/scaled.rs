use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use ndarray::{ArrayD, Axis};

use super::{FieldSource, Values};
use crate::{Error, Result};

/// How many numbers are in memory at a time while statistics are taken.
const BLOCK: usize = 1 << 20;

/// `(x − subtract) / divide`: one pair for all numbers of a sample, or one for each place along the
/// first axis of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    subtract: Vec<f64>,
    divide: Vec<f64>,
}

impl Scale {
    /// Takes what is subtracted and what is divided by, each one number or as many as a sample has
    /// places along its first axis.
    ///
    /// # Errors
    /// [`Error::Setting`] when a number is not finite or a divisor is zero.
    pub fn new(subtract: Vec<f64>, divide: Vec<f64>) -> Result<Self> {
        let refuse = |name, requirement, got: f64| Error::Setting {
            name,
            requirement,
            got: got.to_string(),
        };
        if let Some(&got) = subtract.iter().find(|number| !number.is_finite()) {
            return Err(refuse("subtract", "finite", got));
        }
        let unusable = |divisor: &&f64| !divisor.is_finite() || **divisor == 0.0;
        if let Some(&got) = divide.iter().find(unusable) {
            return Err(refuse("divide", "finite and not zero", got));
        }
        Ok(Self { subtract, divide })
    }

    /// The numbers that are subtracted: one, or one for each place.
    pub fn subtract(&self) -> &[f64] {
        &self.subtract
    }

    /// The divisors: one, or one for each place.
    pub fn divide(&self) -> &[f64] {
        &self.divide
    }

    /// To mean 0 and standard deviation 1 over an array: for each feature of flat samples, each
    /// channel of samples of three axes and more, or for all numbers alike of samples of two axes.
    /// What does not vary is only moved to 0.
    ///
    /// # Errors
    /// [`Error::Dataset`] when the array cannot be read.
    pub fn standard(source: &dyn FieldSource) -> Result<Self> {
        let groups = groups(source.shape());
        let mut moments = vec![Moments::default(); groups];
        each(source, groups, |group, value| moments[group].add(value))?;
        let deviation = |moments: &Moments| moments.deviation();
        Self::new(
            moments.iter().map(Moments::mean).collect(),
            moments.iter().map(deviation).map(or_one).collect(),
        )
    }

    /// To the range from 0 to 1 over an array, grouped as [`standard`](Self::standard).
    ///
    /// # Errors
    /// As [`standard`](Self::standard).
    pub fn min_max(source: &dyn FieldSource) -> Result<Self> {
        let groups = groups(source.shape());
        let mut ends = vec![[f64::INFINITY, f64::NEG_INFINITY]; groups];
        each(source, groups, |group, value| {
            let [low, high] = &mut ends[group];
            *low = low.min(value);
            *high = high.max(value);
        })?;
        let extent = |[low, high]: &[f64; 2]| or_one(high - low);
        Self::new(
            ends.iter().map(|[low, _]| *low).collect(),
            ends.iter().map(extent).collect(),
        )
    }

    fn pair(&self, group: usize) -> (f64, f64) {
        let of = |numbers: &[f64]| numbers[if numbers.len() == 1 { 0 } else { group }];
        (of(&self.subtract), of(&self.divide))
    }
}

/// An array whose numbers are scaled as they are read: 32-bit floats stay so, all others become
/// 64-bit floats.
#[derive(Clone)]
pub struct Scaled {
    source: Arc<dyn FieldSource>,
    scale: Scale,
}

impl Debug for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scaled")
            .field("name", &self.source.name())
            .field("scale", &self.scale)
            .finish()
    }
}

impl Scaled {
    /// Scales an array.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are several numbers to scale by, but not as many as samples have
    /// places along their first axis.
    pub fn new(source: Arc<dyn FieldSource>, scale: Scale) -> Result<Self> {
        let places = source.shape().get(1).copied().unwrap_or(1);
        for numbers in [&scale.subtract, &scale.divide] {
            if numbers.len() != 1 {
                Error::check_size("scale samples", "numbers", places, numbers.len())?;
            }
        }
        Ok(Self { source, scale })
    }
}

impl FieldSource for Scaled {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn shape(&self) -> &[usize] {
        self.source.shape()
    }

    fn rows(&self, range: Range<usize>) -> Result<Values> {
        Ok(match self.source.rows(range)? {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "numbers of 32 bits come out as such"
            )]
            Values::F32(array) => Values::F32(self.applied(array, f64::from, |value| value as f32)),
            Values::F64(array) => Values::F64(self.applied(array, |value| value, |value| value)),
            values @ (Values::I64(_) | Values::Bool(_)) => {
                let array = values.into_f64();
                Values::F64(self.applied(array, |value| value, |value| value))
            }
        })
    }
}

impl Scaled {
    fn applied<T: Copy>(
        &self,
        mut array: ArrayD<T>,
        wide: impl Fn(T) -> f64,
        narrow: impl Fn(f64) -> T,
    ) -> ArrayD<T> {
        let scaled =
            |value: T, (subtract, divide): (f64, f64)| narrow((wide(value) - subtract) / divide);
        if array.ndim() < 2 {
            let pair = self.scale.pair(0);
            array.mapv_inplace(|value| scaled(value, pair));
            return array;
        }
        for (group, mut numbers) in array.axis_iter_mut(Axis(1)).enumerate() {
            let pair = self.scale.pair(group);
            numbers.mapv_inplace(|value| scaled(value, pair));
        }
        array
    }
}

/// Sums from which mean and deviation follow, taken from the first number so that they do not
/// cancel.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    first: f64,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        if self.count == 0.0 {
            self.first = value;
        }
        let from_first = value - self.first;
        self.count += 1.0;
        self.sum += from_first;
        self.squares += from_first * from_first;
    }

    fn mean(&self) -> f64 {
        self.first + self.sum / self.count.max(1.0)
    }

    fn deviation(&self) -> f64 {
        let mean = self.sum / self.count.max(1.0);
        (self.squares / self.count.max(1.0) - mean * mean)
            .max(0.0)
            .sqrt()
    }
}

/// How many pairs of numbers scale samples of an array.
fn groups(shape: &[usize]) -> usize {
    match shape {
        [_, features] => *features,
        [_, channels, _, _, ..] => *channels,
        _ => 1,
    }
}

/// Hands on every number with its group.
fn each(source: &dyn FieldSource, groups: usize, mut take: impl FnMut(usize, f64)) -> Result<()> {
    let shape = source.shape();
    let (len, row) = (shape[0], shape[1..].iter().product::<usize>());
    let within = (row / groups.max(1)).max(1);
    let mut add = |index: usize, value: f64| take(index % row.max(1) / within, value);
    let step = (BLOCK / row.max(1)).max(1);
    for start in (0..len).step_by(step) {
        let values = source.rows(start..(start + step).min(len))?;
        for (index, value) in values.floats().enumerate() {
            add(index, value);
        }
    }
    Ok(())
}

/// A divisor, or 1 where there is nothing to divide by.
fn or_one(divisor: f64) -> f64 {
    if divisor > 0.0 { divisor } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<usize>, Values);

    fn array<T>(shape: &[usize], numbers: Vec<T>) -> Arc<dyn FieldSource>
    where
        Values: From<ArrayD<T>>,
    {
        let values = Values::new(numbers, shape).expect("they fit");
        Arc::new(Numbers(shape.to_vec(), values))
    }

    impl FieldSource for Numbers {
        fn name(&self) -> &'static str {
            "numbers"
        }

        fn shape(&self) -> &[usize] {
            &self.0
        }

        fn rows(&self, range: Range<usize>) -> Result<Values> {
            Ok(self.1.slice(range))
        }
    }

    fn scaled(source: &Arc<dyn FieldSource>, scale: Scale) -> Vec<f64> {
        let scaled = Scaled::new(source.clone(), scale).expect("the scale fits");
        let values = scaled.rows(0..source.shape()[0]).expect("read");
        assert!(matches!(values, Values::F32(_) | Values::F64(_)));
        values.floats().collect()
    }

    #[test]
    fn features_get_mean_0_and_deviation_1_of_their_own() -> Result<()> {
        // A large offset would cancel in sums of plain squares.
        let source = array(&[2, 3], vec![1e9, 5.0, 7.0, 1e9 + 2.0, 9.0, 7.0]);
        let scale = Scale::standard(&*source)?;
        assert_eq!(scaled(&source, scale), [-1.0, -1.0, 0.0, 1.0, 1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn images_are_scaled_by_channel_and_without_channels_as_a_whole() -> Result<()> {
        let channels = array(&[1, 2, 1, 2], vec![0_i64, 4, 10, 20]);
        let scale = Scale::min_max(&*channels)?;
        assert_eq!(scaled(&channels, scale), [0.0, 1.0, 0.0, 1.0]);
        let whole = array(&[1, 2, 2], vec![0_i64, 5, 10, 20]);
        let scale = Scale::min_max(&*whole)?;
        assert_eq!(scaled(&whole, scale), [0.0, 0.25, 0.5, 1.0]);
        Ok(())
    }

    #[test]
    fn numbers_that_are_given_are_used() -> Result<()> {
        let source = array(&[2, 2], vec![255_i64, 51, 0, 102]);
        let scale = Scale::new(vec![0.0], vec![255.0, 51.0])?;
        assert_eq!(scaled(&source, scale), [1.0, 1.0, 0.0, 2.0]);
        let narrow = array(&[2], vec![1.0_f32, 2.0]);
        assert_eq!(
            scaled(&narrow, Scale::new(vec![1.0], vec![2.0])?),
            [0.0, 0.5]
        );
        Ok(())
    }

    #[test]
    fn scales_that_do_not_fit_are_refused() {
        assert!(Scale::new(vec![f64::NAN], vec![1.0]).is_err());
        assert!(Scale::new(vec![0.0], vec![1.0, 0.0]).is_err());
        let source = array(&[1, 2], vec![1.0, 2.0]);
        let three = Scale::new(vec![0.0; 3], vec![1.0]).expect("by itself valid");
        assert!(Scaled::new(source, three).is_err());
    }
}
