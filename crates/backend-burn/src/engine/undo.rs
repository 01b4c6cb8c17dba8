//! From the per-sample gradients of a view to those of the parameter: its steps backwards.

use std::collections::HashMap;

use burn::{
    backend::{
        Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{FloatDType, IndexingUpdateOp, Int, Shape, Slice, Tensor},
};

use super::{
    TappedGradient,
    executor::{mismatch, primitive},
};
use crate::{
    Error, Result,
    gradient::{self, GradientForm, OuterSide},
    taps::{ParameterView, ViewStep, swaps_matrix, without_leading_ones},
    tensors::scatter_rows,
};

/// The per-sample gradients of a view of a parameter.
pub(super) struct ViewGradient {
    /// With the steps that are not undone yet.
    view: ParameterView,
    /// Whether only a part of the parameter is in the view, or others are beside it.
    is_partial: bool,
    /// From each of its uses.
    forms: Vec<GradientForm>,
    /// The shape of the view; of one sample where every sample has a copy of its own.
    shape: Vec<usize>,
}

impl ViewGradient {
    /// Those of a parameter as it is.
    pub(super) fn whole(parameter: usize, form: GradientForm) -> Self {
        Self {
            view: ParameterView::whole(parameter),
            is_partial: false,
            forms: vec![form],
            shape: Vec::new(),
        }
    }

    /// Those of a tensor of this shape, for each of the views that it is made of.
    pub(super) fn of_each(
        views: Vec<ParameterView>,
        form: &GradientForm,
        shape: &[usize],
    ) -> Vec<Self> {
        let of_view = |mut view: ParameterView| {
            let (is_partial, mut form, mut shape) =
                (view.is_partial(), form.clone(), shape.to_vec());
            while let Some(last) = view.steps.last()
                && let Some(undone) = undone_in_factors(&form, &mut shape, last)
            {
                form = undone;
                view.steps.pop();
            }
            Self {
                view,
                is_partial,
                forms: vec![form],
                shape,
            }
        };
        views.into_iter().map(of_view).collect()
    }

    /// Collects those of the uses of the same part of a parameter; whole parameters are left to
    /// whoever sums gradients.
    pub(super) fn collect(self, found: &mut Vec<Self>) {
        let same = |other: &&mut Self| {
            self.is_partial
                && (&other.view, &other.shape) == (&self.view, &self.shape)
                && other.activations() == self.activations()
        };
        match found.iter_mut().find(same) {
            Some(other) => other.forms.extend(self.forms),
            None => found.push(self),
        }
    }

    /// The side of the activations in outer products.
    fn activations(&self) -> Option<OuterSide> {
        self.forms.first().and_then(|form| match form {
            GradientForm::Outer { activations, .. } => Some(*activations),
            _ => None,
        })
    }

    /// Those of the entries of the parameter.
    pub(super) fn undone<B: Backend>(
        self,
        constant_indices: &HashMap<usize, IntTensor<B>>,
    ) -> Result<TappedGradient>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        let mut shape = self.shape;
        let mut form = sum_of_uses(self.forms).ok_or_else(mismatch)?;
        if !self.view.steps.is_empty() {
            let rows = form.to_rows();
            let samples = rows.dims()[0];
            shape.insert(0, samples);
            let mut rows = B::float_reshape(primitive::<B, 2>(rows)?, Shape::from(shape));
            for step in self.view.steps.iter().rev() {
                rows = undone_in_rows::<B>(rows, step, constant_indices)?;
            }
            let width = rows.shape().num_elements() / samples.max(1);
            form = GradientForm::Rows(lifted::<B, 2>(rows, [samples, width]));
        }
        Ok(TappedGradient {
            parameter: self.view.parameter,
            entries: self.view.entries,
            form,
        })
    }
}

/// The sum of the gradients from several uses: outer products at the positions of all.
fn sum_of_uses(mut forms: Vec<GradientForm>) -> Option<GradientForm> {
    if forms.len() < 2 {
        return forms.pop();
    }
    let (mut lefts, mut rights, mut rows, mut side) = (Vec::new(), Vec::new(), Vec::new(), None);
    for form in forms {
        match form {
            GradientForm::Outer {
                left,
                right,
                activations,
            } => {
                lefts.push(left);
                rights.push(right);
                side = Some(activations);
            }
            form => rows.push(form.to_rows()),
        }
    }
    Some(match side {
        Some(activations) => GradientForm::Outer {
            left: Tensor::cat(lefts, 2),
            right: Tensor::cat(rights, 2),
            activations,
        },
        None => GradientForm::Rows(rows.into_iter().reduce(|sum, rows| sum + rows)?),
    })
}

