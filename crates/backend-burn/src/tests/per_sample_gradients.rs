use burn::{
    module::Module,
    nn::{BatchNormConfig, LinearConfig},
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use influence_core::Precision;

use super::{
    difference, floats, labels,
    models::{Cnn, Decoder, Mlp, Signal, Transformer},
    source,
};
use crate::{
    Batch, Classification, Error, Gradients, ModelGradients, Regression, Task,
    tensors::host,
    trace::{Function, same_function},
};

/// Token classification: the ready-made tasks take float inputs.
pub(super) struct Tokens;

impl Task for Tokens {
    type Module = Transformer;
    type Inputs = (Tensor<2, Int>, Tensor<1, Int>);

    fn loss(&self, module: &Transformer, (tokens, targets): Self::Inputs) -> Tensor<1> {
        log_softmax(module.forward(tokens), 1)
            .gather(1, targets.unsqueeze_dim(1))
            .neg()
            .squeeze_dim(1)
    }
}

pub(super) fn tokens(samples: usize) -> TensorData {
    let count = samples * Transformer::LENGTH;
    let tokens: Vec<i64> = (0..count)
        .map(|index| {
            i64::try_from((index * index + 3 * index) % Transformer::VOCABULARY).unwrap_or(0)
        })
        .collect();
    TensorData::new(tokens, [samples, Transformer::LENGTH])
}

/// The gradients of a batch, row by row.
pub(super) fn rows_of(source: &ModelGradients, batch: &Batch) -> Vec<f64> {
    let gradients = source.gradients_of(Function::Loss, batch, None);
    host(&gradients.expect("gradients").to_rows()).expect("rows")
}

/// The same by plain differentiation of one sample after the other.
pub(super) fn one_by_one(source: &ModelGradients, batch: &Batch) -> Vec<f64> {
    let all: Vec<usize> = (0..source.layout().parameters().len()).collect();
    let alone = |sample| {
        let one = batch.one(sample);
        let graph = source.trace.graph(Function::Loss, &one).expect("a graph");
        let gradient = source.engine.summed_gradient(&graph, &one, &all, None);
        let parts = gradient.expect("a gradient");
        parts
            .iter()
            .flat_map(|part| host(part).expect("values"))
            .collect::<Vec<_>>()
    };
    (0..batch.len()).flat_map(alone).collect()
}

/// Checks taps against batches of one, in both precisions; every parameter must be tapped.
fn taps_agree<T: Task>(
    task: impl Fn() -> T,
    module: &T::Module,
    fields: impl Fn(usize) -> Vec<TensorData>,
    samples: usize,
) {
    for (precision, tolerance) in [(Precision::F32, 1e-6), (Precision::F64, 1e-13)] {
        let batch = crate::batch_of(fields(samples)).expect("a batch");
        let source = source(task(), module, &batch, precision).expect("a source");
        assert_eq!(
            source.untapped().collect::<Vec<_>>(),
            Vec::<&str>::new(),
            "parameters off their taps"
        );
        let (tapped, alone) = (rows_of(&source, &batch), one_by_one(&source, &batch));
        let difference = difference(&tapped, &alone);
        assert!(difference < tolerance, "{precision:?}: {difference:e}");
    }
}

#[test]
fn taps_of_perceptrons_agree_with_batches_of_one() {
    for bias in [true, false] {
        let mlp = Mlp::new([5, 4, 6, 3], bias);
        let fields = |samples| vec![floats(&[samples, 5], 1.0), labels(samples, 3)];
        taps_agree(
            || Classification::new(|m: &Mlp, x: Tensor<2>| m.relu(x)),
            &mlp,
            fields,
            7,
        );
        for samples in [1, 2, 7] {
            taps_agree(
                || Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)),
                &mlp,
                fields,
                samples,
            );
        }
        let fields = |samples| vec![floats(&[samples, 5], 1.0), floats(&[samples, 3], 2.0)];
        taps_agree(
            || Regression::new(|m: &Mlp, x: Tensor<2>| m.tanh(x)),
            &mlp,
            fields,
            4,
        );
    }
}

#[test]
fn taps_of_convolutions_agree_with_batches_of_one() {
    let fields = |samples| vec![floats(&[samples, 2, 9, 8], 1.0), labels(samples, 3)];
    taps_agree(
        || Classification::new(|m: &Cnn, x: Tensor<4>| m.forward(x)),
        &Cnn::new(),
        fields,
        4,
    );
    let fields = |samples| vec![floats(&[samples, 2, 10], 1.0), floats(&[samples, 2], 2.0)];
    taps_agree(
        || Regression::new(|m: &Signal, x: Tensor<3>| m.forward(x)),
        &Signal::new(),
        fields,
        5,
    );
}

