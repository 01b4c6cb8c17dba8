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

/// What a model gives for one sample, in 64 bits.
fn outputs(text: &str, named: &[(&str, &[usize], &[f64])], input: &[usize], x: &[f64]) -> Vec<f64> {
    let tensors = named.iter().map(|(name, shape, values)| {
        let data = TensorData::new(values.to_vec(), shape.to_vec());
        ((*name).to_owned(), data)
    });
    let weights = Weights::new("weights", tensors.collect());
    let device = Device::flex();
    let plan = Architecture::plan(&layers(text), &weights, input).expect(text);
    let model = plan.build(&weights, &device).expect("built");
    let x = TensorData::new(x.to_vec(), [1, x.len()]);
    let x = Tensor::from_data(x, (&device, burn::tensor::DType::F64));
    model.forward(x).into_data().iter::<f64>().collect()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }
}

#[test]
fn activations_have_the_values_of_their_formulas_and_no_overflow() {
    let points = [-800.0, -2.0, -0.5, 0.0, 0.5, 800.0];
    let of = |text: &str| outputs(text, &[], &[6], &points);
    let by = |function: fn(f64) -> f64| points.map(function);
    near(&of(r#"{kind="leaky_relu"}"#), &by(|x| x.max(0.01 * x)));
    near(
        &of(r#"{kind="leaky_relu",negative_slope=0.3}"#),
        &by(|x| x.max(0.3 * x)),
    );
    let elu = |x: f64| if x > 0.0 { x } else { x.exp_m1() };
    near(&of(r#"{kind="elu"}"#), &by(elu));
    let elu = |x: f64| if x > 0.0 { x } else { 0.7 * x.exp_m1() };
    near(&of(r#"{kind="elu",alpha=0.7}"#), &by(elu));
    near(&of(r#"{kind="silu"}"#), &by(|x| x / (1.0 + (-x).exp())));
}

#[test]
fn slopes_at_zero_and_far_out_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    for (text, left) in [
        (r#"{kind="leaky_relu",negative_slope=0.25}"#, 0.25),
        (r#"{kind="elu",alpha=0.5}"#, 0.5),
    ] {
        let none = weights(&[]);
        let plan = Architecture::plan(&layers(text), &none, &[3]).expect("fits");
        let model = plan.build(&none, &device).expect("built");
        let x = Tensor::<2>::from_data([[0.0, 200.0, -200.0]], &device).require_grad();
        let gradients = model.forward(x.clone()).sum().backward();
        let slopes = x.grad(&gradients).expect("a gradient").into_data();
        let slopes: Vec<f64> = slopes.iter::<f64>().collect();
        assert_eq!(slopes[..2], [left, 1.0], "{text}");
        assert!(slopes[2].is_finite(), "{text}: {slopes:?}");
    }
}

#[test]
fn batch_norm_takes_channels_first_whatever_the_rank() {
    let named: &[(&str, &[usize], &[f64])] = &[
        ("n.weight", &[2], &[2.0, -1.0]),
        ("n.bias", &[2], &[0.5, 0.25]),
        ("n.running_mean", &[2], &[1.0, -2.0]),
        ("n.running_var", &[2], &[4.0, 0.25]),
    ];
    let deviation = |variance: f64| (variance + 1e-5_f64).sqrt();
    let first = |x: f64| (x - 1.0) / deviation(4.0) * 2.0 + 0.5;
    let second = |x: f64| -(x + 2.0) / deviation(0.25) + 0.25;
    let text = r#"{kind="batch_norm",name="n"},{kind="flatten"}"#;
    let expected = [first(3.0), second(7.0)];
    near(&outputs(text, named, &[2], &[3.0, 7.0]), &expected);
    let expected = [first(1.0), first(2.0), second(3.0), second(4.0)];
    let x = [1.0, 2.0, 3.0, 4.0];
    near(&outputs(text, named, &[2, 2], &x), &expected);
    near(&outputs(text, named, &[2, 1, 2], &x), &expected);
    let text = r#"{kind="batch_norm",name="n",affine=false,eps=1.0}"#;
    let expected = [2.0 / 5.0_f64.sqrt(), 9.0 / 1.25_f64.sqrt()];
    near(&outputs(text, &named[2..], &[2], &[3.0, 7.0]), &expected);
}

#[test]
fn even_windows_are_padded_at_the_end() {
    // Windows of two numbers: each with the one behind it.
    let kernel: (&str, &[usize], &[f64]) = ("c.weight", &[1, 1, 2], &[1.0, 10.0]);
    let text = r#"{kind="conv1d",name="c",padding="same"},{kind="flatten"}"#;
    let found = outputs(text, &[kernel], &[1, 3], &[1.0, 2.0, 3.0]);
    near(&found, &[21.0, 32.0, 3.0]);
    let text = r#"{kind="conv1d",name="c",padding="valid"},{kind="flatten"}"#;
    let found = outputs(text, &[kernel], &[1, 3], &[1.0, 2.0, 3.0]);
    near(&found, &[21.0, 32.0]);
    let kernel: (&str, &[usize], &[f64]) = ("c.weight", &[1, 1, 1, 2], &[1.0, 10.0]);
    let text = r#"{kind="conv2d",name="c",padding="same"},{kind="flatten"}"#;
    let found = outputs(text, &[kernel], &[1, 1, 3], &[1.0, 2.0, 3.0]);
    near(&found, &[21.0, 32.0, 3.0]);
}

const NORM: Shapes<'_> = &[
    ("n.weight", &[4]),
    ("n.bias", &[4]),
    ("n.running_mean", &[4]),
    ("n.running_var", &[4]),
];

#[test]
fn normalisations_that_do_not_fit_are_named() {
    let norm = r#"{kind="batch_norm",name="n"}"#;
    let group = |rest: &str| format!(r#"{{kind="group_norm",name="n",{rest}}}"#);
    let [three, none, plain] = ["num_groups=3", "num_groups=0", "num_groups=2"].map(group);
    let untracked = r#"{kind="batch_norm",name="n",track_running_stats=false}"#;
    check(&[
        (
            norm,
            &NORM[..2],
            &[4],
            &["running_mean", "samples of a batch interact"],
        ),
        (untracked, NORM, &[4], &["track_running_stats"]),
        (norm, NORM, &[3], &["running_mean", "(4)", "3 channels"]),
        (
            norm,
            &NORM[2..],
            &[4],
            &["affine = false", "no tensor `n.weight`"],
        ),
        (
            r#"{kind="batch_norm",name="n",affine=false}"#,
            NORM,
            &[4],
            &["affine = false", "n.weight"],
        ),
        (
            r#"{kind="batch_norm",name="n",momentum=2.0}"#,
            NORM,
            &[4],
            &["momentum"],
        ),
        (
            r#"{kind="batch_norm",name="n",eps=0.0}"#,
            NORM,
            &[4],
            &["eps"],
        ),
        (&three, &NORM[..2], &[4], &["num_groups = 3", "4 channels"]),
        (&none, &NORM[..2], &[4], &["num_groups = 0"]),
        (&plain, &NORM[..1], &[4], &["n.bias", "affine = false"]),
        (
            r#"{kind="rms_norm",name="n"}"#,
            &NORM[..1],
            &[2, 3],
            &["4 features", "(2, 3)"],
        ),
        (
            r#"{kind="rms_norm",name="n"}"#,
            NORM,
            &[4],
            &["no layer uses", "n.bias"],
        ),
    ]);
}

#[test]
fn further_convolutions_that_do_not_fit_are_named() {
    let line: Shapes<'_> = &[("c.weight", &[2, 3, 4])];
    let plane: Shapes<'_> = &[("c.weight", &[4, 3, 2, 2])];
    let transposed = |rest: &str| format!(r#"{{kind="conv_transpose2d",name="c"{rest}}}"#);
    let [plain, uneven, wide, cut, huge] = [
        "",
        ",groups=3",
        ",output_padding=1",
        ",padding=2",
        ",stride=4294967296",
    ]
    .map(transposed);
    check(&[
        (
            r#"{kind="conv1d",name="c",padding="same",stride=2}"#,
            line,
            &[3, 8],
            &["\"same\"", "stride 1"],
        ),
        (
            r#"{kind="conv1d",name="c"}"#,
            line,
            &[24],
            &["(channels, length)", "(24)"],
        ),
        (
            r#"{kind="conv1d",name="c"}"#,
            line,
            &[2, 8],
            &["3 channels", "(2, 8)"],
        ),
        (
            r#"{kind="conv1d",name="c"}"#,
            plane,
            &[3, 8],
            &["(out, in, length)"],
        ),
        (&plain, plane, &[3, 5, 5], &["4 channels", "(3, 5, 5)"]),
        (
            &uneven,
            plane,
            &[4, 5, 5],
            &["4 input channels", "3 groups"],
        ),
        (
            &wide,
            plane,
            &[4, 5, 5],
            &["output_padding (1, 1)", "smaller"],
        ),
        (&cut, plane, &[4, 1, 1], &["nothing is left", "(1, 1)"]),
        (&huge, plane, &[4, 5, 5], &["more than 4294967295 numbers"]),
        (
            r#"{kind="adaptive_avg_pool",output_size=[2,2]}"#,
            &[],
            &[3, 8],
            &["output_size (2, 2)", "(3, 8)"],
        ),
        (
            r#"{kind="adaptive_avg_pool",output_size=0}"#,
            &[],
            &[3, 8],
            &["at least 1"],
        ),
        (
            r#"{kind="adaptive_avg_pool",output_size=1}"#,
            &[],
            &[3],
            &["(channels, length)", "(3)"],
        ),
        (
            r#"{kind="permute",dims=[0,0]}"#,
            &[],
            &[3, 8],
            &["(0, 0)", "once"],
        ),
    ]);
}

#[test]
fn embeddings_that_do_not_fit_are_named() {
    let table: Shapes<'_> = &[("e.weight", &[3, 2])];
    let embedding =
        |rest: &str| format!(r#"{{kind="embedding",name="e"{rest}}},{{kind="flatten"}}"#);
    let [outside, full, other] =
        [",padding_idx=3", ",padding_idx=1", ",num_embeddings=4"].map(embedding);
    let late = format!(r#"{{kind="relu"}},{}"#, embedding(""));
    check(&[
        (&outside, table, &[5], &["padding_idx = 3", "rows 0 to 2"]),
        (&full, table, &[5], &["row 1 of `e.weight` is not zero"]),
        (&other, table, &[5], &["num_embeddings = 4", "have 3"]),
        (
            &late,
            table,
            &[5],
            &["layer 2 (embedding `e`)", "integers of the inputs"],
        ),
    ]);
}
