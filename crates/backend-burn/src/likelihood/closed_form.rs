//! A declared loss, perhaps multiplied by weights that were found in the recorded loss.

use burn::tensor::Tensor;
use influence_core::Precision;

use super::{
    factors::{SquareRootFactors, Vectors},
    formulas,
};
use crate::{Error, OutputLoss, Result, product::Product as _, tensors::values};

/// A declared loss, perhaps weighted, at the outputs of a batch.
#[derive(Debug)]
pub(crate) struct ClosedForm {
    pub(crate) loss: OutputLoss,
    /// `(n, c)`.
    pub(crate) outputs: Tensor<2>,
    /// The weights by which it is multiplied, `(n, positions)`; `None` where all are 1.
    pub(crate) weights: Option<Tensor<2>>,
}

impl ClosedForm {
    pub(super) fn square_root_factors(&self) -> Result<SquareRootFactors> {
        let Some(weights) = self.output_weights() else {
            return Ok(SquareRootFactors {
                plus: formulas::square_root_factors(self.loss, &self.outputs)?,
                minus: Box::new(std::iter::empty()),
            });
        };
        let part = |weights: Tensor<2>| -> Result<Vectors> {
            let share = weights.clamp_min(0.0).sqrt();
            let roots = formulas::square_root_factors(self.loss, &self.outputs)?;
            Ok(Box::new(roots.map(move |root| root * share.clone())))
        };
        let minus = if self.least_weight()? < 0.0 {
            part(weights.clone().neg())?
        } else {
            Box::new(std::iter::empty())
        };
        Ok(SquareRootFactors {
            plus: part(weights)?,
            minus,
        })
    }

    pub(super) fn drawn(
        &self,
        seed: u64,
        first_sample: usize,
        precision: Precision,
    ) -> Result<Tensor<2>> {
        let drawn = formulas::drawn(self.loss, &self.outputs, seed, first_sample, precision)?;
        if self.least_weight()? < 0.0 {
            return Err(Error::NotConvex);
        }
        Ok(match self.output_weights() {
            Some(weights) => drawn * weights.sqrt(),
            None => drawn,
        })
    }

    pub(super) fn along(&self, direction: &Tensor<2>) -> Result<Tensor<2>> {
        let product = formulas::along(self.loss, &self.outputs, direction)?;
        Ok(match self.output_weights() {
            Some(weights) => product * weights,
            None => product,
        })
    }

    pub(super) fn scalars(&self) -> usize {
        let weights = self.weights.as_ref();
        self.outputs.shape().num_elements() + weights.map_or(0, |w| w.shape().num_elements())
    }

    pub(super) fn matrices(&self) -> Result<Tensor<3>> {
        let roots = formulas::square_root_factors(self.loss, &self.outputs)?;
        let roots: Vec<Tensor<3>> = roots.map(|root| root.unsqueeze_dim(2)).collect();
        let roots: Tensor<3> = Tensor::cat(roots, 2);
        let weighted = match self.output_weights() {
            Some(weights) => roots.clone() * weights.unsqueeze_dim(2),
            None => roots.clone(),
        };
        Ok(weighted.product(roots.swap_dims(1, 2)))
    }

    /// The weights of the loss, `(n, positions)`.
    pub(crate) fn found_weights(&self) -> Result<Tensor<2>> {
        if let Some(weights) = &self.weights {
            return Ok(weights.clone());
        }
        let form = formulas::form(self.loss, self.outputs.dims()[1])?;
        let positions = form.map_or(1, |(_, positions)| positions);
        Ok(self.outputs.clone().narrow(1, 0, positions).ones_like())
    }

    /// The weight of each output, `(n, c)`.
    fn output_weights(&self) -> Option<Tensor<2>> {
        let weights = self.weights.clone()?;
        let ([n, width], positions) = (self.outputs.dims(), weights.dims()[1]);
        let spread: Tensor<3> = weights.unsqueeze_dim(2);
        let spread = spread.repeat_dim(2, width / positions.max(1));
        Some(spread.reshape([n, width]))
    }

    /// The smallest weight.
    fn least_weight(&self) -> Result<f64> {
        let Some(weights) = &self.weights else {
            return Ok(1.0);
        };
        let weights = values(weights)?;
        Ok(weights.into_iter().fold(f64::INFINITY, f64::min))
    }
}
