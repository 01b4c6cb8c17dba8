//! Products of the Hessian or Gauss-Newton matrix of a multilayer perceptron with many vectors at
//! once, written out as matrix products.
//!
//! The network. Layer `l` maps its inputs `x_l (n, in)` to `s_l = x_l W_l + b_l`, an elementwise
//! activation gives `x_{l+1} = f_l(s_l)`, the outputs are those of the last layer, and each sample
//! `i` has a loss `ℓ_i` of its outputs. With the output gradients `δ_l = ∂ℓ/∂s_l (n, out)`,
//!
//! ```text
//! δ_last = ∂ℓ/∂s_last        δ_l = (δ_{l+1} W_{l+1}ᵀ) ∘ f_l'(s_l)
//! ```
//!
//! the gradients are `∂/∂W_l = x_lᵀ δ_l` and `∂/∂b_l = Σ_i δ_l`.
//!
//! The product. `H v` is the derivative of the gradient along `v = (V_l, c_l)`. Write `R` for that
//! directional derivative of anything above (Pearlmutter's operator). A forward pass gives the
//! tangents of inputs and outputs, a backward pass those of the output gradients:
//!
//! ```text
//! R s_l     = R x_l W_l + x_l V_l + c_l                R x_{l+1} = f_l' ∘ R s_l
//! R δ_last  = ∂²ℓ/∂s² R s_last
//! R δ_l     = f_l' ∘ (R δ_{l+1} W_{l+1}ᵀ + δ_{l+1} V_{l+1}ᵀ) + f_l'' ∘ (δ_{l+1} W_{l+1}ᵀ) ∘ R s_l
//! (H v)_W_l = x_lᵀ R δ_l + (R x_l)ᵀ δ_l                (H v)_b_l = Σ_i R δ_l
//! ```
//!
//! Without the terms with `δ` and `f''` this is the Gauss-Newton matrix `Jᵀ ∂²ℓ/∂s² J`. The forward
//! pass gives the derivative of each loss along `v`, too, `⟨∇ℓ_i, v⟩ = ⟨δ_last, R s_last⟩`.
//! Everything that no `v` enters is computed once per batch and cached: `x`, `f'`, `δ`, and the
//! product `f'' ∘ (δ W ᵀ)`.
//!
//! Shapes. All `k` vectors go through each step together: tangents are `(k, n, width)`, so that a
//! product with a weight is one matrix product of `k · n` rows. In a product with the vectors
//! themselves each has a matrix of its own; since the samples of a vector lie together, these are
//! `k` products of the matrices as they are stored, and their results lie as those of the operator
//! do: nothing is turned or copied. As many vectors are taken at a time as leave the tangents in a
//! cache.
//!
//! Pearlmutter, *Fast exact multiplication by the Hessian*, 1994; Schraudolph, *Fast curvature
//! matrix-vector products for second-order gradient descent*, 2002.

use std::ops::Range;

use burn::tensor::Tensor;
use influence_core::Result as CoreResult;
use ndarray::Array2;

use super::pairs::in_pairs;
use crate::{
    engine::{LinearisedLayer, LossDerivatives},
    product::Product as _,
    tensors::{host, joined},
};

/// A multilayer perceptron and its loss, differentiated at a batch.
#[derive(Debug, Clone)]
pub(crate) struct Linearised {
    layers: Vec<LinearisedLayer>,
    /// `δ_l (n, out)` of each layer; `None` for the Gauss-Newton matrix.
    output_gradients: Option<Vec<Tensor<2>>>,
    /// For each layer but the last `f'' ∘ (δ_{l+1} W_{l+1}ᵀ)`, where it is not zero.
    second_derivatives: Vec<Option<Tensor<2>>>,
    /// `∂²ℓ/∂s²` of the last layer, `(n, c, c)`.
    loss: Tensor<3>,
}

/// What the samples of a batch say along each of `k` vectors.
pub(crate) struct DirectionalDerivatives {
    /// The products with the matrix, summed over the samples, `(k, dim)`.
    pub(crate) products: Tensor<2>,
    /// The derivative of the loss of each sample, `⟨∇ℓ_i, v⟩`, `(k, n)`.
    pub(crate) slopes: Tensor<2>,
}

/// Directional derivatives along each of `k` vectors, `(k, n, width)`; `None` where they are zero.
type Tangents = Option<Tensor<3>>;

