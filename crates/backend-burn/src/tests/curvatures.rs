use burn::tensor::{Tensor, TensorData};
use influence_core::{Precision, block::BlockStructure, operator::LinearOperator};
use ndarray::{Array2, ArrayView2};

use super::{
    data, difference, floats, labels,
    models::{Cnn, Mlp, Transformer},
    moved,
    per_sample_gradients::{Tokens, tokens},
    source, wave,
};
use crate::{Batch, Classification, Curvature, Regression, Task, tensors::host, trace::Function};

/// The mean gradient of the training loss.
fn mean_gradient<T: Task>(task: T, module: &T::Module, batch: &Batch) -> Vec<f64> {
    let source = source(task, module, batch, Precision::F64).expect("a source");
    let rows = source
        .gradients_of(Function::Loss, batch, None)
        .expect("gradients")
        .to_rows();
    host(&rows.mean_dim(0)).expect("values")
}

/// Hessian products against central differences of the gradient, with a last batch that is smaller.
fn products_agree<T: Task>(task: impl Fn() -> T, module: &T::Module, fields: Vec<TensorData>) {
    let module = moved(module, &vec![0.0; 1 << 12], 0.0);
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let source = source(task(), &module, &batch, Precision::F64).expect("a source");
    let blocks = BlockStructure::Full
        .resolve(source.layout())
        .expect("blocks");
    let data = data(fields, 3);
    let hessian = Curvature::Hessian
        .operators(&source, &data, &blocks, 0)
        .remove(0);
    let dim = source.layout().dim();
    let directions = wave(2 * dim, 6.0);
    let rows = ArrayView2::from_shape((2, dim), &directions).expect("two rows");
    let products = hessian
        .apply(&hessian.rows(rows).expect("rows"))
        .expect("products");
    let products = influence_core::Rows::to_host(&products).expect("values");
    for (direction, product) in rows.outer_iter().zip(products.outer_iter()) {
        let step = 1e-5;
        let direction = direction.to_vec();
        let ahead = mean_gradient(task(), &moved(&module, &direction, step), &batch);
        let behind = mean_gradient(task(), &moved(&module, &direction, -step), &batch);
        let central: Vec<f64> = ahead
            .iter()
            .zip(&behind)
            .map(|(a, b)| (a - b) / (2.0 * step))
            .collect();
        let difference = difference(&product.to_vec(), &central);
        assert!(difference < 1e-6, "{difference:e}");
    }
}

#[test]
fn hessian_products_of_perceptrons_agree_with_central_differences() {
    let fields = vec![floats(&[7, 5], 1.0), labels(7, 3)];
    let mlp = Mlp::new([5, 4, 6, 3], true);
    products_agree(
        || Classification::new(|m: &Mlp, x: Tensor<2>| m.relu(x)),
        &mlp,
        fields.clone(),
    );
    products_agree(
        || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)),
        &mlp,
        fields,
    );
}

#[test]
fn hessian_products_of_a_convolutional_network_agree_with_central_differences() {
    let fields = vec![floats(&[5, 2, 9, 8], 1.0), labels(5, 3)];
    products_agree(
        || Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x)),
        &Cnn::new(),
        fields,
    );
}

#[test]
fn hessian_products_of_a_transformer_block_agree_with_central_differences() {
    products_agree(
        || Tokens,
        &Transformer::new(),
        vec![tokens(4), labels(4, 3)],
    );
}

/// A curvature as a dense matrix, in two ways: formed, and from products with the identity.
fn dense(curvature: Curvature, fields: Vec<TensorData>, memory: usize) -> [Array2<f64>; 2] {
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let source =
        source(task, &Mlp::new([3, 2, 4, 3], true), &batch, Precision::F64).expect("a source");
    let blocks = BlockStructure::Full
        .resolve(source.layout())
        .expect("blocks");
    let operator = curvature
        .operators(&source, &data(fields, 4), &blocks, memory)
        .remove(0);
    let identity = operator
        .rows(Array2::eye(operator.dim()).view())
        .expect("rows");
    let products = influence_core::Rows::to_host(&operator.apply(&identity).expect("products"))
        .expect("values");
    [operator.to_dense().expect("a matrix"), products]
}

#[test]
fn the_empirical_fisher_is_the_mean_outer_product_of_gradients() {
    let fields = vec![floats(&[7, 3], 1.0), labels(7, 3)];
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let source =
        source(task, &Mlp::new([3, 2, 4, 3], true), &batch, Precision::F64).expect("a source");
    let rows = host(
        &source
            .gradients_of(Function::Loss, &batch, None)
            .expect("gradients")
            .to_rows(),
    )
    .expect("values");
    let rows = Array2::from_shape_vec((7, source.layout().dim()), rows).expect("rows");
    let expected = rows.t().dot(&rows) / 7.0;
    // Kept in memory, and computed anew in every pass.
    for memory in [1 << 20, 0] {
        for matrix in dense(Curvature::EmpiricalFisher, fields.clone(), memory) {
            assert!(
                difference(
                    matrix.as_slice().expect("contiguous"),
                    expected.as_slice().expect("contiguous")
                ) < 1e-12
            );
        }
    }
}

