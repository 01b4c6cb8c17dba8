//! The recorded forward pass with probes at the taps, and the one backward pass that reads them
//! all.

use std::collections::HashMap;

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        ir::{FloatOperationIr, ModuleOperationIr, OperationIr, TensorIr},
        ops::FloatTensorOps,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Shape, Tensor},
};

use super::{
    executor::Executor,
    probe::{Channels, Probe, Reading},
};
use crate::{
    Batch, Error, Result,
    gradient::GradientForm,
    graph::{self, Environment, Tanh, execute},
    taps::{ParameterView, Tap},
    trace::Graph,
};

/// A forward pass in progress.
pub(super) struct Pass<'a, B: Backend> {
    executor: &'a Executor<B>,
    environment: Environment<Autodiff<B>>,
    samples: usize,
    /// Indices of embeddings by constants, by operation.
    constant_indices: HashMap<usize, IntTensor<B>>,
    probes: Vec<Probe<B>>,
}

impl<B: Tanh> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn record(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<(usize, GradientForm)>> {
        let environment = self
            .environment::<Autodiff<B>>(graph, batch, |_, value| Autodiff::<B>::from_inner(value));
        let mut pass = Pass {
            executor: self,
            environment,
            samples: batch.len(),
            constant_indices: HashMap::new(),
            probes: Vec::new(),
        };
        for (index, operation) in graph.operations.iter().enumerate() {
            match graph.tap(index) {
                Some(tap) => pass.consume(index, operation, tap)?,
                None => execute(operation, &mut pass.environment)?,
            }
        }
        let root = Self::root::<Autodiff<B>>(pass.environment.float(&graph.output)?, cotangent)?;
        if !root.is_tracked() {
            return Ok(Vec::new());
        }
        let mut gradients = root.backward();
        let mut parts = Vec::new();
        for probe in pass.probes {
            if let Some(output_gradients) = probe.leaf.grad_remove(&mut gradients) {
                for reading in probe.readings {
                    parts.push(reading.form(
                        &output_gradients,
                        batch.len(),
                        &pass.constant_indices,
                    )?);
                }
            }
        }
        Ok(parts)
    }
}

