use ndarray::ArrayViewD;

use super::Aggregator;
use crate::{Chunk, ChunkGrid, Error, Result};

/// Makes a tuple of aggregators an aggregator.
macro_rules! tuple {
    ($(#[$doc:meta])* $($part:ident $index:tt),+) => {
        $(#[$doc])*
        impl<$($part: Aggregator),+> Aggregator for ($($part,)+) {
            type Output = ($($part::Output,)+);

            fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
                $(self.$index.begin(grid)?;)+
                Ok(())
            }

            fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
                $(self.$index.accept(chunk, values.view())?;)+
                Ok(())
            }

            fn merge(&mut self, other: Self) -> Result<()> {
                $(self.$index.merge(other.$index)?;)+
                Ok(())
            }

            fn fork(&self) -> Option<Self> {
                Some(($(self.$index.fork()?,)+))
            }

            fn finish(self) -> Result<Self::Output> {
                Ok(($(self.$index.finish()?,)+))
            }
        }
    };
}

tuple! {
    /// Several aggregators, up to six, that each take every chunk: the influences are computed once
    /// for all.
    ///
    /// The outcome is the tuple of outcomes. The first error is passed on, and a tuple forks if all
    /// of its parts do.
    ///
    /// # Examples
    /// ```
    /// use influence_core::{ChunkGrid, aggregate::{Aggregator, Along, Histogram, Mean, Order, TopK}};
    /// use ndarray::array;
    ///
    /// let grid = ChunkGrid::new([1, 4], [1, 2])?;
    /// let mut all = (
    ///     TopK::new(1, Order::Largest, Along::Train),
    ///     Mean::along(Along::Train),
    ///     Histogram::uniform(0.0, 10.0, 2)?,
    /// );
    /// all.begin(&grid)?;
    /// all.accept(&grid.chunk([0, 0]), array![[1.0, 9.0]].view().into_dyn())?;
    /// all.accept(&grid.chunk([0, 1]), array![[2.0, 4.0]].view().into_dyn())?;
    /// let (top, mean, histogram) = all.finish()?;
    /// assert_eq!((&top[0].indices[..], mean, histogram.bins), (&[1][..], array![4.0], array![[3, 1]]));
    /// # Ok::<(), influence_core::Error>(())
    /// ```
    A 0, B 1
}
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);

/// No aggregator at all: chunks are of no further interest.
impl Aggregator for () {
    type Output = ();

    fn begin(&mut self, _grid: &ChunkGrid) -> Result<()> {
        Ok(())
    }

    fn accept(&mut self, _chunk: &Chunk, _values: ArrayViewD<'_, f64>) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, (): Self) -> Result<()> {
        Ok(())
    }

    fn fork(&self) -> Option<Self> {
        Some(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// Several aggregators of one type that each take every chunk, as in a tuple; the outcome is the
/// list of outcomes.
impl<T: Aggregator> Aggregator for Vec<T> {
    type Output = Vec<T::Output>;

    /// Refuses an empty list, which would have nothing to do.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        check_not_empty(self)?;
        self.iter_mut().try_for_each(|part| part.begin(grid))
    }

    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.iter_mut()
            .try_for_each(|part| part.accept(chunk, values.view()))
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        Error::check_size("merge", "aggregators", self.len(), other.len())?;
        self.iter_mut()
            .zip(other)
            .try_for_each(|(part, theirs)| part.merge(theirs))
    }

    fn fork(&self) -> Option<Self> {
        check_not_empty(self).ok()?;
        self.iter().map(Aggregator::fork).collect()
    }

    fn finish(self) -> Result<Self::Output> {
        check_not_empty(&self)?;
        self.into_iter().map(Aggregator::finish).collect()
    }
}

fn check_not_empty<T>(parts: &[T]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::Setting {
            name: "number of aggregators",
            requirement: "at least 1",
            got: "0".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{
        aggregate::{
            Along, ArgMax, Concatenate, GroupSum, Histogram, Max, Mean, Min, Order, Quantiles, TopK,
        },
        testing,
    };

    #[test]
    fn tuples_keep_the_contract_of_aggregators() -> Result<()> {
        let along = Along::Train;
        let sums = GroupSum::new(vec![0; 11], 1, along)?;
        let (histogram, quantiles) = (
            Histogram::uniform(-1.0, 1.0, 3)?,
            Quantiles::new(&[0.3], 0.1)?,
        );
        testing::aggregator(|| (Concatenate::new(), Max::along(along)), PartialEq::eq);
        testing::aggregator(
            || {
                (
                    TopK::new(2, Order::Largest, along),
                    Mean::along(along),
                    histogram.clone(),
                )
            },
            PartialEq::eq,
        );
        testing::aggregator(
            || {
                (
                    Min::along(Along::Test),
                    Max::along(along),
                    ArgMax::along(along),
                    sums.clone(),
                )
            },
            PartialEq::eq,
        );
        let mean = || Mean::along(Along::Test);
        testing::aggregator(
            || (mean(), mean(), mean(), mean(), quantiles.clone()),
            PartialEq::eq,
        );
        testing::aggregator(
            || (mean(), mean(), mean(), mean(), mean(), mean()),
            PartialEq::eq,
        );
        Ok(())
    }

    #[test]
    fn lists_keep_the_contract_of_aggregators() {
        testing::aggregator(
            || [Along::Train, Along::Test].map(Mean::along).to_vec(),
            PartialEq::eq,
        );
    }

    #[test]
    fn each_part_gives_what_it_gives_alone() -> Result<()> {
        let values = testing::random((5, 7), 4);
        let (min, mean, whole) = testing::aggregate(
            (
                Min::along(Along::Test),
                Mean::along(Along::Train),
                Concatenate::new(),
            ),
            &values,
            [2, 3],
        )?;
        let alone = testing::aggregate(Min::along(Along::Test), &values, [2, 3])?;
        assert_eq!(min, alone);
        let alone = testing::aggregate(Mean::along(Along::Train), &values, [2, 3])?;
        assert_eq!(mean, alone);
        assert_eq!(whole, values.clone().into_dyn());
        let list = [Along::Train, Along::Test].map(Mean::along).to_vec();
        assert_eq!(testing::aggregate(list, &values, [2, 3])?[0], alone);
        Ok(())
    }

    #[test]
    fn they_fork_only_if_all_parts_do() -> Result<()> {
        let grid = ChunkGrid::new([2, 2], [1, 1])?;
        let mut both = (Mean::along(Along::Train), Max::along(Along::Train));
        both.begin(&grid)?;
        assert!(both.fork().is_some());
        let mut one = (Mean::along(Along::Train), Concatenate::new());
        one.begin(&grid)?;
        assert!(one.fork().is_none());
        let mut list = vec![Concatenate::new()];
        list.begin(&grid)?;
        assert!(list.fork().is_none());
        Ok(())
    }

    #[test]
    fn errors_of_the_parts_pass_through() -> Result<()> {
        let parts = (Mean::along(Along::Train), Max::along(Along::Train));
        assert!(matches!(
            testing::aggregate(parts, &array![[f64::NAN]], [1, 1]),
            Err(Error::NotFinite { .. })
        ));
        let grid = ChunkGrid::new([1, 1], [1, 1])?;
        assert!(matches!(
            Vec::<Mean>::new().begin(&grid),
            Err(Error::Setting { .. })
        ));
        let mut one = vec![Concatenate::new()];
        one.begin(&grid)?;
        let mut two = vec![Concatenate::new(), Concatenate::new()];
        two.begin(&grid)?;
        assert!(matches!(one.merge(two), Err(Error::Shape { .. })));
        Ok(())
    }
}
