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
    gradient::{Form, OuterSide},
    graph::Unfolding,
    taps::{View, ViewStep},
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
    Copies { view: View },
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
    ) -> Result<(usize, Form)> {
        let output_gradients = output_gradients.clone();
        Ok(match self {
            Self::Linear {
                weight,
                transposed,
                activations,
            } => {
                let activations = Channels::Last
                    .last::<B>(activations, samples)
                    .unsqueeze_dim(1);
                let output_gradients = Channels::Last
                    .last::<B>(output_gradients, samples)
                    .unsqueeze_dim(1);
                // The sides come in the order in which the weight is stored.
                let (left, right, side) = if transposed {
                    (output_gradients, activations, OuterSide::Right)
                } else {
                    (activations, output_gradients, OuterSide::Left)
                };
                let form = Form::Outer {
                    left,
                    right,
                    activations: side,
                };
                (weight, form)
            }
            Self::Convolution {
                weight,
                patches,
                unfolding,
            } => {
                let form = Form::Outer {
                    left: of_four(unfolding.at_positions::<B>(output_gradients)),
                    right: of_four(patches),
                    activations: OuterSide::Right,
                };
                (weight, form)
            }
            Self::Transposed {
                weight,
                activations,
                unfolding,
            } => {
                let form = Form::Outer {
                    left: of_four(activations),
                    right: of_four(unfolding.patches::<B>(output_gradients)),
                    activations: OuterSide::Left,
                };
                (weight, form)
            }
            Self::Scale {
                parameter,
                normalised,
                channels,
            } => {
                let products =
                    channels.last::<B>(B::float_mul(output_gradients, normalised), samples);
                (parameter, Form::Rows(summed(products)))
            }
            Self::Shift {
                parameter,
                channels,
            } => (
                parameter,
                Form::Rows(summed(channels.last::<B>(output_gradients, samples))),
            ),
            Self::Embedding {
                table,
                indices,
                entries,
            } => {
                let output_gradients = Channels::Last.last::<B>(output_gradients, samples);
                let indices =
                    indices_of::<B>(indices).reshape([samples, output_gradients.dims()[1]]);
                (
                    table,
                    Form::Embedding {
                        indices,
                        output_gradients,
                        entries,
                    },
                )
            }
            Self::Copies { view } => (
                view.parameter,
                Form::Rows(undone::<B>(
                    output_gradients,
                    &view,
                    samples,
                    constant_indices,
                )?),
            ),
        })
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
    view: &View,
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
