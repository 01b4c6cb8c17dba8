//! The engine on one concrete backend.

use std::fmt::{self, Debug};

use burn::{
    backend::{
        AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        tensor::FloatTensor,
    },
    tensor::{DType, Device, FloatDType, Shape, Tensor, TensorData},
};
use influence_core::{Precision, block::ParameterLayout};

use super::Cotangent;
use crate::{
    Batch, Error, Result,
    dataset::tensor_data,
    graph::{Environment, Kernels, execute},
    panic::guarded,
    trace::Graph,
};

/// The type of floats in which a precision computes.
pub(crate) fn float_type(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// The engine on one backend.
pub(super) struct Executor<B: Backend> {
    pub(super) parameters: Vec<FloatTensor<B>>,
    pub(super) columns: Vec<std::ops::Range<usize>>,
    pub(super) device: B::Device,
    pub(super) float: FloatDType,
}

impl<B: Backend> Debug for Executor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("device", &self.device)
            .field("float", &self.float)
            .finish_non_exhaustive()
    }
}

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    pub(super) fn new(
        device: &Device,
        precision: Precision,
        values: &[TensorData],
        layout: &ParameterLayout,
    ) -> Result<Self> {
        let float = float_type(precision);
        if !crate::device::supports(device, precision) {
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

    /// The same with other values of the parameters in the layout.
    pub(super) fn with_parameters(&self, values: &Tensor<1>) -> Result<Self> {
        let flat = primitive::<B, 1>(values.clone())?;
        let mut parameters = self.parameters.clone();
        for (parameter, columns) in parameters.iter_mut().zip(&self.columns) {
            let value = B::float_slice(flat.clone(), &[columns.clone().into()]);
            *parameter = B::float_reshape(value, parameter.shape());
        }
        Ok(Self {
            parameters,
            columns: self.columns.clone(),
            device: self.device.clone(),
            float: self.float,
        })
    }

    /// The values that a graph starts from, on a decorated backend; `lift` decorates each
    /// parameter.
    pub(super) fn environment<X: Kernels<Device = B::Device>>(
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
        for (id, values) in graph.inputs.iter().zip(batch.fields()) {
            environment.insert_data(*id, tensor_data(values));
        }
        environment
    }

    /// Runs the graph as it was recorded.
    pub(super) fn run<X: Backend<Device = B::Device>>(
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
    pub(super) fn flat(
        &self,
        parameter: usize,
        gradient: Option<FloatTensor<B>>,
    ) -> FloatTensor<B> {
        let shape = Shape::new([self.columns[parameter].len()]);
        match gradient {
            Some(gradient) => B::float_reshape(gradient, shape),
            None => B::float_zeros(shape, &self.device, self.float),
        }
    }

    /// The results for each row, computed one by one.
    pub(super) fn each_row<T>(
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

    /// The output of `n` samples, `(n, c)`.
    pub(super) fn of_samples(output: FloatTensor<B>, n: usize) -> Tensor<2> {
        let width = output.shape().num_elements() / n.max(1);
        Tensor::from_primitive::<B>(B::float_reshape(output, Shape::new([n, width])))
    }

    /// `⟨cotangent, output⟩`, the scalar that is differentiated, of `n` samples.
    pub(super) fn root<X>(
        output: FloatTensor<X>,
        n: usize,
        cotangent: Cotangent<'_>,
    ) -> Result<FloatTensor<X>>
    where
        X: AutodiffBackend<InnerBackend = B, Device = B::Device>,
    {
        let cotangent = match cotangent {
            Cotangent::Ones => return Ok(X::float_sum(output)),
            Cotangent::Given(cotangent) => cotangent.clone(),
            Cotangent::OfOutputs(make) => make(Self::of_samples(X::inner(output.clone()), n))?,
        };
        let cotangent = B::float_reshape(primitive::<B, 2>(cotangent)?, output.shape());
        Ok(X::float_sum(X::float_mul(output, X::from_inner(cotangent))))
    }
}

/// Marks the leaves of some parameters as those to differentiate by.
pub(super) fn tracked<X: Backend>(
    leaves: Vec<FloatTensor<X>>,
    parameters: &[usize],
) -> Vec<FloatTensor<X>> {
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
pub(super) fn primitive<B: Backend, const D: usize>(tensor: Tensor<D>) -> Result<FloatTensor<B>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    tensor
        .try_into_primitive::<B>()
        .map_err(|error| Error::Engine {
            message: format!("{error:?}"),
        })
}

/// The error for a tap that was found for another operation: never a silent zero.
pub(super) fn mismatch() -> Error {
    Error::Engine {
        message: "a tap does not belong to the operation it was found for".into(),
    }
}
