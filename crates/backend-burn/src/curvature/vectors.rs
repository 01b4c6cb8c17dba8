//! The vectors whose outer products add up to a curvature.

use std::sync::Arc;

use influence_core::Result as CoreResult;

use super::{
    Curvature,
    batches::{BatchValue, CurvatureBatches},
};
use crate::{
    Batch, Error, Gradients, ModelGradients, Result, likelihood::SquareRootFactors, trace::Function,
};

/// Vectors whose outer products add up to a curvature: those that are added, less those that are
/// taken away.
#[derive(Debug)]
pub(crate) struct SignedVectors {
    pub(crate) plus: Vec<Gradients>,
    pub(crate) minus: Vec<Gradients>,
}

impl SignedVectors {
    fn added(plus: Vec<Gradients>) -> Self {
        Self {
            plus,
            minus: Vec::new(),
        }
    }

    /// All vectors, if none are taken away.
    pub(crate) fn definite(&self) -> Result<&[Gradients]> {
        if self.minus.is_empty() {
            Ok(&self.plus)
        } else {
            Err(Error::NotConvex)
        }
    }

    /// Each vector with its sign.
    pub(crate) fn signed(&self) -> impl Iterator<Item = (f64, &Gradients)> {
        let plus = self.plus.iter().map(|vectors| (1.0, vectors));
        plus.chain(self.minus.iter().map(|vectors| (-1.0, vectors)))
    }
}

impl ModelGradients {
    /// [Checks](Self::checked) the functions that a curvature needs.
    ///
    /// # Errors
    /// [`Error::NoOutputs`] when it needs outputs and the task declares none.
    pub(crate) fn checked_for(self, curvature: Curvature, sample: &Batch) -> Result<Self> {
        let functions = [Function::Loss, Function::Measurement, Function::Outputs];
        let count = if curvature.needs_outputs() { 3 } else { 2 };
        let checked = self.checked(&functions[..count], sample);
        checked.map_err(|error| match error {
            Error::Undeclared => Error::NoOutputs {
                curvature: curvature.name(),
            },
            other => other,
        })
    }

    /// The vectors `v` for which a curvature is the mean over samples of `Σ v vᵀ`: gradients with
    /// the true labels, or gradients `Jᵀ u` of weighted outputs, one for each output or each draw
    /// of labels. The batch begins at sample `first_sample`.
    pub(crate) fn curvature_vectors(
        &self,
        curvature: Curvature,
        batch: &Batch,
        first_sample: usize,
    ) -> Result<SignedVectors> {
        if matches!(curvature, Curvature::Hessian | Curvature::EmpiricalFisher) {
            let gradients = self.gradients_of(Function::Loss, batch, None)?;
            return Ok(SignedVectors::added(vec![gradients]));
        }
        let Curvature::Fisher { draws, seed } = curvature else {
            let of = |cotangent| self.gradients_of(Function::Outputs, batch, Some(&cotangent));
            let SquareRootFactors { plus, minus } =
                self.output_hessian(batch)?.square_root_factors()?;
            return Ok(SignedVectors {
                plus: plus.map(of).collect::<Result<_>>()?,
                minus: minus.map(of).collect::<Result<_>>()?,
            });
        };
        let drawn = self.drawn_vectors([draws as u64, seed], batch, first_sample)?;
        Ok(SignedVectors::added(drawn))
    }

    /// The gradients of outputs that are drawn, so that the mean of their outer products is the
    /// Fisher matrix.
    fn drawn_vectors(
        &self,
        [draws, seed]: [u64; 2],
        batch: &Batch,
        first_sample: usize,
    ) -> Result<Vec<Gradients>> {
        if draws == 1 {
            let draw = |outputs| {
                let hessian = self.output_hessian_at(batch, outputs)?;
                hessian.drawn(seed, first_sample, self.precision)
            };
            return Ok(vec![self.gradients_of_outputs(batch, &draw)?]);
        }
        let hessian = self.output_hessian(batch)?;
        #[expect(clippy::cast_precision_loss, reason = "draws are few")]
        let share = 1.0 / (draws as f64).sqrt();
        let of_draw = |draw| {
            let seed = seed.wrapping_add(draw);
            let drawn = hessian.drawn(seed, first_sample, self.precision)? * share;
            self.gradients_of(Function::Outputs, batch, Some(&drawn))
        };
        (0..draws).map(of_draw).collect()
    }
}

/// The vectors `v` of which a curvature is the sum of outer products `Σ v vᵀ / n`: gradients for
/// the empirical Fisher, weighted output gradients, one per output or draw and sample, for
/// Gauss-Newton and the Fisher matrix. Where a loss is not convex in the outputs, some of the
/// products are taken away.
///
/// They are kept in their thin form.
pub(crate) type SampleVectors = CurvatureBatches<Arc<SignedVectors>>;

impl SampleVectors {
    /// The same vectors, or those of other labels where labels are drawn, without a cache.
    pub(crate) fn redrawn(self: &Arc<Self>) -> Arc<Self> {
        let Curvature::Fisher { draws, seed } = self.curvature else {
            return Arc::clone(self);
        };
        let seed = seed.wrapping_add(draws as u64);
        let other = Curvature::Fisher { draws, seed };
        Arc::new(Self::new(other, self.source.clone(), self.data.clone(), 0))
    }
}

impl BatchValue for Arc<SignedVectors> {
    fn compute(batches: &SampleVectors, part: usize) -> CoreResult<Self> {
        let (batch, first) = (batches.data.batch(part)?, batches.data.first(part));
        let vectors = batches
            .source
            .curvature_vectors(batches.curvature, &batch, first)?;
        Ok(Self::new(vectors))
    }

    fn bytes(&self, _batches: &SampleVectors) -> usize {
        let bytes = self.signed().map(|(_, vectors)| vectors.bytes());
        bytes.sum()
    }
}
