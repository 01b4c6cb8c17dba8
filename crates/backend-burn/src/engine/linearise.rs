//! The dense layers of a multilayer perceptron on a batch, with the derivatives of the activations
//! between them and of the loss after them.

use std::ops::Range;

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor,
        ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};

use super::executor::Executor;
use crate::{
    Batch, Result,
    graph::{Environment, Kernels, execute},
    trace::{DenseLayer, Graph},
};

/// One dense layer `x · W + b`, on a batch of `n` samples.
#[derive(Debug, Clone)]
pub(crate) struct LinearisedLayer {
    pub(crate) weight: usize,
    /// Whether the weight is stored as `(out, in)`.
    pub(crate) transposed: bool,
    pub(crate) bias: Option<usize>,
    /// `x`, `(n, in)`.
    pub(crate) inputs: Tensor<2>,
    /// `W`, `(in, out)`.
    pub(crate) matrix: Tensor<2>,
    /// Those of the activation that leads to the next layer; the last has none.
    pub(crate) activation: Option<ActivationDerivatives>,
}

/// The derivatives of an elementwise activation, `(n, out)`; `second` is `None` where it is
/// identically zero.
#[derive(Debug, Clone)]
pub(crate) struct ActivationDerivatives {
    pub(crate) first: Tensor<2>,
    pub(crate) second: Option<Tensor<2>>,
}

/// The derivatives of the loss of each sample by the outputs of the last layer.
#[derive(Debug, Clone)]
pub(crate) struct LossDerivatives {
    /// `(n, c)`; without it the second derivatives of the network are left out, which gives the
    /// Gauss-Newton matrix.
    pub(crate) first: Option<Tensor<2>>,
    /// `(n, c, c)`.
    pub(crate) second: Tensor<3>,
}

pub(super) type Once<B> = Autodiff<B>;
pub(super) type Twice<B> = Autodiff<Autodiff<B>>;

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// Evaluates the graph piece by piece: the output of each layer becomes a leaf, the next layer
    /// reads the activation of that leaf, and so nothing is differentiated but the activations.
    pub(super) fn linearised(
        &self,
        graph: &Graph,
        batch: &Batch,
        dense: &[DenseLayer],
    ) -> Result<(Vec<LinearisedLayer>, LossDerivatives)> {
        let mut environment =
            self.environment::<Twice<B>>(graph, batch, |_, value| constant::<B>(value));
        let mut layers: Vec<LinearisedLayer> = Vec::with_capacity(dense.len());
        let mut begun = 0;
        let mut leaf: Option<Leaf<B>> = None;
        for recorded in dense {
            run(graph, begun..recorded.product, &mut environment)?;
            let input = environment.peek_float(&recorded.input)?;
            let inputs = value::<B>(&input);
            if let (Some(leaf), Some(layer)) = (leaf.take(), layers.last_mut()) {
                layer.activation = Some(leaf.derivatives(input));
            }
            // The product itself is linear and needs no derivative: from here on the inputs are a
            // constant, and the autodiff graph behind them is let go.
            environment.insert_float(recorded.input.id, constant::<B>(inputs.clone()));
            run(graph, recorded.product..recorded.last + 1, &mut environment)?;
            let output = value::<B>(&environment.peek_float(&recorded.output)?);
            let next = Leaf::new(output);
            environment.insert_float(recorded.output.id, next.outer.clone());
            leaf = Some(next);
            begun = recorded.last + 1;
            layers.push(LinearisedLayer {
                weight: recorded.weight,
                transposed: recorded.transposed,
                bias: recorded.bias,
                inputs: matrix::<B>(inputs),
                matrix: self.weight(recorded),
                activation: None,
            });
        }
        let last = dense.last().ok_or_else(super::executor::mismatch)?;
        let loss = self.loss_derivatives(graph, last, &environment)?;
        Ok((layers, loss))
    }

    /// The weight of a layer, `(in, out)`.
    fn weight(&self, recorded: &DenseLayer) -> Tensor<2> {
        let (width, out) = (recorded.input.shape[1], recorded.output.shape[1]);
        let weight = self.parameters[recorded.weight].clone();
        if recorded.transposed {
            let weight = B::float_reshape(weight, Shape::new([out, width]));
            matrix::<B>(weight).transpose()
        } else {
            matrix::<B>(B::float_reshape(weight, Shape::new([width, out])))
        }
    }

    /// The derivatives of the loss by the output of the last layer; burn consumes a graph in its
    /// backward pass, so the operations after that layer are repeated for each output.
    fn loss_derivatives(
        &self,
        graph: &Graph,
        last: &DenseLayer,
        environment: &Environment<Twice<B>>,
    ) -> Result<LossDerivatives> {
        let output = value::<B>(&environment.peek_float(&last.output)?);
        let [n, width] = [0, 1].map(|axis| last.output.shape[axis]);
        let zeros = || B::float_zeros(Shape::new([n, width]), &self.device, self.float);
        let (mut gradient, mut columns) = (None, Vec::with_capacity(width));
        for column in 0..width {
            let mut environment = environment.clone();
            let leaf = Leaf::new(output.clone());
            environment.insert_float(last.output.id, leaf.outer.clone());
            run(
                graph,
                last.last + 1..graph.operations.len(),
                &mut environment,
            )?;
            let first = leaf.first(environment.float(&graph.output)?);
            let own = [(0..n).into(), (column..column + 1).into()];
            gradient = first.as_ref().map(|first| first.primitive().clone());
            let second = first.and_then(|first| leaf.second(Once::<B>::float_slice(first, &own)));
            let second = matrix::<B>(second.unwrap_or_else(zeros));
            columns.push(second.unsqueeze_dim(2));
        }
        Ok(LossDerivatives {
            first: Some(matrix::<B>(gradient.unwrap_or_else(zeros))),
            second: Tensor::cat(columns, 2),
        })
    }
}

