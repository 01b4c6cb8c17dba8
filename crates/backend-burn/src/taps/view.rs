//! Views: tensors whose entries are those of parameters, moved step by step.

use std::ops::Range;

/// What one parameter gives to a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParameterView {
    pub(crate) parameter: usize,
    /// The entries of the parameter that the steps start from, in its order; `None` for all.
    pub(crate) entries: Option<Range<usize>>,
    /// A reshape is no step as long as the entries are in the order of the parameter.
    pub(crate) steps: Vec<ViewStep>,
    /// Whether the matrix in its last two axes is the transpose of the parameter; `None` where it
    /// is another matrix.
    transposed: Option<bool>,
}

/// One step to a view, with what is needed to undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ViewStep {
    Reshape {
        from: Vec<usize>,
    },
    Permute {
        axes: Vec<usize>,
    },
    /// The ranges of each axis of a tensor of this shape.
    Slice {
        from: Vec<usize>,
        ranges: Vec<Range<usize>>,
    },
    /// Its place in a tensor that is joined along an axis of this and others.
    Part {
        axis: usize,
        range: Range<usize>,
    },
    /// Copies along the axes in which this shape has length 1; the rank stays.
    Expand {
        from: Vec<usize>,
    },
    /// Entries along an axis of a tensor of this shape, by the constant indices that the operation
    /// of this number reads.
    Select {
        operation: usize,
        axis: usize,
        from: Vec<usize>,
    },
    /// Rows of a table `(entries, width)`, by the constant indices that the operation of this
    /// number reads.
    Embedding {
        operation: usize,
        entries: usize,
        width: usize,
    },
}

impl ParameterView {
    /// A parameter as it is.
    pub(crate) fn whole(parameter: usize) -> Self {
        Self {
            parameter,
            entries: None,
            steps: Vec::new(),
            transposed: Some(false),
        }
    }

    /// Whether it holds the values of the parameter in their order.
    pub(crate) fn keeps_order(&self) -> bool {
        self.entries.is_none() && self.steps.is_empty()
    }

    /// Whether the parameter is a matrix and this its transpose or itself; `None` where it is
    /// anything else.
    pub(crate) fn transposed(&self) -> Option<bool> {
        self.transposed
    }

    /// Whether only a part of the parameter is in it, or others are beside it.
    pub(crate) fn is_partial(&self) -> bool {
        let partial =
            |step: &ViewStep| matches!(step, ViewStep::Slice { .. } | ViewStep::Part { .. });
        self.entries.is_some() || self.steps.iter().any(partial)
    }

    /// The view after one more step.
    pub(super) fn then(mut self, step: ViewStep) -> Self {
        self.transposed = self.transposed.and_then(|transposed| match &step {
            ViewStep::Permute { axes } => swaps_matrix(axes).map(|swaps| transposed ^ swaps),
            _ => None,
        });
        self.steps.push(step);
        self
    }

    /// The view in another shape.
    pub(super) fn reshaped(mut self, from: &[usize], to: &[usize]) -> Self {
        // A reshape keeps the matrix only if it adds or drops leading axes of length 1.
        let same_matrix = without_leading_ones(from) == without_leading_ones(to);
        self.transposed = self.transposed.filter(|_| same_matrix);
        match self.steps.last() {
            None => {}
            Some(ViewStep::Reshape { from: before }) if before == to => {
                self.steps.pop();
            }
            Some(_) => self.steps.push(ViewStep::Reshape {
                from: from.to_vec(),
            }),
        }
        self
    }

    /// What is in the given ranges of the axes; `None` if nothing is.
    pub(super) fn sliced(mut self, from: &[usize], ranges: &[Range<usize>]) -> Option<Self> {
        let all = |axis: usize| ranges[axis] == (0..from[axis]);
        if (0..from.len()).all(all) {
            return Some(self);
        }
        if self.steps.is_empty()
            && let Some(range) = contiguous(from, ranges)
        {
            let start = self.entries.map_or(0, |entries| entries.start);
            self.entries = Some(start + range.start..start + range.end);
            self.transposed = None;
            return Some(self);
        }
        if let Some(ViewStep::Part { axis, range }) = self.steps.last()
            && (0..from.len()).all(|other| other == *axis || all(other))
        {
            let (kept, own) = (&ranges[*axis], range.clone());
            if own.end <= kept.start || kept.end <= own.start {
                return None;
            }
            if kept.start <= own.start && own.end <= kept.end {
                let range = own.start - kept.start..own.end - kept.start;
                let (axis, alone) = (*axis, own == *kept);
                self.steps.pop();
                return Some(if alone {
                    self
                } else {
                    self.then(ViewStep::Part { axis, range })
                });
            }
        }
        let (from, ranges) = (from.to_vec(), ranges.to_vec());
        Some(self.then(ViewStep::Slice { from, ranges }))
    }

    /// Whether its entries along an axis are copies of one another, or chosen by constant indices
    /// of their own where `lookups` count.
    pub(super) fn is_apart_along(&self, mut axis: usize, lookups: bool) -> bool {
        for step in self.steps.iter().rev() {
            match step {
                ViewStep::Permute { axes } => axis = axes[axis],
                ViewStep::Expand { from } if from[axis] == 1 => return true,
                ViewStep::Expand { .. } => {}
                ViewStep::Part { axis: joined, .. } if *joined != axis => {}
                ViewStep::Embedding { .. } => return lookups && axis == 0,
                _ => return false,
            }
        }
        false
    }
}

/// The entries of a tensor that are in the given ranges of its axes, if they follow one another.
fn contiguous(shape: &[usize], ranges: &[Range<usize>]) -> Option<Range<usize>> {
    let (mut start, mut length) = (0, 1);
    let mut whole = true;
    for (&side, range) in shape.iter().zip(ranges) {
        // After an axis of which several entries are taken, all axes must be whole.
        let fits = length == 1 || *range == (0..side);
        whole &= fits;
        start = start * side + range.start;
        length *= range.len();
    }
    whole.then_some(start..start + length)
}

/// The shape of the tensor without leading axes of length 1, but for the last two.
pub(crate) fn without_leading_ones(shape: &[usize]) -> &[usize] {
    let leading = shape.iter().take_while(|&&side| side == 1).count();
    &shape[leading.min(shape.len().saturating_sub(2))..]
}

/// Whether a permutation swaps the last two axes; `None` when it moves others.
pub(crate) fn swaps_matrix(axes: &[usize]) -> Option<bool> {
    let last = axes.len().checked_sub(1)?;
    let kept = |count: usize| {
        axes[..count]
            .iter()
            .enumerate()
            .all(|(axis, &from)| axis == from)
    };
    if kept(axes.len()) {
        Some(false)
    } else {
        kept(last.saturating_sub(1)).then_some(true)
    }
}
