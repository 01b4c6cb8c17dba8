//! Second derivatives of chains of linear maps, against differentiating twice.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{DType, Device, Int, Tensor, TensorData, activation},
};
use influence_core::{Precision, Rows, block::BlockStructure};
use ndarray::{Array2, s};

use super::{data, floats, labels, models::settled, source};
use crate::{
    Batch, Curvature, ModelGradients, OutputLoss, Outputs, Task, tensors::host, trace::Function,
};

/// Two layers, and a weight stored as `(out, in)`.
#[derive(Module, Debug)]
struct Layers {
    first: Linear,
    last: Linear,
    square: Linear,
    turned: Param<Tensor<2>>,
}

impl Layers {
    fn new(bias: bool) -> Self {
        let device = Device::flex();
        let layer = |from, to| LinearConfig::new(from, to).with_bias(bias).init(&device);
        let layers = Self {
            first: layer(4, 5),
            last: layer(5, 3),
            square: layer(5, 5),
            turned: Param::from_tensor(Tensor::ones([3, 5], &device)),
        };
        settled(layers, 2.0)
    }

    fn turned(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.turned.val().transpose())
    }

    /// A function between the two layers.
    fn with(&self, x: Tensor<2>, function: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        self.last.forward(function(self.first.forward(x)))
    }
}

type Forward = fn(&Layers, Tensor<2>) -> Tensor<2>;

/// Classification with logits given by a function, and perhaps a penalty on the last weight.
#[derive(Clone, Copy)]
struct Asked {
    forward: Forward,
    penalty: Option<f64>,
}

impl Task for Asked {
    type Module = Layers;
    type Inputs = (Tensor<2>, Tensor<1, Int>);

    fn loss(&self, module: &Layers, (x, y): Self::Inputs) -> Tensor<1> {
        let logits = (self.forward)(module, x);
        let logs = activation::log_softmax(logits, 1).gather(1, y.unsqueeze_dim(1));
        let loss = logs.squeeze_dim(1).neg();
        match self.penalty {
            Some(penalty) => loss + module.last.weight.val().square().sum() * penalty,
            None => loss,
        }
    }

