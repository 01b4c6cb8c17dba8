//! Linear maps, recognised by the form of the gradients of their parameters.

use std::ops::Range;

use burn::tensor::{Int, Tensor};
use influence_core::{
    Error as CoreError, Result as CoreResult,
    block::{Block, ParameterLayout},
};

use crate::{
    Gradients,
    gradient::{GradientForm, OuterSide, ParameterGradient},
    tensors::host,
};

/// A linear map, with or without a bias, and where its parameters lie in their block.
#[derive(Debug, Clone)]
pub(super) struct LinearLayer {
    /// The name of the block.
    pub(super) name: String,
    /// The columns of the block.
    block: Vec<Range<usize>>,
    /// Columns of the weight within the block.
    weight: Range<usize>,
    /// Columns of the bias within the block, if there is one.
    bias: Option<Range<usize>>,
    pub(super) shape: LayerShape,
}

/// The sides of a linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerShape {
    pub(super) groups: usize,
    /// Inputs of a group, without the 1 of the bias.
    pub(super) inputs: usize,
    /// Outputs of a group.
    pub(super) outputs: usize,
    /// Whether inputs come first in the weight.
    pub(super) inputs_first: bool,
    /// Whether it is an embedding: its inputs are indices of rows of a table.
    pub(super) is_embedding: bool,
}

impl LayerShape {
    fn of(form: &GradientForm) -> Option<Self> {
        match form {
            GradientForm::Rows(_) | GradientForm::Combination { .. } => None,
            GradientForm::Outer {
                left,
                right,
                activations,
            } => {
                let [_, groups, _, l] = left.dims();
                let r = right.dims()[3];
                let inputs_first = *activations == OuterSide::Left;
                let (inputs, outputs) = if inputs_first { (l, r) } else { (r, l) };
                Some(Self {
                    groups,
                    inputs,
                    outputs,
                    inputs_first,
                    is_embedding: false,
                })
            }
            GradientForm::Embedding {
                output_gradients,
                entries,
                ..
            } => Some(Self {
                groups: 1,
                inputs: *entries,
                outputs: output_gradients.dims()[2],
                inputs_first: true,
                is_embedding: true,
            }),
        }
    }
}

/// Inputs and output gradients of a layer at all positions of some samples.
pub(super) struct Positions {
    /// `(n, groups, t, inputs)`, with the 1 of the bias.
    pub(super) inputs: LayerInputs,
    /// `(n, groups, t, outputs)`.
    pub(super) output_gradients: Tensor<4>,
}

/// The inputs of a linear map.
pub(super) enum LayerInputs {
    Dense(Tensor<4>),
    /// The indices of rows of an embedding table, `(n, t)`.
    Indices(Tensor<2, Int>),
}

impl LinearLayer {
    /// The linear map of a block, if there is one, found in a few gradients.
    ///
    /// # Errors
    /// [`Setting`](CoreError::Setting) for a block with more than one.
    pub(super) fn find(
        block: &Block,
        layout: &ParameterLayout,
        shown: &[Gradients],
    ) -> CoreResult<Option<Self>> {
        let Some(first) = shown.first() else {
            return Ok(None);
        };
        let first = first.columns(block.columns());
        let (mut weights, mut others, mut from) = (Vec::new(), Vec::new(), 0);
        for &parameter in block.parameters() {
            let columns = from..from + layout.columns(parameter).len();
            from = columns.end;
            let shapes: Option<Vec<LayerShape>> = first.of(&columns).map(LayerShape::of).collect();
            match shapes.as_deref() {
                Some([shape, rest @ ..]) if rest.iter().all(|other| other == shape) => {
                    weights.push((columns, *shape));
                }
                _ => others.push(columns),
            }
        }
        if weights.len() > 1 {
            return Err(CoreError::Setting {
                name: "blocks",
                requirement: "layer-wise or finer with Kronecker factors, one linear map in each",
                got: format!("{} of them in block {}", weights.len(), block.name()),
            });
        }
        let Some((weight, shape)) = weights.pop() else {
            return Ok(None);
        };
        let mut layer = Self {
            name: block.name().to_owned(),
            block: block.columns().to_vec(),
            weight,
            bias: None,
            shape,
        };
        match others.as_slice() {
            [] => Ok(Some(layer)),
            [columns] => {
                let is_bias = layer.has_bias(&first, columns)?;
                layer.bias = Some(columns.clone());
                Ok(is_bias.then_some(layer))
            }
            _ => Ok(None),
        }
    }

