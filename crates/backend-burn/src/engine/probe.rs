//! Probes, and how the output gradients they receive become per-sample gradients.

use std::collections::HashMap;

use burn::{
    backend::{
        Autodiff, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Int, Shape, Tensor},
};

use crate::{
    Error, Result,
    gradient::{GradientForm, OuterSide},
    graph::Unfolding,
    taps::{ParameterView, ViewStep},
    tensors::scatter_rows,
};

/// A tensor of zeros added where a parameter meets the data, and how its gradient is read.
pub(super) struct Probe<B: Backend> {
    pub(super) leaf: FloatTensor<Autodiff<B>>,
    pub(super) readings: Vec<Reading<B>>,
}

/// How the output gradients of a probe become per-sample gradients.
pub(super) enum Reading<B: Backend> {
    /// Output gradients of `activations · W`.
    Linear {
        weight: usize,
        transposed: bool,
        activations: FloatTensor<B>,
    },
    /// Output gradients of a convolution; patches `(n, g, t, r)` of its input.
    Convolution {
        weight: usize,
        patches: FloatTensor<B>,
        unfolding: Unfolding,
    },
    /// Output gradients of a transposed convolution: their patches belong to its inputs
    /// `(n, g, t, l)`.
    Transposed {
        weight: usize,
        activations: FloatTensor<B>,
        unfolding: Unfolding,
    },
    /// Output gradients of `γ ∘ normalised`.
    Scale {
        parameter: usize,
        normalised: FloatTensor<B>,
        channels: Channels,
    },
    /// Output gradients of `+ β`.
    Shift {
        parameter: usize,
        channels: Channels,
    },
    /// Output gradients of an embedding.
    Embedding {
        table: usize,
        indices: IntTensor<B>,
        entries: usize,
    },
    /// Gradients of one copy per sample of a view of a parameter.
    Copies { view: ParameterView },
}

/// Which axis holds the channels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Channels {
    Second,
    Last,
}

impl Channels {
    /// The axis of the channels in a tensor of some rank.
    pub(super) fn axis(self, rank: usize) -> usize {
        match self {
            Self::Second => 1,
            Self::Last => rank - 1,
        }
    }

    /// A tensor as `(n, t, channels)`.
    fn last<B: Backend>(self, tensor: FloatTensor<B>, samples: usize) -> Tensor<3>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        let shape = tensor.shape();
        match self {
            Self::Last => {
                let channels = shape[shape.rank() - 1];
                lifted(
                    tensor,
                    [
                        samples,
                        shape.num_elements() / (samples * channels),
                        channels,
                    ],
                )
            }
            Self::Second => {
                let channels = shape[1];
                lifted(
                    tensor,
                    [
                        samples,
                        channels,
                        shape.num_elements() / (samples * channels),
                    ],
                )
                .swap_dims(1, 2)
            }
        }
    }
}

/// A primitive as a tensor of known rank.
fn lifted<B: Backend, const D: usize>(primitive: FloatTensor<B>, shape: [usize; D]) -> Tensor<D>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_primitive::<B>(B::float_reshape(primitive, Shape::new(shape)))
}

impl<B: Backend> Reading<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// The parameter and its per-sample gradients.
    pub(super) fn form(
        self,
        output_gradients: &FloatTensor<B>,
        samples: usize,
        constant_indices: &HashMap<usize, IntTensor<B>>,
    ) -> Result<(usize, GradientForm)> {
        let delta = output_gradients.clone();
        Ok(match self {
            Self::Linear {
                weight,
                transposed,
                activations,
            } => {
                let by_position = |tensor| Channels::Last.last::<B>(tensor, samples);
                let (a, delta) = (by_position(activations), by_position(delta));
                (weight, linear(a, delta, transposed))
            }
            Self::Convolution {
                weight,
                patches,
                unfolding,
            } => {
                let delta = of_four(unfolding.at_positions::<B>(delta));
                (weight, outer(delta, of_four(patches), OuterSide::Right))
            }
            Self::Transposed {
                weight,
                activations,
                unfolding,
            } => {
                let delta = of_four(unfolding.patches::<B>(delta));
                (weight, outer(of_four(activations), delta, OuterSide::Left))
            }
            Self::Scale {
                parameter,
                normalised,
                channels,
            } => {
                let products = B::float_mul(delta, normalised);
                let products = channels.last::<B>(products, samples);
                (parameter, GradientForm::Rows(summed(products)))
            }
            Self::Shift {
                parameter,
                channels,
            } => {
                let delta = channels.last::<B>(delta, samples);
                (parameter, GradientForm::Rows(summed(delta)))
            }
            Self::Embedding {
                table,
                indices,
                entries,
            } => {
                let delta = Channels::Last.last::<B>(delta, samples);
                (table, embedding(indices_of::<B>(indices), delta, entries))
            }
            Self::Copies { view } => {
                let rows = undone::<B>(delta, &view, samples, constant_indices)?;
                (view.parameter, GradientForm::Rows(rows))
            }
        })
    }
}

