//! Data sets whose fields are arrays from anywhere.

use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use influence_core::{Batch, Dataset, Error as CoreError, FieldSource, Result as CoreResult};

use crate::error::{Error, Result};

/// Arrays from anywhere, joined into one data set: one source per field of the task.
///
/// Nothing is in memory but the batches that are out.
#[derive(Clone)]
pub struct FieldDataset {
    fields: Vec<Arc<dyn FieldSource>>,
    names: Option<Arc<[String]>>,
    len: usize,
}

impl Debug for FieldDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self
            .fields
            .iter()
            .map(|field| (field.name(), field.shape()));
        f.debug_map().entries(fields).finish()
    }
}

impl FieldDataset {
    /// Joins arrays in the order in which the task reads them.
    ///
    /// # Errors
    /// [`Field`](influence_core::Error::Field) when there is no array or one of them is a single
    /// number, [`Error::Samples`] when they differ in their number of samples.
    pub fn new(fields: impl IntoIterator<Item = Arc<dyn FieldSource>>) -> Result<Self> {
        let fields: Vec<_> = fields.into_iter().collect();
        let refuse = |field: usize, got: &str| CoreError::Field {
            field,
            expected: "an array with samples along its first axis".into(),
            got: got.into(),
        };
        let first = fields.first().ok_or_else(|| refuse(0, "nothing"))?;
        let mut len = None;
        for (index, field) in fields.iter().enumerate() {
            let count = field.shape().first().copied();
            let got = count.ok_or_else(|| refuse(index, "a single number"))?;
            let expected = *len.get_or_insert(got);
            if got != expected {
                return Err(Error::Samples {
                    array: field.name().to_owned(),
                    expected,
                    first: first.name().to_owned(),
                    got,
                });
            }
        }
        Ok(Self {
            fields,
            names: None,
            len: len.unwrap_or(0),
        })
    }

    /// With names for its fields, in their order, which each batch has too.
    ///
    /// # Errors
    /// [`Shape`](influence_core::Error::Shape) when there are not as many names as fields.
    pub fn with_names(self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        let expected = self.fields.len();
        CoreError::check_size(
            "name the fields of a data set",
            "names",
            expected,
            names.len(),
        )?;
        Ok(Self {
            names: Some(names),
            ..self
        })
    }

    /// The names of the fields, if they have any.
    pub fn names(&self) -> Option<&Arc<[String]>> {
        self.names.as_ref()
    }

    /// The arrays in the order in which the task reads them.
    pub fn fields(&self) -> &[Arc<dyn FieldSource>] {
        &self.fields
    }

    /// The shape of each field, samples first.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.fields.iter().map(FieldSource::shape).collect()
    }
}

impl Dataset for FieldDataset {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.len
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        CoreError::check_range(&range, self.len)?;
        let read = |field: &Arc<dyn FieldSource>| {
            let values = field.rows(range.clone())?;
            let got = values.shape().first().copied().unwrap_or(0);
            CoreError::check_size("read a field", "samples", range.len(), got)?;
            Ok(values)
        };
        let fields: CoreResult<Vec<_>> = self.fields.iter().map(read).collect();
        let batch = Batch::new(fields?)?;
        match &self.names {
            Some(names) => batch.named(names.clone()),
            None => Ok(batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use influence_core::Values;
    use ndarray::{Array, ArrayD, s};

    use super::*;

    /// An array of a shape whose rows are made by a function.
    struct Made(Vec<usize>, fn(Range<usize>) -> Values);

    impl FieldSource for Made {
        fn name(&self) -> &'static str {
            "numbers"
        }

        fn shape(&self) -> &[usize] {
            &self.0
        }

        fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
            Ok((self.1)(range))
        }
    }

    fn join(sources: Vec<Made>) -> Result<FieldDataset> {
        FieldDataset::new(
            sources
                .into_iter()
                .map(|source| Arc::new(source) as Arc<dyn FieldSource>),
        )
    }

    fn table() -> Array<f64, ndarray::Ix2> {
        Array::from_iter((0..12_u8).map(f64::from))
            .into_shape_with_order((6, 2))
            .expect("twelve numbers")
    }

    #[test]
    fn arrays_of_any_layout_become_fields() {
        let sliced = Made(vec![6, 2], |range| {
            Values::F64(table().slice_move(s![range, ..]).into_dyn())
        });
        let turned = Made(vec![6, 2], |range| {
            let turned = table().reversed_axes().as_standard_layout().into_owned();
            Values::F64(turned.reversed_axes().slice_move(s![range, ..]).into_dyn())
        });
        let data = join(vec![sliced, turned]).expect("equal lengths");
        let data = data.with_names(["sliced", "turned"]).expect("two names");
        for range in [0..6, 2..4, 5..6, 3..3] {
            let batch = data.batch(range.clone()).expect("in range");
            let expected: Vec<f64> = table().slice(s![range, ..]).iter().copied().collect();
            assert_eq!(batch.field("turned"), batch.fields().last());
            for field in batch.fields() {
                assert_eq!(field.floats().collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_named() {
        let of = |shape: &[usize]| Made(shape.to_vec(), |_| Values::I64(ArrayD::zeros(vec![1])));
        let cases = [
            (join(vec![]), "nothing"),
            (join(vec![of(&[3]), of(&[])]), "field 1"),
            (
                join(vec![of(&[3]), of(&[2, 3])]),
                "expected 3 samples as in numbers, got 2",
            ),
        ];
        for (outcome, part) in cases {
            let message = outcome.expect_err(part).to_string();
            assert!(message.contains(part), "{message}");
        }
        let short = join(vec![of(&[3])]).expect("one field").batch(0..2);
        assert!(matches!(
            short,
            Err(CoreError::Shape {
                expected: 2,
                got: 1,
                ..
            })
        ));
    }
}
