/// The name and the dimensions of the array of an output: all in which kinds of outputs differ.
///
/// A grid of chunks has two dimensions. An array has the first of them or both, and after them the
/// axes of a score. A new kind of output is another value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrayLayout {
    /// The name of the array, and of the kind in the attributes.
    pub(crate) name: &'static str,
    /// The dimensions of the grid that the array has.
    pub(crate) dimensions: &'static [&'static str],
    /// How many of them, from the first, have a coordinate. Parameters have none: they are many and
    /// have no names.
    coordinates: usize,
}

/// Influences `(k, n)`.
pub(crate) const INFLUENCES: ArrayLayout = ArrayLayout {
    name: "influences",
    dimensions: &["test", "train"],
    coordinates: 2,
};

/// Factors `(k, dim)`.
pub(crate) const FACTORS: ArrayLayout = ArrayLayout {
    name: "factors",
    dimensions: &["test", "parameter"],
    coordinates: 1,
};

/// Self-influences `(n)`; their grid has one column, which the array lacks.
pub(crate) const SELF_INFLUENCES: ArrayLayout = ArrayLayout {
    name: "self_influences",
    dimensions: &["train"],
    coordinates: 1,
};

/// Every kind of output.
pub(crate) const KINDS: [ArrayLayout; 3] = [INFLUENCES, FACTORS, SELF_INFLUENCES];

impl ArrayLayout {
    /// The dimensions that have a coordinate.
    pub(crate) fn coordinates(&self) -> &'static [&'static str] {
        &self.dimensions[..self.coordinates]
    }
}
