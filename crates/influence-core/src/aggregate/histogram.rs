use ndarray::{Array1, Array2, ArrayViewD, s};

use super::{
    Aggregator, Along,
    coverage::{Coverage, check_plain, check_values},
    lanes::Lanes,
};
use crate::{Chunk, ChunkGrid, Error, Result};

/// How many values fall into each bin: of the whole result or, with [`along`](Self::along), of each
/// point of one axis.
///
/// Of the edges `e_0 < … < e_m`, bin `i` holds the values in `[e_i, e_{i+1})`, and the last bin
/// also `e_m`, as numpy has it. What lies below and above is counted too, the infinities among it;
/// NaN lies nowhere and is refused as [`Error::NotFinite`]. Counts are whole numbers, so the order
/// of arrival does not matter. Memory is one count for each bin of each lane.
///
/// # Examples
/// ```
/// use influence_core::{ChunkGrid, aggregate::{Aggregator, Histogram}};
/// use ndarray::array;
///
/// let grid = ChunkGrid::new([1, 5], [1, 5])?;
/// let mut histogram = Histogram::uniform(-1.0, 1.0, 2)?;
/// histogram.begin(&grid)?;
/// histogram.accept(&grid.chunk([0, 0]), array![[-1.0, -0.1, 0.0, 1.0, 7.0]].view().into_dyn())?;
/// let counts = histogram.finish()?;
/// assert_eq!(counts.bins, array![[2, 2]]);
/// assert_eq!((counts.below[0], counts.above[0]), (0, 1));
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Histogram {
    edges: Vec<f64>,
    lanes: Lanes,
    coverage: Coverage,
    /// Lanes by bins, with the counts below before them and the counts above behind.
    counts: Array2<u64>,
}

/// The counts of a [`Histogram`]: one lane for the whole result, or one for each point of the axis
/// that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many values of each lane are less than the first edge.
    pub below: Array1<u64>,
    /// How many values are in each bin, `(lanes, bins)`.
    pub bins: Array2<u64>,
    /// How many values of each lane are greater than the last edge.
    pub above: Array1<u64>,
}

impl Histogram {
    /// Counts between these edges.
    ///
    /// # Errors
    /// [`Error::Setting`] when there are fewer than two edges, or they are not finite or not
    /// strictly increasing.
    pub fn new(edges: &[f64]) -> Result<Self> {
        let ordered = |pair: &[f64]| pair[0] < pair[1] && pair.iter().all(|edge| edge.is_finite());
        let wrong = edges.windows(2).find(|pair| !ordered(pair));
        if edges.len() < 2 || wrong.is_some() {
            return Err(Error::Setting {
                name: "edges of a histogram",
                requirement: "at least two, finite and strictly increasing",
                got: format!("{:?} of {}", wrong.unwrap_or(edges), edges.len()),
            });
        }
        Ok(Self {
            edges: edges.to_vec(),
            lanes: Lanes::default(),
            coverage: Coverage::default(),
            counts: Array2::default((0, 0)),
        })
    }

    /// Counts in this many bins of the same width between `lo` and `hi`.
    ///
    /// # Errors
    /// As [`new`](Self::new): when there is no bin, the ends are not finite, `lo` is not below
    /// `hi`, or the bins are too narrow to tell their edges apart.
    pub fn uniform(lo: f64, hi: f64, bins: usize) -> Result<Self> {
        let edge = |index: usize| {
            let share = index as f64 / bins as f64;
            // A mean of the ends gives them exactly, and does not overflow where their difference
            // would.
            lo * (1.0 - share) + hi * share
        };
        if bins == 0 {
            return Self::new(&[]);
        }
        Self::new(&(0..=bins).map(edge).collect::<Vec<_>>())
    }

    /// Counts for each point of the other axis apart.
    #[must_use]
    pub fn along(self, along: Along) -> Self {
        Self {
            lanes: Lanes(Some(along)),
            ..self
        }
    }

    /// The edges `e_0 < … < e_m`.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }
}

impl Aggregator for Histogram {
    type Output = Counts;

    fn begin(&mut self, grid: &ChunkGrid) -> Result<()> {
        self.coverage.begin(grid);
        self.counts = Array2::zeros((self.lanes.count(grid), self.edges.len() + 1));
        Ok(())
    }

    /// Refuses NaN, which is in no bin.
    fn accept(&mut self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        self.coverage.check(chunk, &values)?;
        check_plain(&values)?;
        check_values("histogram", chunk, &values, |value| !value.is_nan())?;
        let last = self.edges.len() - 1;
        let (edges, counts) = (&self.edges, &mut self.counts);
        self.lanes.each(chunk, &values, |lane, value| {
            let reached = edges.partition_point(|edge| *edge <= value);
            // The last bin is closed.
            let on_last = reached > last && value <= edges[last];
            counts[[lane, reached - usize::from(on_last)]] += 1;
        });
        self.coverage.mark(chunk)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        if (self.lanes, &self.edges) != (other.lanes, &other.edges) {
            return Err(Error::Setting {
                name: "axis and edges of merged aggregators",
                requirement: "the same",
                got: "others".into(),
            });
        }
        self.coverage.merge(&other.coverage)?;
        self.counts += &other.counts;
        Ok(())
    }

