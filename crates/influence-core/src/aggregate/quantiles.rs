mod sketch;

use ndarray::{Array2, ArrayViewD};

use super::{
    Aggregator, Along,
    coverage::{Coverage, check_plain, check_values},
    lanes::Lanes,
};
use crate::{Chunk, ChunkGrid, Error, Result};
use sketch::{Buckets, Sketch};

/// Quantiles to a relative accuracy: of the whole result or, with [`along`](Self::along), of each
/// point of one axis.
///
/// The `q`-quantile of `n` values is the one that has `⌊q (n − 1)⌋` others before it when they are
/// sorted (numpy's `method="lower"`). With accuracy `α`, what comes out for a quantile `x` is
/// within `α |x|` of it, and the least and greatest values are exact; below 2.2e-308 the accuracy
/// is that at 2.2e-308. Zero is exact.
///
/// Values are counted in buckets whose width is in proportion to the values, however small or
/// large, and no buckets are ever joined to save memory. Counts are whole numbers, so the order of
/// arrival does not matter. Memory is that of the buckets with values in each lane: fewer than
/// `1/α` for each sign and power of two that occurs.
///
/// The outcome has shape `(lanes, quantiles)`, with one lane for the whole result. Numbers that are
/// not finite are refused as [`Error::NotFinite`].
///
/// # Examples
/// ```
/// use influence_core::{ChunkGrid, aggregate::{Aggregator, Quantiles}};
/// use ndarray::array;
///
/// let grid = ChunkGrid::new([1, 5], [1, 5])?;
/// let mut quantiles = Quantiles::new(&[0.0, 0.5, 1.0], 0.01)?;
/// quantiles.begin(&grid)?;
/// quantiles.accept(&grid.chunk([0, 0]), array![[5.0, -1e-9, 0.1, 1e12, -3.0]].view().into_dyn())?;
/// let quantiles = quantiles.finish()?;
/// assert_eq!((quantiles[[0, 0]], quantiles[[0, 2]]), (-3.0, 1e12));
/// assert!((quantiles[[0, 1]] - 0.1).abs() <= 0.01 * 0.1);
/// # Ok::<(), influence_core::Error>(())
/// ```
///
/// # References
/// Masson, Rim and Lee, *`DDSketch`: a fast and fully-mergeable quantile sketch with relative-error
/// guarantees*, VLDB 2019; without its limit on the number of buckets.
#[derive(Debug, Clone)]
pub struct Quantiles {
    probabilities: Vec<f64>,
    buckets: Buckets,
    lanes: Lanes,
    coverage: Coverage,
    sketches: Vec<Sketch>,
}

impl Quantiles {
    /// These quantiles, each between 0 and 1, to this relative accuracy.
    ///
    /// # Errors
    /// [`Error::Setting`] when a quantile is not between 0 and 1, or the accuracy is not greater
    /// than 0 and less than 1.
    pub fn new(quantiles: &[f64], relative_accuracy: f64) -> Result<Self> {
        let setting = |name, requirement, got: f64| Error::Setting {
            name,
            requirement,
            got: got.to_string(),
        };
        if let Some(&q) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(setting("quantile", "between 0 and 1", q));
        }
        if !(relative_accuracy > 0.0 && relative_accuracy < 1.0) {
            let requirement = "greater than 0 and less than 1";
            return Err(setting("relative accuracy", requirement, relative_accuracy));
        }
        Ok(Self {
            probabilities: quantiles.to_vec(),
            buckets: Buckets::new(relative_accuracy),
            lanes: Lanes::default(),
            coverage: Coverage::default(),
            sketches: Vec::new(),
        })
    }

    /// Takes the quantiles for each point of the other axis apart.
    #[must_use]
    pub fn along(self, along: Along) -> Self {
        Self {
            lanes: Lanes(Some(along)),
            ..self
        }
    }
}

impl Aggregator for Quantiles {
    type Output = Array2<f64>;

