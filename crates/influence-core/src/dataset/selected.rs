use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use ndarray::{ArrayD, ArrayViewD, Axis, concatenate};

use super::{FieldSource, Values};
use crate::{Error, Result};

/// At most this many times the wanted rows are read to have them at once.
const SPREAD: usize = 8;

/// Some rows of an array, in any order, each as often as it is listed.
///
/// Rows that lie near each other are read at once, with those in between, so that a source that is
/// stored in chunks decodes them once.
///
/// # Examples
/// ```
/// use std::{ops::Range, sync::Arc};
/// use influence_core::{FieldSource, Result, Selected, Values};
///
/// struct Squares;
///
/// impl FieldSource for Squares {
///     fn name(&self) -> &str {
///         "squares"
///     }
///     fn shape(&self) -> &[usize] {
///         &[100]
///     }
///     fn rows(&self, range: Range<usize>) -> Result<Values> {
///         Values::new(range.clone().map(|i| (i * i) as i64).collect(), &[range.len()])
///     }
/// }
///
/// let some = Selected::new(Arc::new(Squares), vec![1, 2, 9].into())?;
/// assert_eq!(some.rows(1..3)?, Values::new(vec![4_i64, 81], &[2])?);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Selected {
    source: Arc<dyn FieldSource>,
    rows: Arc<[usize]>,
    shape: Vec<usize>,
}

impl Debug for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("name", &self.source.name())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Selected {
    /// Takes these rows of an array.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the first row that the array does not have.
    pub fn new(source: Arc<dyn FieldSource>, rows: Arc<[usize]>) -> Result<Self> {
        let mut shape = source.shape().to_vec();
        let len = shape.first().copied().unwrap_or(0);
        for &row in rows.iter() {
            Error::check_range(&(row..row.saturating_add(1)), len)?;
        }
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        Ok(Self {
            source,
            rows,
            shape,
        })
    }
}

impl FieldSource for Selected {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn rows(&self, range: Range<usize>) -> Result<Values> {
        Error::check_range(&range, self.rows.len())?;
        let wanted = &self.rows[range];
        let mut sorted = wanted.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
            return self.source.rows(0..0);
        };
        // A row in between may be one that cannot be read, and is left out for this reason.
        if last - first < SPREAD * sorted.len()
            && let Ok(near) = self.source.rows(first..last + 1)
        {
            return Ok(picked(near, wanted.iter().map(|row| row - first)));
        }
        let runs = sorted.chunk_by(|&row, &next| row + 1 == next);
        let parts = runs.map(|run| self.source.rows(run[0]..run[0] + run.len()));
        let far = joined(parts.collect::<Result<_>>()?)?;
        let place = |row: &usize| sorted.partition_point(|other| other < row);
        Ok(picked(far, wanted.iter().map(place)))
    }
}

/// Some rows of an array, or itself where these are all in order.
fn picked(values: Values, rows: impl Iterator<Item = usize>) -> Values {
    let rows: Vec<usize> = rows.collect();
    if rows.iter().copied().eq(0..values.shape()[0]) {
        return values;
    }
    values.select(&rows)
}

/// Arrays one below the other; those of one source have one type.
fn joined(mut parts: Vec<Values>) -> Result<Values> {
    if parts.len() == 1 {
        return Ok(parts.swap_remove(0));
    }
    let mixed = || Error::dataset("the numbers of an array change their type");
    macro_rules! join {
        ($kind:ident) => {{
            let arrays = parts.iter().map(|part| match part {
                Values::$kind(array) => Ok(array.view()),
                _ => Err(mixed()),
            });
            Ok(Values::$kind(below(&arrays.collect::<Result<Vec<_>>>()?)?))
        }};
    }
    match parts.first() {
        Some(Values::F32(_)) => join!(F32),
        Some(Values::F64(_)) => join!(F64),
        Some(Values::I64(_)) => join!(I64),
        Some(Values::Bool(_)) => join!(Bool),
        None => Err(mixed()),
    }
}

