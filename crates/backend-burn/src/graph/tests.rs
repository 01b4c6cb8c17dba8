//! Every family of operations against burn's own evaluation; first and second derivatives against
//! central differences.

mod elementwise;
mod error_function;
mod layers;
mod place;
mod product;
mod shapes;
mod values;

use burn::{
    backend::{
        Flex,
        capture::CaptureBackend,
        ir::{OperationIr, TensorId, TensorIr},
        tensor::FloatTensor,
    },
    tensor::{DType, Device, FloatDType, Tensor, TensorData},
};

use super::{Environment, execute};
use crate::Result;
use place::flex;

/// Numbers that look random and are the same everywhere.
fn wave(count: usize, seed: f64) -> Vec<f64> {
    let entry = |index| (12.9898 * f64::from(index) + 78.233 * seed).sin();
    (1_u32..).take(count).map(entry).collect()
}

/// A function of flat inputs, as a user would write it.
type Function<const N: usize> = fn([Tensor<1>; N]) -> Tensor<1>;

/// What became of it.
struct Recorded {
    operations: Vec<OperationIr>,
    constants: Vec<(TensorId, TensorData)>,
    inputs: Vec<TensorId>,
    output: TensorIr,
}

fn id(tensor: &Tensor<1>) -> TensorId {
    let primitive = tensor.clone().try_into_primitive::<CaptureBackend>();
    primitive.expect("a recorded tensor").id()
}

fn record<const N: usize>(sizes: [usize; N], function: Function<N>) -> Recorded {
    let device = Device::capture();
    let captured = device.capture_scope(|scope| {
        let inputs =
            sizes.map(|size| Tensor::from_data(TensorData::zeros::<f32, _>([size]), &device));
        let ids = inputs.each_ref().map(id);
        let output = id(&function(inputs));
        scope.complete(ids, [output])
    });
    let captured = captured.expect("a recording");
    let (operations, inputs) = (captured.graph.operations, captured.graph.inputs);
    let given = |id: &TensorId| inputs.contains(id);
    let made = operations.iter().flat_map(OperationIr::outputs);
    let output = made
        .filter(|tensor| tensor.id == captured.graph.outputs[0])
        .last();
    Recorded {
        output: output.expect("an output").clone(),
        constants: captured
            .values
            .into_iter()
            .filter(|(id, _)| !given(id))
            .collect(),
        inputs,
        operations,
    }
}

impl Recorded {
    /// In 64 bits on the CPU.
    fn gradient(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        flex(FloatDType::F64).gradient(self, inputs)
    }

    fn hessian_product(&self, inputs: &[Vec<f64>], direction: &[f64]) -> Vec<f64> {
        flex(FloatDType::F64).hessian_product(self, inputs, direction)
    }

    fn evaluate(&self, inputs: &[FloatTensor<Flex>]) -> Result<FloatTensor<Flex>> {
        flex(FloatDType::F64).evaluate::<Flex>(self, inputs)
    }
}

fn upload(values: &[f64]) -> FloatTensor<Flex> {
    flex(FloatDType::F64).upload(values)
}

fn host(value: FloatTensor<Flex>) -> Vec<f64> {
    place::host::<Flex>(value)
}

/// burn's own evaluation.
fn direct<const N: usize>(inputs: &[Vec<f64>; N], function: Function<N>, dtype: DType) -> Vec<f64> {
    let device = Device::flex();
    let inputs = inputs.each_ref().map(|input| {
        let data = TensorData::new(input.clone(), [input.len()]);
        Tensor::<1>::from_data(data, (&device, dtype))
    });
    function(inputs).into_data().iter::<f64>().collect()
}

fn directly<const N: usize>(inputs: &[Vec<f64>; N], function: Function<N>) -> f64 {
    let output = direct(inputs, function, DType::F64);
    host(flex(FloatDType::F64).objective::<Flex>(upload(&output)))[0]
}

/// The inputs, moved along a direction of their joined entries.
fn moved<const N: usize>(inputs: &[Vec<f64>; N], direction: &[f64], step: f64) -> [Vec<f64>; N] {
    let mut direction = direction.iter();
    let mut next = |value: &f64| value + step * direction.next().expect("as long as the inputs");
    inputs
        .each_ref()
        .map(|input| input.iter().map(&mut next).collect())
}

fn close(what: &str, values: &[f64], reference: &[f64], tolerance: f64) {
    assert_eq!(values.len(), reference.len(), "{what}");
    let scale = reference
        .iter()
        .fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (index, (value, reference)) in values.iter().zip(reference).enumerate() {
        // Written so that NaN fails.
        let near = (value - reference).abs() <= tolerance * scale;
        assert!(near, "{what}, entry {index}: {value} is not {reference}");
    }
}

/// Compares values in both precisions with burn's own, in 64-bit floats also to first and second
/// derivatives.
fn check<const N: usize>(name: &str, sizes: [usize; N], function: Function<N>) {
    let recorded = record(sizes, function);
    let mut seed = 0.0;
    let inputs = sizes.map(|size| {
        seed += 1.0;
        wave(size, seed)
    });
    for (float, tolerance) in [(FloatDType::F32, 2e-6), (FloatDType::F64, 4e-15)] {
        let output = flex(float).value(&recorded, &inputs);
        assert_eq!(output.dtype(), DType::from(float), "{name}");
        close(
            name,
            &host(output),
            &direct(&inputs, function, float.into()),
            tolerance,
        );
    }
    let size: usize = sizes.iter().sum();
    let gradient = recorded.gradient(&inputs);
    let slopes = (0..size).map(|index| {
        let mut unit = vec![0.0; size];
        unit[index] = 1.0;
        let [high, low] =
            [1e-5, -1e-5].map(|step| directly(&moved(&inputs, &unit, step), function));
        (high - low) / 2e-5
    });
    close(
        &format!("gradient of {name}"),
        &gradient,
        &slopes.collect::<Vec<_>>(),
        1e-8,
    );
    let direction = wave(size, 97.0);
    let product = recorded.hessian_product(&inputs, &direction);
    let [high, low] =
        [1e-5, -1e-5].map(|step| recorded.gradient(&moved(&inputs, &direction, step)));
    let slopes = high.iter().zip(&low).map(|(high, low)| (high - low) / 2e-5);
    close(
        &format!("second derivative of {name}"),
        &product,
        &slopes.collect::<Vec<_>>(),
        1e-7,
    );
    #[cfg(feature = "wgpu")]
    if let Some(gpu) = place::wgpu() {
        let value = direct(&inputs, function, DType::F64);
        for (what, found, reference) in [
            ("value", gpu.numbers(&recorded, &inputs), value),
            ("gradient", gpu.gradient(&recorded, &inputs), gradient),
            (
                "second derivative",
                gpu.hessian_product(&recorded, &inputs, &direction),
                product,
            ),
        ] {
            close(
                &format!("{what} of {name} on wgpu"),
                &found,
                &reference,
                on_gpu(name),
            );
        }
    }
}

/// What a GPU may differ by in 32 bits, relative to the largest entry or to 1. Of inverse
/// trigonometric functions WGSL promises 4,096 units in the last place.
#[cfg(feature = "wgpu")]
fn on_gpu(function: &str) -> f64 {
    if ["asin", "acos", "atan", "atan2"].contains(&function) {
        5e-4
    } else {
        1e-5
    }
}
