//! From measurements at the end of a training back to its beginning.

use burn::tensor::Tensor;
use influence_core::{GradientSource, Result as CoreResult};
use ndarray::Array2;

use super::{
    states::FollowedTraining,
    update::{Adjoints, StepState},
};
use crate::{
    Batch, FitStep, Gradients, ModelGradients, Stack, curvature::DirectionalDerivatives,
    tensors::array2, trace::Function,
};

impl FollowedTraining {
    /// The influence `−n ∂m_j/∂w_i` of each of the `n` training samples on the measurement of each
    /// of `k` test points, `(k, n)`, or of `k` sums of them; `measured` takes the model at the end
    /// and gives the gradients of the measurements, `(k, dim)`.
    pub(super) fn influences(
        &self,
        measured: impl FnOnce(&ModelGradients) -> CoreResult<Stack>,
    ) -> CoreResult<Array2<f64>> {
        let measured = measured(&self.source.moved_to(&self.end.parameters)?)?;
        let mut influences = Array2::zeros((measured.vectors().len(), self.descent.samples));
        let mut adjoints = self.descent.rule.adjoints(measured.tensor());
        let steps = self.descent.steps.len();
        for (undone, state) in self.backwards().enumerate() {
            let (step, state) = state?;
            self.watch.fitting(FitStep::Steps, undone, steps);
            self.undo(step, &state, &mut adjoints, &mut influences)?;
        }
        self.watch.fitting(FitStep::Steps, steps, steps);
        Ok(influences)
    }

    /// Takes the adjoints from behind a step to before it, and adds what its samples owe to it.
    fn undo(
        &self,
        step: usize,
        state: &StepState,
        adjoints: &mut Adjoints,
        influences: &mut Array2<f64>,
    ) -> CoreResult<()> {
        let (descent, batch) = (&self.descent, self.batch(step)?);
        let source = self.source.moved_to(&state.parameters)?;
        let gradient = if descent.rule.needs_gradient() {
            Some(self.gradient(&source, state, &batch)?)
        } else {
            None
        };
        let taken = &descent.steps[step];
        let known = (state, gradient);
        let by_gradient = descent
            .rule
            .back(adjoints, known, taken.learning_rate, step + 1);

        let DirectionalDerivatives { products, slopes } = source.along(&batch, &by_gradient)?;
        let slopes = array2(&slopes)?;
        let scale = descent.samples as f64 / batch.len() as f64;
        for (slopes, &sample) in slopes.columns().into_iter().zip(&taken.batch) {
            influences.column_mut(sample).scaled_add(-scale, &slopes);
        }

        let mut moved = products.div_scalar(batch.len() as f64);
        if descent.weight_decay > 0.0 {
            moved = moved + by_gradient.mul_scalar(descent.weight_decay);
        }
        adjoints.parameters = adjoints.parameters.clone() + moved;
        Ok(())
    }
}

impl ModelGradients {
    /// What the losses of a batch say along rows `(k, dim)`: the products with the sum of their
    /// Hessians, and the inner products with the gradient of each.
    fn along(&self, batch: &Batch, rows: &Tensor<2>) -> CoreResult<DirectionalDerivatives> {
        let all: Vec<usize> = (0..self.layout().parameters().len()).collect();
        let places = |&parameter: &usize| Some(self.layout().columns(parameter));
        let places: Vec<_> = all.iter().map(places).collect();
        let linearised = self.linearised(batch, true)?;
        if let Some(along) = linearised.and_then(|it| it.along(rows, &places)) {
            return Ok(along);
        }
        let graph = self.trace.graph(Function::Loss, batch)?;
        let gradients = self.gradients(batch)?;
        let others = Gradients::dense(rows.clone());
        Ok(DirectionalDerivatives {
            products: self.engine.hessian_products(&graph, batch, &all, rows)?,
            slopes: gradients.scores(&others),
        })
    }
}
