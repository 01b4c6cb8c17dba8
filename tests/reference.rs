//! Reading references, and comparing with them.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use influence::ArrayDataset;
use ndarray::{Array2, ArrayD};
use serde_json::Value;

/// A file that ships with the tests.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(path)
}

/// A fixture of one model: parameters, data, and the influences under each curvature.
pub(crate) fn fixture(name: &str) -> Value {
    let text =
        std::fs::read_to_string(golden("fixtures.json")).expect("the fixtures ship with the tests");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the fixtures are JSON");
    cases
        .into_iter()
        .find(|case| case["name"] == name)
        .expect("a fixture of that name")
}

/// The numbers of nested lists, in order.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

/// Nested lists as a matrix.
pub(crate) fn matrix(value: &Value) -> Array2<f64> {
    let rows = value.as_array().expect("a list of rows").len();
    let flat = numbers(value);
    Array2::from_shape_vec((rows, flat.len() / rows), flat).expect("rows of one length")
}

/// The data set of a fixture: float inputs, and integer or float targets.
pub(crate) fn data(case: &Value, part: &str) -> ArrayDataset {
    let inputs = matrix(&case[format!("x_{part}")]);
    let targets = &case[format!("y_{part}")];
    let samples = inputs.nrows();
    let width = numbers(targets).len() / samples;
    let inputs_data = TensorData::new(
        inputs.iter().copied().collect::<Vec<f64>>(),
        [samples, inputs.ncols()],
    );
    let targets = if targets[0].is_array() {
        TensorData::new(numbers(targets), [samples, width])
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "class labels are small integers"
        )]
        TensorData::new(
            numbers(targets)
                .into_iter()
                .map(|label| label as i64)
                .collect::<Vec<i64>>(),
            [samples],
        )
    };
    ArrayDataset::new(vec![inputs_data, targets]).expect("inputs and targets have as many samples")
}

/// The largest difference, relative to the largest entry of the reference.
pub(crate) fn difference(values: &ArrayD<f64>, reference: &Array2<f64>) -> f64 {
    assert_eq!(values.shape(), reference.shape());
    let scale = reference
        .iter()
        .fold(0.0_f64, |scale, value| scale.max(value.abs()));
    assert!(scale > 0.0, "a reference of zeros tests nothing");
    let largest = values.iter().zip(reference).map(|(a, b)| (a - b).abs());
    // NaN counts as the largest difference there is.
    largest.fold(0.0_f64, |worst, value| {
        if value.is_nan() {
            f64::INFINITY
        } else {
            worst.max(value)
        }
    }) / scale
}

/// The causes of an error, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