    fn fork(&self) -> Option<Self> {
        self.coverage.fork(Self {
            edges: self.edges.clone(),
            lanes: self.lanes,
            coverage: Coverage::default(),
            counts: Array2::default((0, 0)),
        })
    }

    fn finish(self) -> Result<Counts> {
        self.coverage.complete()?;
        let last = self.counts.ncols() - 1;
        Ok(Counts {
            below: self.counts.column(0).to_owned(),
            bins: self.counts.slice(s![.., 1..last]).to_owned(),
            above: self.counts.column(last).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView1, array};

    use super::*;
    use crate::testing;

    const EDGES: [f64; 5] = [-0.5, -0.1, 0.0, 0.25, 0.75];

    fn histogram(lanes: Lanes) -> Result<Histogram> {
        Ok(Histogram {
            lanes,
            ..Histogram::new(&EDGES)?
        })
    }

    #[test]
    fn it_keeps_the_contract_of_aggregators() -> Result<()> {
        for (lanes, _) in Lanes::cases(&Array2::zeros((0, 0))) {
            let histogram = histogram(lanes)?;
            testing::aggregator(|| histogram.clone(), PartialEq::eq);
        }
        Ok(())
    }

    /// How many numbers fulfil a condition.
    fn count(values: &ArrayView1<'_, f64>, condition: impl Fn(f64) -> bool) -> u64 {
        values
            .iter()
            .map(|&value| u64::from(condition(value)))
            .sum()
    }

    #[test]
    fn it_counts_what_a_direct_count_counts() -> Result<()> {
        // On and between the edges.
        let values = testing::random((7, 11), 8).mapv(|value| (value * 8.0).round() / 8.0);
        for (kept, lanes) in Lanes::cases(&values) {
            for chunk_shape in [[3, 2], [2, 4], [9, 20]] {
                let got = testing::aggregate(histogram(kept)?, &values, chunk_shape)?;
                assert_eq!(got.bins.dim(), (lanes.nrows(), 4));
                for (lane, values) in lanes.outer_iter().enumerate() {
                    assert_eq!(got.below[lane], count(&values, |v| v < -0.5));
                    assert_eq!(got.above[lane], count(&values, |v| v > 0.75));
                    for bin in 0..3 {
                        let within = |v| EDGES[bin] <= v && v < EDGES[bin + 1];
                        assert_eq!(got.bins[[lane, bin]], count(&values, within));
                    }
                    let within = |v: f64| (0.25..=0.75).contains(&v);
                    assert_eq!(got.bins[[lane, 3]], count(&values, within));
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges_belong_to_the_bin_above_and_the_last_to_the_bin_below() -> Result<()> {
        let far = f64::INFINITY;
        let values = array![[0.0, -0.0, 1.0, 2.0, far, -far, -1e-300]];
        let counts = testing::aggregate(Histogram::new(&[0.0, 1.0, 2.0])?, &values, [1, 2])?;
        assert_eq!(counts.bins, array![[2, 2]]);
        assert_eq!((counts.below, counts.above), (array![2], array![1]));
        Ok(())
    }

    #[test]
    fn uniform_bins_have_the_ends_exactly() -> Result<()> {
        assert_eq!(
            Histogram::uniform(-1.0, 1.0, 4)?.edges(),
            [-1.0, -0.5, 0.0, 0.5, 1.0]
        );
        assert_eq!(
            Histogram::uniform(f64::MIN, f64::MAX, 2)?.edges(),
            [f64::MIN, 0.0, f64::MAX]
        );
        let edges = Histogram::uniform(0.1, 0.7, 1000)?.edges().to_vec();
        assert_eq!((edges[0], edges[1000], edges.len()), (0.1, 0.7, 1001));
        Ok(())
    }

    #[test]
    fn edges_without_an_order_are_refused() {
        for edges in [
            &[][..],
            &[1.0],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[0.0, f64::NAN],
            &[0.0, f64::INFINITY],
        ] {
            assert!(matches!(Histogram::new(edges), Err(Error::Setting { .. })));
        }
        for (lo, hi, bins) in [
            (0.0, 1.0, 0),
            (1.0, 0.0, 3),
            (f64::NAN, 1.0, 1),
            (1.0, 1.0 + f64::EPSILON, 2),
        ] {
            assert!(matches!(
                Histogram::uniform(lo, hi, bins),
                Err(Error::Setting { .. })
            ));
        }
    }

    #[test]
    fn nan_and_other_settings_are_refused() -> Result<()> {
        assert!(matches!(
            testing::aggregate(Histogram::new(&EDGES)?, &array![[f64::NAN]], [1, 1]),
            Err(Error::NotFinite { .. })
        ));
        let grid = ChunkGrid::new([1, 1], [1, 1])?;
        for other in [
            Histogram::new(&[0.0, 1.0])?,
            Histogram::new(&EDGES)?.along(Along::Train),
        ] {
            let (mut one, mut other) = (Histogram::new(&EDGES)?, other);
            one.begin(&grid)?;
            other.begin(&grid)?;
            assert!(matches!(one.merge(other), Err(Error::Setting { .. })));
        }
        Ok(())
    }

    #[test]
    fn an_empty_result_has_counts_of_zero() -> Result<()> {
        let counts = testing::aggregate(Histogram::new(&EDGES)?, &Array2::zeros((0, 3)), [1, 1])?;
        assert_eq!(counts.bins, Array2::<u64>::zeros((1, 4)));
        Ok(())
    }
}
