//! Labels of points.

/// The labels of the points of one side, one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// By numbers.
    Numbers(Vec<i64>),
    /// By text.
    Names(Vec<String>),
}

impl Labels {
    /// The number of labels.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Names(names) => names.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A label as text; the index must be in range.
    pub fn get(&self, index: usize) -> String {
        match self {
            Self::Numbers(numbers) => numbers[index].to_string(),
            Self::Names(names) => names[index].clone(),
        }
    }
}