    fn outputs(&self, module: &Layers, (x, _): Self::Inputs) -> Option<Outputs> {
        let logits = (self.forward)(module, x);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

const SAMPLES: usize = 9;

fn fields() -> Vec<TensorData> {
    vec![floats(&[SAMPLES, 4], 1.0), labels(SAMPLES, 3)]
}

fn batch() -> Batch {
    crate::batch_of(fields()).expect("a batch")
}

/// The mean Hessian as products with unit vectors, by differentiating twice.
fn twice_differentiated(source: &ModelGradients) -> Array2<f64> {
    let batch = batch();
    let graph = source.trace.graph(Function::Loss, &batch).expect("a graph");
    let all: Vec<usize> = (0..source.layout().parameters().len()).collect();
    let dim = source.layout().dim();
    let units = Tensor::<2>::eye(dim, &Device::flex()).cast(DType::F64);
    let products = source.engine.hessian_products(&graph, &batch, &all, &units);
    let values = host(&products.expect("products")).expect("values");
    let sum = Array2::from_shape_vec((dim, dim), values).expect("a matrix");
    sum / SAMPLES as f64
}

fn largest(matrix: &Array2<f64>) -> f64 {
    matrix.iter().fold(0.0_f64, |most, x| most.max(x.abs()))
}

/// The Hessian of each block, formed and from products, with a last batch that is smaller, against
/// the whole one.
fn hessians_agree(source: &ModelGradients, name: &str) {
    let exact = twice_differentiated(source);
    let scale = largest(&exact);
    let agree = |found: &Array2<f64>, expected: &Array2<f64>| {
        let worst = largest(&(found - expected)) / scale;
        assert!(worst < 1e-12, "{name}: {worst:e}");
    };
    for structure in [BlockStructure::Full, BlockStructure::ParameterWise] {
        let blocks = structure.resolve(source.layout()).expect("blocks");
        let operators = Curvature::Hessian.operators(source, &data(fields(), 4), &blocks, 2000);
        for (block, operator) in blocks.iter().zip(operators) {
            let columns = block.columns()[0].clone();
            let expected = exact.slice(s![columns.clone(), columns]).to_owned();
            agree(&operator.to_dense().expect("dense"), &expected);
            let units = operator.rows(Array2::eye(operator.dim()).view());
            let products = operator.apply(&units.expect("rows")).expect("products");
            agree(&products.to_host().expect("values"), &expected);
        }
    }
}

fn is_chain(source: &ModelGradients) -> bool {
    let graph = source.trace.graph(Function::Loss, &batch());
    let trained = source.layout().parameters().len();
    let chain = graph.expect("a graph").dense_layers(trained, SAMPLES);
    chain.is_some()
}

fn silu(x: Tensor<2>) -> Tensor<2> {
    x.clone() * activation::sigmoid(x)
}

#[test]
fn hessians_are_those_by_differentiating_twice() {
    let cases: [(&str, Forward, bool); 18] = [
        ("relu", |m, x| m.with(x, activation::relu), true),
        ("gelu", |m, x| m.with(x, activation::gelu), true),
        ("tanh", |m, x| m.with(x, Tensor::tanh), true),
        ("silu", |m, x| m.with(x, silu), true),
        (
            "log-sigmoid",
            |m, x| m.with(x, activation::log_sigmoid),
            true,
        ),
        (
            "leaky relu",
            |m, x| m.with(x, |x| activation::leaky_relu(x, 0.1)),
            true,
        ),
        (
            "elu by masks",
            |m, x| {
                m.with(x, |x| {
                    let below = x.clone().lower_equal_scalar(0);
                    let negative = x.clone().mask_fill(below.clone().bool_not(), 0.0);
                    x.mask_where(below, (negative.exp() - 1.0) * 0.7)
                })
            },
            true,
        ),
        (
            "exponential of a cosine",
            |m, x| m.with(x, |x| x.cos().exp() * 0.3 - 0.1),
            true,
        ),
        ("nothing between", |m, x| m.with(x, |x| x), true),
        ("scaled outputs", |m, x| m.with(x, Tensor::tanh) * 0.5, true),
        (
            "three layers",
            |m, x| {
                m.last
                    .forward(m.square.forward(m.first.forward(x).tanh()).sin())
            },
            true,
        ),
        (
            "turned weight",
            |m, x| m.turned(m.first.forward(x).tanh()),
            true,
        ),
        ("one layer", |m, x| m.turned(x.pad((0, 1, 0, 0), 0.0)), true),
        (
            "residual",
            |m, x| {
                let x = m.first.forward(x).tanh();
                m.last.forward(m.square.forward(x.clone()).tanh() + x)
            },
            false,
        ),
        (
            "shared weight",
            |m, x| {
                m.last.forward(
                    m.square
                        .forward(m.square.forward(m.first.forward(x)).tanh()),
                )
            },
            false,
        ),
        (
            "softmax between",
            |m, x| m.with(x, |x| activation::softmax(x, 1)),
            false,
        ),
        (
            "two heads",
            |m, x| {
                let x = m.first.forward(x).tanh();
                m.last.forward(x.clone()) + m.turned(x)
            },
            false,
        ),
        (
            "gated by another layer",
            |m, x| {
                let x = m.first.forward(x);
                m.last.forward(m.square.forward(x.clone()).tanh() * x)
            },
            false,
        ),
    ];
    for bias in [true, false] {
        let module = Layers::new(bias);
        for (name, forward, expected) in cases {
            let asked = Asked {
                forward,
                penalty: None,
            };
            let source = source(asked, &module, &batch(), Precision::F64).expect("a source");
            assert_eq!(is_chain(&source), expected, "{name}");
            hessians_agree(&source, name);
        }
    }
}

#[test]
fn frozen_layers_and_losses_that_read_parameters_are_told_apart() {
    let forward: Forward = |m, x| m.with(x, Tensor::tanh);
    let trained = Layers::new(true);
    let frozen = Layers {
        first: trained.first.clone().no_grad(),
        ..trained.clone()
    };
    for (name, module, penalty, expected) in [
        ("last layer", &frozen, None, true),
        ("penalty on a weight", &trained, Some(1e-3), false),
    ] {
        let asked = Asked { forward, penalty };
        let source = source(asked, module, &batch(), Precision::F64).expect("a source");
        assert_eq!(is_chain(&source), expected, "{name}");
        hessians_agree(&source, name);
    }
}
