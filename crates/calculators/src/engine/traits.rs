use std::sync::OnceLock;

use influence_core::{Dataset, FactorForm, Footprint, InfluenceModel, Precision, ScoreAxis};

use super::core_step;
use crate::{Calculator, Error, Plan, Result, Step};

/// The samples that show what one takes.
const SAMPLES: usize = 2;

/// What must be known of a model before the first number.
#[derive(Debug, Clone)]
pub(crate) struct Traits {
    pub(crate) dim: usize,
    pub(crate) precision: Precision,
    pub(crate) footprint: Footprint,
    /// The axes of scores beyond those of test and train points.
    pub(crate) axes: Vec<ScoreAxis>,
}

/// Asks the model for its traits; it may live in a worker thread.
pub(crate) fn traits<M: InfluenceModel>(
    calculator: &dyn Calculator<Model = M>,
    data: &dyn Dataset<Batch = M::Batch>,
    form: FactorForm,
) -> Result<Traits> {
    let found = OnceLock::new();
    calculator.run(1, 1, &|model, _| {
        let traits = || {
            let (dim, precision) = (model.dim(), model.precision());
            let sample = data.batch(0..data.len().min(SAMPLES))?;
            let axes = model.axes(&sample)?;
            let mut footprint = match data.len() {
                0 => Footprint::dense(dim, precision),
                _ => model.footprint(&sample, form)?,
            };
            // A plan counts on one number for each pair.
            let more = axes
                .iter()
                .map(|axis| axis.len)
                .product::<usize>()
                .saturating_sub(1);
            footprint.scoring.per_pair += more.saturating_mul(Plan::DELIVERING);
            Ok(Traits {
                dim,
                precision,
                footprint,
                axes,
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
