//! Gauss-Newton products by differentiating, against those of vectors.

use burn::tensor::{Int, Tensor, TensorData};
use influence_core::{Precision, Rows as _, block::BlockStructure};
use ndarray::{Array2, ArrayView2, s};

use super::{
    data, floats, labels,
    models::{Cnn, Transformer},
    per_sample_gradients::tokens,
    source,
};
use crate::{Classification, Curvature, Task, curvature::GaussNewton};

/// A row at a time, differentiated, and all at once, from vectors.
fn agrees<T: Task>(task: T, module: &T::Module, fields: &[TensorData], blocks: &BlockStructure) {
    let batch = crate::batch_of(fields.to_vec()).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let data = data(fields.to_vec(), 3);
    let ways = GaussNewton::new(&source, &data, 0);
    assert!(ways.fill(1).expect("a choice") && !ways.fill(2).expect("a choice"));
    let ways = GaussNewton::new(&source, &data, 1 << 30);
    assert!(
        !ways.fill(1).expect("a choice"),
        "vectors fit into the memory"
    );
    let blocks = blocks.resolve(source.layout()).expect("blocks");
    for operator in Curvature::GaussNewton.operators(&source, &data, &blocks, 0) {
        let units = Array2::eye(operator.dim());
        let products = |rows: ArrayView2<'_, f64>| {
            let rows = operator.rows(rows).expect("rows");
            let products = operator.apply(&rows).expect("products");
            products.to_host().expect("values")
        };
        let at_once = products(units.view());
        let size = at_once.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(size > 1e-6, "nothing to compare");
        for row in (0..operator.dim()).step_by(7) {
            let alone = products(units.slice(s![row..=row, ..]));
            let off = (&alone - &at_once.slice(s![row..=row, ..])).mapv(f64::abs);
            let worst = off.fold(0.0_f64, |most, x| most.max(*x));
            assert!(worst < 1e-12 * size, "row {row}: {worst:e} of {size:e}");
        }
    }
}

#[test]
fn differentiated_products_are_those_of_vectors() {
    let images = [floats(&[5, 2, 9, 8], 1.0), labels(5, 3)];
    for blocks in &[BlockStructure::Full, BlockStructure::LayerWise] {
        let task = Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
        let sequences = Classification::new(|m: &Transformer, x: Tensor<2, Int>| m.forward(x));
        agrees(task, &Cnn::new(), &images, blocks);
        agrees(
            sequences,
            &Transformer::new(),
            &[tokens(4), labels(4, 3)],
            blocks,
        );
    }
}

/// Solvers that see one batch at a time see the whole of it.
#[test]
fn parts_are_batches_as_they_were_before_they_were_cut() {
    let images = vec![floats(&[7, 2, 9, 8], 1.0), labels(7, 3)];
    let batch = crate::batch_of(images.clone()).expect("a batch");
    let task = Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
    let source = source(task, &Cnn::new(), &batch, Precision::F64).expect("a source");
    let blocks = BlockStructure::Full.resolve(source.layout());
    let blocks = blocks.expect("blocks");
    let whole = data(images, 4);
    for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
        let operators = [whole.clone(), whole.clone().in_batches_of(2)]
            .map(|data| curvature.operators(&source, &data, &blocks, 0).remove(0));
        let products = operators.each_ref().map(|operator| {
            assert_eq!(operator.parts(), 2);
            let rows = Array2::from_elem((1, operator.dim()), 0.1);
            let rows = operator.rows(rows.view()).expect("rows");
            let product = operator.apply_part(0, &rows).expect("a product");
            product.to_host().expect("values")
        });
        let [expected, found] = products;
        let largest = |values: &Array2<f64>| values.fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(largest(&(&found - &expected)) < 1e-12 * largest(&expected));
    }
}
