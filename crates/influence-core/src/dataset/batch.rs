//! Batches: the samples of a range, one host array for each field.

use std::{ops::Range, sync::Arc};

use super::Values;
use crate::{Error, Result};

/// Consecutive samples as host arrays, one for each field that a task reads, with the samples along
/// the first axis of each.
///
/// Batches of one data set share the names of its fields.
///
/// # Examples
/// ```
/// use influence_core::{Batch, Values};
///
/// let inputs = Values::new(vec![0.5_f32, 1.0, 0.0, 2.0], &[2, 2])?;
/// let labels = Values::new(vec![1_i64, 0], &[2])?;
/// let batch = Batch::new(vec![inputs, labels])?;
/// assert_eq!(batch.len(), 2);
/// assert_eq!(batch.slice(1..2)?.fields()[0].shape(), [1, 2]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    fields: Vec<Values>,
    len: usize,
    names: Option<Arc<[String]>>,
    start: Option<usize>,
}

impl Batch {
    /// Joins the fields of a batch.
    ///
    /// # Errors
    /// [`Error::Field`] when there is no field, a field is a single number, or the fields differ in
    /// their number of samples.
    pub fn new(fields: Vec<Values>) -> Result<Self> {
        let count = |field: usize| fields.get(field).and_then(Values::samples);
        let refuse = |field: usize, expected: String| Error::Field {
            field,
            expected,
            got: fields.get(field).map_or("nothing".to_owned(), |values| {
                format!("{:?}", values.shape())
            }),
        };
        let first = "an array with samples along its first axis";
        let len = count(0).ok_or_else(|| refuse(0, first.into()))?;
        match (0..fields.len()).find(|&field| count(field) != Some(len)) {
            Some(field) => Err(refuse(field, format!("{len} samples along the first axis"))),
            None => Ok(Self {
                fields,
                len,
                names: None,
                start: None,
            }),
        }
    }

    /// With names for its fields, in their order.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not as many names as fields.
    pub fn named(self, names: Arc<[String]>) -> Result<Self> {
        let expected = self.fields.len();
        Error::check_size("name the fields of a batch", "names", expected, names.len())?;
        Ok(Self {
            names: Some(names),
            ..self
        })
    }

    /// With the place of its first sample in the data set that it was read from.
    #[must_use]
    pub fn starting_at(self, sample: usize) -> Self {
        Self {
            start: Some(sample),
            ..self
        }
    }

    /// The place of the first sample in the data set, if the data set says so; the others follow.
    pub fn start(&self) -> Option<usize> {
        self.start
    }

    /// The names of the fields, if the data set gives them some.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Values> {
        let place = self.names()?.iter().position(|other| other == name)?;
        self.fields.get(place)
    }

    /// The fields in the order in which the task reads them.
    pub fn fields(&self) -> &[Values] {
        &self.fields
    }

    /// The fields themselves, in the same order.
    pub fn into_fields(self) -> Vec<Values> {
        self.fields
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A range of the samples.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the range leaves the batch.
    pub fn slice(&self, range: Range<usize>) -> Result<Self> {
        Error::check_range(&range, self.len)?;
        let part = self.of_each(range.len(), |values| values.slice(range.clone()));
        Ok(Self {
            start: self.start.map(|start| start + range.start),
            ..part
        })
    }

    /// One of the samples as a batch; the index must be in range.
    #[must_use]
    pub fn one(&self, sample: usize) -> Self {
        let one = self.of_each(1, |values| values.slice(sample..sample + 1));
        Self {
            start: self.start.map(|start| start + sample),
            ..one
        }
    }

    /// Some of the samples, in this order; each must be one of those there are.
    #[must_use]
    pub fn select(&self, samples: &[usize]) -> Self {
        self.of_each(samples.len(), |values| values.select(samples))
    }

    /// Every sample twice: the batch, and once more behind it.
    #[must_use]
    pub fn doubled(&self) -> Self {
        let twice: Vec<usize> = (0..self.len).chain(0..self.len).collect();
        self.select(&twice)
    }

    /// A batch of this many samples, each field made of the one here; where they are in the data
    /// set is not known of it.
    fn of_each(&self, len: usize, make: impl Fn(&Values) -> Values) -> Self {
        Self {
            fields: self.fields.iter().map(make).collect(),
            len,
            names: self.names.clone(),
            start: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let inputs = Values::new(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]);
        let labels = Values::new(vec![7_i64, 8, 9], &[3]);
        Batch::new(vec![inputs.expect("six"), labels.expect("three")]).expect("three samples")
    }

    #[test]
    fn samples_are_cut_and_repeated_in_every_field() {
        let one = batch().one(1);
        assert_eq!(one, batch().slice(1..2).expect("in range"));
        assert_eq!(one.fields()[0].floats().collect::<Vec<_>>(), [3.0, 4.0]);
        let doubled = batch().slice(1..3).expect("in range").doubled();
        assert_eq!(doubled.len(), 4);
        let labels: Vec<i64> = doubled.fields()[1].integers().collect();
        assert_eq!(labels, [8, 9, 8, 9]);
        assert!(batch().slice(2..4).is_err());
    }

    #[test]
    fn fields_are_found_by_their_names() {
        let names: Arc<[String]> = ["inputs", "targets"].map(str::to_owned).into();
        let named = batch().named(names.clone()).expect("two names");
        let part = named.slice(1..3).expect("in range");
        assert_eq!(part.names(), Some(&*names));
        assert_eq!(part.field("targets"), Some(&part.fields()[1]));
        assert_eq!((part.field("ids"), batch().field("inputs")), (None, None));
        assert!(batch().named(["inputs".to_owned()].into()).is_err());
    }

    #[test]
    fn parts_know_where_they_begin() {
        let whole = batch().starting_at(10);
        let part = whole.slice(1..3).expect("in range");
        assert_eq!((part.start(), whole.one(2).start()), (Some(11), Some(12)));
        assert_eq!((whole.doubled().start(), batch().start()), (None, None));
    }

    #[test]
    fn fields_that_do_not_fit_are_named() {
        let field = |shape: &[usize]| {
            Values::new(vec![0_i64; shape.iter().product()], shape).expect("they fit")
        };
        for (fields, expected) in [
            (vec![], "field 0 of the batch must be an array with samples"),
            (vec![field(&[])], "got []"),
            (
                vec![field(&[2]), field(&[3, 1])],
                "field 1 of the batch must be 2 samples along the first axis, got [3, 1]",
            ),
        ] {
            let error = Batch::new(fields).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