/// Positions, tables of embeddings, and parameters that are used at several places.
#[test]
fn diagonals_are_those_of_the_dense_matrix_on_any_network() {
    fn agrees<T: Task>(task: T, module: &T::Module, fields: &[TensorData]) {
        let batch = crate::batch_of(fields.to_vec()).expect("a batch");
        let source = source(task, module, &batch, Precision::F64).expect("a source");
        for structure in [BlockStructure::Full, BlockStructure::LayerWise] {
            let blocks = structure.resolve(source.layout()).expect("blocks");
            let data = data(fields.to_vec(), 3);
            for operator in Curvature::EmpiricalFisher.operators(&source, &data, &blocks, 0) {
                let dense = operator.to_dense().expect("a matrix");
                let diagonal = operator.diagonal().expect("a diagonal");
                assert!(difference(&diagonal.to_vec(), &dense.diag().to_vec()) < 1e-12);
            }
        }
    }
    let images = vec![floats(&[5, 2, 9, 8], 1.0), labels(5, 3)];
    let task = Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
    agrees(task, &Cnn::new(), &images);
    agrees(Tokens, &Transformer::new(), &[tokens(4), labels(4, 3)]);
}

#[test]
fn gauss_newton_is_the_hessian_minus_the_curvature_of_the_outputs() {
    // At a point where the model is linear in its parameters the two coincide: a perceptron without
    // hidden layers.
    let fields = vec![floats(&[7, 3], 1.0), labels(7, 3)];
    let [formed, products] = dense(Curvature::GaussNewton, fields.clone(), 1 << 20);
    assert!(
        difference(
            formed.as_slice().expect("contiguous"),
            products.as_slice().expect("contiguous")
        ) < 1e-12
    );
    // The block of the last layer's parameters enters the outputs linearly, hence equals the
    // Hessian's.
    let [hessian, _] = dense(Curvature::Hessian, fields, 0);
    let last = hessian.nrows() - 15;
    let block = |matrix: &Array2<f64>| {
        matrix
            .slice(ndarray::s![last.., last..])
            .iter()
            .copied()
            .collect::<Vec<_>>()
    };
    assert!(difference(&block(&formed), &block(&hessian)) < 1e-12);
    // Elsewhere the two differ.
    assert!(
        difference(
            formed.as_slice().expect("contiguous"),
            hessian.as_slice().expect("contiguous")
        ) > 1e-3
    );
}

#[test]
fn gauss_newton_of_squared_error_is_two_over_outputs_times_the_jacobian_product() {
    let fields = vec![floats(&[5, 3], 1.0), floats(&[5, 2], 2.0)];
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let mlp = Mlp::new([3, 2, 4, 2], false);
    let task = || Regression::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let source = source(task(), &mlp, &batch, Precision::F64).expect("a source");
    let dim = source.layout().dim();
    // The Jacobian by central differences of the outputs.
    let module = moved(&mlp, &vec![0.0; dim], 0.0);
    let outputs = |direction: &[f64], step: f64| {
        let source = super::source(
            task(),
            &moved(&module, direction, step),
            &batch,
            Precision::F64,
        )
        .expect("a source");
        let graph = source
            .trace
            .graph(Function::Outputs, &batch)
            .expect("a graph");
        host(&source.engine.output(&graph, &batch).expect("outputs")).expect("values")
    };
    let mut jacobian = Array2::zeros((10, dim));
    for parameter in 0..dim {
        let mut direction = vec![0.0; dim];
        direction[parameter] = 1.0;
        let (ahead, behind) = (outputs(&direction, 1e-5), outputs(&direction, -1e-5));
        for row in 0..10 {
            jacobian[[row, parameter]] = (ahead[row] - behind[row]) / 2e-5;
        }
    }
    let expected = jacobian.t().dot(&jacobian) * (2.0 / 2.0 / 5.0);
    let blocks = BlockStructure::Full
        .resolve(source.layout())
        .expect("blocks");
    let operator = Curvature::GaussNewton
        .operators(&source, &data(fields, 2), &blocks, 1 << 20)
        .remove(0);
    let formed = operator.to_dense().expect("a matrix");
    assert!(
        difference(
            formed.as_slice().expect("contiguous"),
            expected.as_slice().expect("contiguous")
        ) < 1e-8
    );
}
