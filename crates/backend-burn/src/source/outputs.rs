//! The second derivative of the loss by the outputs, on a batch.

use burn::tensor::Tensor;

use super::ModelGradients;
use crate::{
    Batch, Error, OutputLoss, Result,
    likelihood::{Derivation, OutputHessian},
    tensors::values,
    trace::{Function, Graph, Head},
};

impl ModelGradients {
    /// The second derivative: that of the declared loss, times weights where the recorded loss has
    /// them, or that of the recorded loss.
    pub(crate) fn output_hessian(&self, batch: &Batch) -> Result<OutputHessian> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        self.output_hessian_at(batch, self.engine.output(&graph, batch)?)
    }

    /// The same, where the outputs are known.
    pub(crate) fn output_hessian_at(
        &self,
        batch: &Batch,
        outputs: Tensor<2>,
    ) -> Result<OutputHessian> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        let head = self.trace.head(batch)?;
        let declared = declared(&graph)?;
        let hessian = self.derivation(&head, batch, outputs).hessian(declared)?;
        let said = self.declared_weights(&graph, batch)?;
        self.compare(&hessian, declared, said.as_ref())?;
        Ok(hessian)
    }

    /// The derivative of the loss of each sample by its outputs, `(n, c)`.
    pub(crate) fn output_slopes(&self, batch: &Batch) -> Result<Tensor<2>> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        let head = self.trace.head(batch)?;
        let outputs = self.engine.output(&graph, batch)?;
        let nowhere = outputs.zeros_like();
        let slopes = self
            .engine
            .head_derivatives(&head, batch, &outputs, &nowhere)?;
        Ok(slopes.first)
    }

    /// Refuses outputs that are not those of the loss, and outputs of which the loss is a linear
    /// function.
    pub(crate) fn with_curved_outputs(self, batch: &Batch) -> Result<Self> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        let head = self.trace.head(batch)?;
        let outputs = self.engine.output(&graph, batch)?;
        self.derivation(&head, batch, outputs).check_curved()?;
        Ok(self)
    }

    fn derivation<'a>(
        &'a self,
        head: &'a Head,
        batch: &'a Batch,
        outputs: Tensor<2>,
    ) -> Derivation<'a> {
        Derivation {
            engine: &*self.engine,
            head,
            batch,
            outputs,
            precision: self.precision,
        }
    }

    /// The weights that the task declares, if it does.
    fn declared_weights(&self, graph: &Graph, batch: &Batch) -> Result<Option<Tensor<2>>> {
        let weighted = graph.declared.as_ref().is_some_and(|said| said.weighted);
        let evaluated = || {
            let graph = self.trace.graph(Function::OutputWeights, batch)?;
            self.engine.output(&graph, batch)
        };
        weighted.then(evaluated).transpose()
    }

    /// Warns where the loss that was found is not the declared one.
    fn compare(
        &self,
        hessian: &OutputHessian,
        declared: OutputLoss,
        said: Option<&Tensor<2>>,
    ) -> Result<()> {
        match (hessian, said) {
            (OutputHessian::Blocks(_), _) if declared != OutputLoss::Derived => {
                self.warn_once(&format!(
                    "the loss is not the {declared:?} that the task declares for its outputs, nor a multiple of it; its second derivative is taken from the recorded loss, which costs more; declare OutputLoss::Derived if that is meant"
                ));
            }
            (OutputHessian::Blocks(_), _) => {}
            (OutputHessian::Closed(closed), Some(said)) => {
                self.compare_weights(said, &closed.found_weights()?)?;
            }
            (OutputHessian::Closed(closed), None) => {
                if let Some(found) = &closed.weights {
                    self.warn_once(&format!(
                        "the loss is the {declared:?} that the task declares for its outputs times {}; the curvature has these factors; declare them with Outputs::with_weights if they are meant",
                        shown(&values(found)?)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Warns if declared weights are not those that were found.
    fn compare_weights(&self, said: &Tensor<2>, found: &Tensor<2>) -> Result<()> {
        /// The relative precision of a ratio in 32 bits.
        const TOLERANCE: f64 = 1e-3;
        let ([n, columns], [_, positions]) = (said.dims(), found.dims());
        if columns != 1 && columns != positions {
            return Err(Error::TaskShape {
                what: "the weights of the outputs",
                samples: n,
                expected: format!("[{n}, 1] or [{n}, {positions}]"),
                got: vec![n, columns],
            });
        }
        let difference = values(&(said.clone() - found.clone()))?;
        let scale = values(found)?;
        let agree = |(difference, weight): (&f64, &f64)| {
            difference.abs() <= TOLERANCE * weight.abs().max(TOLERANCE)
        };
        if !difference.iter().zip(&scale).all(agree) {
            self.warn_once(&format!(
                "the weights that the task declares for its outputs, {}, are not those of its loss, {}; the curvature has those of the loss",
                shown(&values(said)?),
                shown(&scale)
            ));
        }
        Ok(())
    }

    /// Warns once.
    fn warn_once(&self, message: &str) {
        self.reported.call_once(|| tracing::warn!("{message}"));
    }
}

fn declared(graph: &Graph) -> Result<OutputLoss> {
    let declared = graph.declared.as_ref().map(|declared| declared.loss);
    declared.ok_or(Error::Undeclared)
}

/// The range of some weights, for a message.
fn shown(factors: &[f64]) -> String {
    let least = factors.iter().copied().fold(f64::INFINITY, f64::min);
    let most = factors.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most - least <= 1e-3 * most.abs() {
        format!("{most:.4}")
    } else {
        format!("{least:.4} to {most:.4}")
    }
}
