use std::sync::OnceLock;

use influence_core::{Dataset, FactorForm, Footprint, InfluenceModel, Precision, ScoreAxis};

use super::core_step;
use crate::{Calculator, Error, Result, Step, Workload};

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

impl Traits {
    /// The work of a matrix of this shape.
    pub(crate) fn workload(&self, shape: [usize; 2]) -> Workload {
        Workload {
            shape,
            footprint: self.footprint,
            numbers: self.axes.iter().map(|axis| axis.len).product(),
        }
    }
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
            let footprint = match data.len() {
                0 => Footprint::dense(dim, precision),
                _ => model.footprint(&sample, form)?,
            };
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
