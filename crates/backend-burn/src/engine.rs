//! The engine: evaluates recorded graphs, and differentiates them once or twice, on one concrete backend.
//!
//! burn differentiates once, but at the level of primitives its autodiff decorator nests: `Autodiff<Autodiff<B>>` gives exact
//! Hessian-vector products. The nesting works on concrete backends only, so the backend is chosen once, in
//! [`for_device`], and erased again behind [`Engine`].

mod head;
mod hessian;
mod kinks;
mod linearise;
mod probe;
mod tapped;

use std::{
    any::Any,
    fmt::{self, Debug},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchDevice, DispatchKindConversion, DispatchTensor,
        TensorMetadata, tensor::FloatTensor,
    },
    tensor::{DType, Device, FloatDType, Shape, Tensor, TensorData},
};
use influence_core::{Precision, block::ParameterLayout};

use crate::{
    Batch, Error, Result,
    curvature::{Linear, LossSlopes},
    gradient::Form,
    graph::{Environment, Tanh, execute},
    trace::{Graph, Head, Link},
};

pub(crate) use head::HeadSlopes;
pub(crate) use kinks::{Kinks, has_kinks};

/// Evaluates and differentiates recorded graphs; erases the backend.
pub(crate) trait Engine: Debug + Send + Sync {
    /// The output of the graph, `(n)` as `(n, 1)` or `(n, c)`.
    fn output(&self, graph: &Graph, batch: &Batch) -> Result<Tensor<2>>;

    /// Per-sample gradients of `⟨cotangent, output⟩` with respect to every tapped parameter, by its index; the cotangent is that of
    /// [`output`](Self::output), ones if none is given.
    fn tapped_gradients(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<(usize, Form)>>;

    /// The gradient, summed over the samples, with respect to some parameters: one flat tensor each.
    fn summed_gradient(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<Tensor<1>>>;

    /// The products of the Hessian, summed over the samples, with rows `(k, dim)` over some parameters joined in order.
    fn hessian_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        rows: &Tensor<2>,
    ) -> Result<Tensor<2>>;

    /// The linear maps of a chain found in the graph, with the derivatives of the functions between them and of the output by the last one's.
    fn linear_maps(
        &self,
        graph: &Graph,
        batch: &Batch,
        chain: &[Link],
    ) -> Result<(Vec<Linear>, LossSlopes)>;

    /// The derivatives of the loss of each sample by its outputs, taken at the outputs given, `(n,
    /// c)` as the directions are.
    fn head_slopes(
        &self,
        head: &Head,
        batch: &Batch,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<HeadSlopes>;

    /// Counts what enters functions with a kink near to it.
    fn kinks(&self, graph: &Graph, batch: &Batch) -> Result<Kinks>;

    /// The derivative by a field of the batch of the inner product of each row `(k, dim)` with the gradient, summed over the samples, with
    /// respect to some parameters joined in order: `k` tensors `(n, numbers of a sample)`.
    fn mixed_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        field: usize,
        parameters: &[usize],
        rows: &Tensor<2>,
    ) -> Result<Vec<Tensor<2>>>;
}

/// The engine of a device, holding these values of the parameters there in the given precision.
#[cfg_attr(
    feature = "ndarray",
    expect(
        deprecated,
        reason = "burn drops ndarray in 0.23; until then it is a device like others"
    )
)]
pub(crate) fn for_device(
    device: &Device,
    precision: Precision,
    values: &[TensorData],
    layout: &ParameterLayout,
) -> Result<Arc<dyn Engine>> {
    let device = device.clone().inner();
    match device.as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => Ok(Arc::new(Executor::<burn::backend::Flex>::new(
            &device, precision, values, layout,
        )?)),
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => Ok(Arc::new(Executor::<burn::backend::NdArray>::new(
            &device, precision, values, layout,
        )?)),
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        DispatchDevice::Cube(_) => Ok(Arc::new(Executor::<burn::backend::Cube>::new(
            &device, precision, values, layout,
        )?)),
        _ => Err(crate::device::unknown(&format!("{device:?}"))),
    }
}

/// The type of floats in which a precision computes.
pub(crate) fn float_type(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// The engine on one backend.
struct Executor<B: Backend> {
    parameters: Vec<FloatTensor<B>>,
    columns: Vec<std::ops::Range<usize>>,
    device: B::Device,
    float: FloatDType,
}

impl<B: Backend> Debug for Executor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("device", &self.device)
            .field("float", &self.float)
            .finish_non_exhaustive()
    }
}

