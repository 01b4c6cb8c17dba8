use std::io;

use influence_calculators::Error;
use serde::Serialize;

/// An order that was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{error:#}")]
pub struct Refusal {
    /// What kind of failure it is.
    pub kind: RefusalKind,
    /// What is wrong, and where.
    pub error: anyhow::Error,
}

/// What kind of failure it is: whoever hands out the work decides by it whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The line is not an order.
    Order,
    /// The configuration or the files do not fit, or the fit failed.
    Input,
    /// Test points were not solved.
    Unsolved,
    /// There is not enough memory.
    Memory,
    /// A file or a store could not be read or written: the one kind that may go away by itself.
    Storage,
    /// The computation failed otherwise.
    Computation,
}

impl Refusal {
    pub(super) fn of_order(error: anyhow::Error) -> Self {
        let kind = RefusalKind::Order;
        Self { kind, error }
    }

    pub(super) fn of_input(error: anyhow::Error) -> Self {
        let kind = RefusalKind::Input;
        Self { kind, error }
    }

    pub(super) fn of_work(error: anyhow::Error) -> Self {
        let kind = kind(&error);
        Self { kind, error }
    }
}

fn kind(error: &anyhow::Error) -> RefusalKind {
    let of_cause = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Error>() {
        Some(Error::Unsolved { .. }) => Some(RefusalKind::Unsolved),
        Some(Error::Memory { .. }) => Some(RefusalKind::Memory),
        Some(Error::Store { .. }) => Some(RefusalKind::Storage),
        _ => cause.is::<io::Error>().then_some(RefusalKind::Storage),
    };
    error
        .chain()
        .find_map(of_cause)
        .unwrap_or(RefusalKind::Computation)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn only_files_and_stores_may_be_tried_again() {
        let lost = anyhow::Error::from(io::Error::other("the disk is gone")).context("values");
        assert_eq!(Refusal::of_work(lost).kind, RefusalKind::Storage);
        let memory = Error::Memory {
            granted: 1,
            needed: 2,
        };
        let memory: anyhow::Result<()> = Err(memory).context("compute");
        assert_eq!(
            Refusal::of_work(memory.expect_err("one")).kind,
            RefusalKind::Memory
        );
        assert_eq!(
            Refusal::of_work(anyhow!("else")).kind,
            RefusalKind::Computation
        );
    }
}
