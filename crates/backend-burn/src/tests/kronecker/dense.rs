//! The approximations as dense matrices, in plain loops over samples, positions, inputs and
//! outputs.

use std::ops::Range;

use influence_core::{
    Rows,
    block::Block,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array4, s};

use crate::{
    Batch, Curvature, Gradients, Kronecker, ModelGradients, Stack,
    gradient::{GradientForm, OuterSide},
    tensors::host,
};

/// The vectors of which the Fisher matrix is made, as thin factors and multiplied out.
pub(super) struct Definition {
    thin: Vec<Gradients>,
    rows: Vec<Array2<f64>>,
    /// Those of the second pass, of other labels where labels are drawn.
    again: Vec<Array2<f64>>,
    columns: Vec<Range<usize>>,
    samples: usize,
}

/// Inputs and output gradients `(n, groups, t, side)` of one use of a weight, and whether inputs
/// come first in it.
struct Use {
    inputs: Array4<f64>,
    output_gradients: Array4<f64>,
    inputs_first: bool,
}

impl Definition {
    pub(super) fn new(source: &ModelGradients, batch: &Batch, curvature: Curvature) -> Self {
        let of = |curvature| {
            source
                .curvature_vectors(curvature, batch, 0)
                .expect("vectors")
                .plus
        };
        let rows = |thin: &[Gradients]| {
            let rows = thin
                .iter()
                .map(|vectors| Stack::new(vectors.to_rows()).to_host());
            rows.collect::<Result<_, _>>().expect("rows")
        };
        let other = match curvature {
            Curvature::Fisher { draws, seed } => Curvature::Fisher {
                draws,
                seed: seed + draws as u64,
            },
            other => other,
        };
        let thin = of(curvature);
        let layout = source.layout();
        Self {
            rows: rows(&thin),
            again: rows(&of(other)),
            thin,
            columns: (0..layout.parameters().len())
                .map(|parameter| layout.columns(parameter))
                .collect(),
            samples: batch.len(),
        }
    }

    /// The matrix that stands for the Fisher matrix of a block.
    pub(super) fn matrix(&self, block: &Block, kronecker: Kronecker) -> Array2<f64> {
        let (mut weight, mut bias, mut from) = (None, None, 0);
        for &parameter in block.parameters() {
            let forms: Vec<&GradientForm> = self.thin[0].of(&self.columns[parameter]).collect();
            if forms
                .iter()
                .any(|form| !matches!(form, GradientForm::Rows(_)))
            {
                weight = Some((&self.columns[parameter], from));
            } else {
                bias = Some(from);
            }
            from += self.columns[parameter].len();
        }
        match weight {
            None => fisher(self, block),
            Some((weight, from)) => self.factored(block, weight, from, bias, kronecker),
        }
    }

    fn factored(
        &self,
        block: &Block,
        weight: &Range<usize>,
        weight_from: usize,
        bias_from: Option<usize>,
        kronecker: Kronecker,
    ) -> Array2<f64> {
        let uses: Vec<Vec<Use>> = self
            .thin
            .iter()
            .map(|vectors| vectors.of(weight).map(one).collect())
            .collect();
        let first = &uses[0][0];
        let (_, groups, _, inputs) = first.inputs.dim();
        let (width, outputs) = (
            inputs + usize::from(bias_from.is_some()),
            first.output_gradients.dim().3,
        );
        let mut matrix = Array2::zeros((block.dim(), block.dim()));
        for g in 0..groups {
            let place = |a: usize, s: usize| {
                if a == inputs {
                    return bias_from.expect("a bias") + g * outputs + s;
                }
                let within = if first.inputs_first {
                    a * outputs + s
                } else {
                    s * inputs + a
                };
                weight_from + g * inputs * outputs + within
            };
            let (of_inputs, of_gradients) = Self::covariances(&uses, g, width);
            if kronecker == Kronecker::Kfac {
                for (a, s) in pairs(width, outputs) {
                    for (b, r) in pairs(width, outputs) {
                        matrix[[place(a, s), place(b, r)]] =
                            of_inputs[[a, b]] * of_gradients[[s, r]];
                    }
                }
                continue;
            }
            let (inner, outer) = (vectors(&of_inputs), vectors(&of_gradients));
            for (i, j) in pairs(width, outputs) {
                let mut direction = Array1::zeros(block.dim());
                for (a, s) in pairs(width, outputs) {
                    direction[place(a, s)] = inner[[a, i]] * outer[[s, j]];
                }
                let along = self.again.iter().map(|rows| {
                    let rows = rows.columns(block.columns()).expect("columns");
                    rows.dot(&direction).mapv(|along| along * along).sum()
                });
                let value: f64 = along.sum::<f64>() / self.samples as f64;
                let column = direction.view().insert_axis(ndarray::Axis(1));
                matrix += &(column.dot(&column.t()) * value);
            }
        }
        matrix
    }