#[test]
fn taps_of_transposed_convolutions_agree_with_batches_of_one() {
    let fields = |samples| vec![floats(&[samples, 4, 3, 4], 1.0), floats(&[samples, 2], 2.0)];
    taps_agree(
        || Regression::new(|m: &Decoder, x: Tensor<4>| m.forward(x)),
        &Decoder::new(),
        fields,
        4,
    );
}

#[test]
fn taps_of_a_transformer_block_agree_with_batches_of_one() {
    taps_agree(
        || Tokens,
        &Transformer::new(),
        |samples| vec![tokens(samples), labels(samples, 3)],
        6,
    );
}

#[test]
fn scores_and_sums_of_thin_gradients_equal_those_of_full_rows() {
    let batch = crate::batch_of(vec![tokens(6), labels(6, 3)]).expect("a batch");
    let source = source(Tokens, &Transformer::new(), &batch, Precision::F64).expect("a source");
    let gradients = source
        .gradients_of(Function::Loss, &batch, None)
        .expect("gradients");
    let full = gradients.to_rows();
    let rows = crate::tensors::tensor(
        super::wave(3 * gradients.dim(), 9.0).into_iter(),
        [3, gradients.dim()],
        &Device::flex(),
        Precision::F64,
    );
    let (thin, dense) = (
        gradients.scores(&Gradients::dense(rows.clone())),
        rows.matmul(full.clone().transpose()),
    );
    assert!(
        difference(
            &host(&thin).expect("scores"),
            &host(&dense).expect("scores")
        ) < 1e-13
    );
    for k in [2, 40] {
        let weights = crate::tensors::tensor(
            super::wave(k * 6, 5.0).into_iter(),
            [k, 6],
            &Device::flex(),
            Precision::F64,
        );
        let (thin, dense) = (gradients.combine(&weights), weights.matmul(full.clone()));
        assert!(difference(&host(&thin).expect("sums"), &host(&dense).expect("sums")) < 1e-13);
    }
}

#[test]
fn a_parameter_without_a_tap_is_differentiated_sample_by_sample() {
    #[derive(Module, Debug)]
    struct Gate {
        gate: burn::module::Param<Tensor<2>>,
    }
    // The parameter meets the data as the left factor of a product: no tap covers that.
    let gate = super::models::settled(
        Gate {
            gate: burn::module::Param::from_tensor(Tensor::ones([3, 3], &Device::flex())),
        },
        1.0,
    );
    let batch =
        crate::batch_of(vec![floats(&[4, 3, 1], 1.0), floats(&[4, 3], 2.0)]).expect("a batch");
    let task = Regression::new(|gate: &Gate, x: Tensor<3>| {
        gate.gate
            .val()
            .unsqueeze()
            .matmul(x)
            .tanh()
            .squeeze_dim::<2>(2)
    });
    let source = source(task, &gate, &batch, Precision::F64).expect("a source");
    let rows = rows_of(&source, &batch);
    // d/dG of mean((tanh(G x) − y)²) = 2/3 · ((r (1 − tanh²)) xᵀ) with r the residual.
    let (x, y, g) = (
        super::wave(12, 1.0),
        super::wave(12, 2.0),
        super::wave(9, 2.0),
    );
    let g: Vec<f64> = g.into_iter().map(|value| 0.6 * value + 0.05).collect();
    let mut expected = Vec::new();
    for sample in 0..4 {
        for row in 0..3 {
            let activation = (0..3)
                .map(|column| g[row * 3 + column] * x[sample * 3 + column])
                .sum::<f64>()
                .tanh();
            let signal =
                2.0 / 3.0 * (activation - y[sample * 3 + row]) * (1.0 - activation * activation);
            expected.extend((0..3).map(|column| signal * x[sample * 3 + column]));
        }
    }
    assert!(difference(&rows, &expected) < 1e-13);
}

