//! The comparison of recorded gradients with burn's own, where a fitted model has next to none; and
//! inputs of kinks in 32 bits.

use std::sync::Arc;

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{DType, Device, Tensor, TensorData, activation},
};
use influence_core::Precision;

use super::{data, floats, labels, models::settled, source};
use crate::{ArrayDataset, Classification, Curvature, Fit, Regression, Task};

#[derive(Module, Debug)]
struct Two {
    first: Linear,
    last: Linear,
}

impl Two {
    fn new(inputs: usize, hidden: usize, outputs: usize) -> Self {
        let layer = |from, to| LinearConfig::new(from, to).init(&Device::flex());
        let two = Self {
            first: layer(inputs, hidden),
            last: layer(hidden, outputs),
        };
        settled(two, 1.0)
    }
}

fn parameter(values: &[f64], shape: [usize; 2]) -> Param<Tensor<2>> {
    let data = TensorData::new(values.to_vec(), shape);
    Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F64)))
}

fn vector(values: &[f64]) -> Param<Tensor<1>> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F64)))
}

/// A layer with these weights `(in, out)` and biases.
fn layer(weights: &[f64], biases: &[f64]) -> Linear {
    let (outputs, device) = (biases.len(), Device::flex());
    let mut layer = LinearConfig::new(weights.len() / outputs, outputs).init(&device);
    layer.weight = parameter(weights, [weights.len() / outputs, outputs]);
    layer.bias = Some(vector(biases));
    layer
}

fn fits<T: Task>(task: T, module: &T::Module, fields: Vec<TensorData>) -> Result<(), String> {
    let train = Arc::new(ArrayDataset::new(fields).expect("a data set"));
    let fit = Fit::new(task)
        .with_curvature(Curvature::EmpiricalFisher)
        .with_precision(Precision::F64);
    let fitted = fit.fit(module, train).map(|_| ());
    fitted.map_err(|error| error.to_string())
}

fn column(values: &[f64]) -> TensorData {
    TensorData::new(values.to_vec(), [values.len(), 1])
}

#[test]
fn well_fitted_classifiers_pass_in_any_order() {
    let x = [3.0, -3.0, 3.0, 0.1, -0.2];
    let y = [1_i64, 0, 1, 0, 1];
    for scale in [1.0, 1.5, 2.0, 3.0, 5.0, 10.0] {
        for turn in 0..5 {
            let turned = |index: usize| (index + turn) % 5;
            let inputs: Vec<f64> = (0..5).map(|index| x[turned(index)]).collect();
            let targets: Vec<i64> = (0..5).map(|index| y[turned(index)]).collect();
            let module = layer(&[-4.0 * scale, 4.0 * scale], &[0.0, 0.0]);
            let task = Classification::new(|m: &Linear, x: Tensor<2>| m.forward(x));
            let fields = vec![column(&inputs), TensorData::new(targets, [5])];
            fits(task, &module, fields).expect("a well-fitted model");
        }
    }
}

#[test]
fn models_at_an_exact_optimum_and_at_a_saddle_pass() {
    let regression = || Regression::new(|m: &Linear, x: Tensor<2>| m.forward(x));
    // The line through two points, and the best one through three.
    for (x, y, slope, shift) in [
        (&[1.0, 2.0][..], &[0.3, 0.7][..], 0.4, -0.1),
        (&[0.0, 1.0, 2.0], &[0.1, 0.5, 0.3], 0.1, 0.2),
        // Residuals of equal inputs that cancel.
        (&[1.0, 1.0, 1.0, 0.5], &[1.6, -0.2, 0.1, 0.3], 0.5, 0.0),
    ] {
        let fields = vec![column(x), column(y)];
        fits(regression(), &layer(&[slope], &[shift]), fields).expect("a fitted line");
    }
    let zeros = Two {
        first: layer(&[0.0; 12], &[0.0; 4]),
        last: layer(&[0.0; 12], &[0.0; 3]),
    };
    let task =
        Classification::new(|m: &Two, x: Tensor<2>| m.last.forward(m.first.forward(x).tanh()));
    let fields = vec![
        floats(&[6, 3], 1.0),
        TensorData::new(vec![0_i64, 1, 2, 0, 1, 2], [6]),
    ];
    fits(task, &zeros, fields).expect("a saddle");
}

