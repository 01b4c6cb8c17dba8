//! Where recordings are evaluated and differentiated.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, Flex,
        FlexDevice, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{FloatDType, Shape, Tensor, TensorData},
};

use super::{Recorded, wave};
use crate::{
    Result,
    graph::{Environment, Kernels, execute},
};

type Once<B> = Autodiff<B>;
type Twice<B> = Autodiff<Once<B>>;

/// A device, and the precision in which it computes.
pub(super) struct Place<B: Backend> {
    device: B::Device,
    pub(super) float: FloatDType,
}

/// The CPU.
pub(super) fn flex(float: FloatDType) -> Place<Flex> {
    Place {
        device: FlexDevice,
        float,
    }
}

/// The GPU, or what stands in for it; `None` where there is neither.
#[cfg(feature = "wgpu")]
pub(super) fn wgpu() -> Option<Place<burn::backend::Cube>> {
    let device = crate::device::open("wgpu").ok()?;
    let zero = Tensor::<1>::zeros([1], &device);
    let zero = zero.try_into_primitive::<burn::backend::Cube>();
    Some(Place {
        device: zero.expect("a tensor of the device").device(),
        float: FloatDType::F32,
    })
}

/// The numbers of a tensor.
pub(super) fn host<B: Kernels>(value: FloatTensor<B>) -> Vec<f64>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let size = value.shape().num_elements();
    let value = B::float_reshape(value, Shape::new([size]));
    let value = Tensor::<1>::from_primitive::<B>(value).into_data();
    value.iter::<f64>().collect()
}

impl<B: Kernels> Place<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn upload(&self, values: &[f64]) -> FloatTensor<B> {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        B::float_from_data(data.convert_dtype(self.float.into()), &self.device)
    }

    /// What a recording gives for these inputs.
    pub(super) fn value(&self, recorded: &Recorded, inputs: &[Vec<f64>]) -> FloatTensor<B> {
        let inputs: Vec<_> = inputs.iter().map(|input| self.upload(input)).collect();
        self.evaluate::<B>(recorded, &inputs).expect("a value")
    }

    /// The numbers of that value.
    #[cfg(feature = "wgpu")]
    pub(super) fn numbers(&self, recorded: &Recorded, inputs: &[Vec<f64>]) -> Vec<f64> {
        host::<B>(self.value(recorded, inputs))
    }

    /// The same value on any number of autodiffs over the backend.
    pub(super) fn evaluate<X: Kernels<Device = B::Device>>(
        &self,
        recorded: &Recorded,
        inputs: &[FloatTensor<X>],
    ) -> Result<FloatTensor<X>> {
        let mut environment = Environment::<X>::new(self.device.clone(), self.float);
        for (id, data) in &recorded.constants {
            environment.insert_data(*id, data.clone());
        }
        for (id, input) in recorded.inputs.iter().zip(inputs) {
            environment.insert_float(*id, input.clone());
        }
        recorded
            .operations
            .iter()
            .try_for_each(|operation| execute(operation, &mut environment))?;
        environment.float(&recorded.output)
    }

    /// The derivatives of the [`objective`](Self::objective) with respect to the joined inputs.
    pub(super) fn gradient(&self, recorded: &Recorded, inputs: &[Vec<f64>]) -> Vec<f64> {
        let leaves = inputs
            .iter()
            .map(|input| leaf::<Once<B>>(self.upload(input)));
        let leaves: Vec<_> = leaves.collect();
        let output = self
            .evaluate::<Once<B>>(recorded, &leaves)
            .expect("a value");
        let gradients = self.objective::<Once<B>>(output).backward();
        let of = |leaf: &FloatTensor<Once<B>>| Self::read(leaf, leaf.grad(&gradients));
        leaves.iter().flat_map(of).collect()
    }

    /// The product of the [`objective`](Self::objective)'s second derivatives with a direction.
    pub(super) fn hessian_product(
        &self,
        recorded: &Recorded,
        inputs: &[Vec<f64>],
        direction: &[f64],
    ) -> Vec<f64> {
        let inner = inputs
            .iter()
            .map(|input| leaf::<Once<B>>(self.upload(input)));
        let inner: Vec<_> = inner.collect();
        let outer: Vec<_> = inner
            .iter()
            .map(|value| leaf::<Twice<B>>(value.clone()))
            .collect();
        let output = self
            .evaluate::<Twice<B>>(recorded, &outer)
            .expect("a value");
        let gradients = self.objective::<Twice<B>>(output).backward();
        let mut direction = direction;
        let mut slope = Once::<B>::from_inner(self.upload(&[0.0]));
        for leaf in &outer {
            let (along, rest) = direction.split_at(leaf.shape().num_elements());
            direction = rest;
            if let Some(gradient) = leaf.grad(&gradients) {
                let along = Once::<B>::from_inner(self.upload(along));
                let term = Once::<B>::float_mul(gradient, along);
                slope = Once::<B>::float_add(slope, Once::<B>::float_sum(term));
            }
        }
        if !slope.is_tracked() {
            return vec![0.0; inputs.iter().map(Vec::len).sum()];
        }
        let products = slope.backward();
        let of = |leaf: &FloatTensor<Once<B>>| Self::read(leaf, leaf.grad(&products));
        inner.iter().flat_map(of).collect()
    }

    /// `Σ a·y + b·y²/2` with fixed numbers: a scalar whose derivatives see every entry of an
    /// output.
    pub(super) fn objective<X: Backend<Device = B::Device>>(
        &self,
        output: FloatTensor<X>,
    ) -> FloatTensor<X> {
        let size = output.shape().num_elements();
        let constant = |seed| {
            let data = TensorData::new(wave(size, seed), [size]);
            X::float_from_data(data.convert_dtype(self.float.into()), &self.device)
        };
        let output = X::float_reshape(output, Shape::new([size]));
        let half = X::float_mul(output.clone(), constant(98.0));
        let half = X::float_mul_scalar(half, 0.5.into());
        X::float_sum(X::float_mul(output, X::float_add(half, constant(99.0))))
    }

    /// A gradient, zero where there is none.
    fn read(leaf: &FloatTensor<Once<B>>, gradient: Option<FloatTensor<B>>) -> Vec<f64> {
        let zeros = || vec![0.0; leaf.shape().num_elements()];
        gradient.map_or_else(zeros, host::<B>)
    }
}

fn leaf<X: AutodiffBackend>(value: FloatTensor<X::InnerBackend>) -> FloatTensor<X> {
    X::float_set_require_grad(X::from_inner(value), true)
}
