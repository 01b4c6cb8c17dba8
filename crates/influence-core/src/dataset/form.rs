//! What a task reads from the fields of a batch.

/// What the numbers of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Floating-point numbers.
    Float,
    /// Integers.
    Int,
    /// Truth values.
    Bool,
}

/// The kind and rank of a field, samples included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldForm {
    /// What its numbers are.
    pub kind: FieldKind,
    /// How many axes it has, that of the samples included.
    pub rank: usize,
}
