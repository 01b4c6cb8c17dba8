use ndarray::{Array2, ArrayView1};

use super::{
    interval::{Interval, bootstrap, bootstrap_both, jackknife, mean},
    ordered::Ordered,
};

/// A spread below this part of the squares that it is a difference of is rounding.
const ROUNDING: f64 = 1e-28;

/// How well numbers agree with predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// Pearson's correlation: how nearly they lie on a line.
    Pearson,
    /// Spearman's correlation: how nearly they are in the same order; ties have their mean rank.
    Spearman,
    /// The slope of the least-squares line of the numbers over the predictions: 1 where
    /// predictions have the right size.
    Slope,
}

impl Agreement {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::Slope => "slope",
        }
    }

    /// Of pairs that count once each.
    pub fn of(self, predicted: &[f64], actual: &[f64]) -> f64 {
        let pairs = Pairs::new(predicted.to_vec(), actual.to_vec());
        pairs.measure(self, &vec![1.0; predicted.len()])
    }
}

/// Predictions with what happened.
#[derive(Debug)]
pub(super) struct Pairs {
    predicted: Ordered,
    actual: Ordered,
}

impl Pairs {
    pub(super) fn new(predicted: Vec<f64>, actual: Vec<f64>) -> Self {
        Self {
            predicted: Ordered::new(predicted),
            actual: Ordered::new(actual),
        }
    }

    fn of_row(predicted: &ArrayView1<'_, f64>, actual: &ArrayView1<'_, f64>) -> Self {
        Self::new(predicted.to_vec(), actual.to_vec())
    }

    pub(super) fn measure(&self, agreement: Agreement, weights: &[f64]) -> f64 {
        let (predicted, actual) = (self.predicted.values(), self.actual.values());
        match agreement {
            Agreement::Pearson => Products::new(predicted, actual, weights).correlation(),
            Agreement::Slope => Products::new(predicted, actual, weights).slope(),
            Agreement::Spearman => {
                let [predicted, actual] =
                    [&self.predicted, &self.actual].map(|side| side.ranks(weights));
                Products::new(&predicted, &actual, weights).correlation()
            }
        }
    }
}

