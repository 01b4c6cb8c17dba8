//! Trainings written out by hand in 64 bits: perceptrons with the hyperbolic tangent between their
//! layers, cross-entropy, and the optimisers.

use ndarray::{Array1, Array2, Axis};

use crate::{TrainingStep, UpdateRule};

/// A perceptron whose layers are used in some order, perhaps more than once.
#[derive(Clone)]
pub(super) struct Perceptron {
    /// The widths `(in, out)` of each layer, whose parameters are its matrix and its bias.
    pub(super) layers: Vec<[usize; 2]>,
    pub(super) order: Vec<usize>,
}

/// A training with weights of samples.
pub(super) struct Reference<'a> {
    pub(super) network: Perceptron,
    pub(super) inputs: Array2<f64>,
    pub(super) classes: Vec<usize>,
    pub(super) steps: &'a [TrainingStep],
    pub(super) rule: UpdateRule,
    pub(super) weight_decay: f64,
}

impl Perceptron {
    /// The parameters of a layer.
    fn layer(&self, parameters: &[f64], layer: usize) -> (usize, Array2<f64>, Array1<f64>) {
        let size = |&[from, to]: &[usize; 2]| (from + 1) * to;
        let start: usize = self.layers[..layer].iter().map(size).sum();
        let [from, to] = self.layers[layer];
        let matrix = parameters[start..start + from * to].to_vec();
        let bias = parameters[start + from * to..start + (from + 1) * to].to_vec();
        let matrix = Array2::from_shape_vec((from, to), matrix).expect("a matrix");
        (start, matrix, Array1::from(bias))
    }

    /// The loss of a sample, and its gradient.
    pub(super) fn loss(
        &self,
        parameters: &[f64],
        input: Array1<f64>,
        class: usize,
    ) -> (f64, Vec<f64>) {
        let mut values = vec![input];
        for (place, &layer) in self.order.iter().enumerate() {
            let (_, matrix, bias) = self.layer(parameters, layer);
            let sum = values[place].dot(&matrix) + bias;
            let is_last = place + 1 == self.order.len();
            values.push(if is_last { sum } else { sum.mapv(f64::tanh) });
        }
        let exponentials = values[self.order.len()].mapv(f64::exp);
        let mut delta = &exponentials / exponentials.sum();
        let loss = -delta[class].ln();
        delta[class] -= 1.0;
        let mut gradient = vec![0.0; parameters.len()];
        for (place, &layer) in self.order.iter().enumerate().rev() {
            let (start, matrix, _) = self.layer(parameters, layer);
            let input = &values[place];
            let outer = input
                .view()
                .insert_axis(Axis(1))
                .dot(&delta.view().insert_axis(Axis(0)));
            let own = outer.iter().chain(&delta);
            own.enumerate()
                .for_each(|(index, value)| gradient[start + index] += value);
            delta = matrix.dot(&delta) * input.mapv(|value| 1.0 - value * value);
        }
        (loss, gradient)
    }
}

impl Reference<'_> {
    /// The parameters after the training.
    pub(super) fn trained(&self, begin: &[f64], weights: &[f64]) -> Vec<f64> {
        let mut parameters = begin.to_vec();
        let mut moments = vec![[0.0; 2]; begin.len()];
        for (step, taken) in self.steps.iter().enumerate() {
            let mut gradient: Vec<f64> = parameters
                .iter()
                .map(|value| self.weight_decay * value)
                .collect();
            for &sample in &taken.batch {
                let input = self.inputs.row(sample).to_owned();
                let (_, own) = self.network.loss(&parameters, input, self.classes[sample]);
                let weight = weights[sample] / taken.batch.len() as f64;
                gradient
                    .iter_mut()
                    .zip(own)
                    .for_each(|(sum, own)| *sum += weight * own);
            }
            for ((value, gradient), moments) in
                parameters.iter_mut().zip(gradient).zip(&mut moments)
            {
                *value -= taken.learning_rate * self.direction(gradient, moments, step + 1);
            }
        }
        parameters
    }

    fn direction(&self, gradient: f64, [first, second]: &mut [f64; 2], time: usize) -> f64 {
        match self.rule {
            UpdateRule::Sgd { momentum } => {
                *first = f64::from(momentum) * *first + gradient;
                *first
            }
            UpdateRule::Adam {
                beta_1,
                beta_2,
                epsilon,
            } => {
                let (a, b) = (f64::from(beta_1), f64::from(beta_2));
                *first = a * *first + f64::from(1.0 - beta_1) * gradient;
                *second = b * *second + f64::from(1.0 - beta_2) * gradient * gradient;
                // burn corrects the bias in 32 bits.
                let time = i32::try_from(time).expect("few steps");
                let [a, b] = [1.0 - beta_1.powi(time), 1.0 - beta_2.powi(time)];
                let (scale, shift) = (b.sqrt() / a, epsilon * b.sqrt());
                f64::from(scale) * *first / (second.sqrt() + f64::from(shift))
            }
        }
    }
}