/// Undoes a step to a matrix `(…, l, r)` in the factors of outer products; `None` where that does
/// not leave an outer product.
fn undone_in_factors(
    form: &GradientForm,
    shape: &mut Vec<usize>,
    step: &ViewStep,
) -> Option<GradientForm> {
    let GradientForm::Outer {
        mut left,
        mut right,
        mut activations,
    } = form.clone()
    else {
        return None;
    };
    match step {
        ViewStep::Reshape { from } if without_leading_ones(from) == without_leading_ones(shape) => {
            shape.clone_from(from);
        }
        ViewStep::Permute { axes } => {
            if swaps_matrix(axes)? {
                let rank = shape.len();
                shape.swap(rank - 2, rank - 1);
                std::mem::swap(&mut left, &mut right);
                activations = match activations {
                    OuterSide::Left => OuterSide::Right,
                    OuterSide::Right => OuterSide::Left,
                };
            }
        }
        ViewStep::Part { axis, range } => {
            let side = match shape.len() - axis {
                1 => &mut right,
                2 => &mut left,
                _ => return None,
            };
            let [n, g, t, _] = side.dims();
            *side = side.clone().slice([0..n, 0..g, 0..t, range.clone()]);
            shape[*axis] = range.len();
        }
        _ => return None,
    }
    Some(GradientForm::Outer {
        left,
        right,
        activations,
    })
}

/// Undoes a step in gradients with the samples in front.
fn undone_in_rows<B: Backend>(
    gradient: FloatTensor<B>,
    step: &ViewStep,
    constant_indices: &HashMap<usize, IntTensor<B>>,
) -> Result<FloatTensor<B>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let samples = gradient.shape()[0];
    let indices_at = |operation: &usize| {
        let indices = constant_indices.get(operation).cloned();
        indices.ok_or_else(|| Error::Engine {
            message: "the indices of a constant lookup were not seen".into(),
        })
    };
    Ok(match step {
        ViewStep::Reshape { from } => B::float_reshape(gradient, behind(samples, from)),
        ViewStep::Permute { axes } => {
            let mut inverse = vec![0; axes.len() + 1];
            axes.iter()
                .enumerate()
                .for_each(|(to, &from)| inverse[from + 1] = to + 1);
            B::float_permute(gradient, &inverse)
        }
        ViewStep::Slice { from, ranges } => {
            let own = ranges.iter().map(|range| Slice::from(range.clone()));
            let places: Vec<Slice> = std::iter::once(Slice::from(..)).chain(own).collect();
            B::float_slice_assign(zeros::<B>(&gradient, from), &places, gradient)
        }
        ViewStep::Part { axis, range } => {
            let mut places = vec![Slice::from(..); gradient.shape().rank()];
            places[axis + 1] = Slice::from(range.clone());
            B::float_slice(gradient, &places)
        }
        ViewStep::Expand { from } => {
            let shape = gradient.shape();
            let copied = (0..from.len()).filter(|&axis| from[axis] == 1 && shape[axis + 1] > 1);
            copied.fold(gradient, |sum, axis| B::float_sum_dim(sum, axis + 1))
        }
        ViewStep::Select {
            operation,
            axis,
            from,
        } => {
            let (indices, zeros) = (indices_at(operation)?, zeros::<B>(&gradient, from));
            B::float_select_assign(zeros, axis + 1, indices, gradient, IndexingUpdateOp::Add)
        }
        ViewStep::Embedding {
            operation,
            entries,
            width,
        } => {
            let positions = indices_of::<B>(indices_at(operation)?);
            let count = positions.dims()[0];
            let rows = gradient.shape().num_elements() / (samples * width).max(1);
            let table = if rows < count {
                // Each sample has indices of its own.
                let own = gradient::positions(&positions.reshape([samples, rows]), *entries);
                let rows = lifted::<B, 2>(gradient, [count, *width]);
                scatter_rows(samples * entries, own, rows).reshape([samples, *entries, *width])
            } else {
                // One column per sample and feature, so that one scatter serves all samples.
                let columns = lifted::<B, 3>(gradient, [samples, rows, *width])
                    .swap_dims(0, 1)
                    .reshape([rows, samples * width]);
                scatter_rows(*entries, positions, columns)
                    .reshape([*entries, samples, *width])
                    .swap_dims(0, 1)
            };
            primitive::<B, 3>(table)?
        }
    })
}

/// A shape behind that of the samples.
fn behind(samples: usize, shape: &[usize]) -> Shape {
    let shape: Vec<usize> = std::iter::once(samples)
        .chain(shape.iter().copied())
        .collect();
    Shape::from(shape)
}

/// Zeros of this shape for each sample, in the place and type of a tensor.
fn zeros<B: Backend>(like: &FloatTensor<B>, shape: &[usize]) -> FloatTensor<B> {
    let shape = behind(like.shape()[0], shape);
    B::float_zeros(shape, &like.device(), FloatDType::from(like.dtype()))
}

/// A primitive as a tensor of known rank.
pub(super) fn lifted<B: Backend, const D: usize>(
    primitive: FloatTensor<B>,
    shape: [usize; D],
) -> Tensor<D>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_primitive::<B>(B::float_reshape(primitive, Shape::new(shape)))
}

/// Indices in a row.
pub(super) fn indices_of<B: Backend>(indices: IntTensor<B>) -> Tensor<1, Int>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let count = indices.shape().num_elements();
    Tensor::<1, Int>::from_primitive::<B>(B::int_reshape(indices, Shape::new([count])))
}
