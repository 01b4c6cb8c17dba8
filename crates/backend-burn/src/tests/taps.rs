//! Taps of parameters that reach the data through views, and of samples behind other axes, against
//! batches of one and against burn's own autodiff.

mod models;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Device, Gradients as BurnGradients, Tensor, TensorData},
};
use influence_core::Precision;

use super::{
    difference, floats,
    kronecker::agrees,
    models::settled,
    per_sample_gradients::{one_by_one, rows_of},
    source,
};
use crate::{Batch, Curvature, Task, trace::Function};

/// The squared error of a model of sequences `(n, t, features)`.
struct Sequences<M>(fn(&M, Tensor<3>) -> Tensor<2>);

impl<M: Module + 'static> Task for Sequences<M> {
    type Module = M;
    type Inputs = (Tensor<3>, Tensor<2>);

    fn loss(&self, module: &M, (x, y): Self::Inputs) -> Tensor<1> {
        let squares = (self.0(module, x) - y).square();
        squares.mean_dim(1).squeeze_dim(1)
    }
}

/// Collects the gradients of parameters in order.
struct Collected<'a>(&'a BurnGradients, Vec<f64>);

impl ModuleVisitor for Collected<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.0).expect("a gradient");
        self.1.extend(gradient.into_data().iter::<f64>());
    }
}

/// The per-sample gradients of burn's own autodiff, in 64 bits.
fn by_burn<M: Module + 'static>(
    task: &Sequences<M>,
    module: &M,
    fields: &[TensorData],
) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let samples = fields[0].shape()[0];
    let mut rows = Vec::new();
    for sample in 0..samples {
        let module = module.clone().valid().train();
        let place = (&device, DType::F64);
        let x = Tensor::<3>::from_data(fields[0].clone(), place);
        let y = Tensor::<2>::from_data(fields[1].clone(), place);
        let own = sample..sample + 1;
        let (x, y) = (x.slice([own.clone()]), y.slice([own]));
        let gradients = task.loss(&module, (x, y)).sum().backward();
        let mut collected = Collected(&gradients, Vec::new());
        module.visit(&mut collected);
        rows.extend(collected.1);
    }
    rows
}

/// Checks the taps of a model of inputs `(n, 5, 4)` and outputs `(n, 2)` against batches of one: in
/// both precisions, for batches of other sizes than that which was checked first, and that there is
/// one for each parameter. Gives the gradients of each batch to a further check, with a tolerance.
fn agree_alone<M: Module + 'static>(
    model: fn(&M, Tensor<3>) -> Tensor<2>,
    module: &M,
    further: impl Fn(&[f64], &[TensorData], f64),
) {
    let fields = |samples: usize| vec![floats(&[samples, 5, 4], 1.0), floats(&[samples, 2], 2.0)];
    let batch_of = |samples| -> Batch { crate::batch_of(fields(samples)).expect("a batch") };
    for (precision, tolerance) in [(Precision::F32, 3e-6), (Precision::F64, 1e-12)] {
        let task = Sequences(model);
        let source = source(task, module, &batch_of(3), precision).expect("a source");
        let untapped: Vec<&str> = source.untapped().collect();
        assert_eq!(untapped, Vec::<&str>::new(), "parameters off their taps");
        // 5 is the number of positions, too.
        for samples in [3, 1, 5, 2, 7] {
            let batch = batch_of(samples);
            let graph = source.trace.graph(Function::Loss, &batch).expect("a graph");
            assert!(samples == 1 || graph.taps.untapped().is_empty());
            let tapped = rows_of(&source, &batch);
            let alone = difference(&tapped, &one_by_one(&source, &batch));
            assert!(alone < tolerance, "{precision:?}, {samples}: {alone:e}");
            further(&tapped, &fields(samples), tolerance);
        }
    }
}

/// The same, and against burn's own autodiff.
fn agree<M: Module + 'static>(model: fn(&M, Tensor<3>) -> Tensor<2>, module: M) {
    let module = settled(module, 3.0);
    agree_alone(model, &module, |tapped, fields, tolerance| {
        let by_burn = by_burn(&Sequences(model), &module, fields);
        let difference = difference(tapped, &by_burn);
        assert!(difference < tolerance, "{difference:e} from burn");
    });
}

#[test]
fn class_tokens() {
    agree(models::ClassTokens::forward, models::ClassTokens::new());
}

#[test]
fn positions_by_constant_indices() {
    agree(models::Places::forward, models::Places::new());
}

#[test]
fn samples_behind_the_positions() {
    agree(models::TimeFirst::forward, models::TimeFirst::new());
}

#[test]
fn packed_attention() {
    agree(models::Attention::packed, models::Attention::new(4));
    agree(models::Attention::in_slices, models::Attention::new(4));
}

#[test]
fn recurrent_weights_in_other_order() {
    agree(models::Lstm::forward, models::Lstm::new(4, 3));
}

#[test]
fn recurrent_layers_of_burn() {
    // burn's own begin with zeros in 32 bits, whatever the parameters are.
    let module = settled(models::Recurrent::new(), 3.0);
    agree_alone(models::Recurrent::forward, &module, |_, _, _| {});
}

#[test]
fn recurrent_weights_in_columns() {
    agree(models::Gru::forward, models::Gru::new());
}

#[test]
fn rows_of_a_table_for_each_sample() {
    agree(models::Kinds::forward, models::Kinds::new());
}

#[test]
fn a_weight_that_is_used_whole_and_in_slices() {
    agree(models::Overlap::forward, models::Overlap::new());
}

#[test]
fn kronecker_factors_of_views_are_those_of_whole_layers_or_none() {
    fn factors_agree<M: Module + 'static>(model: fn(&M, Tensor<3>) -> Tensor<2>, module: M) {
        let module = settled(module, 3.0);
        let fields = [floats(&[7, 5, 4], 1.0), floats(&[7, 2], 2.0)];
        agrees(
            || Sequences(model),
            &module,
            &fields,
            Curvature::EmpiricalFisher,
        );
    }
    factors_agree(models::TimeFirst::forward, models::TimeFirst::new());
    factors_agree(models::Recurrent::forward, models::Recurrent::new());
    // Slices are no layers: their block keeps its Fisher matrix.
    factors_agree(models::Lstm::forward, models::Lstm::new(4, 3));
    factors_agree(models::Gru::forward, models::Gru::new());
    factors_agree(models::Overlap::forward, models::Overlap::new());
}
