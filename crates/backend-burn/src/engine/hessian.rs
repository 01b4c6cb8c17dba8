//! Hessian products by differentiating twice.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::{Executor, tracked};
use crate::{Batch, Result, trace::Graph};

impl<B: Backend> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// One product by differentiating `⟨gradient, vector⟩` again; burn consumes a graph in its backward pass, so the forward
    /// pass is repeated for every vector.
    pub(super) fn hessian_product(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        vector: &FloatTensor<B>,
    ) -> Result<Tensor<2>> {
        let inner: Vec<_> = self
            .parameters
            .iter()
            .map(|value| Autodiff::<B>::from_inner(value.clone()))
            .collect();
        let inner = tracked::<Autodiff<B>>(inner, parameters);
        let outer: Vec<_> = inner
            .iter()
            .map(|value| Autodiff::<Autodiff<B>>::from_inner(value.clone()))
            .collect();
        let outer = tracked::<Autodiff<Autodiff<B>>>(outer, parameters);
        let environment = self
            .environment::<Autodiff<Autodiff<B>>>(graph, batch, |index, _| outer[index].clone());
        let loss = Autodiff::<Autodiff<B>>::float_sum(Self::run(graph, environment)?);
        let gradients = loss.is_tracked().then(|| loss.backward());
        let slope = self.slope(&outer, parameters, gradients.as_ref(), vector);
        let second = slope
            .filter(FloatTensor::<Autodiff<B>>::is_tracked)
            .map(FloatTensor::<Autodiff<B>>::backward);
        let of = |&index: &usize| {
            let product = second
                .as_ref()
                .and_then(|gradients| inner[index].grad(gradients));
            Tensor::<1>::from_primitive::<B>(self.flat(index, product))
        };
        Ok(Tensor::cat(parameters.iter().map(of).collect(), 0).unsqueeze())
    }

    /// `⟨gradient, vector⟩`, still differentiable.
    fn slope(
        &self,
        outer: &[FloatTensor<Autodiff<Autodiff<B>>>],
        parameters: &[usize],
        gradients: Option<&<Autodiff<Autodiff<B>> as AutodiffBackend>::Gradients>,
        vector: &FloatTensor<B>,
    ) -> Option<FloatTensor<Autodiff<B>>> {
        let mut from = 0;
        let mut slope = None;
        for &index in parameters {
            let to = from + self.columns[index].len();
            let direction = B::float_slice(vector.clone(), &[(0..1).into(), (from..to).into()]);
            from = to;
            let Some(gradient) = outer[index].grad(gradients?) else {
                continue;
            };
            let direction =
                Autodiff::<B>::from_inner(B::float_reshape(direction, gradient.shape()));
            let term = Autodiff::<B>::float_sum(Autodiff::<B>::float_mul(gradient, direction));
            slope = Some(match slope {
                None => term,
                Some(sum) => Autodiff::<B>::float_add(sum, term),
            });
        }
        slope
    }
}
