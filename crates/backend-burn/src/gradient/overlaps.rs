//! Parts of gradients that have only some of their columns in common.

use std::ops::Range;

use super::{Gradients, ParameterGradient, form::GradientForm};

impl Gradients {
    /// The gradients with parts that have all of their columns in common or none: parts of some
    /// entries of a parameter beside others of it are multiplied out.
    pub(crate) fn without_overlaps(mut self) -> Self {
        let mut ranges: Vec<Range<usize>> = self.columns_of_parts().cloned().collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        ranges.dedup();
        let mut overlapping: Vec<(Range<usize>, usize)> = Vec::new();
        for range in ranges {
            match overlapping.last_mut() {
                Some((whole, count)) if range.start < whole.end => {
                    whole.end = whole.end.max(range.end);
                    *count += 1;
                }
                _ => overlapping.push((range, 1)),
            }
        }
        for (columns, _) in overlapping.into_iter().filter(|(_, count)| *count > 1) {
            let within = |part: &mut ParameterGradient| {
                columns.start <= part.columns.start && part.columns.end <= columns.end
            };
            let parts: Vec<_> = self.parts.extract_if(.., within).collect();
            let alone = |part| Self::new(self.samples, self.dim, self.kind.clone(), vec![part]);
            let rows = parts.into_iter().map(alone);
            let rows = rows.map(|part| part.columns(std::slice::from_ref(&columns)).to_rows());
            let sum = rows.reduce(|sum, rows| sum + rows).map(GradientForm::Rows);
            self.parts
                .extend(sum.map(|form| ParameterGradient::new(columns, form)));
        }
        self
    }
}
