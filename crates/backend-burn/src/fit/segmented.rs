//! A training in segments, with the settings of a fit.

use std::sync::Arc;

use influence_core::{
    Dataset, Error as CoreError, Result as CoreResult, SegmentedUnrolling, TrainingSegment,
};

use super::{
    Fit, TracedFit,
    problem::{FitProblem, InversionMethod},
};
use crate::{
    Batch, Kronecker, ModelGradients, Segmentation, Task, TrainingSteps, UpdateRule, tensors::host,
    unrolled::FollowedTraining,
};

/// A training that was followed in segments.
#[derive(Debug)]
pub struct SegmentedTraining {
    /// The influence model.
    pub influence: SegmentedUnrolling<ModelGradients>,
    /// The parameters at the end of the training side by side, in the order of the layout.
    pub trained: Vec<f64>,
}

impl<T: Task> Fit<T> {
    /// The influence model of a training that begins at the parameters of a module as they are now,
    /// with gradients and curvature that are constant in each of some segments: SOURCE (Bae et al.
    /// 2024), see [`SegmentedUnrolling`].
    ///
    /// The curvature of a segment is approximated through [Kronecker
    /// factors](Self::with_kronecker), which are means over its checkpoints. Nothing is damped. The
    /// module is trained in inference mode, as by [`unrolled`](Self::unrolled).
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit) and [`unrolled`](Self::unrolled);
    /// [`Setting`](influence_core::Error::Setting) without Kronecker factors, for an update rule
    /// other than [`Sgd`](UpdateRule::Sgd), or for more checkpoints than there are steps.
    pub fn segmented(
        self,
        module: &T::Module,
        descent: TrainingSteps,
        segmentation: Segmentation,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<SegmentedTraining> {
        let fit = self.traced(module).on(train);
        fit.segmented(descent, segmentation)
    }
}

impl TracedFit {
    /// See [`Fit::segmented`].
    ///
    /// # Errors
    /// Those of [`Fit::segmented`].
    pub fn segmented(
        self,
        descent: TrainingSteps,
        segmentation: Segmentation,
    ) -> CoreResult<SegmentedTraining> {
        let UpdateRule::Sgd { momentum } = descent.rule else {
            return Err(CoreError::Setting {
                name: "update rule",
                requirement: "gradient descent, with or without momentum: the derivative of a segment is known for it alone",
                got: format!("{:?}", descent.rule),
            });
        };
        let problem = self.problem()?;
        let kronecker = problem.kronecker()?;
        problem.begin()?;
        let segments = segmentation.of(descent.steps.len())?;
        let after: Vec<usize> = segments
            .iter()
            .flat_map(|(_, after)| after.clone())
            .collect();
        let rates: Vec<f64> = descent
            .steps
            .iter()
            .map(|step| step.learning_rate)
            .collect();
        let weight_decay = f64::from(descent.weight_decay);
        let (source, watch) = (problem.source.clone(), problem.data.watch.clone());
        let found = FollowedTraining::checkpoints(source, descent, watch, &after)?;
        let trained = match found.last() {
            Some(last) => host(last)?,
            None => Vec::new(),
        };
        let sources = found.iter().map(|values| problem.source.moved_to(values));
        let sources: Vec<ModelGradients> = sources.collect::<Result<_, _>>()?;
        let end = sources.last().unwrap_or(&problem.source).clone();
        let each = segments
            .iter()
            .zip(sources.chunks(segmentation.checkpoints));
        let each = each.map(|((steps, _), checkpoints)| {
            let rates: f64 = rates[steps.clone()].iter().sum();
            let time = rates / (1.0 - f64::from(momentum));
            problem.segment(kronecker, time, checkpoints)
        });
        let segments = each.collect::<CoreResult<_>>()?;
        Ok(SegmentedTraining {
            influence: SegmentedUnrolling::new(end, segments, weight_decay)?,
            trained,
        })
    }
}

impl FitProblem {
    fn kronecker(&self) -> CoreResult<Kronecker> {
        match &self.method {
            InversionMethod::Kronecker(kronecker) => Ok(*kronecker),
            InversionMethod::Solver(_) | InversionMethod::Preconditioned(..) => {
                Err(CoreError::Setting {
                    name: "method",
                    requirement: "Kronecker factors, whose eigenvectors are known",
                    got: self.method.to_string(),
                })
            }
        }
    }

    fn segment(
        &self,
        kronecker: Kronecker,
        time: f64,
        checkpoints: &[ModelGradients],
    ) -> CoreResult<TrainingSegment<ModelGradients>> {
        let factored = self.factored(kronecker, checkpoints)?;
        Ok(TrainingSegment {
            time,
            curvature: self.blocks.iter().cloned().zip(factored).collect(),
            checkpoints: checkpoints.to_vec(),
        })
    }
}
