//! Operations of which graphs need another form than burn's.

use std::f64::consts::FRAC_2_SQRT_PI;

use burn::backend::{
    Autodiff, Backend, TensorMetadata,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    ops::FloatTensorOps,
    tensor::FloatTensor,
};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DType;
use burn::tensor::Shape;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::{error_function::error_function, product::full_product};

/// A backend with operations of which graphs need another form than burn's.
pub(crate) trait Kernels: Backend {
    /// `exp x`, evaluated once however often it is differentiated: its derivative is its value.
    ///
    /// burn's autodiff evaluates it again in every backward pass, four times for a product with a
    /// Hessian, and it costs as much as the matrix products of a small layer.
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_exp(x)
    }

    /// `tanh x`, evaluated once for the same reason: its derivative `1 − y²` follows from its
    /// value.
    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(x)
    }

    /// The error function. burn's second derivative of it has a constant of 32 bits.
    fn erf(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_erf(x)
    }

    /// Whether products of matrices with this one keep fewer bits of it than it has.
    fn rounds(_: &FloatTensor<Self>) -> bool {
        false
    }

    /// A product of matrices in the precision that these have.
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(left, right)
    }
}

#[cfg(feature = "flex")]
impl Kernels for burn::backend::Flex {}
#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "burn drops ndarray in 0.23; until then it is a device like others"
)]
impl Kernels for burn::backend::NdArray {}
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl Kernels for burn::backend::Cube {
    fn erf(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() == DType::F64 {
            error_function::<Self>(x)
        } else {
            Self::float_erf(x)
        }
    }

    fn rounds(matrix: &FloatTensor<Self>) -> bool {
        crate::device::rounds_products(&matrix.device(), matrix.dtype())
    }

    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let empty = [&left, &right].map(|side| side.shape().num_elements() == 0);
        if !Self::rounds(&left) || empty.contains(&true) {
            return Self::float_matmul(left, right);
        }
        full_product::<Self>(left, right)
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let of = |x| {
            let y = B::exp(x);
            [y.clone(), y]
        };
        with_slope::<B, C>(x, of, |y| y)
    }

    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let of = |x| {
            let y = B::tanh(x);
            [y.clone(), y]
        };
        let slope = |y: FloatTensor<B>| {
            let square = B::float_mul(y.clone(), y);
            B::float_add_scalar(B::float_neg(square), 1.0.into())
        };
        with_slope::<B, C>(x, of, slope)
    }

    fn erf(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let of = |x: FloatTensor<B>| [B::erf(x.clone()), x];
        let slope = |x: FloatTensor<B>| {
            let decay = B::float_exp(B::float_neg(B::float_mul(x.clone(), x)));
            B::float_mul_scalar(decay, FRAC_2_SQRT_PI.into())
        };
        with_slope::<B, C>(x, of, slope)
    }

    fn rounds(matrix: &FloatTensor<Self>) -> bool {
        B::rounds(matrix.primitive())
    }

    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        if Self::rounds(&left) {
            tracked_product::<B, C>(left, right)
        } else {
            Self::float_matmul(left, right)
        }
    }
}

/// A function of each entry, which gives a value and what its derivative is made of.
fn with_slope<B: Backend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    of: fn(FloatTensor<B>) -> [FloatTensor<B>; 2],
    slope: fn(FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    let (x, node) = x.into_parts();
    let [value, kept] = of(x);
    match Slope(slope).prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(tracked) => tracked.finish(kept, value),
        OpsKind::UnTracked(untracked) => untracked.finish(value),
    }
}

/// The derivative of a function of each entry.
#[derive(Debug)]
struct Slope<B: Backend>(fn(FloatTensor<B>) -> FloatTensor<B>);

impl<B: Backend> Backward<B, 1> for Slope<B> {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        if let Some(node) = parent {
            gradients.register::<B>(node.id, B::float_mul(gradient, (self.0)(ops.state)));
        }
    }
}

/// [`Kernels::product`] with derivatives by the same. Those of burn's own product would be burn's
/// own products.
pub(super) fn tracked_product<B: Kernels, C: CheckpointStrategy>(
    left: FloatTensor<Autodiff<B, C>>,
    right: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let ((left, of_left), (right, of_right)) = (left.into_parts(), right.into_parts());
    let product = B::product(left.clone(), right.clone());
    match ProductDerivative
        .prepare::<C>([of_left, of_right])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(tracked) => tracked.finish((left, right), product),
        OpsKind::UnTracked(untracked) => untracked.finish(product),
    }
}

/// The derivatives of a product of matrices, from its factors.
#[derive(Debug)]
struct ProductDerivative;

impl<B: Kernels> Backward<B, 2> for ProductDerivative {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [of_left, of_right] = ops.parents;
        let (left, right) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let shapes = [left.shape(), right.shape()];
        if let Some(node) = of_left {
            let product = B::product(gradient.clone(), transposed::<B>(right));
            gradients.register::<B>(node.id, summed_to::<B>(product, &shapes[0]));
        }
        if let Some(node) = of_right {
            let product = B::product(transposed::<B>(left), gradient);
            gradients.register::<B>(node.id, summed_to::<B>(product, &shapes[1]));
        }
    }
}

fn transposed<B: Backend>(matrix: FloatTensor<B>) -> FloatTensor<B> {
    let rank = matrix.shape().rank();
    B::float_swap_dims(matrix, rank - 2, rank - 1)
}

/// A gradient summed along the axes along which its tensor was broadcast.
fn summed_to<B: Backend>(gradient: FloatTensor<B>, shape: &Shape) -> FloatTensor<B> {
    let own = gradient.shape();
    let broadcast = (0..shape.rank()).filter(|&axis| shape[axis] != own[axis]);
    broadcast.fold(gradient, B::float_sum_dim)
}
