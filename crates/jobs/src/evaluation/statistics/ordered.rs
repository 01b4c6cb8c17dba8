/// Values with their order, of which each counts several times or not at all.
#[derive(Debug)]
pub(super) struct Ordered {
    values: Vec<f64>,
    order: Vec<usize>,
}

impl Ordered {
    pub(super) fn new(values: Vec<f64>) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        Self { values, order }
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// The places of equal values, those of the least value first.
    pub(super) fn groups(&self) -> impl DoubleEndedIterator<Item = &[usize]> {
        #[expect(
            clippy::float_cmp,
            reason = "ties are values with the same bits but for signs of zero"
        )]
        self.order
            .chunk_by(|&a, &b| self.values[a] == self.values[b])
    }

    /// The rank of each value, counted from 1; ties have the mean of their ranks.
    pub(super) fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let mut ranks = vec![0.0; self.values.len()];
        let mut before = 0.0;
        for group in self.groups() {
            let count: f64 = group.iter().map(|&place| weights[place]).sum();
            for &place in group {
                ranks[place] = before + f64::midpoint(count, 1.0);
            }
            before += count;
        }
        ranks
    }
}
