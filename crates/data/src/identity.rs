use std::sync::Arc;

use influence_core::Labels;

/// Which rows of its files a data set has, and their names.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleIds {
    /// The rows in the files; `None` for all of them in order.
    rows: Option<Arc<[usize]>>,
    /// The name of every row of the files.
    names: Option<Arc<Labels>>,
}

impl SampleIds {
    /// Of all rows, with their names if they have any.
    pub(super) fn new(names: Option<Labels>) -> Self {
        Self {
            rows: None,
            names: names.map(Arc::new),
        }
    }

    /// Of some of the points.
    pub(super) fn select(&self, points: &[usize]) -> Self {
        Self {
            rows: Some(points.iter().map(|&point| self.row(point)).collect()),
            names: self.names.clone(),
        }
    }

    /// Whether there are some of the rows only.
    pub(super) fn is_selected(&self) -> bool {
        self.rows.is_some()
    }

    /// The row of a point in its files.
    pub(super) fn row(&self, point: usize) -> usize {
        self.rows.as_ref().map_or(point, |rows| rows[point])
    }

    /// The name of a point, where it is not just its number.
    pub(super) fn id(&self, point: usize) -> Option<String> {
        let row = self.row(point);
        match (self.names.as_deref(), &self.rows) {
            (Some(names), _) => Some(names.get(row)),
            (None, Some(_)) => Some(row.to_string()),
            (None, None) => None,
        }
    }

    /// The names of the first `len` points, where they are not just their numbers.
    pub(super) fn labels(&self, len: usize) -> Option<Labels> {
        let rows = (0..len).map(|point| self.row(point));
        match (self.names.as_deref(), &self.rows) {
            (Some(Labels::Numbers(numbers)), _) => {
                Some(Labels::Numbers(rows.map(|row| numbers[row]).collect()))
            }
            (Some(Labels::Names(names)), _) => {
                Some(Labels::Names(rows.map(|row| names[row].clone()).collect()))
            }
            (None, Some(_)) => {
                // A row fits any integer that counts.
                let numbers = rows.map(|row| i64::try_from(row).unwrap_or(i64::MAX));
                Some(Labels::Numbers(numbers.collect()))
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_keep_the_names_of_their_rows() {
        let plain = SampleIds::new(None);
        assert_eq!((plain.row(3), plain.id(3)), (3, None));
        assert_eq!(plain.labels(2), None);
        let some = plain.select(&[4, 2, 7]).select(&[2, 0]);
        assert_eq!((some.row(0), some.id(1)), (7, Some("4".to_owned())));
        assert_eq!(some.labels(2), Some(Labels::Numbers(vec![7, 4])));
        let names = Labels::Names(["a", "b", "c"].map(str::to_owned).to_vec());
        let named = SampleIds::new(Some(names)).select(&[2, 1]);
        assert_eq!(named.id(0), Some("c".to_owned()));
        let expected = Labels::Names(vec!["c".into(), "b".into()]);
        assert_eq!(named.labels(2), Some(expected));
    }
}
