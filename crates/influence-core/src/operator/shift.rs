use std::ops::Range;

use ndarray::Array1;

use crate::{Error, Result, Rows};

/// What is added to the diagonal of a mean curvature: λ, or a λ for each of several groups of
/// columns.
///
/// # Examples
/// ```
/// use influence_core::operator::{Damped, LinearOperator, Matrix, Shift};
/// use ndarray::array;
///
/// let weight_and_bias = Shift::by_columns(vec![(0..1, 0.5), (1..2, 0.0)])?;
/// let damped = Damped::new(Matrix::new(array![[2.0, 1.0], [1.0, 2.0]])?, weight_and_bias)?;
/// assert_eq!(damped.to_dense()?, array![[2.5, 1.0], [1.0, 2.0]]);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Shift(ColumnGroups);

#[derive(Debug, Clone, PartialEq)]
enum ColumnGroups {
    /// All columns.
    All(f64),
    /// Each λ with its columns, which together are all.
    Several(Vec<(f64, Vec<Range<usize>>)>),
}

impl From<f64> for Shift {
    fn from(lambda: f64) -> Self {
        Self(ColumnGroups::All(lambda))
    }
}

impl Shift {
    /// A λ for each range of columns; ranges follow each other from 0 on.
    ///
    /// # Errors
    /// [`Error::Setting`] when a λ is negative or not finite, or there are no ranges,
    /// [`Error::Shape`] when the ranges do not follow each other.
    pub fn by_columns(ranges: Vec<(Range<usize>, f64)>) -> Result<Self> {
        let mut end = 0;
        let mut groups: Vec<(f64, Vec<Range<usize>>)> = Vec::new();
        for (range, lambda) in ranges {
            Error::check_size("damping", "first column", end, range.start)?;
            end = range.end;
            check(lambda)?;
            match groups
                .iter_mut()
                .find(|(of, _)| of.total_cmp(&lambda).is_eq())
            {
                None => groups.push((lambda, vec![range])),
                Some((_, ranges)) => ranges.push(range),
            }
        }
        match &groups[..] {
            [] => Err(Error::Setting {
                name: "damping",
                requirement: "given for at least one column",
                got: "none".into(),
            }),
            [(lambda, _)] => Ok(Self::from(*lambda)),
            _ => Ok(Self(ColumnGroups::Several(groups))),
        }
    }

    /// λ, if it is the same for all columns.
    pub fn uniform(&self) -> Option<f64> {
        match &self.0 {
            ColumnGroups::All(lambda) => Some(*lambda),
            ColumnGroups::Several(_) => None,
        }
    }

    /// λ of each of `dim` columns.
    pub fn values(&self, dim: usize) -> Array1<f64> {
        let ColumnGroups::Several(groups) = &self.0 else {
            return Array1::from_elem(dim, self.uniform().unwrap_or_default());
        };
        let mut values = Array1::zeros(dim);
        for (lambda, ranges) in groups {
            for range in ranges {
                values.slice_mut(ndarray::s![range.clone()]).fill(*lambda);
            }
        }
        values
    }

    /// The mean of λ over `dim` columns.
    pub fn mean(&self, dim: usize) -> f64 {
        self.values(dim).sum() / dim.max(1) as f64
    }

    /// The largest λ.
    pub fn largest(&self) -> f64 {
        match &self.0 {
            ColumnGroups::All(lambda) => *lambda,
            ColumnGroups::Several(groups) => groups.iter().map(|group| group.0).fold(0.0, f64::max),
        }
    }

    pub(super) fn check(&self, dim: usize) -> Result<()> {
        match &self.0 {
            ColumnGroups::All(lambda) => check(*lambda),
            ColumnGroups::Several(groups) => {
                let ends = groups
                    .iter()
                    .flat_map(|group| &group.1)
                    .map(|range| range.end);
                Error::check_size("damping", "columns", dim, ends.max().unwrap_or(0))
            }
        }
    }

    /// `sum + share · x diag(λ)` for each row `x`.
    pub(crate) fn add_product<R: Rows>(&self, sum: &R, share: f64, rows: &R) -> Result<R> {
        let groups = match &self.0 {
            ColumnGroups::All(lambda) => return sum.add_scaled(share * lambda, rows),
            ColumnGroups::Several(groups) => groups,
        };
        let part = |(lambda, ranges): &(f64, Vec<Range<usize>>)| {
            let scales = vec![share * lambda; rows.len()];
            rows.columns(ranges)?.scaled(&scales)
        };
        let parts = groups.iter().map(|group| Ok((&group.1[..], part(group)?)));
        let parts: Vec<_> = parts.collect::<Result<_>>()?;
        sum.add_scaled(1.0, &R::assemble(rows.dim(), &parts)?)
    }
}

/// Checks a damping: λ is finite and not negative whatever the method, and `holds` says whether it
/// meets the rest of the `requirement` of this one.
///
/// # Errors
/// [`Error::Setting`] with the requirement when λ does not meet it.
pub fn check_damping(lambda: f64, holds: bool, requirement: &'static str) -> Result<()> {
    if lambda.is_finite() && lambda >= 0.0 && holds {
        return Ok(());
    }
    Err(Error::Setting {
        name: "damping",
        requirement,
        got: lambda.to_string(),
    })
}

fn check(lambda: f64) -> Result<()> {
    check_damping(lambda, true, "finite and not negative")
}
