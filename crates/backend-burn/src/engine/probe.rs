//! Probes, and how the signals they receive become per-sample gradients.

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
    gradient::{Form, Side},
    graph::Unfolding,
    stack::scatter_rows,
    taps::{Step, View},
};

/// A tensor of zeros added where a parameter meets the data, and what its gradient tells.
pub(super) struct Probe<B: Backend> {
    pub(super) leaf: FloatTensor<Autodiff<B>>,
    pub(super) readings: Vec<Reading<B>>,
}

/// What becomes of the signals of a probe.
pub(super) enum Reading<B: Backend> {
    /// Signals of `activations · W`.
    Linear {
        weight: usize,
        transposed: bool,
        activations: FloatTensor<B>,
    },
    /// Signals of a convolution; patches `(n, g, t, r)` of its input.
    Convolution {
        weight: usize,
        patches: FloatTensor<B>,
        unfolding: Unfolding,
    },
    /// Signals of a transposed convolution, whose patches go with what was at its positions `(n, g, t, l)`.
    Transposed {
        weight: usize,
        activations: FloatTensor<B>,
        unfolding: Unfolding,
    },
    /// Signals of `γ ∘ normalised`.
    Scale {
        parameter: usize,
        normalised: FloatTensor<B>,
        channels: Channels,
    },
    /// Signals of `+ β`.
    Shift {
        parameter: usize,
        channels: Channels,
    },
    /// Signals of looked-up rows.
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
        signals: &FloatTensor<B>,
        samples: usize,
        lookups: &HashMap<usize, IntTensor<B>>,
    ) -> Result<(usize, Form)> {
        let signals = signals.clone();
        Ok(match self {
            Self::Linear {
                weight,
                transposed,
                activations,
            } => {
                let activations = Channels::Last
                    .last::<B>(activations, samples)
                    .unsqueeze_dim(1);
                let signals = Channels::Last.last::<B>(signals, samples).unsqueeze_dim(1);
                let (left, right, side) = if transposed {
                    (signals, activations, Side::Right)
                } else {
                    (activations, signals, Side::Left)
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
                    left: of_four(unfolding.at_positions::<B>(signals)),
                    right: of_four(patches),
                    activations: Side::Right,
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
                    right: of_four(unfolding.patches::<B>(signals)),
                    activations: Side::Left,
                };
                (weight, form)
            }
            Self::Scale {
                parameter,
                normalised,
                channels,
            } => {
                let products = channels.last::<B>(B::float_mul(signals, normalised), samples);
                (parameter, Form::Rows(summed(products)))
            }
            Self::Shift {
                parameter,
                channels,
            } => (
                parameter,
                Form::Rows(summed(channels.last::<B>(signals, samples))),
            ),
            Self::Embedding {
                table,
                indices,
                entries,
            } => {
                let signals = Channels::Last.last::<B>(signals, samples);
                let indices = indices_of::<B>(indices).reshape([samples, signals.dims()[1]]);
                (
                    table,
                    Form::Lookup {
                        indices,
                        signals,
                        entries,
                    },
                )
            }
            Self::Copies { view } => (
                view.parameter,
                Form::Rows(undone::<B>(signals, &view, samples, lookups)?),
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

/// From per-sample gradients of a view to those of the parameter: the steps backwards, with the samples in front.
fn undone<B: Backend>(
    gradient: FloatTensor<B>,
    view: &View,
    samples: usize,
    lookups: &HashMap<usize, IntTensor<B>>,
) -> Result<Tensor<2>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let mut gradient = gradient;
    for step in view.steps.iter().rev() {
        gradient = match step {
            Step::Reshape { from } => {
                let shape: Vec<usize> = std::iter::once(samples)
                    .chain(from.iter().copied())
                    .collect();
                B::float_reshape(gradient, Shape::from(shape))
            }
            Step::Permute { axes } => {
                let mut inverse = vec![0; axes.len() + 1];
                axes.iter()
                    .enumerate()
                    .for_each(|(to, &from)| inverse[from + 1] = to + 1);
                B::float_permute(gradient, &inverse)
            }
            Step::Lookup {
                operation,
                entries,
                width,
            } => {
                let indices = lookups.get(operation).ok_or(Error::Engine {
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