    /// Refuses a grid without values, which have no quantiles.
    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        self.lanes.check_not_empty(grid)?;
        self.coverage.begin(grid);
        self.sketches = vec![Sketch::new(); self.lanes.count(grid)];
        Ok(())
    }

    /// Refuses numbers that are not finite: nothing is near them, relatively.
    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.coverage.check(chunk, &values)?;
        check_plain(&values)?;
        check_values("quantiles", chunk, &values, f64::is_finite)?;
        let (sketches, buckets) = (&mut self.sketches, self.buckets);
        self.lanes.each(chunk, &values, |lane, value| {
            sketches[lane].add(value, buckets);
        });
        self.coverage.mark(chunk)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        let settings = |this: &Self| (this.lanes, this.buckets, this.probabilities.clone());
        if settings(self) != settings(&other) {
            return Err(Error::Setting {
                name: "axis, accuracy and quantiles of merged aggregators",
                requirement: "the same",
                got: format!("{:?} and {:?}", settings(self), settings(&other)),
            });
        }
        self.coverage.merge(&other.coverage)?;
        for (sketch, theirs) in self.sketches.iter_mut().zip(&other.sketches) {
            sketch.merge(theirs);
        }
        Ok(())
    }

    fn fork(&self) -> Option<Self> {
        self.coverage.fork(Self {
            probabilities: self.probabilities.clone(),
            buckets: self.buckets,
            lanes: self.lanes,
            coverage: Coverage::default(),
            sketches: Vec::new(),
        })
    }

    fn finish(self) -> Result<Array2<f64>> {
        self.coverage.complete()?;
        let shape = (self.sketches.len(), self.probabilities.len());
        Ok(Array2::from_shape_fn(shape, |(lane, q)| {
            self.sketches[lane].quantile(self.probabilities[q], self.buckets)
        }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::testing;

    const QS: [f64; 9] = [0.0, 0.01, 0.1, 0.25, 0.5, 0.6, 0.9, 0.999, 1.0];

    fn bits(quantiles: &Array2<f64>) -> Array2<u64> {
        quantiles.mapv(f64::to_bits)
    }

    fn of(lanes: Lanes, quantiles: &Quantiles) -> Quantiles {
        Quantiles {
            lanes,
            ..quantiles.clone()
        }
    }

    #[test]
    fn it_keeps_the_contract_of_aggregators() -> Result<()> {
        for accuracy in [0.3, 1e-3] {
            for (lanes, _) in Lanes::cases(&Array2::zeros((0, 0))) {
                let quantiles = of(lanes, &Quantiles::new(&QS, accuracy)?);
                testing::aggregator(|| quantiles.clone(), |a, b| bits(a) == bits(b));
            }
        }
        Ok(())
    }

    /// Of both signs, over many orders of magnitude around `scale`, with some zeros of either sign.
    fn spread(scale: f64) -> Array2<f64> {
        testing::random((13, 47), 9).mapv(|value| {
            if value.abs() < 0.1 {
                0.0_f64.copysign(value)
            } else {
                scale * value.signum() * (15.0 * value.abs() - 12.0).exp()
            }
        })
    }

    fn check(lane: &mut [f64], got: &[f64], accuracy: f64) {
        lane.sort_by(f64::total_cmp);
        let last = lane.len() - 1;
        for (q, got) in QS.iter().zip(got) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rank is a small whole number"
            )]
            let truth = lane[(q * last as f64).floor() as usize];
            let close = (got - truth).abs() <= accuracy * truth.abs();
            assert!(close, "q = {q}: {got:e} is not {truth:e} to {accuracy:e}");
        }
        assert_eq!(got[0].to_bits(), (lane[0] + 0.0).to_bits());
        assert_eq!(got[8].to_bits(), (lane[last] + 0.0).to_bits());
    }

    #[test]
    fn quantiles_are_within_the_accuracy_at_every_magnitude() -> Result<()> {
        for scale in [1.0, 1e-300, 1e300] {
            let values = spread(scale);
            for accuracy in [0.5, 0.01, 1e-6] {
                let quantiles = Quantiles::new(&QS, accuracy)?;
                for (kept, lanes) in Lanes::cases(&values) {
                    let got = testing::aggregate(of(kept, &quantiles), &values, [4, 10])?;
                    assert_eq!(got.dim(), (lanes.nrows(), QS.len()));
                    for (lane, got) in lanes.outer_iter().zip(got.outer_iter()) {
                        check(&mut lane.to_vec(), &got.to_vec(), accuracy);
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() -> Result<()> {
        let values = array![[f64::MIN, f64::MAX, f64::MAX, f64::MAX]];
        let got = testing::aggregate(Quantiles::new(&[0.0, 0.5], 0.5)?, &values, [1, 1])?;
        assert_eq!(got[[0, 0]].to_bits(), f64::MIN.to_bits());
        assert!(got[[0, 1]] >= 0.5 * f64::MAX && got[[0, 1]].is_finite());
        Ok(())
    }

    #[test]
    fn settings_out_of_their_domain_are_refused() -> Result<()> {
        for (q, accuracy) in [
            (-0.1, 0.01),
            (1.1, 0.01),
            (f64::NAN, 0.01),
            (0.5, 0.0),
            (0.5, 1.0),
            (0.5, f64::NAN),
        ] {
            assert!(matches!(
                Quantiles::new(&[q], accuracy),
                Err(Error::Setting { .. })
            ));
        }
        let grid = ChunkGrid::new([1, 1], [1, 1])?;
        for other in [
            Quantiles::new(&[0.5], 0.1)?,
            Quantiles::new(&[0.4], 0.01)?,
            Quantiles::new(&[0.5], 0.01)?.along(Along::Test),
        ] {
            let (mut one, mut other) = (Quantiles::new(&[0.5], 0.01)?, other);
            one.begin(&grid)?;
            other.begin(&grid)?;
            assert!(matches!(one.merge(other), Err(Error::Setting { .. })));
        }
        Ok(())
    }

    #[test]
    fn what_has_no_quantiles_is_refused() -> Result<()> {
        let median = Quantiles::new(&[0.5], 0.01)?;
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(
                testing::aggregate(median.clone(), &array![[value]], [1, 1]),
                Err(Error::NotFinite { .. })
            ));
        }
        let grid = ChunkGrid::new([2, 0], [1, 1])?;
        for (lanes, _) in Lanes::cases(&Array2::zeros((0, 0))) {
            let begun = of(lanes, &median).begin(&grid);
            assert_eq!(begun.is_ok(), lanes.0 == Some(Along::Test), "{lanes:?}");
        }
        Ok(())
    }
}
