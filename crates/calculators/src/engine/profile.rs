use std::sync::OnceLock;

use influence_core::{Dataset, FactorForm, Footprint, InfluenceModel, Precision, ScoreAxis};

use super::{guard::core_step, runner::Runner};
use crate::{Error, Result, Step, Workload};

/// Samples used to measure the footprint of one.
const SAMPLES: usize = 2;

/// Facts about a model that the plan and the output need before the first number.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// The number of parameters, and the length of a factor.
    pub(crate) dim: usize,
    pub(crate) factor_len: usize,
    pub(crate) precision: Precision,
    pub(crate) footprint: Footprint,
    /// The axes of scores beyond those of test and train points.
    pub(crate) axes: Vec<ScoreAxis>,
}

impl Profile {
    /// Measures the model on a few samples; it may live in a worker thread. Without samples,
    /// vectors are taken for dense ones.
    pub(crate) fn measure<M: InfluenceModel>(
        runner: &dyn Runner<Model = M>,
        data: Option<&dyn Dataset<Batch = M::Batch>>,
        form: FactorForm,
    ) -> Result<Self> {
        let found = OnceLock::new();
        // As a task, since a replica exists only in the threads that run tasks.
        runner.run(1, 1, &|model, _| {
            core_step(|| Step::Planning, || Self::of(model, data, form))
                .map(|profile| found.get_or_init(|| profile))
                .map(drop)
        })?;
        found.into_inner().ok_or(Error::Skipped {
            step: Step::Planning,
        })
    }

    fn of<M: InfluenceModel>(
        model: &M,
        data: Option<&dyn Dataset<Batch = M::Batch>>,
        form: FactorForm,
    ) -> influence_core::Result<Self> {
        let (factor_len, precision) = (model.factor_len(), model.precision());
        let dense = Footprint::dense(factor_len, precision);
        let (axes, footprint) = match data {
            None => (Vec::new(), dense),
            Some(data) => {
                let sample = data.batch(0..data.len().min(SAMPLES))?;
                let axes = model.axes(&sample)?;
                match data.len() {
                    0 => (axes, dense),
                    _ => (axes, model.footprint(&sample, form)?),
                }
            }
        };
        Ok(Self {
            dim: model.dim(),
            factor_len,
            precision,
            footprint,
            axes,
        })
    }

    /// Where the points of a side, test or train, may be groups of samples.
    pub(crate) fn of_groups(self, sides: [bool; 2]) -> Self {
        let (dim, precision) = (self.dim, self.precision);
        Self {
            footprint: self.footprint.of_groups(sides, dim, precision),
            ..self
        }
    }

    /// The work of a matrix of this shape.
    pub(crate) fn workload(&self, shape: [usize; 2]) -> Workload {
        Workload {
            shape,
            footprint: self.footprint,
            numbers: self.axes.iter().map(|axis| axis.len).product(),
        }
    }
}
