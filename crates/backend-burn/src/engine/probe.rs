//! Probes, and how the output gradients they see become per-sample gradients.

use burn::{
    backend::{
        Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Int, Shape, Tensor},
};

use super::{
    undo::{ViewGradient, indices_of, lifted},
    watch::Watched,
};
use crate::{
    gradient::{GradientForm, OuterSide},
    graph::Unfolding,
    taps::ParameterView,
};

/// A tensor watched where a parameter has met the data, and how its gradient is read.
pub(super) struct Probe<B: Backend> {
    pub(super) watch: Watched<B>,
    pub(super) readings: Vec<Reading<B>>,
}

/// How the output gradients of a probe become per-sample gradients.
pub(super) enum Reading<B: Backend> {
    /// Output gradients of `activations · W`, for a matrix of this shape.
    Linear {
        weight: Vec<ParameterView>,
        shape: Vec<usize>,
        activations: FloatTensor<B>,
        before: usize,
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
        before: usize,
    },
    /// Output gradients of `+ β`.
    Shift {
        parameter: usize,
        channels: Channels,
        before: usize,
    },
    /// Output gradients of an embedding.
    Embedding {
        table: usize,
        indices: IntTensor<B>,
        entries: usize,
        before: usize,
    },
    /// Gradients of one copy per sample of a tensor of this shape.
    Copies {
        views: Vec<ParameterView>,
        shape: Vec<usize>,
        before: usize,
    },
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

impl<B: Backend> Reading<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// The per-sample gradients of the tensor at the probe, for each parameter in it.
    pub(super) fn gradients(
        self,
        output_gradients: &FloatTensor<B>,
        samples: usize,
    ) -> Vec<ViewGradient> {
        let delta = output_gradients.clone();
        let of_parameter = |parameter, form| vec![ViewGradient::whole(parameter, form)];
        match self {
            Self::Linear {
                weight,
                shape,
                activations,
                before,
            } => {
                let [a, delta] = [activations, delta].map(|side| {
                    let side = samples_first::<B>(side, samples, before);
                    Channels::Last.last::<B>(side, samples).unsqueeze_dim(1)
                });
                ViewGradient::of_each(weight, &outer(a, delta, OuterSide::Left), &shape)
            }
            Self::Convolution {
                weight,
                patches,
                unfolding,
            } => {
                let delta = of_four(unfolding.at_positions::<B>(delta));
                of_parameter(weight, outer(delta, of_four(patches), OuterSide::Right))
            }
            Self::Transposed {
                weight,
                activations,
                unfolding,
            } => {
                let delta = of_four(unfolding.patches::<B>(delta));
                of_parameter(weight, outer(of_four(activations), delta, OuterSide::Left))
            }
            Self::Scale {
                parameter,
                normalised,
                channels,
                before,
            } => {
                let products = B::float_mul(delta, normalised);
                let products = samples_first::<B>(products, samples, before);
                let products = channels.last::<B>(products, samples);
                of_parameter(parameter, GradientForm::Rows(summed(products)))
            }
            Self::Shift {
                parameter,
                channels,
                before,
            } => {
                let delta = samples_first::<B>(delta, samples, before);
                let delta = channels.last::<B>(delta, samples);
                of_parameter(parameter, GradientForm::Rows(summed(delta)))
            }
            Self::Embedding {
                table,
                indices,
                entries,
                before,
            } => {
                let delta = samples_first::<B>(delta, samples, before);
                let delta = Channels::Last.last::<B>(delta, samples);
                let indices = indices_of::<B>(indices);
                let indices = indices.reshape([before, samples, delta.dims()[1] / before]);
                of_parameter(table, embedding(indices.swap_dims(0, 1), delta, entries))
            }
            Self::Copies {
                views,
                shape,
                before,
            } => {
                let rows = samples_first::<B>(delta, samples, before);
                let width = rows.shape().num_elements() / samples.max(1);
                let rows = GradientForm::Rows(lifted::<B, 2>(rows, [samples, width]));
                ViewGradient::of_each(views, &rows, &shape)
            }
        }
    }
}

/// A tensor `(before, n, after)` as one with the samples first.
fn samples_first<B: Backend>(
    tensor: FloatTensor<B>,
    samples: usize,
    before: usize,
) -> FloatTensor<B> {
    if before == 1 {
        return tensor;
    }
    let mut shape = tensor.shape().to_vec();
    let last = shape.last().copied().unwrap_or(1);
    let positions = shape.iter().product::<usize>() / (before * samples * last).max(1);
    shape = vec![before, samples, positions, last];
    let apart = B::float_reshape(tensor, Shape::from(shape));
    B::float_permute(apart, &[1, 0, 2, 3])
}

fn outer(left: Tensor<4>, right: Tensor<4>, activations: OuterSide) -> GradientForm {
    GradientForm::Outer {
        left,
        right,
        activations,
    }
}

/// Output gradients `(n, t, width)` of the rows at indices of as many positions.
fn embedding(indices: Tensor<3, Int>, output_gradients: Tensor<3>, entries: usize) -> GradientForm {
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
