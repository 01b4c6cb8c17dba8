//! What a model takes per sample, against what can be counted by hand.

use std::sync::Arc;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use influence_core::{
    Dataset, FactorForm, GradientSource, InfluenceModel, Precision,
    solver::{ConjugateGradient, Nystroem},
};

use super::{floats, labels, source};
use crate::{ArrayDataset, Classification, Curvature, Fit, Kronecker, Stack};

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    last: Linear,
}

impl Network {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x).tanh())
    }
}

#[test]
fn gradients_are_counted_in_their_thin_form_and_activations_without_parameters() {
    let device = Device::flex();
    let network = Network {
        first: LinearConfig::new(300, 40).init(&device),
        last: LinearConfig::new(40, 10).init(&device),
    };
    let batch = crate::batch_of(vec![floats(&[3, 300], 1.0), labels(3, 10)]).expect("a batch");
    let task = Classification::new(|network: &Network, x: Tensor<2>| network.forward(x));
    let source = source(task, &network, &batch, Precision::F32).expect("a source");
    let dim = 300 * 40 + 40 + 40 * 10 + 10;
    let dense = Stack::new(Tensor::zeros([1, dim], &device));
    let footprint = source.footprint(&batch, &dense).expect("a footprint");
    assert!(!footprint.compact);
    assert_eq!(footprint.factor, 4 * dim);
    // Activation and signal of each weight, signal of each bias.
    let thin = (300 + 40) + 40 + (40 + 10) + 10;
    assert_eq!(footprint.gradient, 4 * thin);
    // Inputs, two layers and what is between them and the loss, with their gradients; a weight
    // would be 48,000 bytes.
    let pass = footprint.pass;
    assert!(pass.per_point > 8 * (300 + 40) && pass.per_point < 4 * 300 * 40);
    // Small as they are, all points of a chunk are differentiated in one pass.
    assert!(pass.points > 1000 && pass.bytes(10) == 10 * pass.per_point);
    assert_eq!(footprint.differentiating, footprint.gradient);
    let bytes = footprint.differentiating_bytes(10);
    assert_eq!(bytes, 10 * (footprint.gradient + pass.per_point));
    // Rows contracted with the wide factor of the first layer, and that times the thin one.
    assert!(footprint.scoring.per_pair >= 2 * 4 * 40 && footprint.scoring.per_pair < 4 * 4 * 40);
    assert!((footprint.score_flops - 2.0 * dim as f64).abs() < 1.0);
    // Gradients as factors: inner products of their sides, and of the biases.
    let rows = source.measurement_rows(&batch).expect("rows");
    let thin_scores = source.footprint(&batch, &rows).expect("a footprint");
    assert!(thin_scores.compact);
    assert_eq!(thin_scores.factor, 4 * thin);
    assert!(thin_scores.scoring.per_test == 0 && thin_scores.scoring.per_pair < 40);
    assert!(thin_scores.score_flops < 1000.0);
}

#[test]
fn a_fit_counts_the_sums_that_it_holds_where_there_are_many_samples() {
    let device = Device::flex();
    let network = Network {
        first: LinearConfig::new(5, 4).init(&device),
        last: LinearConfig::new(4, 3).init(&device),
    };
    let dim = 5 * 4 + 4 + 4 * 3 + 3;
    let fit = || {
        let task = Classification::new(|network: &Network, x: Tensor<2>| network.forward(x));
        let fit = Fit::new(task).with_curvature(Curvature::GaussNewton);
        fit.with_batch_size(1)
    };
    let bytes = |fit: Fit<_>, samples: usize| {
        let fields = vec![floats(&[samples, 5], 1.0), labels(samples, 3)];
        let data = ArrayDataset::new(fields).expect("a data set");
        let bytes = fit.fit_bytes(&network, Arc::new(data), 1);
        bytes.expect("a number of bytes")
    };
    // Eight batches are a leaf: a sum of 8 leaves holds 3 besides the one that is made.
    let nystroem = || fit().with_solver(Nystroem::new(2).expect("a rank"));
    for (samples, held) in [(1, 0), (8, 0), (9, 1), (64, 3), (65, 4)] {
        let sums = bytes(fit(), samples) - bytes(fit(), 1);
        assert_eq!(sums, held * 8 * dim * dim, "{samples}");
        let sums = bytes(nystroem(), samples) - bytes(nystroem(), 1);
        assert_eq!(sums, held * 8 * 10 * dim, "{samples}");
    }
    // Covariances take little beside what is made of them, until very many are held.
    let ekfac = |samples| bytes(fit().with_kronecker(Kronecker::Ekfac), samples);
    assert_eq!(ekfac(8), ekfac(1));
    assert!(ekfac(20_000) > ekfac(1));
}

#[test]
fn whether_solving_is_immediate_is_known_before_the_fit() {
    let device = Device::flex();
    let network = Network {
        first: LinearConfig::new(5, 4).init(&device),
        last: LinearConfig::new(4, 3).init(&device),
    };
    let fit = || {
        let task = Classification::new(|network: &Network, x: Tensor<2>| network.forward(x));
        let fit = Fit::new(task).with_curvature(Curvature::GaussNewton);
        fit.with_damping(0.1)
    };
    let fields = vec![floats(&[9, 5], 1.0), labels(9, 3)];
    let data = Arc::new(ArrayDataset::new(fields).expect("a data set"));
    let head = data.batch(0..1).expect("a sample");
    let made = |method| match method {
        "direct" => fit(),
        "kfac" => fit().with_kronecker(Kronecker::Kfac),
        "nystroem" => fit().with_solver(Nystroem::new(2).expect("a rank")),
        _ => fit().with_solver(ConjugateGradient::new()),
    };
    for (method, immediate) in [
        ("direct", true),
        ("kfac", true),
        ("nystroem", true),
        ("cg", false),
    ] {
        let unfitted = made(method).footprint(&network, data.clone());
        let fitted = made(method).fit(&network, data.clone()).expect("fitted");
        let fitted = fitted.footprint(&head, FactorForm::Solved);
        let both = [unfitted, fitted].map(|it| it.expect("a footprint").immediate);
        assert_eq!(both, [immediate; 2], "{method}");
    }
}
