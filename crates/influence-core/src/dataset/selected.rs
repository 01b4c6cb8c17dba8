use std::{
    fmt::{self, Debug},
    ops::Range,
    sync::Arc,
};

use ndarray::{ArrayD, ArrayViewD, Axis, concatenate};

use super::{FieldSource, Values};
use crate::{Error, Result};

/// Some rows of an array, in any order, each as often as it is listed.
///
/// Rows that follow each other are read at once, so a sorted selection is the quickest.
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
        if wanted.is_empty() {
            return self.source.rows(0..0);
        }
        let runs = wanted.chunk_by(|&row, &next| row.checked_add(1) == Some(next));
        let parts = runs.map(|run| self.source.rows(run[0]..run[0] + run.len()));
        joined(parts.collect::<Result<_>>()?)
    }
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
        None => Err(mixed()),
    }
}

fn below<T: Clone>(parts: &[ArrayViewD<'_, T>]) -> Result<ArrayD<T>> {
    concatenate(Axis(0), parts).map_err(|source| Error::backend("select rows", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row `i` is `[10 i, 10 i + 1]`; counts how often it is read.
    struct Tens(std::sync::atomic::AtomicUsize);

    impl FieldSource for Tens {
        fn name(&self) -> &'static str {
            "tens"
        }

        fn shape(&self) -> &[usize] {
            &[6, 2]
        }

        fn rows(&self, range: Range<usize>) -> Result<Values> {
            Error::check_range(&range, 6)?;
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let shape = [range.len(), 2];
            let values = range.flat_map(|row| [10.0 * row as f32, 10.0 * row as f32 + 1.0]);
            Values::new(values.collect(), &shape)
        }
    }

    #[test]
    fn rows_come_in_the_order_in_which_they_are_listed() -> Result<()> {
        let tens = Arc::new(Tens(0.into()));
        let some = Selected::new(tens.clone(), vec![3, 4, 5, 0, 0].into())?;
        assert_eq!(some.shape(), [5, 2]);
        let expected = vec![40.0_f32, 41.0, 50.0, 51.0, 0.0, 1.0, 0.0, 1.0];
        assert_eq!(some.rows(1..5)?, Values::new(expected, &[4, 2])?);
        assert_eq!(tens.0.load(std::sync::atomic::Ordering::Relaxed), 3);
        assert_eq!(some.rows(2..2)?.shape(), [0, 2]);
        Ok(())
    }

    #[test]
    fn rows_that_are_not_there_are_refused() {
        let tens: Arc<dyn FieldSource> = Arc::new(Tens(0.into()));
        assert!(Selected::new(tens.clone(), vec![0, 6].into()).is_err());
        assert!(Selected::new(tens.clone(), vec![usize::MAX].into()).is_err());
        let some = Selected::new(tens, vec![0].into()).expect("there");
        assert!(some.rows(0..2).is_err());
    }
}
