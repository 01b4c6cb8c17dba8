mod further_layers;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::*;
use crate::{config, weights::Weights};

/// Tensors by name.
type Shapes<'a> = &'a [(&'a str, &'a [usize])];

/// Weights `0, 1, 2, …` scaled down, in these shapes.
fn weights(shapes: Shapes<'_>) -> Weights {
    let tensor = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|index| index as f32 / 10.0)
            .collect();
        TensorData::new(values, shape.to_vec())
    };
    Weights::new(
        "weights",
        shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), tensor(shape)))
            .collect::<BTreeMap<_, _>>(),
    )
}

fn layers(text: &str) -> Vec<config::Layer> {
    let mut table: toml::Table = format!("layers = [{text}]").parse().expect("valid TOML");
    let layers: config::Layers = table
        .remove("layers")
        .expect("there")
        .try_into()
        .expect("valid layers");
    layers.0
}

const CNN: &str = r#"{kind="reshape",shape=[1,8,8]},{kind="conv2d",name="conv",stride=2,padding=1},{kind="relu"},{kind="dropout"},
    {kind="max_pool2d",kernel_size=2},{kind="flatten"},{kind="layer_norm",name="norm"},{kind="linear",name="fc"}"#;
const CNN_WEIGHTS: Shapes<'_> = &[
    ("conv.weight", &[3, 1, 3, 3]),
    ("conv.bias", &[3]),
    ("norm.weight", &[12]),
    ("norm.bias", &[12]),
    ("fc.weight", &[5, 12]),
];

#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found
            .push((self.path.join("."), param.shape().to_vec()));
    }
}

#[test]
fn the_module_has_the_parameters_of_the_plan_under_the_names_of_the_file() {
    let weights = weights(CNN_WEIGHTS);
    let plan = Architecture::plan(&layers(CNN), &weights, &[64]).expect("fits");
    assert_eq!(plan.outputs(), 5);
    let model = plan.build(&weights, &Device::default()).expect("built");
    let mut names = Names::default();
    model.visit(&mut names);
    let planned: Vec<_> = plan
        .layout()
        .parameters()
        .iter()
        .map(|p| (p.name.clone(), p.shape.clone()))
        .collect();
    assert_eq!(names.found, planned);
    assert_eq!(names.found[4], ("fc.weight".into(), vec![12, 5]));
}

#[test]
fn planned_shapes_are_those_of_the_module() {
    let weights = weights(CNN_WEIGHTS);
    let device = Device::default();
    let model = Architecture::plan(&layers(CNN), &weights, &[8, 8])
        .expect("fits")
        .build(&weights, &device)
        .expect("built");
    assert_eq!(model.forward(Tensor::ones([3, 64], &device)).dims(), [3, 5]);
}

#[test]
fn linear_weights_are_read_as_pytorch_writes_them() {
    let weights = weights(&[("fc.weight", &[2, 3]), ("fc.bias", &[2])]);
    let device = Device::default();
    let plan =
        Architecture::plan(&layers(r#"{kind="linear",name="fc"}"#), &weights, &[3]).expect("fits");
    let outputs = plan
        .build(&weights, &device)
        .expect("built")
        .forward(Tensor::from_data([[1.0, 2.0, 3.0]], &device));
    // (0, .1, .2)·(1, 2, 3) + 0 and (.3, .4, .5)·(1, 2, 3) + .1
    let outputs: Vec<f32> = outputs.into_data().iter::<f32>().collect();
    assert!(
        (outputs[0] - 0.8).abs() < 1e-6 && (outputs[1] - 2.7).abs() < 1e-6,
        "{outputs:?}"
    );
}

#[test]
fn leading_axes_stay_apart() {
    let weights = weights(&[("a.weight", &[2, 3]), ("b.weight", &[1, 8])]);
    let text = r#"{kind="reshape",shape=[2,2,3]},{kind="linear",name="a"},{kind="flatten"},{kind="linear",name="b"}"#;
    let plan = Architecture::plan(&layers(text), &weights, &[12]).expect("fits");
    let device = Device::default();
    assert_eq!(
        plan.build(&weights, &device)
            .expect("built")
            .forward(Tensor::ones([4, 12], &device))
            .dims(),
        [4, 1]
    );
}

/// Layers, shapes of the weights, the shape of a sample, and what the message must say.
type Misfit<'a> = (&'a str, Shapes<'a>, &'a [usize], &'a [&'a str]);