impl Linearised {
    pub(crate) fn new(layers: Vec<LinearisedLayer>, loss: LossDerivatives) -> Self {
        let mut second_derivatives = vec![None; layers.len().saturating_sub(1)];
        let mut output_gradients = Vec::with_capacity(layers.len());
        output_gradients.extend(loss.first);
        for index in (0..second_derivatives.len()).rev() {
            let (Some(delta), Some(activation)) =
                (output_gradients.last(), &layers[index].activation)
            else {
                break;
            };
            let back = delta
                .clone()
                .product(layers[index + 1].matrix.clone().transpose());
            let second = activation.second.clone();
            second_derivatives[index] = second.map(|second| second * back.clone());
            output_gradients.push(back * activation.first.clone());
        }
        output_gradients.reverse();
        Self {
            output_gradients: (output_gradients.len() == layers.len()).then_some(output_gradients),
            second_derivatives,
            loss: loss.second,
            layers,
        }
    }

    /// The scalars held, without the weights.
    pub(crate) fn scalars(&self) -> usize {
        let size = |tensor: &Tensor<2>| tensor.shape().num_elements();
        let layers = self.layers.iter().map(|layer| {
            let activation = layer.activation.as_ref();
            size(&layer.inputs) + activation.map_or(0, |activation| size(&activation.first))
        });
        let gradients = self.output_gradients.iter().flatten();
        let derivatives = gradients.chain(self.second_derivatives.iter().flatten());
        layers.sum::<usize>()
            + derivatives.map(size).sum::<usize>()
            + self.loss.shape().num_elements()
    }