impl<B: Tanh> Pass<'_, B> {
    /// Executes an operation that consumes parameters, and leaves a probe.
    fn consume(&mut self, index: usize, operation: &OperationIr, tap: &Tap) -> Result<()> {
        match (tap, operation) {
            (
                Tap::Linear { weight, transposed },
                OperationIr::Float(_, FloatOperationIr::Matmul(matmul)),
            ) => {
                let (lhs, rhs) = (
                    self.environment.float(&matmul.lhs)?,
                    self.environment.float(&matmul.rhs)?,
                );
                let activations = lhs.primitive().clone();
                let out = Autodiff::<B>::float_matmul(lhs, rhs);
                let reading = Reading::Linear {
                    weight: *weight,
                    transposed: *transposed,
                    activations,
                };
                self.probed(&matmul.out, out, vec![reading]);
            }
            (Tap::Convolution { weight, bias }, OperationIr::Module(operation)) => {
                self.convolution(operation, *weight, *bias)?;
            }
            (Tap::Normalisation { scale, shift }, OperationIr::Module(operation)) => {
                self.normalisation(operation, *scale, *shift)?;
            }
            (Tap::Embedding { table }, OperationIr::Module(ModuleOperationIr::Embedding(op))) => {
                let (weights, indices) = (
                    self.environment.float(&op.weights)?,
                    self.environment.int(&op.indices)?,
                );
                let entries = weights.shape()[0];
                let out = graph::embedding::<Autodiff<B>>(weights, indices.clone());
                self.probed(
                    &op.out,
                    out,
                    vec![Reading::Embedding {
                        table: *table,
                        indices,
                        entries,
                    }],
                );
            }
            (Tap::Elementwise { operand, view }, _) => self.copies(operation, operand, view)?,
            (Tap::ConstantEmbedding, OperationIr::Module(ModuleOperationIr::Embedding(op))) => {
                self.constant_indices
                    .insert(index, self.environment.peek_int(&op.indices)?);
                execute(operation, &mut self.environment)?;
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Adds a probe to the output of an operation.
    fn probed(
        &mut self,
        out: &TensorIr,
        value: FloatTensor<Autodiff<B>>,
        readings: Vec<Reading<B>>,
    ) {
        let leaf = self.leaf(value.shape());
        self.environment
            .insert_float(out.id, Autodiff::<B>::float_add(value, leaf.clone()));
        self.probes.push(Probe { leaf, readings });
    }

    fn leaf(&self, shape: Shape) -> FloatTensor<Autodiff<B>> {
        let zeros = B::float_zeros(shape, &self.executor.device, self.executor.float);
        Autodiff::<B>::from_inner(zeros).require_grad()
    }

    fn convolution(
        &mut self,
        operation: &ModuleOperationIr,
        weight: Option<usize>,
        bias: Option<usize>,
    ) -> Result<()> {
        let convolution = graph::RecordedConvolution::of(operation)?;
        let input = self.environment.float(convolution.input())?;
        let kernel = self.environment.float(convolution.weight())?;
        let offset = convolution
            .bias()
            .map(|bias| self.environment.float(bias))
            .transpose()?;
        let mut readings = Vec::with_capacity(2);
        if let Some(weight) = weight {
            let (unfolding, input) = (convolution.unfolding(), input.primitive().clone());
            readings.push(if convolution.is_transposed() {
                Reading::Transposed {
                    weight,
                    activations: unfolding.at_positions::<B>(input),
                    unfolding,
                }
            } else {
                Reading::Convolution {
                    weight,
                    patches: unfolding.patches::<B>(input),
                    unfolding,
                }
            });
        }
        if let Some(bias) = bias {
            readings.push(Reading::Shift {
                parameter: bias,
                channels: Channels::Second,
            });
        }
        let out = convolution.forward::<Autodiff<B>>(input, kernel, offset);
        self.probed(convolution.out(), out, readings);
        Ok(())
    }

    fn normalisation(
        &mut self,
        operation: &ModuleOperationIr,
        scale: Option<usize>,
        shift: Option<usize>,
    ) -> Result<()> {
        let (normalised, gamma, beta, out, channels) = match operation {
            ModuleOperationIr::LayerNorm(op) => {
                let input = self.environment.float(&op.input)?;
                let normalised = graph::layer_normalise::<Autodiff<B>>(input, op.epsilon.elem());
                (
                    normalised,
                    &op.gamma,
                    op.beta.as_ref(),
                    &op.out,
                    Channels::Last,
                )
            }
            ModuleOperationIr::BatchNorm(op) => {
                let input = self.environment.float(&op.x)?;
                let (mean, variance) = (
                    self.environment.float(&op.mean)?,
                    self.environment.float(&op.variance)?,
                );
                let normalised =
                    graph::batch_normalise::<Autodiff<B>>(input, mean, variance, op.epsilon.elem());
                (
                    normalised,
                    &op.gamma,
                    Some(&op.beta),
                    &op.out,
                    Channels::Second,
                )
            }
            _ => return Err(mismatch()),
        };
        let mut readings = Vec::with_capacity(2);
        if let Some(parameter) = scale {
            readings.push(Reading::Scale {
                parameter,
                normalised: normalised.primitive().clone(),
                channels,
            });
        }
        if let Some(parameter) = shift {
            readings.push(Reading::Shift {
                parameter,
                channels,
            });
        }
        let gamma = self.environment.float(gamma)?;
        let beta = beta.map(|beta| self.environment.float(beta)).transpose()?;
        let axis = channels.axis(normalised.shape().rank());
        let value = graph::affine::<Autodiff<B>>(normalised, Some(gamma), beta, axis);
        self.probed(out, value, readings);
        Ok(())
    }

    /// Gives every sample its own copy of a broadcast operand.
    fn copies(
        &mut self,
        operation: &OperationIr,
        operand: &TensorIr,
        view: &ParameterView,
    ) -> Result<()> {
        let leading = operation
            .outputs()
            .next()
            .map_or(self.samples, |out| out.shape[0]);
        let original = self.environment.peek_float(operand)?;
        let mut shape = original.shape().to_vec();
        let positions = leading / self.samples.max(1);
        // A leaf `(n, 1, …)` of zeros is expanded to `(n, positions, …)` and joined to
        // `(n · positions, …)`, as the samples are in the other operand. Its gradient sums over
        // positions.
        shape[0] = 1;
        shape.insert(0, self.samples);
        let leaf = self.leaf(Shape::from(shape.clone()));
        shape[1] = positions;
        let expanded = Autodiff::<B>::float_expand(leaf.clone(), Shape::from(shape.clone()));
        shape.remove(0);
        shape[0] = leading;
        let copies = Autodiff::<B>::float_add(
            Autodiff::<B>::float_reshape(expanded, Shape::from(shape)),
            original.clone(),
        );
        self.environment.insert_float(operand.id, copies);
        execute(operation, &mut self.environment)?;
        // Other operations read the operand as it was.
        self.environment.insert_float(operand.id, original);
        self.probes.push(Probe {
            leaf,
            readings: vec![Reading::Copies { view: view.clone() }],
        });
        Ok(())
    }
}

/// The error for a tap that was found for another operation: never a silent zero.
pub(super) fn mismatch() -> Error {
    Error::Engine {
        message: "a tap does not belong to the operation it was found for".into(),
    }
}
