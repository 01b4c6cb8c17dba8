use std::sync::OnceLock;

use influence_core::{InfluenceModel, Precision};

use super::core_step;
use crate::{Calculator, Error, Result, Step};

/// What must be known of a model before the first number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) dim: usize,
    pub(crate) precision: Precision,
}

impl Traits {
    pub(crate) fn bytes_per_factor(self) -> usize {
        self.dim.saturating_mul(bytes(self.precision))
    }
}

pub(crate) fn bytes(precision: Precision) -> usize {
    match precision {
        Precision::F32 => 4,
        Precision::F64 => 8,
    }
}

/// Asks the model for its traits; it may live in a worker thread.
pub(crate) fn traits<M: InfluenceModel>(calculator: &dyn Calculator<Model = M>) -> Result<Traits> {
    let found = OnceLock::new();
    calculator.run(1, &|model, _| {
        let traits = || {
            Ok(Traits {
                dim: model.dim(),
                precision: model.precision(),
            })
        };
        core_step(|| Step::Planning, traits)
            .map(|traits| found.get_or_init(|| traits))
            .map(drop)
    })?;
    found.into_inner().ok_or(Error::Skipped {
        step: Step::Planning,
    })
}