#[test]
fn samples_along_another_axis_are_not_mistaken_for_the_first() {
    #[derive(Module, Debug)]
    struct Recurrent {
        layer: burn::nn::Linear,
    }
    let module = Recurrent {
        layer: LinearConfig::new(2, 2).init(&Device::flex()),
    };
    let module = super::models::settled(module, 1.0);
    // Time goes first inside the model; a batch of 4 or 2 divides its length by coincidence, a
    // batch of 3 does not.
    let task = Regression::new(|m: &Recurrent, x: Tensor<3>| {
        let x = m.layer.forward(x.swap_dims(0, 1)).tanh();
        x.mean_dim(0).squeeze_dim::<2>(0)
    });
    let fields = |samples| vec![floats(&[samples, 4, 2], 1.0), floats(&[samples, 2], 2.0)];
    let checked = crate::batch_of(fields(3)).expect("a batch");
    let source = source(task, &module, &checked, Precision::F64).expect("a source");
    for samples in [4, 2, 5] {
        let batch = crate::batch_of(fields(samples)).expect("a batch");
        let (together, alone) = (rows_of(&source, &batch), one_by_one(&source, &batch));
        assert!(difference(&together, &alone) < 1e-13);
    }
}

#[test]
fn frames_folded_into_the_samples_fall_back() {
    #[derive(Module, Debug)]
    struct Frames {
        convolution: burn::nn::conv::Conv2d,
        norm: burn::nn::BatchNorm,
        last: burn::nn::Linear,
    }
    let device = Device::flex();
    let module = Frames {
        convolution: burn::nn::conv::Conv2dConfig::new([1, 2], [2, 2]).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
        last: LinearConfig::new(8, 2).init(&device),
    };
    let module = super::models::settled(module, 1.0);
    let task = || {
        Regression::new(|m: &Frames, x: Tensor<4>| {
            let [samples, frames, height, width] = x.dims();
            let x = x.reshape([samples * frames, 1, height, width]);
            let x = m.norm.forward(m.convolution.forward(x)).tanh();
            m.last
                .forward(x.flatten::<2>(1, 3))
                .reshape([samples, frames, 2])
                .mean_dim(1)
                .squeeze_dim::<2>(1)
        })
    };
    // One sample as well: it is checked as a batch of two.
    for samples in [1, 3] {
        let batch = crate::batch_of(vec![
            floats(&[samples, 2, 3, 3], 1.0),
            floats(&[samples, 2], 2.0),
        ])
        .expect("a batch");
        let source = source(task(), &module, &batch, Precision::F64).expect("a source");
        let slow: Vec<&str> = source.untapped().collect();
        assert_eq!(
            slow,
            [
                "convolution.weight",
                "convolution.bias",
                "norm.gamma",
                "norm.beta"
            ]
        );
        let (rows, alone) = (rows_of(&source, &batch), one_by_one(&source, &batch));
        assert!(difference(&rows, &alone) < 1e-13);
    }
}

