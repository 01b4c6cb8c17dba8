//! Every family of operations against burn's own evaluation; first and second derivatives against
//! central differences.

mod elementwise;
mod layers;
mod shapes;
mod values;

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Flex, FlexDevice, TensorMetadata,
        capture::CaptureBackend,
        ir::{OperationIr, TensorId, TensorIr},
        ops::FloatTensorOps,
        tensor::FloatTensor,
    },
    tensor::{DType, Device, FloatDType, Shape, Tensor, TensorData},
};

use super::{Environment, Tanh, execute};
use crate::Result;

type Once = Autodiff<Flex>;
type Twice = Autodiff<Once>;

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
    fn evaluate<B: Tanh>(
        &self,
        inputs: &[FloatTensor<B>],
        float: FloatDType,
    ) -> Result<FloatTensor<B>> {
        let mut environment = Environment::<B>::new(B::Device::default(), float);
        for (id, data) in &self.constants {
            environment.insert_data(*id, data.clone());
        }
        for (id, input) in self.inputs.iter().zip(inputs) {
            environment.insert_float(*id, input.clone());
        }
        self.operations
            .iter()
            .try_for_each(|operation| execute(operation, &mut environment))?;
        environment.float(&self.output)
    }

    /// The derivatives of the [`objective`] with respect to the joined inputs.
    fn gradient(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        let leaves = inputs.iter().map(|input| leaf::<Once>(upload(input)));
        let leaves: Vec<_> = leaves.collect();
        let output = self
            .evaluate::<Once>(&leaves, FloatDType::F64)
            .expect("a value");
        let gradients = objective::<Once>(output).backward();
        let of = |leaf: &FloatTensor<Once>| read(leaf, leaf.grad(&gradients));
        leaves.iter().flat_map(of).collect()
    }

    /// The product of the [`objective`]'s second derivatives with a direction.
    fn hessian_product(&self, inputs: &[Vec<f64>], direction: &[f64]) -> Vec<f64> {
        let inner = inputs.iter().map(|input| leaf::<Once>(upload(input)));
        let inner: Vec<_> = inner.collect();
        let outer: Vec<_> = inner
            .iter()
            .map(|value| leaf::<Twice>(value.clone()))
            .collect();
        let output = self
            .evaluate::<Twice>(&outer, FloatDType::F64)
            .expect("a value");
        let gradients = objective::<Twice>(output).backward();
        let mut direction = direction;
        let mut slope = Once::from_inner(upload(&[0.0]));
        for leaf in &outer {
            let (along, rest) = direction.split_at(leaf.shape().num_elements());
            direction = rest;
            if let Some(gradient) = leaf.grad(&gradients) {
                let term = Once::float_mul(gradient, Once::from_inner(upload(along)));
                slope = Once::float_add(slope, Once::float_sum(term));
            }
        }
        if !slope.is_tracked() {
            return vec![0.0; inputs.iter().map(Vec::len).sum()];
        }
        let products = slope.backward();
        let of = |leaf: &FloatTensor<Once>| read(leaf, leaf.grad(&products));
        inner.iter().flat_map(of).collect()
    }
}

fn upload(values: &[f64]) -> FloatTensor<Flex> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Flex::float_from_data(data, &FlexDevice)
}

fn leaf<X: AutodiffBackend>(value: FloatTensor<X::InnerBackend>) -> FloatTensor<X> {
    X::float_set_require_grad(X::from_inner(value), true)
}

fn host(value: FloatTensor<Flex>) -> Vec<f64> {
    let size = value.shape().num_elements();
    let value = Flex::float_reshape(value, Shape::new([size]));
    let value = Tensor::<1>::from_primitive::<Flex>(value).into_data();
    value.iter::<f64>().collect()
}

/// A gradient, zero where there is none.
fn read(leaf: &FloatTensor<Once>, gradient: Option<FloatTensor<Flex>>) -> Vec<f64> {
    gradient.map_or_else(|| vec![0.0; leaf.shape().num_elements()], host)
}

/// `Σ a·y + b·y²/2` with fixed numbers: a scalar whose derivatives see every entry of an output.
fn objective<B: Backend>(output: FloatTensor<B>) -> FloatTensor<B> {
    let size = output.shape().num_elements();
    let constant = |seed| {
        let data = TensorData::new(wave(size, seed), [size]);
        B::float_from_data(data, &B::Device::default())
    };
    let output = B::float_reshape(output, Shape::new([size]));
    let half = B::float_mul(output.clone(), constant(98.0));
    let half = B::float_mul_scalar(half, 0.5.into());
    B::float_sum(B::float_mul(output, B::float_add(half, constant(99.0))))
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
    host(objective::<Flex>(upload(&output)))[0]
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
        let leaves = inputs
            .each_ref()
            .map(|input| Flex::float_cast(upload(input), float));
        let output = recorded.evaluate::<Flex>(&leaves, float).expect("a value");
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
}
