//! The recorded forward pass with probes at the taps, and the one backward pass that reads them
//! all.

use std::collections::HashMap;

use burn::backend::{
    Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
    ir::{
        BaseOperationIr, EmbeddingOpIr, FloatOperationIr, ModuleOperationIr, OperationIr,
        SelectOpIr, TensorIr,
    },
    tensor::{FloatTensor, IntTensor},
};

use super::{
    Cotangent, TappedGradient,
    executor::{Executor, mismatch},
    probe::{Channels, Probe, Reading},
    undo::ViewGradient,
    watch::Watched,
};
use crate::{
    Batch, Result,
    graph::{self, Environment, Kernels, execute},
    taps::Tap,
    trace::Graph,
};

/// A forward pass in progress.
pub(super) struct Pass<'a, B: Backend> {
    pub(super) executor: &'a Executor<B>,
    pub(super) environment: Environment<Autodiff<B>>,
    pub(super) samples: usize,
    /// Constant indices, by the operation that reads them.
    constant_indices: HashMap<usize, IntTensor<B>>,
    pub(super) probes: Vec<Probe<B>>,
}

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn record(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Cotangent<'_>,
    ) -> Result<Vec<TappedGradient>> {
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
        let output = pass.environment.float(&graph.output)?;
        let root = Self::root::<Autodiff<B>>(output, batch.len(), cotangent)?;
        if !root.is_tracked() {
            return Ok(Vec::new());
        }
        let mut gradients = root.backward();
        let mut found: Vec<ViewGradient> = Vec::new();
        for probe in pass.probes {
            if let Some(output_gradients) = probe.watch.gradient(&mut gradients) {
                for reading in probe.readings {
                    let gradients = reading.gradients(&output_gradients, batch.len());
                    for own in gradients {
                        own.collect(&mut found);
                    }
                }
            }
        }
        let undone = |found: ViewGradient| found.undone::<B>(&pass.constant_indices);
        found.into_iter().map(undone).collect()
    }
}

impl<B: Kernels> Pass<'_, B> {
    /// Executes an operation that consumes parameters, and leaves a probe.
    fn consume(&mut self, index: usize, operation: &OperationIr, tap: &Tap) -> Result<()> {
        match (tap, operation) {
            (
                Tap::Linear { weight, before },
                OperationIr::Float(_, FloatOperationIr::Matmul(matmul)),
            ) => {
                let (lhs, rhs) = (
                    self.environment.float(&matmul.lhs)?,
                    self.environment.float(&matmul.rhs)?,
                );
                let activations = lhs.primitive().clone();
                let out = self.environment.multiplied(lhs, rhs);
                let reading = Reading::Linear {
                    weight: weight.clone(),
                    shape: matmul.rhs.shape.to_vec(),
                    activations,
                    before: *before,
                };
                self.probed(&matmul.out, out, vec![reading]);
            }
            (Tap::Convolution { weight, bias }, OperationIr::Module(operation)) => {
                self.convolution(operation, *weight, *bias)?;
            }
            (
                Tap::Normalisation {
                    scale,
                    shift,
                    before,
                },
                OperationIr::Module(operation),
            ) => self.normalisation(operation, [*scale, *shift], *before)?,
            (
                Tap::Embedding { table, before },
                OperationIr::Module(ModuleOperationIr::Embedding(op)),
            ) => {
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
                        before: *before,
                    }],
                );
            }
            (Tap::Copies { operands, axis }, _) => self.copies(operation, operands, *axis)?,
            (
                Tap::ConstantIndices,
                OperationIr::Module(ModuleOperationIr::Embedding(EmbeddingOpIr {
                    indices, ..
                }))
                | OperationIr::BaseFloat(BaseOperationIr::Select(SelectOpIr { indices, .. })),
            ) => {
                let indices = self.environment.peek_int(indices)?;
                self.constant_indices.insert(index, indices);
                execute(operation, &mut self.environment)?;
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Leaves a probe at the output of an operation.
    fn probed(
        &mut self,
        out: &TensorIr,
        value: FloatTensor<Autodiff<B>>,
        readings: Vec<Reading<B>>,
    ) {
        let (watch, value) = Watched::new(value);
        self.environment.insert_float(out.id, value);
        self.probes.push(Probe { watch, readings });
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
                before: 1,
            });
        }
        let out = convolution.forward::<Autodiff<B>>(input, kernel, offset);
        self.probed(convolution.out(), out, readings);
        Ok(())
    }

    fn normalisation(
        &mut self,
        operation: &ModuleOperationIr,
        [scale, shift]: [Option<usize>; 2],
        before: usize,
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
                before,
            });
        }
        if let Some(parameter) = shift {
            readings.push(Reading::Shift {
                parameter,
                channels,
                before,
            });
        }
        let gamma = self.environment.float(gamma)?;
        let beta = beta.map(|beta| self.environment.float(beta)).transpose()?;
        let axis = channels.axis(normalised.shape().rank());
        let value = graph::affine::<Autodiff<B>>(normalised, Some(gamma), beta, axis);
        self.probed(out, value, readings);
        Ok(())
    }
}