    /// Whether the gradients of a parameter are the output gradients summed over positions.
    fn has_bias(&self, gradients: &Gradients, columns: &Range<usize>) -> CoreResult<bool> {
        const TOLERANCE: f64 = 1e-4;
        let LayerShape {
            groups,
            outputs,
            is_embedding,
            ..
        } = self.shape;
        let own = gradients.of(columns).map(GradientForm::to_rows);
        let Some(own) = own.reduce(|sum, rows| sum + rows) else {
            return Ok(false);
        };
        let Some(Positions {
            output_gradients, ..
        }) = self.positions(gradients)
        else {
            return Ok(false);
        };
        let [n, width] = own.dims();
        if is_embedding || width != groups * outputs {
            return Ok(false);
        }
        let summed = output_gradients.sum_dim(2).reshape([n, width]);
        let (own, summed) = (host(&own)?, host(&summed)?);
        let scale = own
            .iter()
            .fold(0.0_f64, |scale, value| scale.max(value.abs()));
        let pairs = own.iter().zip(&summed);
        let difference = pairs.fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs()));
        Ok(difference <= TOLERANCE * scale)
    }

    /// Inputs and output gradients of some samples, given their gradients within the block;
    /// positions of several uses of the weight are joined.
    pub(super) fn positions(&self, gradients: &Gradients) -> Option<Positions> {
        let (mut inputs, mut rows, mut output_gradients) = (Vec::new(), Vec::new(), Vec::new());
        for form in gradients.of(&self.weight) {
            match form {
                GradientForm::Outer {
                    left,
                    right,
                    activations,
                } => {
                    let (own, back) = match activations {
                        OuterSide::Left => (left, right),
                        OuterSide::Right => (right, left),
                    };
                    inputs.push(own.clone());
                    output_gradients.push(back.clone());
                }
                GradientForm::Embedding {
                    indices,
                    output_gradients: back,
                    ..
                } => {
                    rows.push(indices.clone());
                    output_gradients.push(back.clone().unsqueeze_dim(1));
                }
                GradientForm::Rows(_) | GradientForm::Combination { .. } => return None,
            }
        }
        if output_gradients.is_empty() {
            return None;
        }
        let output_gradients = Tensor::cat(output_gradients, 2);
        let inputs = if rows.is_empty() {
            LayerInputs::Dense(self.with_one(Tensor::cat(inputs, 2)))
        } else {
            LayerInputs::Indices(Tensor::cat(rows, 1))
        };
        Some(Positions {
            inputs,
            output_gradients,
        })
    }

    /// [`positions`](Self::positions), if the gradients consist of them and the bias that belongs
    /// to them alone.
    pub(super) fn alone(&self, gradients: &Gradients) -> CoreResult<Option<Positions>> {
        let mut others = gradients
            .columns_of_parts()
            .filter(|columns| **columns != self.weight);
        let as_found = match &self.bias {
            None => others.next().is_none(),
            Some(bias) => {
                others.all(|columns| columns == bias) && self.has_bias(gradients, bias)?
            }
        };
        Ok(self.positions(gradients).filter(|_| as_found))
    }

    /// The inverse of [`alone`](Self::alone), for dense inputs.
    pub(super) fn gradients(&self, inputs: Tensor<4>, output_gradients: Tensor<4>) -> Gradients {
        let [k, groups, t, outputs] = output_gradients.dims();
        let mut parts = Vec::with_capacity(2);
        let kind = (output_gradients.device(), output_gradients.dtype());
        let mut dim = self.weight.len();
        let own = match &self.bias {
            None => inputs,
            Some(bias) => {
                let side = |columns| [0..k, 0..groups, 0..t, columns];
                let ones = inputs
                    .clone()
                    .slice(side(self.shape.inputs..self.shape.inputs + 1));
                let shifts = (output_gradients.clone() * ones).sum_dim(2);
                dim += bias.len();
                let form = GradientForm::Rows(shifts.reshape([k, groups * outputs]));
                parts.push(ParameterGradient::new(bias.clone(), form));
                inputs.slice(side(0..self.shape.inputs))
            }
        };
        let (left, right, activations) = if self.shape.inputs_first {
            (own, output_gradients, OuterSide::Left)
        } else {
            (output_gradients, own, OuterSide::Right)
        };
        let form = GradientForm::Outer {
            left,
            right,
            activations,
        };
        parts.push(ParameterGradient::new(self.weight.clone(), form));
        Gradients::new(k, dim, kind, parts)
    }

    /// [`positions`](Self::positions) of gradients with respect to all parameters.
    pub(super) fn positions_of(&self, gradients: &Gradients) -> Option<Positions> {
        self.positions(&gradients.columns(&self.block))
    }

    fn with_one(&self, inputs: Tensor<4>) -> Tensor<4> {
        if self.bias.is_none() {
            return inputs;
        }
        let [n, g, t, _] = inputs.dims();
        let ones = Tensor::ones([n, g, t, 1], (&inputs.device(), inputs.dtype()));
        Tensor::cat(vec![inputs, ones], 3)
    }

    /// Inputs of a group, with the 1 of the bias.
    pub(super) fn width(&self) -> usize {
        self.shape.inputs + usize::from(self.bias.is_some())
    }

    /// Rows of the block `(k, dim)` as matrices `(k, groups, outputs, width)`.
    pub(super) fn matrices(&self, rows: &Tensor<2>) -> Tensor<4> {
        let k = rows.dims()[0];
        let LayerShape {
            groups,
            inputs,
            outputs,
            inputs_first,
            ..
        } = self.shape;
        let weights = rows.clone().slice([0..k, self.weight.clone()]);
        let weights = if inputs_first {
            weights
                .reshape([k, groups, inputs, outputs])
                .swap_dims(2, 3)
        } else {
            weights.reshape([k, groups, outputs, inputs])
        };
        let Some(bias) = &self.bias else {
            return weights;
        };
        let bias = rows.clone().slice([0..k, bias.clone()]);
        Tensor::cat(vec![weights, bias.reshape([k, groups, outputs, 1])], 3)
    }

    /// The inverse of [`matrices`](Self::matrices).
    pub(super) fn rows(&self, matrices: &Tensor<4>) -> Tensor<2> {
        let k = matrices.dims()[0];
        let LayerShape {
            groups,
            inputs,
            outputs,
            inputs_first,
            ..
        } = self.shape;
        let weights = matrices
            .clone()
            .slice([0..k, 0..groups, 0..outputs, 0..inputs]);
        let weights = if inputs_first {
            weights.swap_dims(2, 3)
        } else {
            weights
        };
        let weights = weights.reshape([k, groups * inputs * outputs]);
        let Some(columns) = &self.bias else {
            return weights;
        };
        let bias = matrices
            .clone()
            .slice([0..k, 0..groups, 0..outputs, inputs..inputs + 1])
            .reshape([k, groups * outputs]);
        let joined = if columns.start < self.weight.start {
            vec![bias, weights]
        } else {
            vec![weights, bias]
        };
        Tensor::cat(joined, 1)
    }
}