#[test]
fn a_reader_that_gives_other_samples_or_panics_is_an_error() {
    struct Broken(fn() -> Batch);
    impl influence_core::Dataset for Broken {
        type Batch = Batch;

        fn len(&self) -> usize {
            5
        }

        fn batch(&self, _: std::ops::Range<usize>) -> influence_core::Result<Batch> {
            Ok((self.0)())
        }
    }
    let short: fn() -> Batch =
        || crate::batch_of(vec![floats(&[1, 2], 1.0), floats(&[1, 2], 2.0)]).expect("a batch");
    let broken: fn() -> Batch = || panic!("the file is gone");
    for (reader, message) in [
        (short, "expected samples 3, got 1"),
        (broken, "the file is gone"),
    ] {
        #[derive(Module, Debug)]
        struct Line {
            layer: burn::nn::Linear,
        }
        let module = Line {
            layer: LinearConfig::new(2, 2).init(&Device::flex()),
        };
        let fit = crate::Fit::new(Regression::new(|m: &Line, x: Tensor<2>| m.layer.forward(x)));
        let error = fit
            .fit(&module, std::sync::Arc::new(Broken(reader)))
            .expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_detached_branch_is_refused_unless_gradients_are_meant_to_flow() {
    #[derive(Module, Debug)]
    struct Teacher {
        student: burn::nn::Linear,
        teacher: burn::nn::Linear,
    }
    let layer = || LinearConfig::new(2, 2).init(&Device::flex());
    let module = super::models::settled(
        Teacher {
            student: layer(),
            teacher: layer(),
        },
        1.0,
    );
    let fit = |detached: bool| {
        let task = Regression::new(move |m: &Teacher, x: Tensor<2>| {
            let target = m.teacher.forward(x.clone());
            m.student.forward(x) - if detached { target.detach() } else { target }
        });
        crate::Fit::new(task).with_precision(Precision::F64)
    };
    let data = || {
        let fields = vec![floats(&[5, 2], 1.0), floats(&[5, 2], 2.0)];
        std::sync::Arc::new(crate::ArrayDataset::new(fields).expect("a data set"))
    };
    assert!(fit(false).fit(&module, data()).is_ok());
    let error = fit(true)
        .fit(&module, data())
        .expect_err("detach is not recorded")
        .to_string();
    assert!(
        error.contains("teacher.weight") && error.contains("detach"),
        "{error}"
    );
    assert!(
        fit(true)
            .trusting_the_recording()
            .fit(&module, data())
            .is_ok()
    );
}

#[test]
fn samples_that_interact_are_refused() {
    #[derive(Module, Debug)]
    struct Mixing {
        layer: burn::nn::Linear,
    }
    let module = Mixing {
        layer: LinearConfig::new(2, 2).init(&Device::flex()),
    };
    let task = Regression::new(|m: &Mixing, x: Tensor<2>| {
        let x = m.layer.forward(x);
        x.clone() - x.mean_dim(0)
    });
    let batch = crate::batch_of(vec![floats(&[3, 2], 1.0), floats(&[3, 2], 2.0)]).expect("a batch");
    assert!(matches!(
        source(task, &module, &batch, Precision::F32),
        Err(Error::SamplesInteract { .. })
    ));
}

/// A loss that keeps samples apart, and perhaps a measurement that does not.
struct Measured {
    mixes: bool,
}

impl Task for Measured {
    type Module = burn::nn::Linear;
    type Inputs = (Tensor<2>,);

    fn loss(&self, module: &burn::nn::Linear, (x,): (Tensor<2>,)) -> Tensor<1> {
        module.forward(x).square().sum_dim(1).squeeze_dim(1)
    }

    fn measurement(&self, module: &burn::nn::Linear, (x,): (Tensor<2>,)) -> Tensor<1> {
        let loss = self.loss(module, (x,));
        if self.mixes {
            loss.clone() - loss.mean()
        } else {
            loss
        }
    }
}

/// A measurement that is the loss is not checked again; any other is.
#[test]
fn a_measurement_of_which_samples_interact_is_refused_beside_a_loss_that_is_not() {
    let module = LinearConfig::new(2, 2).init(&Device::flex());
    let batch = crate::batch_of(vec![floats(&[3, 2], 1.0)]).expect("a batch");
    let of = |mixes| source(Measured { mixes }, &module, &batch, Precision::F32);
    let same = of(false).expect("samples are apart");
    let graph = |function| same.trace.graph(function, &batch).expect("a graph");
    let [loss, measurement] = [Function::Loss, Function::Measurement].map(graph);
    assert!(same_function(&loss, &measurement));
    assert!(matches!(of(true), Err(Error::SamplesInteract { .. })));
}

#[test]
fn frozen_parameters_are_left_out() {
    #[derive(Module, Debug)]
    struct Two {
        frozen: burn::nn::Linear,
        norm: burn::nn::BatchNorm,
        trained: burn::nn::Linear,
    }
    let device = Device::flex().autodiff();
    let module = Two {
        frozen: LinearConfig::new(2, 3).init(&device).no_grad(),
        norm: BatchNormConfig::new(3).init(&device),
        trained: LinearConfig::new(3, 2).init(&device),
    };
    let task = Regression::new(|m: &Two, x: Tensor<2>| {
        let x: Tensor<3> = m.frozen.forward(x).unsqueeze_dim(2);
        m.trained.forward(m.norm.forward(x).squeeze_dim::<2>(2))
    });
    let batch = crate::batch_of(vec![floats(&[3, 2], 1.0), floats(&[3, 2], 2.0)]).expect("a batch");
    let source = source(task, &module, &batch, Precision::F32).expect("a source");
    let names: Vec<&str> = source
        .layout()
        .parameters()
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["norm.gamma", "norm.beta", "trained.weight", "trained.bias"]
    );
}

#[test]
fn the_last_hidden_layer_is_what_the_last_linear_map_reads() {
    let mlp = Mlp::new([5, 4, 6, 3], true);
    let fields = vec![floats(&[7, 5], 1.0), labels(7, 3)];
    let expected = mlp.hidden(Tensor::from_data(
        fields[0].clone(),
        (&Device::flex(), burn::tensor::DType::F64),
    ));
    let batch = crate::batch_of(fields).expect("a batch");
    let task = Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x));
    let source = source(task, &mlp, &batch, Precision::F64).expect("a source");
    let hidden = source
        .last_hidden(&batch)
        .expect("hidden")
        .expect("a layer");
    assert_eq!(hidden.dim(), (7, 6));
    let expected = host(&expected).expect("values");
    assert!(difference(&hidden.into_raw_vec_and_offset().0, &expected) < 1e-14);
}