fn below<T: Clone>(parts: &[ArrayViewD<'_, T>]) -> Result<ArrayD<T>> {
    concatenate(Axis(0), parts).map_err(|source| Error::backend("select rows", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Row `i` is `[10 i, 10 i + 1]`; counts how often it is read.
    struct Tens(AtomicUsize);

    impl FieldSource for Tens {
        fn name(&self) -> &'static str {
            "tens"
        }

        fn shape(&self) -> &[usize] {
            &[100, 2]
        }

        fn rows(&self, range: Range<usize>) -> Result<Values> {
            Error::check_range(&range, 100)?;
            self.0.fetch_add(1, Relaxed);
            Values::new(range.clone().flat_map(row).collect(), &[range.len(), 2])
        }
    }

    fn row(row: usize) -> [f32; 2] {
        [10.0 * row as f32, 10.0 * row as f32 + 1.0]
    }

    #[test]
    fn rows_come_in_the_order_in_which_they_are_listed() -> Result<()> {
        for (rows, reads) in [
            (vec![3, 4, 5, 6], 1),
            (vec![5, 3, 4, 3], 1),
            // Near each other: read with what lies between.
            (vec![10, 12, 19], 1),
            // Far from each other: read run by run.
            (vec![0, 1, 98, 99], 2),
            (vec![99, 0, 50, 99, 1], 3),
        ] {
            let tens = Arc::new(Tens(AtomicUsize::new(0)));
            let some = Selected::new(tens.clone(), rows.clone().into())?;
            assert_eq!(some.shape(), [rows.len(), 2]);
            let expected: Vec<f32> = rows.iter().flat_map(|&listed| row(listed)).collect();
            let expected = Values::new(expected, &[rows.len(), 2])?;
            assert_eq!(some.rows(0..rows.len())?, expected, "{rows:?}");
            assert_eq!(tens.0.load(Relaxed), reads, "{rows:?}");
            assert_eq!(
                some.rows(1..2)?,
                Values::new(row(rows[1]).to_vec(), &[1, 2])?
            );
            assert_eq!(some.rows(2..2)?.shape(), [0, 2]);
        }
        Ok(())
    }

    /// As [`Tens`], but row 4 cannot be read.
    struct Gap(Tens);

    impl FieldSource for Gap {
        fn name(&self) -> &'static str {
            "gap"
        }

        fn shape(&self) -> &[usize] {
            self.0.shape()
        }

        fn rows(&self, range: Range<usize>) -> Result<Values> {
            if range.contains(&4) {
                return Err(Error::dataset("row 4 is missing"));
            }
            self.0.rows(range)
        }
    }

    #[test]
    fn rows_that_are_left_out_need_not_be_readable() -> Result<()> {
        let gap: Arc<dyn FieldSource> = Arc::new(Gap(Tens(AtomicUsize::new(0))));
        let some = Selected::new(gap.clone(), vec![5, 3].into())?;
        let expected = [row(5), row(3)].concat();
        assert_eq!(some.rows(0..2)?, Values::new(expected, &[2, 2])?);
        let all = Selected::new(gap, vec![3, 4, 5].into())?;
        let error = all.rows(0..3).expect_err("row 4").to_string();
        assert!(error.contains("row 4 is missing"), "{error}");
        Ok(())
    }

    #[test]
    fn rows_that_are_not_there_are_refused() {
        let tens: Arc<dyn FieldSource> = Arc::new(Tens(AtomicUsize::new(0)));
        assert!(Selected::new(tens.clone(), vec![0, 100].into()).is_err());
        assert!(Selected::new(tens.clone(), vec![usize::MAX].into()).is_err());
        let some = Selected::new(tens, vec![0].into()).expect("there");
        assert!(some.rows(0..2).is_err());
    }
}
