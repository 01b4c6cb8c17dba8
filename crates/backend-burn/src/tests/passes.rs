//! Gradients made in several passes, and in one pass with the labels that are drawn.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::{GradientSource, PassFootprint, Precision};

use super::{
    difference, floats, labels,
    models::{Cnn, Mlp, Transformer},
    per_sample_gradients::{Tokens, one_by_one, tokens},
    source,
};
use crate::{
    Batch, Classification, Curvature, Gradients, ModelGradients, Task, tensors::host,
    trace::Function,
};

/// Joins the gradients of pieces of a batch, and compares them with plain differentiation; no part
/// of them may be multiplied out.
fn joined_pieces_agree<T: Task>(task: T, module: &T::Module, fields: Vec<TensorData>) {
    let batch = crate::batch_of(fields).expect("a batch");
    let source = source(task, module, &batch, Precision::F64).expect("a source");
    let of = |batch: &Batch| {
        let gradients = source.gradients_of(Function::Loss, batch, None);
        gradients.expect("gradients")
    };
    let pieces = [0..3, 3..4, 4..7].map(|range| of(&batch.slice(range).expect("a piece")));
    let joined = Gradients::joined(pieces.into());
    assert_eq!(joined.len(), 7);
    assert_eq!(joined.bytes(), of(&batch).bytes());
    let rows = host(&joined.to_rows()).expect("rows");
    let apart = difference(&rows, &one_by_one(&source, &batch));
    assert!(apart < 1e-13, "{apart:e}");
}

#[test]
fn gradients_of_pieces_keep_their_form_when_they_are_joined() {
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fields = vec![floats(&[7, 5], 1.0), labels(7, 3)];
    joined_pieces_agree(task, &Mlp::new([5, 4, 6, 3], true), fields);
    let task = Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x));
    let fields = vec![floats(&[7, 2, 9, 8], 1.0), labels(7, 3)];
    joined_pieces_agree(task, &Cnn::new(), fields);
    joined_pieces_agree(Tokens, &Transformer::new(), vec![tokens(7), labels(7, 3)]);
}

/// A linear map at many positions, whose outputs are averaged.
#[derive(Module, Debug)]
struct Averaged {
    map: Linear,
}

const POSITIONS: usize = 1 << 13;

fn averaged(samples: usize, precision: Precision) -> (ModelGradients, Batch) {
    let module = Averaged {
        map: LinearConfig::new(16, 8).init(&Device::flex()),
    };
    let task = Classification::new(|module: &Averaged, x: Tensor<3>| {
        let n = x.dims()[0];
        module.map.forward(x).tanh().mean_dim(1).reshape([n, 8])
    });
    let fields = vec![floats(&[samples, POSITIONS, 16], 1.0), labels(samples, 8)];
    let batch = crate::batch_of(fields).expect("a batch");
    let few = batch.slice(0..2).expect("a piece");
    let source = source(task, &module, &few, precision).expect("a source");
    (source, batch)
}

#[test]
fn large_activations_are_taken_in_passes_that_grow_no_further() {
    let (source, batch) = averaged(24, Precision::F64);
    let footprint = source
        .footprint(&batch, &source.measurement_rows(&batch).expect("rows"))
        .expect("a footprint");
    let PassFootprint { per_point, points } = footprint.pass;
    // Outputs of the map before and behind the bias and the tanh, and their gradients.
    assert!(per_point >= 2 * 3 * 8 * 8 * POSITIONS, "{per_point}");
    assert!((2..24).contains(&points), "{points}");
    let all = footprint.differentiating_bytes(24);
    assert!(
        all < points * per_point + 4 * 24 * footprint.gradient,
        "{all}"
    );
    // What does not fit into a pass is made in several, and agrees.
    let rows = source.gradients(&batch).expect("gradients").to_rows();
    let apart = difference(&host(&rows).expect("rows"), &one_by_one(&source, &batch));
    assert!(apart < 1e-12, "{apart:e}");
}

/// One forward pass gives the outputs of which labels are drawn, and the gradients of these labels.
#[test]
fn labels_drawn_in_the_pass_of_their_gradients_are_those_of_the_outputs() {
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let fields = vec![floats(&[40, 5], 1.0), labels(40, 3)];
    let batch = crate::batch_of(fields).expect("a batch");
    let module = Mlp::new([5, 4, 6, 3], true);
    let source = source(task, &module, &batch, Precision::F64).expect("a source");
    let drawn = |draws, seed| {
        let curvature = Curvature::Fisher { draws, seed };
        let vectors = source
            .curvature_vectors(curvature, &batch, 9)
            .expect("draws");
        let rows = vectors
            .plus
            .iter()
            .map(|vectors| host(&vectors.to_rows()).expect("rows"));
        rows.collect::<Vec<_>>()
    };
    let hessian = source.output_hessian(&batch).expect("a second derivative");
    for seed in [4, 5] {
        let cotangent = hessian.drawn(seed, 9, Precision::F64).expect("labels");
        let expected = source.gradients_of(Function::Outputs, &batch, Some(&cotangent));
        let expected = host(&expected.expect("gradients").to_rows()).expect("rows");
        let [own] = &drawn(1, seed)[..] else {
            panic!("one vector for each sample")
        };
        assert!(difference(own, &expected) < 1e-13);
    }
    // Labels of another seed are others.
    assert!(difference(&drawn(1, 4)[0], &drawn(1, 5)[0]) > 0.1);
    // Two draws are those of two seeds, each with half of the weight.
    let halves = drawn(2, 4);
    for (half, seed) in halves.iter().zip([4, 5]) {
        let whole: Vec<f64> = drawn(1, seed)[0]
            .iter()
            .map(|x| x / 2.0_f64.sqrt())
            .collect();
        assert!(difference(half, &whole) < 1e-13);
    }
}
