//! How solving went, row by row: the one place that lists all statuses.

use std::fmt::{self, Display};

/// How the solution of one row went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Operator applications spent on the row; 0 for a direct method.
    pub iterations: usize,
    /// The true relative residual `‖b − A x‖ / ‖b‖` of the matrix that the method inverts, an
    /// estimate from above where the status is [`Approximate`](Status::Approximate); 0 where
    /// `b = 0`.
    pub residual: f64,
    /// How it ended.
    pub status: Status,
}

/// How the solution of one row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Solved to the tolerance.
    Converged,
    /// Solved within an approximation, such as a low-rank one, that the residual is an upper
    /// estimate of.
    Approximate,
    /// Solved, but the matrix is not positive definite: factors may point uphill.
    Indefinite {
        /// How many eigenvalues are negative.
        negative: usize,
    },
    /// Solved as exactly as the precision of the rows allows, though not to the tolerance that was
    /// asked for: the residual is what rounding leaves.
    Rounded,
    /// Not solved: the iterations ran out.
    IterationLimit,
    /// Not solved: the operator curves downwards along a search direction.
    NegativeCurvature,
    /// Not solved: along some direction the matrix is zero to rounding.
    Breakdown,
    /// Not solved: the residual no longer falls, and beginning again from where it is does not
    /// help.
    Stagnated,
    /// Not solved: the iteration grew without bound.
    Diverged,
    /// Not solved: numbers of the factor, or of the influences that come of it, are not finite.
    NotFinite,
}

impl Status {
    /// The names of statuses, each at the position of its [`code`](Self::code), as outputs carry
    /// them. No status has the code 7, which stood for any other in early outputs.
    pub const NAMES: [&'static str; 11] = [
        "converged",
        "indefinite",
        "iteration_limit",
        "negative_curvature",
        "breakdown",
        "approximate",
        "diverged",
        Self::OTHER,
        "rounded",
        "stagnated",
        "not_finite",
    ];
    const OTHER: &'static str = "other";

    /// The number that stands for the status in an output; numbers of earlier versions keep their
    /// meaning.
    pub const fn code(self) -> u8 {
        // Without a catch-all, so that a new status does not compile before it has a number.
        match self {
            Self::Converged => 0,
            Self::Indefinite { .. } => 1,
            Self::IterationLimit => 2,
            Self::NegativeCurvature => 3,
            Self::Breakdown => 4,
            Self::Approximate => 5,
            Self::Diverged => 6,
            Self::Rounded => 8,
            Self::Stagnated => 9,
            Self::NotFinite => 10,
        }
    }

    /// The name, in lower case with underscores: `iteration_limit`.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.code() as usize]
    }

    /// The name of the status with this code, `other` for a code that none has.
    pub fn name_of(code: u8) -> &'static str {
        let name = Self::NAMES.get(usize::from(code));
        name.copied().unwrap_or(Self::OTHER)
    }

    /// How far the row is from solved: 0 solved to the tolerance, 1 within an approximation, 2 with
    /// reservations, 3 unsolved.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::Approximate => 1,
            Self::Indefinite { .. } | Self::Rounded => 2,
            Self::IterationLimit
            | Self::NegativeCurvature
            | Self::Breakdown
            | Self::Stagnated
            | Self::Diverged
            | Self::NotFinite => UNSOLVED,
        }
    }

    /// Whether the row solves its equation.
    pub fn is_solved(self) -> bool {
        self.severity() < UNSOLVED
    }
}

/// The severity of rows that are not solved.
const UNSOLVED: u8 = 3;

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged => write!(f, "converged"),
            Self::Approximate => write!(
                f,
                "solved within an approximation; a higher rank brings it nearer"
            ),
            Self::Indefinite { negative } => write!(
                f,
                "solved an indefinite system with {negative} negative eigenvalues; raise the damping above the size of the most negative one \
                 (those of the Hessian may have any size, those of other curvatures only that of rounding)"
            ),
            Self::Rounded => write!(
                f,
                "solved as exactly as the precision allows, not to rtol; loosen rtol, or use 64-bit precision"
            ),
            Self::IterationLimit => write!(
                f,
                "iteration limit reached; allow more (max_iterations, with lissa depth and repeats), loosen rtol, raise the damping, or use cg with a preconditioner"
            ),
            Self::NegativeCurvature => write!(
                f,
                "negative curvature met, the damped curvature is indefinite; raise the damping, or use the direct solver \
                 (eigenvalues of the Hessian may be negative by any size, those of other curvatures only by rounding)"
            ),
            Self::Diverged => write!(
                f,
                "diverged; raise the scale above the largest eigenvalue that a batch may have, or raise the damping"
            ),
            Self::Breakdown => write!(
                f,
                "breakdown, the damped curvature is zero to rounding along some direction; raise the damping, or use 64-bit precision"
            ),
            Self::Stagnated => write!(
                f,
                "stagnated, the residual falls no further in this precision; loosen rtol, raise the damping, or use 64-bit precision"
            ),
            Self::NotFinite => write!(
                f,
                "not finite, numbers overflowed; compute in 64 bits (precision = \"f64\"), or bring the inputs to a common scale (data.scale = \"standard\")"
            ),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status == Status::NotFinite {
            return Display::fmt(&self.status, f);
        }
        write!(f, "relative residual {:.1e}", self.residual)?;
        if self.iterations > 0 {
            write!(f, " after {} iterations", self.iterations)?;
        }
        write!(f, ": {}", self.status)
    }
}

/// The reports on rows that are solved part by part: those on the parts so far, and on one more.
pub(crate) fn of_parts(so_far: Option<Vec<Report>>, part: Vec<Report>) -> Vec<Report> {
    let Some(so_far) = so_far else {
        return part;
    };
    let pairs = so_far.into_iter().zip(part);
    pairs.map(|(so_far, part)| so_far.with_part(part)).collect()
}

impl Report {
    /// The report on a row of which another part was solved, too: the more severe status, the
    /// larger residual, iterations and negative eigenvalues added.
    fn with_part(self, other: Self) -> Self {
        let status = match (self.status, other.status) {
            (Status::Indefinite { negative }, Status::Indefinite { negative: more }) => {
                Status::Indefinite {
                    negative: negative + more,
                }
            }
            (first, second) if first.severity() < second.severity() => second,
            (first, _) => first,
        };
        Self {
            iterations: self.iterations + other.iterations,
            residual: self.residual.max(other.residual),
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 10] = [
        Status::Converged,
        Status::Approximate,
        Status::Indefinite { negative: 2 },
        Status::Rounded,
        Status::IterationLimit,
        Status::NegativeCurvature,
        Status::Breakdown,
        Status::Stagnated,
        Status::Diverged,
        Status::NotFinite,
    ];

    #[test]
    fn every_status_has_a_code_and_a_name_of_its_own() {
        let mut codes: Vec<u8> = ALL.iter().map(|status| status.code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
        for status in ALL {
            assert_eq!(Status::name_of(status.code()), status.name());
            assert_ne!(status.name(), Status::OTHER);
        }
        assert_eq!(Status::name_of(7), "other");
        assert_eq!(Status::name_of(u8::MAX), "other");
    }
}