    /// The products with rows `(k, dim)`, summed over the samples; `places` has the columns of each
    /// parameter, `None` for those that are not among the columns.
    pub(crate) fn products(&self, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Tensor<2> {
        let products = self.pieces(rows).map(|rows| {
            let directions = self.directions(&rows, places);
            self.backward(&self.forward(&directions), &directions, &rows, places)
        });
        joined(products.collect(), 0)
    }

    /// The same products, and the derivatives of the losses; `None` for the Gauss-Newton matrix,
    /// which knows no losses.
    pub(crate) fn along(
        &self,
        rows: &Tensor<2>,
        places: &[Option<Range<usize>>],
    ) -> Option<DirectionalDerivatives> {
        let gradients = self.output_gradients.as_ref()?.last()?;
        let (mut products, mut slopes) = (Vec::new(), Vec::new());
        for rows in self.pieces(rows) {
            let directions = self.directions(&rows, places);
            let forward = self.forward(&directions);
            let moved = forward.outputs.last()?.clone()?;
            let [k, n, _] = moved.dims();
            let moved = moved * gradients.clone().unsqueeze_dim(0);
            slopes.push(moved.sum_dim(2).reshape([k, n]));
            products.push(self.backward(&forward, &directions, &rows, places));
        }
        Some(DirectionalDerivatives {
            products: joined(products, 0),
            slopes: joined(slopes, 0),
        })
    }

    /// As many rows at a time as leave the tangents in a cache.
    fn pieces(&self, rows: &Tensor<2>) -> impl Iterator<Item = Tensor<2>> {
        /// Scalars of a tensor of tangents that fits in a cache.
        const CACHED: usize = 1 << 18;
        let [k, dim] = rows.dims();
        let size = |layer: &LinearisedLayer| {
            layer.inputs.dims()[0] * layer.matrix.dims().into_iter().max().unwrap_or(1)
        };
        let largest = self.layers.iter().map(size).max().unwrap_or(1).max(1);
        let step = (CACHED / largest).clamp(1, k.max(1));
        let rows = rows.clone();
        (0..k).step_by(step).map(move |first| {
            let own = first..(first + step).min(k);
            rows.clone().slice([own, 0..dim])
        })
    }

    fn directions(&self, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Vec<Direction> {
        let layers = self.layers.iter();
        layers
            .map(|layer| Direction::of(layer, rows, places))
            .collect()
    }

    /// The products, from the tangents of the forward pass.
    fn backward(
        &self,
        Forward { inputs, outputs }: &Forward,
        directions: &[Direction],
        rows: &Tensor<2>,
        places: &[Option<Range<usize>>],
    ) -> Tensor<2> {
        let mut pieces = Vec::new();
        let mut add = |parameter: usize, product: Option<Tensor<2>>| {
            if let (Some(place), Some(product)) = (&places[parameter], product) {
                pieces.push((place.start, product));
            }
        };
        let mut deltas = outputs.last().and_then(|last| self.through_loss(last));
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let gradients = self.output_gradients.as_ref().map(|all| &all[index]);
            if let Some(bias) = layer.bias {
                add(bias, deltas.clone().map(summed));
            }
            add(
                layer.weight,
                layer.weight_product(&deltas, &inputs[index], gradients),
            );
            deltas = self.before(index, deltas, &directions[index], outputs);
        }
        placed(pieces, rows.dims()[1], rows)
    }

    /// From `R δ` of a layer to that of the layer before.
    fn before(
        &self,
        layer: usize,
        deltas: Tangents,
        direction: &Direction,
        tangents: &[Tangents],
    ) -> Tangents {
        let before = layer.checked_sub(1)?;
        let matrix = self.layers[layer].matrix.clone().transpose();
        let moved = deltas.map(|deltas| through(deltas, matrix));
        let gradients = self.output_gradients.as_ref().zip(direction.weight.clone());
        let changed = gradients.map(|(gradients, weight)| {
            gradients[layer]
                .clone()
                .unsqueeze()
                .product(weight.swap_dims(1, 2))
        });
        let second = self.second_derivatives[before].clone();
        let curved = second.zip(tangents[before].clone());
        let curved = curved.map(|(second, tangents)| tangents * second.unsqueeze_dim(0));
        sum(self.activated(before, sum(moved, changed)), curved)
    }

    /// `R x` and `R s` of every layer.
    fn forward(&self, directions: &[Direction]) -> Forward {
        let count = self.layers.len();
        let (mut inputs, mut outputs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut tangents: Tangents = None;
        for (index, (layer, direction)) in self.layers.iter().zip(directions).enumerate() {
            let moved = tangents.clone();
            let moved = moved.map(|tangents| through(tangents, layer.matrix.clone()));
            let own = direction.weight.clone();
            let own = own.map(|weight| layer.inputs.clone().unsqueeze().product(weight));
            let shifted = match (sum(moved, own), direction.bias.clone()) {
                (None, Some(bias)) => Some(bias.repeat_dim(1, layer.inputs.dims()[0])),
                (tangents, bias) => sum(tangents, bias),
            };
            outputs.push(shifted.clone());
            let activated = self.activated(index, shifted);
            inputs.push(std::mem::replace(&mut tangents, activated));
        }
        Forward { inputs, outputs }
    }

    /// Adds the matrix itself, summed over the samples and scaled, where the network is a single
    /// layer, and returns true. Its block of two outputs is `Σ_i ∂²ℓ_i/∂o_a∂o_b x_i x_iᵀ`. Other
    /// networks add nothing.
    pub(crate) fn add_to(
        &self,
        dense: &mut Array2<f64>,
        scale: f64,
        places: &[Option<Range<usize>>],
    ) -> CoreResult<bool> {
        let [layer] = &self.layers[..] else {
            return Ok(false);
        };
        let Some(inputs) = layer.inputs_of(places) else {
            return Ok(true);
        };
        let ([n, width], outputs) = (inputs.dims(), self.loss.dims()[2]);
        let columns = layer.columns_by_output(places);
        let sums = |output: usize| {
            let own = [0..n, output..output + 1, 0..outputs];
            let second = self.loss.clone().slice(own).swap_dims(1, 2);
            let weighted = second * inputs.clone().unsqueeze_dim(1);
            let weighted = weighted.reshape([n, outputs * width]);
            Ok((output, host(&inputs.clone().transpose().product(weighted))?))
        };
        let add = |(output, sums): (usize, Vec<f64>)| {
            let rows = &columns[output * width..][..width];
            for (&row, sums) in rows.iter().zip(sums.chunks_exact(columns.len())) {
                let mut row = dense.row_mut(row);
                for (&column, sum) in columns.iter().zip(sums) {
                    row[column] += scale * sum;
                }
            }
            Ok(())
        };
        in_pairs(0..outputs, sums, add)?;
        Ok(true)
    }

    /// Tangents times the derivative of the activation after a layer, forwards or backwards.
    fn activated(&self, layer: usize, tangents: Tangents) -> Tangents {
        let activation = self.layers[layer].activation.as_ref()?;
        Some(tangents? * activation.first.clone().unsqueeze_dim(0))
    }

    /// `R δ` of the last layer from `R s`.
    fn through_loss(&self, tangents: &Tangents) -> Tangents {
        let of_samples = tangents.clone()?.swap_dims(0, 1);
        Some(of_samples.product(self.loss.clone()).swap_dims(0, 1))
    }
}

/// The tangents of the inputs and of the outputs of each layer.
struct Forward {
    inputs: Vec<Tangents>,
    outputs: Vec<Tangents>,
}

/// The part of the vectors that belongs to the parameters of one layer.
struct Direction {
    /// `(k, in, out)`.
    weight: Option<Tensor<3>>,
    /// `(k, 1, out)`.
    bias: Option<Tensor<3>>,
}

impl Direction {
    fn of(layer: &LinearisedLayer, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Self {
        let k = rows.dims()[0];
        let [width, out] = layer.matrix.dims();
        let of = |parameter: usize| {
            let place = places[parameter].clone()?;
            Some(rows.clone().slice([0..k, place]))
        };
        let weight = of(layer.weight).map(|values| {
            if layer.transposed {
                values.reshape([k, out, width]).swap_dims(1, 2)
            } else {
                values.reshape([k, width, out])
            }
        });
        let bias = layer.bias.and_then(of);
        Self {
            weight,
            bias: bias.map(|values| values.reshape([k, 1, out])),
        }
    }
}

impl LinearisedLayer {
    /// What the parameters that have columns multiply, `(n, width)`: the inputs for the weight, a
    /// one for the bias.
    fn inputs_of(&self, places: &[Option<Range<usize>>]) -> Option<Tensor<2>> {
        let ones = |_| {
            let inputs = self.inputs.clone();
            let first = inputs.slice([0..self.inputs.dims()[0], 0..1]);
            first.ones_like()
        };
        let weight = places[self.weight].as_ref().map(|_| self.inputs.clone());
        let bias = self.bias.and_then(|bias| places[bias].as_ref()).map(ones);
        let pieces: Vec<Tensor<2>> = weight.into_iter().chain(bias).collect();
        (!pieces.is_empty()).then(|| joined(pieces, 1))
    }

    /// The columns of the weights and the bias that lead to each output in turn, as far as they
    /// have some.
    fn columns_by_output(&self, places: &[Option<Range<usize>>]) -> Vec<usize> {
        let [width, outputs] = self.matrix.dims();
        let place = |parameter: usize| places[parameter].as_ref();
        let of_output = |output: usize| {
            let weight = place(self.weight).map(|place| {
                (0..width).map(move |input| {
                    let within = if self.transposed {
                        output * width + input
                    } else {
                        input * outputs + output
                    };
                    place.start + within
                })
            });
            let bias = self.bias.and_then(place).map(|place| place.start + output);
            weight.into_iter().flatten().chain(bias)
        };
        (0..outputs).flat_map(of_output).collect()
    }

    /// `xᵀ R δ + (R x)ᵀ δ`, the product for the weight: `(k, in · out)`, or `(k, out · in)` where
    /// the weight is stored so.
    fn weight_product(
        &self,
        deltas: &Tangents,
        inputs: &Tangents,
        output_gradients: Option<&Tensor<2>>,
    ) -> Option<Tensor<2>> {
        let (x, transposed) = (self.inputs.clone(), self.transposed);
        let of_deltas = deltas.clone().map(|deltas| {
            if transposed {
                deltas.swap_dims(1, 2).product(x.unsqueeze())
            } else {
                x.transpose().unsqueeze().product(deltas)
            }
        });
        let of_inputs = inputs.clone().zip(output_gradients.cloned());
        let of_inputs = of_inputs.map(|(inputs, gradients)| {
            if transposed {
                gradients.transpose().unsqueeze().product(inputs)
            } else {
                inputs.swap_dims(1, 2).product(gradients.unsqueeze())
            }
        });
        let product = sum(of_deltas, of_inputs)?;
        let [k, a, b] = product.dims();
        Some(product.reshape([k, a * b]))
    }
}

/// Tangents times a matrix of the network: one matrix product of `k · n` rows.
fn through(tangents: Tensor<3>, matrix: Tensor<2>) -> Tensor<3> {
    let ([k, n, width], out) = (tangents.dims(), matrix.dims()[1]);
    let flat = tangents.reshape([k * n, width]);
    flat.product(matrix).reshape([k, n, out])
}

fn sum(a: Tangents, b: Tangents) -> Tangents {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// `(k, n, out)` → `(k, out)`.
fn summed(deltas: Tensor<3>) -> Tensor<2> {
    let [k, _, out] = deltas.dims();
    deltas.sum_dim(1).reshape([k, out])
}

/// Pieces at their first columns, zeros elsewhere, on the device and in the type of `like (k, ·)`.
fn placed(mut pieces: Vec<(usize, Tensor<2>)>, dim: usize, like: &Tensor<2>) -> Tensor<2> {
    pieces.sort_by_key(|(start, _)| *start);
    let k = like.dims()[0];
    let zeros = |columns| Tensor::zeros([k, columns], (&like.device(), like.dtype()));
    let (mut joined, mut end) = (Vec::with_capacity(pieces.len()), 0);
    for (start, piece) in pieces {
        if start > end {
            joined.push(zeros(start - end));
        }
        end = start + piece.dims()[1];
        joined.push(piece);
    }
    if end < dim {
        joined.push(zeros(dim - end));
    }
    Tensor::cat(joined, 1)
}
