//! The derivatives of a loss by the outputs.

use burn::{
    backend::{
        AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, ops::FloatTensorOps,
        tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};

use super::{
    executor::{Executor, mismatch, primitive},
    linearise::{Leaf, Once, Twice, constant, run},
};
use crate::{
    Batch, Result,
    graph::{Environment, Kernels},
    taps::ViewStep,
    trace::Head,
};

/// The derivatives of the loss of each sample by its outputs.
pub(crate) struct HeadDerivatives {
    /// `(n, c)`.
    pub(crate) first: Tensor<2>,
    /// The product of the second derivative with the direction, `(n, c)`.
    pub(crate) product: Tensor<2>,
}

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// The samples are differentiated together, as they do not interact.
    pub(super) fn differentiated_head(
        &self,
        head: &Head,
        batch: &Batch,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<HeadDerivatives> {
        let graph = &head.graph;
        let mut environment =
            self.environment::<Twice<B>>(graph, batch, |_, value| constant::<B>(value));
        run(graph, 0..head.before, &mut environment)?;
        let leaf = Leaf::new(primitive::<B, 2>(outputs.clone())?);
        insert(head, &leaf, &mut environment)?;
        run(graph, head.before..graph.operations.len(), &mut environment)?;
        let direction = Once::<B>::from_inner(primitive::<B, 2>(direction.clone())?);
        let lifted = |value: Option<FloatTensor<B>>| {
            value.map_or_else(|| outputs.zeros_like(), Tensor::from_primitive::<B>)
        };
        let first = leaf.first(environment.float(&graph.output)?);
        let value = first.as_ref().map(|first| first.primitive().clone());
        let second = first.and_then(|first| leaf.second(Once::<B>::float_mul(first, direction)));
        Ok(HeadDerivatives {
            first: lifted(value),
            product: lifted(second),
        })
    }
}

/// Puts the outputs, in the shape in which the loss reads them, in place of those of the recording.
fn insert<B: Backend>(
    head: &Head,
    leaf: &Leaf<B>,
    environment: &mut Environment<Twice<B>>,
) -> Result<()>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let mut outputs = leaf.outer.clone();
    for step in &head.steps {
        outputs = match step {
            ViewStep::Reshape { from } => {
                Twice::<B>::float_reshape(outputs, Shape::from(from.clone()))
            }
            ViewStep::Permute { axes } => {
                let mut inverse = vec![0; axes.len()];
                let places = axes.iter().enumerate();
                places.for_each(|(to, &from)| inverse[from] = to);
                Twice::<B>::float_permute(outputs, &inverse)
            }
            _ => return Err(mismatch()),
        };
    }
    head.cut
        .iter()
        .for_each(|id| environment.insert_float(*id, outputs.clone()));
    Ok(())
}
