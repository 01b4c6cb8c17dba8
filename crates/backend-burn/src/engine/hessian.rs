//! Products with second derivatives, by differentiating twice.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, DispatchKindConversion, DispatchTensor, TensorMetadata,
        ir::TensorId, ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};

use super::executor::{Executor, tracked};
use crate::{
    Batch, Result,
    dataset::tensor_data,
    graph::{Environment, Kernels},
    trace::Graph,
};

/// A backend that differentiates twice.
type Twice<B> = Autodiff<Autodiff<B>>;

impl<B: Kernels> Executor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    /// One product by differentiating `⟨gradient, vector⟩` again; burn consumes a graph in its
    /// backward pass, so the forward pass is repeated for every vector.
    pub(super) fn hessian_product(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        vector: &FloatTensor<B>,
    ) -> Result<Tensor<2>> {
        let leaves = tracked::<Autodiff<B>>(self.leaves(), parameters);
        let derivative =
            self.directional_derivative(graph, batch, &leaves, None, parameters, vector)?;
        let second = backward(derivative);
        let of = |&index: &usize| {
            let product = second
                .as_ref()
                .and_then(|gradients| leaves[index].grad(gradients));
            Tensor::<1>::from_primitive::<B>(self.flat(index, product))
        };
        Ok(Tensor::cat(parameters.iter().map(of).collect(), 0).unsqueeze())
    }

    /// The derivative `J v` of the output along a vector, `(n, c)`.
    ///
    /// burn differentiates backwards only. The gradient `Jᵀw` of `⟨w, output⟩` is linear in `w`, so
    /// the derivative of `⟨Jᵀw, v⟩` by `w` is `J v`, whatever `w` is.
    pub(super) fn output_derivative(
        &self,
        graph: &Graph,
        batch: &Batch,
        parameters: &[usize],
        vector: &FloatTensor<B>,
    ) -> Result<Tensor<2>> {
        let (outer, environment) = self.lifted(graph, batch, &self.leaves(), parameters);
        let output = Self::run(graph, environment)?;
        let shape = output.shape();
        let weights = B::float_zeros(shape.clone(), &self.device, self.float);
        let weights = Autodiff::<B>::from_inner(weights).require_grad();
        let lifted = Twice::<B>::from_inner(weights.clone());
        let root = Twice::<B>::float_mul(output, lifted);
        let root = Twice::<B>::float_sum(root);
        let gradients = root.is_tracked().then(|| root.backward());
        let product = self.product(&outer, parameters, gradients.as_ref(), vector);
        let derivative = backward(product).and_then(|gradients| weights.grad(&gradients));
        let derivative =
            derivative.unwrap_or_else(|| B::float_zeros(shape, &self.device, self.float));
        Ok(Self::of_samples(derivative, batch.len()))
    }

    /// The derivative of `⟨gradient, vector⟩` by a field of the batch, `(n, numbers of a sample)`.
    ///
    /// The gradient is a sum over samples that do not interact, so each sample gets the derivative
    /// of its own gradient.
    pub(super) fn mixed_product(
        &self,
        graph: &Graph,
        batch: &Batch,
        field: usize,
        parameters: &[usize],
        vector: &FloatTensor<B>,
    ) -> Result<Tensor<2>> {
        let data = tensor_data(&batch.fields()[field]);
        let shape = Shape::new([batch.len(), data.num_elements() / batch.len().max(1)]);
        let data = B::float_cast(B::float_from_data(data, &self.device), self.float);
        let leaf = Autodiff::<B>::from_inner(data).require_grad();
        let input = (graph.inputs[field], leaf.clone());
        let derivative = self.directional_derivative(
            graph,
            batch,
            &self.leaves(),
            Some(input),
            parameters,
            vector,
        )?;
        let product = backward(derivative).and_then(|gradients| leaf.grad(&gradients));
        let product = match product {
            Some(product) => B::float_reshape(product, shape),
            None => B::float_zeros(shape, &self.device, self.float),
        };
        Ok(Tensor::from_primitive::<B>(product))
    }

    /// The parameters, not yet marked for differentiation.
    fn leaves(&self) -> Vec<FloatTensor<Autodiff<B>>> {
        let values = self.parameters.iter().cloned();
        values.map(Autodiff::<B>::from_inner).collect()
    }

    /// The outer leaves of some leaves, and the values that a graph starts from with them.
    ///
    /// Each parameter is a leaf twice. The outer backward pass differentiates by the outer leaves;
    /// its gradients are tensors of the inner autodiff, which knows how they came of the inner
    /// leaves, and differentiates them again.
    fn lifted(
        &self,
        graph: &Graph,
        batch: &Batch,
        leaves: &[FloatTensor<Autodiff<B>>],
        parameters: &[usize],
    ) -> (Vec<FloatTensor<Twice<B>>>, Environment<Twice<B>>) {
        let outer = leaves.iter().cloned();
        let outer = outer.map(Twice::<B>::from_inner).collect();
        let outer = tracked::<Twice<B>>(outer, parameters);
        let environment = self.environment(graph, batch, |index, _| outer[index].clone());
        (outer, environment)
    }

    /// `⟨gradient, vector⟩` of the summed output, still differentiable by the leaves, and by the
    /// input if one is given in place of a field.
    fn directional_derivative(
        &self,
        graph: &Graph,
        batch: &Batch,
        leaves: &[FloatTensor<Autodiff<B>>],
        input: Option<(TensorId, FloatTensor<Autodiff<B>>)>,
        parameters: &[usize],
        vector: &FloatTensor<B>,
    ) -> Result<Option<FloatTensor<Autodiff<B>>>> {
        let (outer, mut environment) = self.lifted(graph, batch, leaves, parameters);
        if let Some((id, input)) = input {
            environment.insert_float(id, Twice::<B>::from_inner(input));
        }
        let loss = Twice::<B>::float_sum(Self::run(graph, environment)?);
        let gradients = loss.is_tracked().then(|| loss.backward());
        Ok(self.product(&outer, parameters, gradients.as_ref(), vector))
    }

    /// `⟨gradient, vector⟩`, still differentiable.
    fn product(
        &self,
        outer: &[FloatTensor<Twice<B>>],
        parameters: &[usize],
        gradients: Option<&<Twice<B> as AutodiffBackend>::Gradients>,
        vector: &FloatTensor<B>,
    ) -> Option<FloatTensor<Autodiff<B>>> {
        let mut from = 0;
        let mut derivative = None;
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
            derivative = Some(match derivative {
                None => term,
                Some(sum) => Autodiff::<B>::float_add(sum, term),
            });
        }
        derivative
    }
}

/// The second backward pass, if there is anything to differentiate.
fn backward<B: Backend>(
    derivative: Option<FloatTensor<Autodiff<B>>>,
) -> Option<<Autodiff<B> as AutodiffBackend>::Gradients> {
    derivative
        .filter(FloatTensor::<Autodiff<B>>::is_tracked)
        .map(FloatTensor::<Autodiff<B>>::backward)
}
