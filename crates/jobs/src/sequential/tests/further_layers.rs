//! Normalisations, convolutions of other kinds, embeddings and activations.

use super::*;

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