/// The share of a branch in the logits whose gradient does not flow, and the model that is
/// differentiated.
fn with_detached(share: f64, well_fitted: bool) -> Result<(), String> {
    let task = Classification::new(move |m: &Two, x: Tensor<2>| {
        let hidden = m.first.forward(x).tanh();
        let aside = m.last.forward(hidden.clone().detach()) * share;
        m.last.forward(hidden) + aside
    });
    let mut module = Two::new(3, 4, 3);
    if well_fitted {
        let steep = |tensor: Tensor<2>| tensor * 1e3;
        module.last.weight = module.last.weight.map(steep);
    }
    fits(task, &module, vec![floats(&[6, 3], 1.0), labels(6, 3)])
}

#[test]
fn detached_branches_are_found_however_small_and_however_well_the_model_fits() {
    for share in [1.0, 0.1, 0.01] {
        for well_fitted in [false, true] {
            let error = with_detached(share, well_fitted).expect_err("detach is not recorded");
            assert!(
                error.contains("first.") && error.contains("detach"),
                "{error}"
            );
        }
    }
    assert!(with_detached(0.0, false).is_ok());
}

/// A model that takes the logarithm of a parameter has no loss where that is negative.
#[test]
fn parameters_that_must_be_positive_are_compared_nearby() {
    #[derive(Module, Debug)]
    struct Scaled {
        layer: Linear,
        scale: Param<Tensor<1>>,
    }
    let module = |detached: bool| {
        let task = Regression::new(move |m: &Scaled, x: Tensor<2>| {
            let scale = m.scale.val().log().reshape([1, 2]);
            let scale = if detached { scale.detach() } else { scale };
            m.layer.forward(x) * scale
        });
        let scaled = Scaled {
            layer: layer(&[0.5, -0.3, 0.2, 0.4], &[0.1, 0.2]),
            scale: vector(&[2.0, 3.0]),
        };
        fits(
            task,
            &scaled,
            vec![floats(&[5, 2], 1.0), floats(&[5, 2], 2.0)],
        )
    };
    module(false).expect("no detach");
    assert!(module(true).expect_err("detached").contains("scale"));
}

/// Eight of forty samples have a pre-activation of 1e-8, the others none near zero.
#[test]
fn inputs_of_kinks_within_rounding_are_counted_in_32_bits() {
    let relu = |m: &Two, x: Tensor<2>| m.last.forward(activation::relu(m.first.forward(x)));
    let module = Two {
        first: layer(&[1.0, -1.0], &[0.0, 0.5]),
        last: layer(&[1.0, -1.0, 0.5, 0.7], &[0.0, 0.0]),
    };
    let count = |near: usize, precision| {
        let inputs: Vec<f64> = (0..40)
            .map(|index| {
                if index < near {
                    1e-8
                } else {
                    0.8 + 0.01 * index as f64
                }
            })
            .collect();
        let fields = vec![column(&inputs), labels(40, 2)];
        let batch = crate::batch_of(fields.clone()).expect("a batch");
        let source = source(Classification::new(relu), &module, &batch, precision);
        let found = source.expect("a source").look_for_kinks(&data(fields, 16));
        found.expect("counted")
    };
    let found = count(8, Precision::F32).expect("in 32 bits");
    assert_eq!((found.samples, found.affected), (40, 8));
    assert!(found.is_notable());
    assert!(!count(0, Precision::F32).expect("in 32 bits").is_notable());
    assert!(!count(2, Precision::F32).expect("in 32 bits").is_notable());
    assert!(count(8, Precision::F64).is_none());
}
