use influence_core::block::{BlockStructure, Damping};
use toml::Table;

use super::{
    method::{CgSettings, CurvatureSetting, Dampings, Preconditioner},
    *,
};

const CONTRACT: &str = r#"
seed = 0
device = "cpu"
precision = "f32"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [ { kind = "reshape", shape = [1, 8, 8] }, { kind = "conv2d", name = "conv1", stride = [1, 1], padding = [0, 0] }, { kind = "relu" },
           { kind = "flatten" }, { kind = "linear", name = "fc" } ]
[data]
train = { inputs = "x_train.npy", targets = "y_train.npy" }
test  = { inputs = "x_test.npy",  targets = "y_test.npy" }
[method]
name = "direct"
curvature = "hessian"
damping = 0.1
blocks = "full"
[compute]
strategy = "parallel"
train_chunk = 256
test_chunk = 64
threads = 2
[output]
path = "influences.zarr"
"#;

fn read(set: &[&str]) -> Result<Config> {
    let mut table: Table = CONTRACT.parse().expect("the contract is TOML");
    overrides::apply(
        &mut table,
        &set.iter().map(ToString::to_string).collect::<Vec<_>>(),
    )?;
    Config::from_table(table)
}

fn curved(config: &Config) -> &method::Curved {
    let method = config.method.as_ref().expect("given");
    method.curved().expect("a method with a curvature")
}

#[test]
fn the_contract_is_read() {
    let config = read(&[]).expect("the contract is valid");
    let layers = &config.model.layers.as_ref().expect("layers are given").0;
    assert_eq!(layers.len(), 5);
    assert_eq!(
        layers[4],
        Layer::Linear {
            name: "fc".into(),
            outputs: None,
            bias: None
        }
    );
    let curved = curved(&config);
    assert_eq!(curved.damping, Dampings::Single(Damping::from(0.1)));
    assert_eq!(curved.blocks, Some(BlockStructure::Full));
    assert_eq!(config.compute.threads, Some(2));
}

#[test]
fn defaults_fill_what_may_be_left_out() {
    let text = r#"
        model = { weights = "m", loss = "mse", layers = [{ kind = "linear", name = "fc" }] }
        data = { train = { inputs = "a", targets = "b" }, test = { inputs = "c", targets = "d" } }
        method = { damping = 1 }
    "#;
    let config =
        Config::from_table(text.parse().expect("valid TOML")).expect("a valid configuration");
    assert_eq!(
        (config.seed, config.device.as_str(), config.precision),
        (0, "cpu", Precision::F32)
    );
    let method = config.method().expect("given");
    assert_eq!(
        (method.name(), curved(&config).curvature),
        (MethodName::Direct, CurvatureSetting::GaussNewton)
    );
    assert_eq!(
        (
            config.compute.train_chunk,
            config.compute.test_chunk,
            config.compute.threads,
            config.compute.memory
        ),
        (None, None, None, None)
    );
    assert!(config.compute.check_gradient);
    assert_eq!(config.output.path, Path::new("influences.zarr"));
}

#[test]
fn every_layer_is_read() {
    let layers = r#"model.layers=[{kind="reshape",shape=[1,8,8]},{kind="conv2d",name="c",stride=2,groups=1,dilation=[1,1]},{kind="tanh"},
        {kind="sigmoid"},{kind="gelu"},{kind="relu"},{kind="max_pool2d",kernel_size=2},{kind="avg_pool2d",kernel_size=[2,2],stride=1},
        {kind="flatten"},{kind="layer_norm",name="n",eps=1e-6},{kind="dropout",p=0.5},{kind="dropout"},{kind="linear",name="fc"}]"#;
    let config = read(&[&layers.replace('\n', " ")]).expect("valid layers");
    let layers = config.model.layers.expect("layers are given").0;
    let kinds: Vec<_> = layers.iter().map(Layer::kind).collect();
    assert_eq!(
        kinds.join(" "),
        "reshape conv2d tanh sigmoid gelu relu max_pool2d avg_pool2d flatten layer_norm dropout dropout linear"
    );
}

