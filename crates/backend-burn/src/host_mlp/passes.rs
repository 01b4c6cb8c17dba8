//! Forwards through the layers, and backwards.

use influence_core::Values;
use ndarray::{
    Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, CowArray, Ix2, Zip,
    linalg::general_mat_mul, s,
};

use super::{HostActivation, HostLayer, HostLoss, HostMlp, oriented};
use crate::{Batch, Error, Result};

impl HostMlp {
    /// Computes the gradient of the mean of `weight · loss` over the samples of a batch, and gives
    /// that mean. It divides by the number of samples, whatever their weights.
    ///
    /// # Errors
    /// [`Error::Field`] when the batch does not hold inputs and targets of the network.
    pub fn differentiate(&mut self, batch: &Batch, weights: Option<&[f32]>) -> Result<f64> {
        let [inputs, targets] = batch.fields() else {
            let got = format!("{} fields", batch.fields().len());
            return Err(misfit(1, "the last of two fields", got));
        };
        let inputs = matrix(inputs, 0, self.width())?;
        self.forwards(&inputs.view());
        let outputs = self.layers.last().map_or(0, |layer| layer.outputs.ncols());
        let weight = |sample: usize| weights.map_or(1.0, |weights| weights[sample]);
        let loss = match self.loss {
            HostLoss::CrossEntropy => self.cross_entropy(targets, weight)?,
            HostLoss::SquaredError => {
                let targets = matrix(targets, 1, outputs)?;
                self.squared_error(&targets.view(), weight)
            }
        };
        self.backwards(&inputs.view());
        Ok(loss)
    }

    /// The outputs of all layers.
    fn forwards(&mut self, inputs: &ArrayView2<'_, f32>) {
        let samples = inputs.nrows();
        for index in 0..self.layers.len() {
            let (before, from) = self.layers.split_at_mut(index);
            let layer = &mut from[0];
            layer.make_room(samples);
            let input = before.last().map_or(inputs.view(), |before| {
                before.outputs.slice(s![..samples, ..])
            });
            let weight = oriented(&layer.weight, layer.transposed);
            let mut outputs = layer.outputs.slice_mut(s![..samples, ..]);
            general_mat_mul(1.0, &input, &weight, 0.0, &mut outputs);
            for mut row in outputs.rows_mut() {
                if let Some(bias) = &layer.bias {
                    row += bias;
                }
                layer.activation.apply(row);
            }
        }
    }

    /// Puts the derivative of the mean cross-entropy by the outputs into the last layer.
    fn cross_entropy(&mut self, targets: &Values, weight: impl Fn(usize) -> f32) -> Result<f64> {
        let Some(layer) = self.layers.last_mut() else {
            return Ok(0.0);
        };
        let (samples, classes) = (targets.samples().unwrap_or(0), layer.outputs.ncols());
        if targets.len() != samples {
            return Err(misfit(
                1,
                "a class for each sample",
                format!("{:?}", targets.shape()),
            ));
        }
        let share = (samples as f32).recip();
        let mut sum = 0.0;
        for (sample, class) in targets.integers().enumerate() {
            let class = usize::try_from(class).ok().filter(|&class| class < classes);
            let class = class
                .ok_or_else(|| misfit(1, "classes of the outputs", "another class".to_owned()))?;
            let outputs = layer.outputs.row(sample);
            let mut delta = layer.deltas.row_mut(sample);
            let weight = weight(sample);
            sum += f64::from(weight * softmax(&outputs, &mut delta, class));
            delta[class] -= 1.0;
            delta *= weight * share;
        }
        Ok(sum / samples as f64)
    }

    /// As [`cross_entropy`](Self::cross_entropy), of the squared error.
    fn squared_error(
        &mut self,
        targets: &ArrayView2<'_, f32>,
        weight: impl Fn(usize) -> f32,
    ) -> f64 {
        let Some(layer) = self.layers.last_mut() else {
            return 0.0;
        };
        let (samples, outputs) = targets.dim();
        let share = 2.0 / (samples * outputs) as f32;
        let mut sum = 0.0;
        for (sample, target) in targets.rows().into_iter().enumerate() {
            let mut delta = layer.deltas.row_mut(sample);
            delta.assign(&layer.outputs.row(sample));
            delta -= &target;
            let weight = weight(sample);
            sum += f64::from(weight * delta.dot(&delta));
            delta *= weight * share;
        }
        sum / (samples * outputs) as f64
    }