impl<B: Tanh> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    fn new(
        device: &Device,
        precision: Precision,
        values: &[TensorData],
        layout: &ParameterLayout,
    ) -> Result<Self> {
        let float = float_type(precision);
        if !device.supports_dtype(float) {
            let precision = if precision == Precision::F64 {
                "f64"
            } else {
                "f32"
            };
            return Err(Error::Precision {
                device: format!("{device:?}"),
                precision,
            });
        }
        let device: B::Device = primitive::<B, 1>(Tensor::zeros([1], (device, float)))?.device();
        let float = FloatDType::from(float);
        let parameters = values
            .iter()
            .map(|value| B::float_cast(B::float_from_data(value.clone(), &device), float));
        let columns = (0..layout.parameters().len()).map(|index| layout.columns(index));
        Ok(Self {
            parameters: parameters.collect(),
            columns: columns.collect(),
            device,
            float,
        })
    }

    /// The values that a graph starts from, on a decorated backend; `lift` decorates each parameter.
    fn environment<X: Tanh<Device = B::Device>>(
        &self,
        graph: &Graph,
        batch: &Batch,
        lift: impl Fn(usize, FloatTensor<B>) -> FloatTensor<X>,
    ) -> Environment<X> {
        let mut environment = Environment::new(self.device.clone(), self.float);
        for &(id, parameter) in &graph.parameters {
            environment.insert_float(id, lift(parameter, self.parameters[parameter].clone()));
        }
        for (id, data) in &graph.constants {
            environment.insert_data(*id, data.clone());
        }
        for (id, data) in graph.inputs.iter().zip(batch.fields()) {
            environment.insert_data(*id, data.clone());
        }
        environment
    }

    /// Runs the graph as it was recorded.
    fn run<X: Backend<Device = B::Device>>(
        graph: &Graph,
        mut environment: Environment<X>,
    ) -> Result<FloatTensor<X>> {
        graph
            .operations
            .iter()
            .try_for_each(|operation| execute(operation, &mut environment))?;
        environment.float(&graph.output)
    }

    /// A gradient as a flat vector, zero where there is none.
    fn flat(&self, parameter: usize, gradient: Option<FloatTensor<B>>) -> FloatTensor<B> {
        let shape = Shape::new([self.columns[parameter].len()]);
        match gradient {
            Some(gradient) => B::float_reshape(gradient, shape),
            None => B::float_zeros(shape, &self.device, self.float),
        }
    }

    /// What becomes of each row, computed one by one.
    fn each_row<T>(
        rows: &Tensor<2>,
        work: impl Fn(&FloatTensor<B>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let [k, dim] = rows.dims();
        let of_row = |row| {
            let vector = primitive::<B, 2>(rows.clone().slice([row..row + 1, 0..dim]))?;
            guarded(|| work(&vector))
        };
        (0..k).map(of_row).collect()
    }

    /// `⟨cotangent, output⟩`, the scalar that is differentiated.
    fn root<X>(output: FloatTensor<X>, cotangent: Option<&Tensor<2>>) -> Result<FloatTensor<X>>
    where
        X: AutodiffBackend<InnerBackend = B, Device = B::Device>,
    {
        let Some(cotangent) = cotangent else {
            return Ok(X::float_sum(output));
        };
        let cotangent = B::float_reshape(primitive::<B, 2>(cotangent.clone())?, output.shape());
        Ok(X::float_sum(X::float_mul(output, X::from_inner(cotangent))))
    }
}

impl<B: Tanh> Engine for Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    fn output(&self, graph: &Graph, batch: &Batch) -> Result<Tensor<2>> {
        guarded(|| {
            let output = Self::run(graph, self.environment::<B>(graph, batch, |_, value| value))?;
            let width = output.shape().num_elements() / batch.len().max(1);
            Ok(Tensor::from_primitive::<B>(B::float_reshape(
                output,
                Shape::new([batch.len(), width]),
            )))
        })
    }

    fn tapped_gradients(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<(usize, Form)>> {
        guarded(|| self.record(graph, batch, cotangent))
    }

    fn summed_gradient(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<Tensor<1>>> {
        guarded(|| {
            let leaves: Vec<_> = self
                .parameters
                .iter()
                .map(|value| Autodiff::<B>::from_inner(value.clone()))
                .collect();
            let leaves = tracked::<Autodiff<B>>(leaves, parameters);
            let environment =
                self.environment::<Autodiff<B>>(graph, batch, |index, _| leaves[index].clone());
            let root = Self::root::<Autodiff<B>>(Self::run(graph, environment)?, cotangent)?;
            let gradients = root.is_tracked().then(|| root.backward());
            let of = |&index: &usize| {
                let gradient = gradients
                    .as_ref()
                    .and_then(|gradients| leaves[index].grad(gradients));
                self.flat(index, gradient)
            };
            Ok(parameters
                .iter()
                .map(of)
                .map(Tensor::from_primitive::<B>)
                .collect())
        })
    }

    fn hessian_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        rows: &Tensor<2>,
    ) -> Result<Tensor<2>> {
        let products = Self::each_row(rows, |vector| {
            self.hessian_product(graph, batch, parameters, vector)
        });
        Ok(Tensor::cat(products?, 0))
    }

    fn linear_maps(
        &self,
        graph: &Graph,
        batch: &Batch,
        chain: &[Link],
    ) -> Result<(Vec<Linear>, LossSlopes)> {
        guarded(|| self.linearised(graph, batch, chain))
    }

    fn head_slopes(
        &self,
        head: &Head,
        batch: &Batch,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<HeadSlopes> {
        guarded(|| self.differentiated_head(head, batch, outputs, direction))
    }

    fn kinks(&self, graph: &Graph, batch: &Batch) -> Result<Kinks> {
        guarded(|| self.counted_kinks(graph, batch))
    }

    fn mixed_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        field: usize,
        parameters: &[usize],
        rows: &Tensor<2>,
    ) -> Result<Vec<Tensor<2>>> {
        Self::each_row(rows, |vector| {
            self.mixed_product(graph, batch, field, parameters, vector)
        })
    }
}

/// Marks some of the leaves as to be differentiated.
fn tracked<X: Backend>(leaves: Vec<FloatTensor<X>>, parameters: &[usize]) -> Vec<FloatTensor<X>> {
    let mark = |(index, leaf)| {
        if parameters.contains(&index) {
            X::float_set_require_grad(leaf, true)
        } else {
            leaf
        }
    };
    leaves.into_iter().enumerate().map(mark).collect()
}

/// The primitive behind a tensor.
fn primitive<B: Backend, const D: usize>(tensor: Tensor<D>) -> Result<FloatTensor<B>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    tensor
        .try_into_primitive::<B>()
        .map_err(|error| Error::Engine {
            message: format!("{error:?}"),
        })
}

/// Tensor libraries panic on what they cannot do, a class index out of range for one; here that becomes an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Engine {
            message: panic_message(&*panic),
        })
    })
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}
