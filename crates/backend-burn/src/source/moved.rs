//! The same model at other values of its trained parameters.

use burn::tensor::Tensor;
use influence_core::Result as CoreResult;
use ndarray::Array1;

use super::ModelGradients;
use crate::{
    Batch, Result,
    tensors::{host, numbers, tensor},
    trace::Function,
};

impl ModelGradients {
    /// The values of the trained parameters as a vector.
    pub(crate) fn trained_values(&self) -> Array1<f64> {
        let trained = self.layout().parameters().len();
        let values = self.trace.values().iter().take(trained);
        values.flat_map(numbers).collect()
    }

    /// The same model with these values of the trained parameters; nothing is recorded again.
    pub(crate) fn at(&self, parameters: &Array1<f64>) -> Result<Self> {
        let (values, shape) = (parameters.iter().copied(), [parameters.len()]);
        self.moved_to(&tensor(values, shape, &self.device, self.precision))
    }

    /// As [`at`](Self::at), with values that are on the device already.
    pub(crate) fn moved_to(&self, parameters: &Tensor<1>) -> Result<Self> {
        let engine = self.engine.at(parameters)?;
        Ok(Self {
            engine,
            ..self.clone()
        })
    }

    /// The measurement of each sample.
    pub(crate) fn measurements(&self, batch: &Batch) -> CoreResult<Vec<f64>> {
        let graph = self.trace.graph(Function::Measurement, batch)?;
        host(&self.engine.output(&graph, batch)?)
    }

    /// The gradient of `⟨cotangent, outputs⟩` with respect to all parameters, summed over the
    /// samples of a batch.
    pub(crate) fn summed_gradient_of_outputs(
        &self,
        batch: &Batch,
        cotangent: &Tensor<2>,
    ) -> CoreResult<Array1<f64>> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        let all: Vec<usize> = (0..self.layout().parameters().len()).collect();
        let engine = &self.engine;
        let of_parameters = engine.summed_gradient(&graph, batch, &all, Some(cotangent))?;
        let mut joined = Vec::new();
        for gradient in &of_parameters {
            joined.extend(host(gradient)?);
        }
        Ok(joined.into())
    }
}