    /// The gradients, from the derivative by the outputs of the last layer.
    fn backwards(&mut self, inputs: &ArrayView2<'_, f32>) {
        let samples = inputs.nrows();
        for index in (0..self.layers.len()).rev() {
            let (before, from) = self.layers.split_at_mut(index);
            let layer = &mut from[0];
            let mut deltas = layer.deltas.slice_mut(s![..samples, ..]);
            layer
                .activation
                .pull_back(&layer.outputs.slice(s![..samples, ..]), &mut deltas);
            let deltas = deltas.view();
            let input = before.last().map_or(inputs.view(), |before| {
                before.outputs.slice(s![..samples, ..])
            });
            let (left, right) = if layer.transposed {
                (deltas, input)
            } else {
                (input, deltas)
            };
            general_mat_mul(1.0, &left.t(), &right, 0.0, &mut layer.weight_gradient);
            layer.bias_gradient.assign(&deltas.sum_axis(Axis(0)));
            if let Some(before) = before.last_mut() {
                let mut below = before.deltas.slice_mut(s![..samples, ..]);
                let weight = oriented(&layer.weight, layer.transposed);
                general_mat_mul(1.0, &deltas, &weight.t(), 0.0, &mut below);
            }
        }
    }
}

impl HostLayer {
    /// Makes room for this many samples.
    fn make_room(&mut self, samples: usize) {
        let (rows, columns) = self.outputs.dim();
        if rows < samples {
            self.outputs = Array2::zeros((samples, columns));
            self.deltas = Array2::zeros((samples, columns));
        }
    }
}

impl HostActivation {
    fn apply(self, mut values: ArrayViewMut1<'_, f32>) {
        match self {
            Self::Identity => {}
            Self::Relu => values.mapv_inplace(|value| value.max(0.0)),
            Self::Tanh => values.mapv_inplace(f32::tanh),
            Self::Sigmoid => values.mapv_inplace(|value| (1.0 + (-value).exp()).recip()),
        }
    }

    /// Multiplies the derivatives by its values with its own derivative.
    fn pull_back(self, values: &ArrayView2<'_, f32>, deltas: &mut ArrayViewMut2<'_, f32>) {
        let slope = match self {
            Self::Identity => return,
            Self::Relu => |value: f32| if value > 0.0 { 1.0 } else { 0.0 },
            Self::Tanh => |value: f32| 1.0 - value * value,
            Self::Sigmoid => |value: f32| value * (1.0 - value),
        };
        Zip::from(deltas)
            .and(values)
            .for_each(|delta, &value| *delta *= slope(value));
    }
}

/// Writes the probabilities of the classes, and gives the cross-entropy of one.
fn softmax(outputs: &ArrayView1<'_, f32>, into: &mut ArrayViewMut1<'_, f32>, class: usize) -> f32 {
    let largest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (place, output) in into.iter_mut().zip(outputs) {
        *place = (output - largest).exp();
        sum += *place;
    }
    *into /= sum;
    sum.ln() - (outputs[class] - largest)
}

/// The numbers of a field, a row of this many for each sample.
fn matrix(values: &Values, field: usize, width: usize) -> Result<CowArray<'_, f32, Ix2>> {
    let refuse = || {
        let got = format!("an array of shape {:?}", values.shape());
        misfit(field, &format!("floats, {width} for each sample"), got)
    };
    let floats = match values {
        Values::F32(array) => CowArray::from(array.view()),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "models are trained in 32 bits"
        )]
        Values::F64(array) => CowArray::from(array.mapv(|number| number as f32)),
        Values::I64(_) | Values::Bool(_) => return Err(refuse()),
    };
    let shape = (values.samples().unwrap_or(0), width);
    floats.into_shape_with_order(shape).map_err(|_| refuse())
}

fn misfit(field: usize, expected: &str, got: String) -> Error {
    Error::Field {
        field,
        expected: expected.into(),
        got,
    }
}