/// A tensor to differentiate by twice.
pub(super) struct Leaf<B: Backend> {
    inner: FloatTensor<Once<B>>,
    pub(super) outer: FloatTensor<Twice<B>>,
}

impl<B: Backend> Leaf<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn new(value: FloatTensor<B>) -> Self {
        let inner = Once::<B>::from_inner(value).require_grad();
        let outer = Twice::<B>::from_inner(inner.clone()).require_grad();
        Self { inner, outer }
    }

    /// The derivative of the sum of a result of the leaf, still differentiable.
    pub(super) fn first(&self, result: FloatTensor<Twice<B>>) -> Option<FloatTensor<Once<B>>> {
        let sum = Twice::<B>::float_sum(result);
        let gradients = sum.is_tracked().then(|| sum.backward())?;
        self.outer.grad(&gradients)
    }

    /// The derivative of the sum of a first derivative, or of a part of it.
    pub(super) fn second(&self, first: FloatTensor<Once<B>>) -> Option<FloatTensor<B>> {
        let sum = Once::<B>::float_sum(first);
        let gradients = sum.is_tracked().then(|| sum.backward())?;
        self.inner.grad(&gradients)
    }

    /// The derivatives of an elementwise function of the leaf. As each entry depends on one entry,
    /// the gradient of the sum has them all.
    fn derivatives(&self, result: FloatTensor<Twice<B>>) -> ActivationDerivatives {
        let first = self.first(result);
        let value = first.as_ref().map_or_else(
            || matrix::<B>(self.inner.primitive().clone()).zeros_like(),
            |first| matrix::<B>(first.primitive().clone()),
        );
        let second = first.and_then(|first| self.second(first));
        ActivationDerivatives {
            first: value,
            second: second.map(matrix::<B>),
        }
    }
}

pub(super) fn run<B: Backend>(
    graph: &Graph,
    operations: Range<usize>,
    environment: &mut Environment<B>,
) -> Result<()> {
    graph.operations[operations]
        .iter()
        .try_for_each(|operation| execute(operation, environment))
}

/// A tensor that nothing is differentiated by.
pub(super) fn constant<B: Backend>(value: FloatTensor<B>) -> FloatTensor<Twice<B>> {
    Twice::<B>::from_inner(Once::<B>::from_inner(value))
}

fn value<B: Backend>(tensor: &FloatTensor<Twice<B>>) -> FloatTensor<B> {
    tensor.primitive().primitive().clone()
}

fn matrix<B: Backend>(primitive: FloatTensor<B>) -> Tensor<2>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_primitive::<B>(primitive)
}
