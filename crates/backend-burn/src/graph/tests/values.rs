//! Special points, missing values, and operations that are refused.

use burn::{
    backend::{
        Flex, FlexDevice,
        ir::{OperationIr, TensorStatus},
    },
    tensor::{
        Distribution, FloatDType, Tensor, TensorData, activation, module,
        ops::{InterpolateMode, InterpolateOptions},
    },
};

use super::{Environment, close, direct, execute, host, record, upload, wave};
use crate::Error;

#[test]
fn relu_is_flat_at_zero() {
    let recorded = record([3], |[x]| activation::relu(x));
    let inputs = [vec![-1.0, 0.0, 2.0]];
    let [a, b] = [99.0, 98.0].map(|seed| wave(3, seed)[2]);
    close(
        "slope",
        &recorded.gradient(&inputs),
        &[0.0, 0.0, a + 2.0 * b],
        1e-15,
    );
    close(
        "curvature",
        &recorded.hessian_product(&inputs, &[1.0, 1.0, 1.0]),
        &[0.0, 0.0, b],
        1e-15,
    );
}

#[test]
fn sigmoids_have_their_derivatives_at_zero_and_far_out() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let points = vec![-800.0, -30.0, 0.0, 30.0, 800.0];
    let a = wave(5, 99.0);
    let b = wave(5, 98.0);
    let recorded = record([5], |[x]| activation::sigmoid(x));
    let expected: Vec<f64> = (0..5)
        .map(|i| {
            let y = sigmoid(points[i]);
            (a[i] + b[i] * y) * y * sigmoid(-points[i])
        })
        .collect();
    close(
        "sigmoid",
        &recorded.gradient(std::slice::from_ref(&points)),
        &expected,
        1e-15,
    );
    let recorded = record([5], |[x]| activation::log_sigmoid(x));
    let points = vec![-80.0, -3.0, 0.0, 3.0, 80.0];
    let (expected, curvature): (Vec<f64>, Vec<f64>) = (0..5)
        .map(|i| {
            let (y, slope) = (sigmoid(points[i]).ln(), sigmoid(-points[i]));
            let second = -slope * (1.0 - slope);
            (
                (a[i] + b[i] * y) * slope,
                b[i] * slope * slope + (a[i] + b[i] * y) * second,
            )
        })
        .unzip();
    close(
        "log_sigmoid",
        &recorded.gradient(std::slice::from_ref(&points)),
        &expected,
        1e-13,
    );
    let product = recorded.hessian_product(&[points], &[1.0; 5]);
    close("curvature of log_sigmoid", &product, &curvature, 1e-13);
}

/// `erf` by its series, summed until nothing is added.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn the_error_function_and_gelu_have_both_derivatives_to_the_last_digits() {
    let points = [-2.5, -1.0, -0.3, 0.0, 0.4, 1.7, 2.9];
    let (a, b) = (wave(7, 99.0), wave(7, 98.0));
    // Value, first and second derivative.
    let of_erf = |x: f64| {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        [erf(x), slope, -2.0 * x * slope]
    };
    let of_gelu = |x: f64| {
        let share = 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2));
        let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let second = density * (2.0 - x * x);
        [x * share, share + x * density, second]
    };
    let functions: [super::Function<1>; 2] = [|[x]| x.erf(), |[x]| activation::gelu(x)];
    let exact: [&dyn Fn(f64) -> [f64; 3]; 2] = [&of_erf, &of_gelu];
    for (function, exact) in functions.into_iter().zip(exact) {
        let recorded = record([7], function);
        let (gradient, product): (Vec<f64>, Vec<f64>) = (0..7)
            .map(|i| {
                let [y, slope, second] = exact(points[i]);
                let outer = a[i] + b[i] * y;
                (outer * slope, b[i] * slope * slope + outer * second)
            })
            .unzip();
        let inputs = [points.to_vec()];
        close("gradient", &recorded.gradient(&inputs), &gradient, 1e-14);
        let measured = recorded.hessian_product(&inputs, &[1.0; 7]);
        close("second derivative", &measured, &product, 1e-14);
    }
}

#[test]
fn embeddings_sum_the_gradients_of_repeated_tokens() {
    let recorded = record([3 * 2], |[table]| {
        let tokens = Tensor::from_data([[2, 2, 0]], &table.device());
        module::embedding(table.reshape([3, 2]), tokens).flatten(0, 2)
    });
    let inputs = [vec![0.0; 6]];
    let a = wave(6, 99.0);
    let expected = [a[4], a[5], 0.0, 0.0, a[0] + a[2], a[1] + a[3]];
    close("table", &recorded.gradient(&inputs), &expected, 1e-15);
}

#[test]
fn casts_between_floats_change_nothing() {
    let recorded = record([2], |[x]| {
        x.cast(burn::tensor::DType::F16)
            .cast(burn::tensor::DType::F32)
    });
    let values = [1.0 + 1e-12, 1.0 / 3.0];
    let output = recorded.evaluate(&[upload(&values)]);
    close("cast", &host(output.expect("a value")), &values, 0.0);
}

#[test]
fn an_operation_that_is_not_evaluated_is_named() {
    let refused = [
        record([4], |[x]| {
            let options = InterpolateOptions::new(InterpolateMode::Nearest);
            module::interpolate(x.reshape([1, 1, 2, 2]), options.with_output_size([4, 4]))
                .flatten(0, 3)
        }),
        record([4], |[x]| x.random_like(Distribution::Default)),
    ];
    for (recorded, name) in refused.iter().zip(["Interpolate", "Random"]) {
        let error = recorded.evaluate(&[upload(&[1.0; 4])]);
        match error.map(drop) {
            Err(Error::Unsupported { operation }) => assert_eq!(operation, name),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tensor_without_value_is_named() {
    let recorded = record([4], |[x]| x.exp());
    let error = recorded.evaluate(&[]).map(drop);
    let expected = recorded.inputs[0].value();
    assert!(
        matches!(error, Err(Error::MissingTensor { tensor, kind: "float" }) if tensor == expected)
    );
}

#[test]
fn the_last_reading_of_a_tensor_takes_it_out() {
    let recorded = record([4], |[x]| x.exp().sin());
    let mut environment = Environment::<Flex>::new(FlexDevice, FloatDType::F64);
    environment.insert_float(recorded.inputs[0], upload(&[1.0; 4]));
    for operation in &recorded.operations {
        execute(operation, &mut environment).expect("a value");
        for input in operation.inputs() {
            let gone = environment.peek_float(input).is_err();
            assert_eq!(gone, input.status == TensorStatus::ReadWrite);
        }
    }
    execute(
        &OperationIr::Drop(recorded.output.clone()),
        &mut environment,
    )
    .expect("dropped");
    assert!(environment.peek_float(&recorded.output).is_err());
}

#[test]
fn host_data_is_converted_to_the_types_of_the_environment() {
    let recorded = record([2], |[x]| {
        let table = Tensor::<1>::from_data(TensorData::from([0.5_f32, 1.5]), &x.device());
        x * table.clone().select(
            0,
            Tensor::from_data(TensorData::from([1_i32, 0]), &table.device()),
        )
    });
    let output = recorded.evaluate(&[upload(&[2.0, 4.0])]);
    close("product", &host(output.expect("a value")), &[3.0, 2.0], 0.0);
    let alone = direct(&[vec![1.0]], |[x]| x / 3.0, burn::tensor::DType::F64);
    close(
        "division",
        &record([1], |[x]| x / 3.0).gradient(&[vec![0.0]]),
        &[alone[0] * wave(1, 99.0)[0]],
        1e-16,
    );
}
