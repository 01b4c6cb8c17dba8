//! The distance of inputs of functions with a kink (`relu`, for example) from the kink.

use burn::{
    backend::{
        Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        ir::{ActivationOperationIr, NumericOperationIr, OperationIr, TensorIr},
    },
    tensor::{Shape, Tensor},
};

use super::executor::Executor;
use crate::{
    Batch, Result,
    graph::{Kernels, execute},
    tensors::values,
    trace::Graph,
};

/// Inputs this near to a kink, relative to the root mean square of their tensor, may be on either
/// side of it in 32 bits.
const NEAR: f64 = 1e-6;
/// How many times wider the neighbourhood is in which inputs near by chance are counted.
const WIDE: f64 = 1e3;

/// Counts over samples.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Kinks {
    /// Samples examined.
    pub(crate) samples: usize,
    /// Samples with an input within rounding of a kink.
    pub(crate) affected: usize,
    /// Inputs within rounding of a kink.
    near: usize,
    /// Inputs in the wide neighbourhood, those near included.
    wide: usize,
}

impl Kinks {
    pub(crate) fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.affected += other.affected;
        self.near += other.near;
        self.wide += other.wide;
    }

    /// Whether more inputs are near than a few, and more than by chance.
    pub(crate) fn is_notable(&self) -> bool {
        /// Samples that count as a few.
        const FEW: usize = 3;
        /// Factor above the number by chance.
        const TIMES: f64 = 10.0;
        #[expect(clippy::cast_precision_loss, reason = "a rough comparison")]
        let (near, others) = (self.near as f64, (self.wide - self.near) as f64);
        self.affected > FEW && near > TIMES * others / WIDE
    }
}

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// Runs the graph and examines the inputs of functions with a kink. Inputs exactly on one are
    /// left out: zeros of padding, for example, are there in any precision.
    pub(super) fn counted_kinks(&self, graph: &Graph, batch: &Batch) -> Result<Kinks> {
        let mut environment = self.environment::<B>(graph, batch, |_, value| value);
        let mut affected = vec![false; batch.len()];
        let mut kinks = Kinks::default();
        for operation in &graph.operations {
            if let Some((tensor, places)) = kinked(operation) {
                let value = environment.peek_float(tensor)?;
                let numbers = flat::<B>(value)?;
                let squares: f64 = numbers.iter().map(|value| value * value).sum();
                let size = (squares / numbers.len().max(1) as f64).sqrt();
                let width = numbers.len() / batch.len().max(1);
                for (index, value) in numbers.iter().enumerate() {
                    let distance = places
                        .iter()
                        .map(|place| (value - place).abs())
                        .fold(f64::INFINITY, f64::min);
                    let within = |reach: f64| distance > 0.0 && distance <= reach * size;
                    kinks.wide += usize::from(within(NEAR * WIDE));
                    if within(NEAR) {
                        kinks.near += 1;
                        if let Some(sample) = affected.get_mut(index / width.max(1)) {
                            *sample = true;
                        }
                    }
                }
            }
            execute(operation, &mut environment)?;
        }
        kinks.samples = batch.len();
        kinks.affected = affected.into_iter().filter(|affected| *affected).count();
        Ok(kinks)
    }
}

fn flat<B: Backend>(value: burn::backend::tensor::FloatTensor<B>) -> Result<Vec<f64>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let shape = Shape::new([value.shape().num_elements()]);
    let value = Tensor::<1>::from_primitive::<B>(B::float_reshape(value, shape));
    values(&value)
}

/// The input of an operation whose derivative jumps, and the places of the jumps.
fn kinked(operation: &OperationIr) -> Option<(&TensorIr, Vec<f64>)> {
    use ActivationOperationIr as A;
    use NumericOperationIr as N;
    Some(match operation {
        OperationIr::Activation(A::Relu(op)) | OperationIr::NumericFloat(_, N::Abs(op)) => {
            (&op.input, vec![0.0])
        }
        OperationIr::Activation(A::LeakyRelu(op)) => (&op.lhs, vec![0.0]),
        OperationIr::Activation(A::PRelu(op)) => (&op.lhs, vec![0.0]),
        OperationIr::Activation(A::HardSigmoid(op)) => {
            let (alpha, beta): (f64, f64) = (op.alpha.elem(), op.beta.elem());
            (&op.tensor, vec![-beta / alpha, (1.0 - beta) / alpha])
        }
        OperationIr::NumericFloat(_, N::Clamp(op)) => {
            (&op.tensor, vec![op.min.elem(), op.max.elem()])
        }
        OperationIr::NumericFloat(_, N::ClampMin(op) | N::ClampMax(op)) => {
            (&op.lhs, vec![op.rhs.elem()])
        }
        _ => return None,
    })
}

/// Whether a graph has functions with a kink.
pub(crate) fn has_kinks(graph: &Graph) -> bool {
    let mut operations = graph.operations.iter();
    operations.any(|operation| kinked(operation).is_some())
}