    /// `A` and `S` of a group.
    fn covariances(uses: &[Vec<Use>], g: usize, width: usize) -> (Array2<f64>, Array2<f64>) {
        let positions: usize = uses[0].iter().map(|used| used.inputs.dim().2).sum();
        let outputs = uses[0][0].output_gradients.dim().3;
        let mut of_inputs = Array2::zeros((width, width));
        let mut of_gradients = Array2::zeros((outputs, outputs));
        for (index, uses) in uses.iter().enumerate() {
            for used in uses {
                let (samples, _, t, inputs) = used.inputs.dim();
                for (n, t) in pairs(samples, t) {
                    let mut a = Array1::ones(width);
                    a.slice_mut(s![..inputs])
                        .assign(&used.inputs.slice(s![n, g, t, ..]));
                    let d = used.output_gradients.slice(s![n, g, t, ..]);
                    if index == 0 {
                        let share = (samples * positions) as f64;
                        pairs(width, width)
                            .for_each(|(i, j)| of_inputs[[i, j]] += a[i] * a[j] / share);
                    }
                    pairs(outputs, outputs)
                        .for_each(|(i, j)| of_gradients[[i, j]] += d[i] * d[j] / samples as f64);
                }
            }
        }
        (of_inputs, of_gradients)
    }
}

fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

fn one(form: &GradientForm) -> Use {
    let array = |values: &burn::tensor::Tensor<4>| {
        let [a, b, c, d] = values.dims();
        Array4::from_shape_vec((a, b, c, d), host(values).expect("values")).expect("four axes")
    };
    match form {
        GradientForm::Outer {
            left,
            right,
            activations,
        } => {
            let inputs_first = *activations == OuterSide::Left;
            let (inputs, output_gradients) = if inputs_first {
                (left, right)
            } else {
                (right, left)
            };
            Use {
                inputs: array(inputs),
                output_gradients: array(output_gradients),
                inputs_first,
            }
        }
        GradientForm::Embedding {
            indices,
            output_gradients,
            entries,
        } => {
            let [n, t, width] = output_gradients.dims();
            let indices: Vec<i64> = indices.to_data().iter::<i64>().collect();
            let mut inputs = Array4::zeros((n, 1, t, *entries));
            for (sample, position) in pairs(n, t) {
                let row = usize::try_from(indices[sample * t + position]).expect("a row");
                inputs[[sample, 0, position, row]] = 1.0;
            }
            Use {
                inputs,
                output_gradients: array(&output_gradients.clone().reshape([n, 1, t, width])),
                inputs_first: true,
            }
        }
        GradientForm::Rows(_) | GradientForm::Combination { .. } => panic!("no linear map"),
    }
}

fn vectors(matrix: &Array2<f64>) -> Array2<f64> {
    let Eigen { vectors, .. } = eigen(matrix).expect("eigenvectors");
    vectors
}

/// The exact mean of outer products in a block.
pub(super) fn fisher(definition: &Definition, block: &Block) -> Array2<f64> {
    let mut matrix = Array2::zeros((block.dim(), block.dim()));
    for rows in &definition.rows {
        let rows = rows.columns(block.columns()).expect("columns");
        matrix += &(rows.t().dot(&rows) / definition.samples as f64);
    }
    matrix
}

pub(super) fn top(matrix: &Array2<f64>) -> f64 {
    let Eigen { values, .. } = eigen(matrix).expect("eigenvalues");
    values.iter().copied().fold(0.0, f64::max)
}

pub(super) fn length(matrix: &Array2<f64>) -> f64 {
    matrix.mapv(|entry| entry * entry).sum().sqrt()
}

/// The largest difference, relative to the largest entry of the reference.
pub(super) fn difference(values: &Array2<f64>, reference: &Array2<f64>) -> f64 {
    let flat = |array: &Array2<f64>| array.iter().copied().collect::<Vec<_>>();
    super::super::difference(&flat(values), &flat(reference))
}
