//! The engine: evaluates recorded graphs, and differentiates them once or twice, on one concrete
//! backend.
//!
//! burn differentiates once, but at the level of primitives its autodiff decorator nests:
//! `Autodiff<Autodiff<B>>` gives exact Hessian-vector products. The nesting works on concrete
//! backends only, so the backend is chosen once, in [`for_device`], and erased again behind
//! [`Engine`].

mod copies;
mod executor;
mod head;
mod hessian;
mod kinks;
mod linearise;
mod probe;
mod tapped;
mod undo;
mod watch;

use std::{fmt::Debug, ops::Range, sync::Arc};

use burn::{
    backend::{Autodiff, AutodiffBackend, DispatchDevice, DispatchKindConversion, DispatchTensor},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::{Precision, block::ParameterLayout};

use crate::{
    Batch, Result,
    gradient::GradientForm,
    graph::Kernels,
    panic::guarded,
    trace::{DenseLayer, Graph, Head},
};

pub(crate) use executor::float_type;
pub(crate) use head::HeadDerivatives;
pub(crate) use kinks::{Kinks, has_kinks};
pub(crate) use linearise::{LinearisedLayer, LossDerivatives};

use executor::{Executor, tracked};

/// The per-sample gradients of a parameter, from one or more of its uses.
pub(crate) struct TappedGradient {
    /// Its index.
    pub(crate) parameter: usize,
    /// The entries they are of; `None` for all.
    pub(crate) entries: Option<Range<usize>>,
    pub(crate) form: GradientForm,
}

/// The weights of outputs in the sum that is differentiated, `(n, c)` as the outputs are.
#[derive(Clone, Copy)]
pub(crate) enum Cotangent<'a> {
    Ones,
    Given(&'a Tensor<2>),
    /// Made of the outputs themselves, without another forward pass.
    OfOutputs(&'a dyn Fn(Tensor<2>) -> Result<Tensor<2>>),
}

impl<'a> From<Option<&'a Tensor<2>>> for Cotangent<'a> {
    fn from(given: Option<&'a Tensor<2>>) -> Self {
        given.map_or(Self::Ones, Self::Given)
    }
}

/// Evaluates and differentiates recorded graphs; erases the backend.
pub(crate) trait Engine: Debug + Send + Sync {
    /// The same engine with other values of the parameters that gradients have, side by side in
    /// one flat tensor of its device and precision.
    fn at(&self, parameters: &Tensor<1>) -> Result<Arc<dyn Engine>>;

    /// The output of the graph, `(n)` as `(n, 1)` or `(n, c)`.
    fn output(&self, graph: &Graph, batch: &Batch) -> Result<Tensor<2>>;

    /// Per-sample gradients of `⟨cotangent, output⟩` with respect to every tapped parameter; the
    /// cotangent is that of [`output`](Self::output).
    fn tapped_gradients(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Cotangent<'_>,
    ) -> Result<Vec<TappedGradient>>;

    /// The gradient, summed over the samples, with respect to some parameters: one flat tensor
    /// each.
    fn summed_gradient(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<Tensor<1>>>;

    /// The products of the Hessian, summed over the samples, with rows `(k, dim)` over some
    /// parameters joined in order.
    fn hessian_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        rows: &Tensor<2>,
    ) -> Result<Tensor<2>>;

    /// The products of the sum over the samples of `J_iᵀ H_i J_i`, where `J_i` is the Jacobian of
    /// the output, with such rows; `curved` multiplies directions `(n, c)` by `H_i`.
    fn gauss_newton_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        rows: &Tensor<2>,
        curved: &dyn Fn(&Tensor<2>) -> Result<Tensor<2>>,
    ) -> Result<Tensor<2>>;

    /// The dense layers found in the graph, with the derivatives of the activations between them
    /// and of the loss by the output of the last.
    fn linearised_layers(
        &self,
        graph: &Graph,
        batch: &Batch,
        layers: &[DenseLayer],
    ) -> Result<(Vec<LinearisedLayer>, LossDerivatives)>;

    /// The derivatives of the loss of each sample by its outputs, at the outputs given; both
    /// outputs and directions are `(n, c)`.
    fn head_derivatives(
        &self,
        head: &Head,
        batch: &Batch,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<HeadDerivatives>;

    /// Counts inputs of functions with a kink that are near to it.
    fn kinks(&self, graph: &Graph, batch: &Batch) -> Result<Kinks>;

    /// The derivative by a field of the batch of the inner product of each row `(k, dim)` with the
    /// gradient, summed over the samples, with respect to some parameters joined in order: `k`
    /// tensors `(n, numbers of a sample)`.
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
    keep_freed_memory();
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

/// Lets the allocator of the GNU C library keep memory that is freed; others take no notice.
///
/// A tensor lives for one operation. Given back to the system, its pages come again one fault at a
/// time, which takes as long as the operation itself. The library gives back blocks that are larger
/// than a threshold, and what exceeds twice the threshold at the end of a heap; it raises the
/// threshold to the largest block that it saw freed, up to 32 MiB. So a block of nearly that size
/// is freed here, none of whose pages was ever touched.
fn keep_freed_memory() {
    const BLOCK: usize = 31 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

impl<B: Kernels> Engine for Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    fn at(&self, parameters: &Tensor<1>) -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(self.with_parameters(parameters)?))
    }

    fn output(&self, graph: &Graph, batch: &Batch) -> Result<Tensor<2>> {
        guarded(|| {
            let output = Self::run(graph, self.environment::<B>(graph, batch, |_, value| value))?;
            Ok(Self::of_samples(output, batch.len()))
        })
    }

    fn tapped_gradients(
        &self,
        graph: &Graph,
        batch: &Batch,
        cotangent: Cotangent<'_>,
    ) -> Result<Vec<TappedGradient>> {
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
            let output = Self::run(graph, environment)?;
            let root = Self::root::<Autodiff<B>>(output, batch.len(), cotangent.into())?;
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

    fn gauss_newton_products(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        rows: &Tensor<2>,
        curved: &dyn Fn(&Tensor<2>) -> Result<Tensor<2>>,
    ) -> Result<Tensor<2>> {
        let products = Self::each_row(rows, |vector| {
            let direction = self.output_derivative(graph, batch, parameters, vector)?;
            let cotangent = curved(&direction)?;
            let product = self.summed_gradient(graph, batch, parameters, Some(&cotangent))?;
            Ok(Tensor::cat(product, 0).unsqueeze())
        });
        Ok(Tensor::cat(products?, 0))
    }

    fn linearised_layers(
        &self,
        graph: &Graph,
        batch: &Batch,
        layers: &[DenseLayer],
    ) -> Result<(Vec<LinearisedLayer>, LossDerivatives)> {
        guarded(|| self.linearised(graph, batch, layers))
    }

    fn head_derivatives(
        &self,
        head: &Head,
        batch: &Batch,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<HeadDerivatives> {
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
