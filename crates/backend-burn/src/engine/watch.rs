//! Tensors in the middle of a graph whose gradients are wanted.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use burn::backend::{
    Autodiff, AutodiffBackend, Backend,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};

/// Where the gradient of a tensor is found after the backward pass.
///
/// burn keeps the gradients of leaves alone. Adding a leaf of zeros to a tensor would give its
/// gradient too, for two passes over memory that this saves.
#[derive(Debug)]
pub(super) enum Watched<B: Backend> {
    /// Nothing before the tensor is differentiated, so that it is a leaf itself.
    Leaf(FloatTensor<Autodiff<B>>),
    /// It is kept on its way to the tensors before.
    Passing(Passing<B>),
}

type Passing<B> = Arc<Mutex<Option<FloatTensor<B>>>>;

impl<B: Backend> Watched<B> {
    /// The same tensor, watched.
    pub(super) fn new(tensor: FloatTensor<Autodiff<B>>) -> (Self, FloatTensor<Autodiff<B>>) {
        if !tensor.is_tracked() {
            let leaf = tensor.require_grad();
            return (Self::Leaf(leaf.clone()), leaf);
        }
        let passing = Passing::<B>::default();
        let (value, node) = tensor.into_parts();
        let watched = match Keep
            .prepare::<NoCheckpointing>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(tracked) => tracked.finish(Arc::clone(&passing), value),
            OpsKind::UnTracked(untracked) => untracked.finish(value),
        };
        (Self::Passing(passing), watched)
    }

    /// The gradient, if the backward pass came by.
    pub(super) fn gradient(
        self,
        gradients: &mut <Autodiff<B> as AutodiffBackend>::Gradients,
    ) -> Option<FloatTensor<B>> {
        match self {
            Self::Leaf(leaf) => leaf.grad_remove(gradients),
            Self::Passing(passing) => {
                let mut kept = passing.lock().unwrap_or_else(PoisonError::into_inner);
                kept.take()
            }
        }
    }
}

/// The identity, which keeps the gradient that passes through it.
#[derive(Debug)]
struct Keep;

impl<B: Backend> Backward<B, 1> for Keep {
    type State = Passing<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        let mut kept = ops.state.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(gradient.clone());
        if let Some(node) = parent {
            gradients.register::<B>(node.id, gradient);
        }
    }
}