/// Outer products of activations and output gradients `(n, t, ·)`; the sides come in the order in
/// which the weight is stored.
fn linear(activations: Tensor<3>, output_gradients: Tensor<3>, transposed: bool) -> GradientForm {
    let [a, delta] = [activations, output_gradients].map(|side| side.unsqueeze_dim(1));
    if transposed {
        outer(delta, a, OuterSide::Right)
    } else {
        outer(a, delta, OuterSide::Left)
    }
}

fn outer(left: Tensor<4>, right: Tensor<4>, activations: OuterSide) -> GradientForm {
    GradientForm::Outer {
        left,
        right,
        activations,
    }
}

/// Output gradients `(n, t, width)` of the rows at indices `(n · t)`.
fn embedding(indices: Tensor<1, Int>, output_gradients: Tensor<3>, entries: usize) -> GradientForm {
    let [samples, positions, _] = output_gradients.dims();
    GradientForm::Embedding {
        indices: indices.reshape([samples, positions]),
        output_gradients,
        entries,
    }
}

/// A primitive of rank four as a tensor.
fn of_four<B: Backend>(primitive: FloatTensor<B>) -> Tensor<4>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_primitive::<B>(primitive)
}

/// Sums over positions, `(n, t, c)` → `(n, c)`.
fn summed(tensor: Tensor<3>) -> Tensor<2> {
    tensor.sum_dim(1).squeeze_dim(1)
}

fn indices_of<B: Backend>(indices: IntTensor<B>) -> Tensor<1, Int>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let count = indices.shape().num_elements();
    Tensor::<1, Int>::from_primitive::<B>(B::int_reshape(indices, Shape::new([count])))
}

/// From per-sample gradients of a view to those of the parameter: the steps backwards, with the
/// samples in front.
fn undone<B: Backend>(
    gradient: FloatTensor<B>,
    view: &ParameterView,
    samples: usize,
    constant_indices: &HashMap<usize, IntTensor<B>>,
) -> Result<Tensor<2>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let mut gradient = gradient;
    for step in view.steps.iter().rev() {
        gradient = match step {
            ViewStep::Reshape { from } => {
                let shape: Vec<usize> = std::iter::once(samples)
                    .chain(from.iter().copied())
                    .collect();
                B::float_reshape(gradient, Shape::from(shape))
            }
            ViewStep::Permute { axes } => {
                let mut inverse = vec![0; axes.len() + 1];
                axes.iter()
                    .enumerate()
                    .for_each(|(to, &from)| inverse[from + 1] = to + 1);
                B::float_permute(gradient, &inverse)
            }
            ViewStep::Embedding {
                operation,
                entries,
                width,
            } => {
                let indices = constant_indices.get(operation).ok_or(Error::Engine {
                    message: "the indices of a constant lookup were not seen".into(),
                })?;
                let positions = indices_of::<B>(indices.clone());
                let rows = positions.dims()[0];
                // One column per sample and feature, so that one scatter serves all samples.
                let columns = lifted::<B, 3>(gradient, [samples, rows, *width])
                    .swap_dims(0, 1)
                    .reshape([rows, samples * width]);
                let table = scatter_rows(*entries, positions, columns)
                    .reshape([*entries, samples, *width])
                    .swap_dims(0, 1);
                return Ok(table.reshape([samples, entries * width]));
            }
        };
    }
    let width = gradient.shape().num_elements() / samples.max(1);
    Ok(lifted(gradient, [samples, width]))
}