fn check(misfits: &[Misfit<'_>]) {
    for (text, shapes, input, parts) in misfits {
        let plan = Architecture::plan(&layers(text), &weights(shapes), input);
        let message = format!("{:#}", plan.expect_err(text));
        for part in *parts {
            assert!(message.contains(part), "{text}: `{message}` lacks `{part}`");
        }
    }
}

const LINEAR: &str = r#"{kind="linear",name="fc"}"#;
const FC: Shapes<'_> = &[("fc.weight", &[5, 12])];
const CONV: Shapes<'_> = &[("conv.weight", &[3, 1, 3, 3])];

#[test]
fn weights_that_do_not_fit_are_named() {
    let twice = r#"{kind="linear",name="fc"},{kind="linear",name="fc"}"#;
    let short_bias: Shapes<'_> = &[("fc.weight", &[5, 12]), ("fc.bias", &[4])];
    let rest: Shapes<'_> = &[("fc.weight", &[5, 12]), ("rest", &[4])];
    check(&[
        ("", FC, &[12], &["layers is empty"]),
        (
            LINEAR,
            &[("f", &[5])],
            &[12],
            &["layer 1 (linear `fc`)", "no tensor `fc.weight`", "has f"],
        ),
        (
            LINEAR,
            &[("fc.weight", &[5])],
            &[12],
            &["`fc.weight`", "(5)", "(out, in)"],
        ),
        (
            LINEAR,
            &[("fc.weight", &[0, 12])],
            &[12],
            &["`fc.weight`", "empty"],
        ),
        (LINEAR, short_bias, &[12], &["`fc.bias`", "(4)", "(5)"]),
        (LINEAR, rest, &[12], &["no layer uses", "rest"]),
        (twice, FC, &[12], &["layers 1 and 2", "`fc`"]),
    ]);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let reshape = r#"{kind="reshape",shape=[3,3]},{kind="linear",name="fc"}"#;
    let empty = r#"{kind="reshape",shape=[]},{kind="linear",name="fc"}"#;
    let norm = r#"{kind="layer_norm",name="n"}"#;
    check(&[
        (LINEAR, FC, &[11], &["layer 1", "12 features", "(11)"]),
        (LINEAR, FC, &[3, 12], &["(3, 5)", "flatten"]),
        (
            reshape,
            FC,
            &[12],
            &["layer 1 (reshape)", "12 numbers", "(3, 3)"],
        ),
        (empty, FC, &[12], &["layer 1", "empty"]),
        (norm, &[("n.weight", &[4])], &[12], &["4 features", "(12)"]),
        (
            norm,
            &[("n.weight", &[3, 4])],
            &[12],
            &["`n.weight`", "last axis"],
        ),
        (
            r#"{kind="dropout",p=2.0}"#,
            &[],
            &[12],
            &["p must be between 0 and 1"],
        ),
    ]);
}

#[test]
fn images_that_do_not_fit_are_named() {
    let conv =
        |settings: &str| format!(r#"{{kind="conv2d",name="conv"{settings}}},{{kind="flatten"}}"#);
    let [plain, stride, dilation, groups] = ["", ",stride=0", ",dilation=0", ",groups=2"].map(conv);
    let wide_border = r#"{kind="max_pool2d",kernel_size=2,padding=2},{kind="flatten"}"#;
    let large_window = r#"{kind="avg_pool2d",kernel_size=9},{kind="flatten"}"#;
    check(&[
        (
            &plain,
            CONV,
            &[64],
            &["layer 1 (conv2d `conv`)", "(64)", "reshape"],
        ),
        (&plain, CONV, &[2, 8, 8], &["1 channels", "(2, 8, 8)"]),
        (
            &plain,
            CONV,
            &[1, 2, 2],
            &["(3, 3)", "do not fit", "(2, 2)"],
        ),
        (&stride, CONV, &[1, 8, 8], &["stride", "at least 1"]),
        (&dilation, CONV, &[1, 8, 8], &["dilation", "at least 1"]),
        (
            &groups,
            CONV,
            &[2, 8, 8],
            &["3 output channels", "2 groups"],
        ),
        (
            r#"{kind="conv2d",name="conv"}"#,
            CONV,
            &[1, 8, 8],
            &["(3, 6, 6)", "flatten"],
        ),
        (
            wide_border,
            &[],
            &[1, 8, 8],
            &["padding", "half of kernel_size"],
        ),
        (
            large_window,
            &[],
            &[1, 8, 8],
            &["layer 1 (avg_pool2d)", "do not fit"],
        ),
    ]);
}
