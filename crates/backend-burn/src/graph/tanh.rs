//! The hyperbolic tangent, evaluated once however often it is differentiated.

use burn::backend::{
    Autodiff, Backend,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};

/// A backend that evaluates the hyperbolic tangent for the graphs.
///
/// burn's autodiff evaluates it again in every backward pass, four times for a product with a
/// Hessian, and it costs as much as the matrix products of a small layer. Its derivative `1 − y²`
/// follows from its value.
pub(crate) trait Tanh: Backend {
    /// `tanh x`.
    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(x)
    }
}

#[cfg(feature = "flex")]
impl Tanh for burn::backend::Flex {}
#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "burn drops ndarray in 0.23; until then it is a device like others"
)]
impl Tanh for burn::backend::NdArray {}
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl Tanh for burn::backend::Cube {}

impl<B: Tanh, C: CheckpointStrategy> Tanh for Autodiff<B, C> {
    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let y = B::tanh(x);
        match TanhDerivative
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(tracked) => tracked.finish(y.clone(), y),
            OpsKind::UnTracked(untracked) => untracked.finish(y),
        }
    }
}

/// The derivative, from the value.
#[derive(Debug)]
struct TanhDerivative;

impl<B: Backend> Backward<B, 1> for TanhDerivative {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        let square = B::float_mul(ops.state.clone(), ops.state);
        let derivative = B::float_add_scalar(B::float_neg(square), 1.0.into());
        if let Some(node) = parent {
            gradients.register::<B>(node.id, B::float_mul(gradient, derivative));
        }
    }
}
