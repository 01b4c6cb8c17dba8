//! A chain of linear maps on a batch, with the derivatives of the functions between and after them.

use std::ops::Range;

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor,
        ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};

use super::Executor;
use crate::{
    Batch, Result,
    curvature::{Linear, LossSlopes, Slopes},
    graph::{Environment, Tanh, execute},
    trace::{Graph, Link},
};

pub(super) type Once<B> = Autodiff<B>;
pub(super) type Twice<B> = Autodiff<Autodiff<B>>;

impl<B: Tanh> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn linearised(
        &self,
        graph: &Graph,
        batch: &Batch,
        chain: &[Link],
    ) -> Result<(Vec<Linear>, LossSlopes)> {
        let mut environment =
            self.environment::<Twice<B>>(graph, batch, |_, value| constant::<B>(value));
        let mut maps: Vec<Linear> = Vec::with_capacity(chain.len());
        let mut begun = 0;
        let mut leaf: Option<Leaf<B>> = None;
        for link in chain {
            run(graph, begun..link.product, &mut environment)?;
            let input = environment.peek_float(&link.input)?;
            let inputs = value::<B>(&input);
            if let (Some(leaf), Some(map)) = (leaf.take(), maps.last_mut()) {
                map.slopes = Some(leaf.slopes(input));
            }
            environment.insert_float(link.input.id, constant::<B>(inputs.clone()));
            run(graph, link.product..link.last + 1, &mut environment)?;
            let output = value::<B>(&environment.peek_float(&link.output)?);
            let next = Leaf::new(output);
            environment.insert_float(link.output.id, next.outer.clone());
            leaf = Some(next);
            begun = link.last + 1;
            maps.push(Linear {
                weight: link.weight,
                transposed: link.transposed,
                bias: link.bias,
                inputs: matrix::<B>(inputs),
                matrix: self.weight(link),
                slopes: None,
            });
        }
        let last = chain.last().ok_or_else(super::tapped::mismatch)?;
        let loss = self.loss_slopes(graph, last, &environment)?;
        Ok((maps, loss))
    }

    /// The weight of a map, `(in, out)`.
    fn weight(&self, link: &Link) -> Tensor<2> {
        let (width, out) = (link.input.shape[1], link.output.shape[1]);
        let weight = self.parameters[link.weight].clone();
        if link.transposed {
            let weight = B::float_reshape(weight, Shape::new([out, width]));
            matrix::<B>(weight).transpose()
        } else {
            matrix::<B>(B::float_reshape(weight, Shape::new([width, out])))
        }
    }

    /// The derivatives of the loss by the output of the last map; burn consumes a graph in its backward pass, so what follows that map is
    /// repeated for each output.
    fn loss_slopes(
        &self,
        graph: &Graph,
        last: &Link,
        environment: &Environment<Twice<B>>,
    ) -> Result<LossSlopes> {
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
        Ok(LossSlopes {
            first: Some(matrix::<B>(gradient.unwrap_or_else(zeros))),
            second: Tensor::cat(columns, 2),
        })
    }
}

/// A tensor to be differentiated by, once and again.
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

    /// The derivative of the sum of what was made of the leaf, still differentiable.
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

    /// The derivatives of an elementwise function of the leaf: where each number depends on one, they are those of the sum.
    fn slopes(&self, result: FloatTensor<Twice<B>>) -> Slopes {
        let first = self.first(result);
        let value = first.as_ref().map_or_else(
            || matrix::<B>(self.inner.primitive().clone()).zeros_like(),
            |first| matrix::<B>(first.primitive().clone()),
        );
        let second = first.and_then(|first| self.second(first));
        Slopes {
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

/// What is not differentiated by.
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