#[test]
fn pytorchs_other_layers_are_read_with_their_defaults() {
    let layers = r#"model.layers=[{kind="embedding",name="e"},{kind="permute",dims=[1,0]},{kind="conv1d",name="c",padding="same"},
        {kind="batch_norm",name="b"},{kind="group_norm",name="g",num_groups=2},{kind="rms_norm",name="r"},{kind="leaky_relu"},
        {kind="elu"},{kind="silu"},{kind="conv2d",name="d",padding="valid"},{kind="conv_transpose2d",name="t"},
        {kind="adaptive_avg_pool",output_size=1}]"#;
    let config = read(&[&layers.replace('\n', " ")]).expect("valid layers");
    let layers = config.model.layers.expect("layers are given").0;
    let kinds: Vec<_> = layers.iter().map(Layer::kind).collect();
    assert_eq!(
        kinds.join(" "),
        "embedding permute conv1d batch_norm group_norm rms_norm leaky_relu elu silu conv2d conv_transpose2d adaptive_avg_pool"
    );
    assert!(matches!(
        &layers[2],
        Layer::Conv1d {
            padding: Padding::Same,
            stride: 1,
            ..
        }
    ));
    let norm = &layers[3];
    assert!(matches!(
        norm,
        Layer::BatchNorm {
            eps: 1e-5,
            momentum: 0.1,
            affine: true,
            ..
        }
    ));
    assert!(
        matches!(layers[5], Layer::RmsNorm { eps, .. } if eps.to_bits() == f64::from(f32::EPSILON).to_bits())
    );
    assert_eq!(
        layers[6],
        Layer::LeakyRelu {
            negative_slope: 0.01
        }
    );
    for (wrong, part) in [
        (
            r#"{kind="conv1d",name="c",padding="full"}"#,
            "\"same\", \"valid\"",
        ),
        (r#"{kind="conv1d",name="c",padding=[1,2]}"#, "expected"),
        (r#"{kind="group_norm",name="c"}"#, "num_groups"),
        (r#"{kind="batch_norm",name="c",epsilon=1.0}"#, "epsilon"),
        (
            r#"{kind="adaptive_avg_pool",output_size="1"}"#,
            "one for each axis",
        ),
    ] {
        let message = read(&[&format!("model.layers=[{wrong}]")]).expect_err(wrong);
        let message = format!("{message:#}");
        assert!(message.contains(part), "{wrong}: {message}");
    }
}

#[test]
fn a_bound_on_memory_is_a_size_or_a_number_of_bytes() {
    for (set, bytes) in [
        ("compute.memory=1GiB", 1 << 30),
        ("compute.memory=134217728", 1 << 27),
    ] {
        let config = read(&[set]).expect("valid");
        assert_eq!(config.compute.memory.map(Memory::bytes), Some(bytes));
    }
}

#[test]
fn methods_are_read() {
    let config = read(&[
        "method.name=cg",
        "method.rtol=1e-6",
        "method.max_iterations=50",
        "method.preconditioner=jacobi",
    ])
    .expect("valid");
    assert!(matches!(
        config.method,
        Some(Method::Cg(CgSettings {
            preconditioner: Some(Preconditioner::Jacobi),
            ..
        }))
    ));
    let config = read(&[
        "method.damping={ conv1 = 1, fc = 0.5 }",
        "method.blocks=layer-wise",
    ])
    .expect("valid");
    assert!(
        matches!(&curved(&config).damping, Dampings::Single(Damping::PerBlock(by_block)) if by_block.len() == 2)
    );
    let config = read(&[r#"method.blocks={ head = ["fc.weight"], body = ["conv1.weight"] }"#])
        .expect("valid");
    assert!(matches!(
        curved(&config).blocks,
        Some(BlockStructure::Custom(_))
    ));
    let config = read(&[
        "method.damping={ relative = 0.1 }",
        "method.sweep=[0.1, { relative = 2 }]",
    ]);
    let sweep = vec![Damping::from(0.1), Damping::relative(2.0)];
    let config = config.expect("valid");
    // A sweep overrides the damping.
    assert_eq!(curved(&config).damping, Dampings::Sweep(sweep));
}

#[test]
fn mistakes_are_named() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["sed=1"], &["sed: unknown key; did you mean `seed`?"]),
        (
            &["method.dampng=1"],
            &["method.dampng: unknown key; did you mean `damping`?"],
        ),
        (
            &["method.name=identity"],
            &["method.damping", "does not apply to identity"],
        ),
        (
            &["model.layers=[{kind=\"linear\",nam=\"fc\"}]"],
            &["layer 1", "nam"],
        ),
        (
            &["model.layers=[{kind=\"relu\",name=\"fc\"}]"],
            &["layer 1", "name"],
        ),
        (
            &["model.layers=[{kind=\"relu\"},{kind=\"linaer\"}]"],
            &["layer 2", "linaer", "linear"],
        ),
        (&["model.layers=[{name=\"fc\"}]"], &["layer 1", "kind"]),
        (
            &["model.layers=[{kind=\"conv2d\",name=\"c\",stride=[1,2,3]}]"],
            &["layer 1", "a size or two", "[1, 2, 3]"],
        ),
        (
            &["model.layers=[{kind=\"reshape\",shape=[-1]}]"],
            &["layer 1", "-1"],
        ),
        (
            &["model.loss=hinge"],
            &["hinge", "cross-entropy", "model.loss"],
        ),
        (&["precision=f16"], &["f16", "f64", "precision"]),
        (
            &["method.name=voodoo"],
            &["voodoo", "direct", "method.name"],
        ),
        (&["method.curvature=fischer"], &["fischer", "fisher"]),
        (&["compute.mode=down"], &["down", "perturbation"]),
        (
            &["method.damping=much"],
            &["much", "a number", "method.damping"],
        ),
        (
            &["method.damping=-1"],
            &["method.damping", "not negative", "-1"],
        ),
        (&["method.damping=nan"], &["method.damping", "finite"]),
        (
            &["method.damping={ fc = -1 }"],
            &["method.damping.fc", "-1"],
        ),
        (
            &["method.blocks=rows"],
            &["rows", "layer-wise", "method.blocks"],
        ),
        (&["method.rtol=1e-3"], &["method.rtol", "cg", "direct"]),
        (
            &["method.name=cg", "method.rtol=2"],
            &["method.rtol", "between 0 and 1"],
        ),
        (
            &["method.name=cg", "method.max_iterations=0"],
            &["method.max_iterations", "at least 1"],
        ),
        (&["compute.threads=0"], &["compute.threads", "at least 1"]),
        (
            &["compute.train_chunk=0"],
            &["compute.train_chunk", "at least 1"],
        ),
        (&["compute.test_chunk=-3"], &["compute.test_chunk", "-3"]),
        (
            &["compute.memory=much"],
            &["compute.memory", "much", "512MiB"],
        ),
        (
            &["compute.memory=1.5"],
            &["compute.memory", "1.5", "512MiB"],
        ),
        (
            &["compute.memory=1000"],
            &["compute.memory", "1000", "at least 64MiB"],
        ),
        (&["compute.strategy=dask"], &["dask", "sequential"]),
        (&["data.train.labels=y.npy"], &["labels", "data.train"]),
        (&["seed=zero"], &["seed", "zero"]),
    ];
    each_is_named(cases);
}

/// Settings that do not go together, and what the message must say.
#[test]
fn keys_of_other_methods_are_named() {
    each_is_named(&[
        (&["method.draws=2"], &["method.draws", "curvature fisher"]),
        (&["method.rank=4"], &["method.rank", "arnoldi", "direct"]),
        (
            &["method.name=cg", "method.rank=4"],
            &["method.rank", "preconditioner nystroem"],
        ),
        (
            &["method.name=arnoldi", "method.rank=0"],
            &["method.rank", "at least 1"],
        ),
        (&["method.scale=1"], &["method.scale", "lissa"]),
        (
            &["method.name=lissa", "method.scale=-1"],
            &["method.scale", "positive"],
        ),
        (
            &["method.name=ekfac", "method.curvature=hessian"],
            &["method.curvature", "ekfac", "gauss-newton"],
        ),
        (
            &[
                "method.name=inverse-harmonic-mean",
                "method.curvature=hessian",
            ],
            &["method.curvature", "empirical-fisher"],
        ),
        (&["method.sweep=[]"], &["method.sweep", "at least one"]),
        (&["method.sweep=[-1]"], &["method.sweep[0]", "not negative"]),
        (
            &["method.checkpoints=[]"],
            &["method.checkpoints", "tracin", "direct"],
        ),
    ]);
}

fn each_is_named(cases: &[(&[&str], &[&str])]) {
    for (set, parts) in cases {
        let message = format!("{:#}", read(set).expect_err(set[0]));
        for part in *parts {
            assert!(
                message.contains(part),
                "{set:?} gave `{message}`, which lacks `{part}`"
            );
        }
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    std::fs::write(&path, CONTRACT).expect("written");
    let config = Config::load(&path, &["output.path=/elsewhere/x.zarr".into()]).expect("valid");
    assert_eq!(
        config.model.weights.expect("weights").all(),
        [directory.path().join("model.safetensors")]
    );
    assert_eq!(
        config
            .data
            .test
            .and_then(|test| test.targets)
            .map(|targets| targets.path),
        Some(directory.path().join("y_test.npy"))
    );
    assert_eq!(config.output.path, Path::new("/elsewhere/x.zarr"));
}

#[test]
fn bad_syntax_is_placed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "seed = 0\ndevice = cpu cpu\n").expect("written");
    let message = format!("{:#}", Config::load(&path, &[]).expect_err("no TOML"));
    assert!(message.contains("config.toml:2: "), "{message}");
}

#[test]
fn relative_paths_are_relative_to_the_file_and_urls_are_left_alone() {
    let resolved = |path: &str| {
        let config = read(&[&format!("output.path={path}")]).expect("valid");
        let config = config.resolved(Path::new("/runs"));
        assert_eq!(
            config.model.members(),
            [Some(Path::new("/runs/model.safetensors"))]
        );
        config.output.path
    };
    assert_eq!(resolved("up.zarr"), Path::new("/runs/up.zarr"));
    assert_eq!(
        resolved("/elsewhere/up.zarr"),
        Path::new("/elsewhere/up.zarr")
    );
    for url in ["s3://bucket/up.zarr", "ftp://host/up.zarr"] {
        assert_eq!(resolved(url).to_str(), Some(url));
    }
}