/// Sums of squares and products around the means.
struct Products {
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Products {
    fn new(x: &[f64], y: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let weighted = |values: &[f64]| -> f64 {
            let sum: f64 = values
                .iter()
                .zip(weights)
                .map(|(value, weight)| value * weight)
                .sum();
            sum / total
        };
        let (x_mean, y_mean) = (weighted(x), weighted(y));
        let (mut sums, mut squares) = (
            Self {
                xx: 0.0,
                xy: 0.0,
                yy: 0.0,
            },
            [0.0; 2],
        );
        for ((&x, &y), &weight) in x.iter().zip(y).zip(weights) {
            let (dx, dy) = (x - x_mean, y - y_mean);
            sums.xx += weight * dx * dx;
            sums.xy += weight * dx * dy;
            sums.yy += weight * dy * dy;
            squares[0] += weight * x * x;
            squares[1] += weight * y * y;
        }
        if sums.xx <= ROUNDING * squares[0] || sums.yy <= ROUNDING * squares[1] {
            sums.xy = 0.0;
        }
        sums
    }

    fn correlation(&self) -> f64 {
        if self.xy == 0.0 {
            return 0.0;
        }
        self.xy / (self.xx * self.yy).sqrt()
    }

    fn slope(&self) -> f64 {
        if self.xy == 0.0 {
            return 0.0;
        }
        self.xy / self.xx
    }
}

/// The agreement in each row of two matrices, and its mean.
#[derive(Debug, Clone)]
pub struct RowMean {
    /// The mean over rows; the interval resamples rows and columns.
    pub mean: Interval,
    /// The standard error over rows, such as test points.
    pub row_error: f64,
    /// The standard error over columns, such as retrainings, by the jackknife.
    pub column_error: f64,
    /// The agreement in each row.
    pub rows: Vec<f64>,
}

/// The mean over rows of the agreement within each row, of `predicted` with `actual`, both `(rows,
/// columns)`. With Spearman's correlation and a column for each subset of the training points it is
/// the linear datamodelling score (Park et al. 2023).
pub fn by_row(
    predicted: &Array2<f64>,
    actual: &Array2<f64>,
    agreement: Agreement,
    seed: u64,
) -> RowMean {
    let pairs = predicted.rows().into_iter().zip(actual.rows());
    let pairs: Vec<Pairs> = pairs
        .map(|(row, other)| Pairs::of_row(&row, &other))
        .collect();
    let each = |row: &[f64], column: &[f64]| {
        let counted = pairs.iter().zip(row).filter(|(_, count)| **count > 0.0);
        let sum: f64 = counted
            .map(|(pairs, count)| count * pairs.measure(agreement, column))
            .sum();
        sum / row.iter().sum::<f64>()
    };
    let (rows, columns) = predicted.dim();
    let [all_rows, all_columns] = [rows, columns].map(|count| vec![1.0; count]);
    let of_rows: Vec<f64> = pairs
        .iter()
        .map(|pairs| pairs.measure(agreement, &all_columns))
        .collect();
    RowMean {
        mean: bootstrap_both([rows, columns], seed, |[row, column]| each(row, column)),
        row_error: standard_error(&of_rows),
        column_error: jackknife(columns, |column| each(&all_rows, column)),
        rows: of_rows,
    }
}

/// The agreement over all entries of two matrices; the interval resamples columns.
pub fn pooled(
    predicted: &Array2<f64>,
    actual: &Array2<f64>,
    agreement: Agreement,
    seed: u64,
) -> Interval {
    let columns = predicted.ncols();
    let flat = |matrix: &Array2<f64>| matrix.iter().copied().collect();
    let pairs = Pairs::new(flat(predicted), flat(actual));
    let rows = predicted.nrows();
    bootstrap(columns, seed, |column| {
        pairs.measure(agreement, &column.repeat(rows))
    })
}

/// The standard error of the mean of independent values.
pub(super) fn standard_error(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    let sum: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (sum / (count - 1.0) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const X: [f64; 8] = [0.3, -1.2, 2.5, 0.3, 0.9, -0.4, 1.7, 2.5];
    const Y: [f64; 8] = [1.0, -0.5, 2.0, 0.0, 1.0, 1.0, 3.5, -2.0];
    const ALL: [Agreement; 3] = [Agreement::Pearson, Agreement::Spearman, Agreement::Slope];

    #[test]
    fn agreements_are_those_of_scipy() {
        // scipy.stats.pearsonr, spearmanr and linregress(X, Y).slope, scipy 1.17.1
        let expected = [
            0.155_514_995_483_556_8,
            0.271_625_639_078_637_2,
            0.191_463_901_076_984_4,
        ];
        for (agreement, expected) in ALL.into_iter().zip(expected) {
            assert!(
                (agreement.of(&X, &Y) - expected).abs() < 1e-14,
                "{agreement:?}"
            );
        }
    }

    #[test]
    fn multiplicities_are_repetitions() {
        // The same of numpy.repeat(X, w) and numpy.repeat(Y, w)
        let weights = [2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.0, 2.0];
        let expected = [
            -0.439_871_331_610_037_16,
            -0.240_664_957_460_385_13,
            -0.520_412_741_139_524_4,
        ];
        let pairs = Pairs::new(X.to_vec(), Y.to_vec());
        for (agreement, expected) in ALL.into_iter().zip(expected) {
            let got = pairs.measure(agreement, &weights);
            assert!((got - expected).abs() < 1e-14, "{agreement:?} {got}");
        }
    }

    #[test]
    fn what_is_constant_agrees_with_nothing() {
        for agreement in ALL {
            for found in [agreement.of(&[0.1; 8], &Y), agreement.of(&X, &[0.3; 8])] {
                assert!(found.abs() < f64::MIN_POSITIVE, "{agreement:?} {found}");
            }
        }
    }

    #[test]
    fn the_mean_over_rows_has_its_errors() {
        let predicted = array![
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [2.0, 1.0, 4.0, 3.0, 6.0, 5.0],
            [3.0, 1.0, 2.0, 6.0, 5.0, 4.0]
        ];
        let actual = array![
            [0.1, 0.3, 0.2, 0.5, 0.4, 0.6],
            [0.2, 0.2, 0.1, 0.7, 0.9, 0.4],
            [0.9, 0.1, 0.5, 0.3, 0.2, 0.8]
        ];
        let got = by_row(&predicted, &actual, Agreement::Spearman, 1);
        // scipy.stats.spearmanr of each row, numpy's std(ddof=1) / sqrt(3), and the jackknife
        // written out with numpy.delete
        for (got, expected) in [
            (got.mean.value, 0.497_740_834_505_258_3),
            (got.row_error, 0.231_253_045_837_573_75),
            (got.column_error, 0.271_142_449_106_047_73),
            (got.rows[1], 0.521_793_93),
        ] {
            assert!((got - expected).abs() < 1e-8, "{got} {expected}");
        }
        assert!(got.mean.low < 0.4 && got.mean.high > 0.6, "{:?}", got.mean);
    }

    #[test]
    fn pooled_entries_are_resampled_by_column() {
        let predicted = array![[1.0, 2.0, 3.0], [2.0, 4.0, 6.5]];
        let got = pooled(&predicted, &(&predicted * 3.0 + 1.0), Agreement::Slope, 5);
        assert!((got.value - 3.0).abs() < 1e-12 && (got.low - 3.0).abs() < 1e-9);
        // A draw of a single column still has two rows.
        assert!((got.high - 3.0).abs() < 1e-9, "{got:?}");
    }
}
