use std::sync::OnceLock;

use influence_core::{Dataset, Footprint, InfluenceModel, Precision};

use super::core_step;
use crate::{Calculator, Error, Result, Step};

/// The samples that show what one takes.
const SAMPLES: usize = 2;

/// What must be known of a model before the first number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) dim: usize,
    pub(crate) precision: Precision,
    pub(crate) footprint: Footprint,
}

/// Asks the model for its traits; it may live in a worker thread.
pub(crate) fn traits<M: InfluenceModel>(
    calculator: &dyn Calculator<Model = M>,
    data: &dyn Dataset<Batch = M::Batch>,
) -> Result<Traits> {
    let found = OnceLock::new();
    calculator.run(1, 1, &|model, _| {
        let traits = || {
            let (dim, precision) = (model.dim(), model.precision());
            let footprint = match data.len() {
                0 => Footprint::dense(dim, precision),
                len => model.footprint(&data.batch(0..len.min(SAMPLES))?)?,
            };
            Ok(Traits {
                dim,
                precision,
                footprint,
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
