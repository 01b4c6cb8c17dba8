//! The real binary with every method, mode and command that fits a model.

#[path = "support/difference.rs"]
mod difference;
#[path = "support/files.rs"]
mod files;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use difference::difference;
use files::files;
use ndarray::{ArrayD, Axis, Slice};
use zarrs::{array::Array, filesystem::FilesystemStore};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli/mlp")
}

fn reference(name: &str) -> ArrayD<f64> {
    let file = std::fs::File::open(golden().join(format!("reference_{name}.npy")));
    let file = std::io::BufReader::new(file.expect("the references ship"));
    let array = npyz::NpyFile::new(file).expect("a numpy array");
    let shape: Vec<usize> = array
        .shape()
        .iter()
        .map(|&side| usize::try_from(side).expect("small"))
        .collect();
    ArrayD::from_shape_vec(shape, array.into_vec().expect("float64")).expect("an array")
}

fn influence(command: &str, config: &Path, output: &Path, arguments: &[&str]) -> Output {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_influence"));
    binary.arg(command).arg(config);
    if command != "fit" {
        binary
            .arg("--set")
            .arg(format!("output.path={}", output.display()));
    }
    binary.args(arguments).output().expect("the binary runs")
}

fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// The numbers that a command writes for the golden network.
fn numbers(command: &str, name: &str, arguments: &[&str]) -> ArrayD<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.zarr");
    let outcome = influence(command, &golden().join("config.toml"), &output, arguments);
    assert!(
        outcome.status.success(),
        "{arguments:?}: {}",
        said(&outcome)
    );
    read(&output, name)
}

fn read(output: &Path, name: &str) -> ArrayD<f64> {
    let store = Arc::new(FilesystemStore::new(output).expect("a store"));
    let array = Array::open(store, &format!("/{name}")).expect("the array is there");
    array
        .retrieve_array_subset(&array.subset_all())
        .expect("float64")
}

#[test]
fn the_recording_is_trusted_if_that_is_said() {
    let trusting = ["--set", "compute.check_gradient=false"];
    let trusted = numbers("run", "influences", &trusting);
    assert_eq!(trusted, numbers("run", "influences", &[]));
}

const GAUSS_NEWTON: [&str; 2] = ["--set", "method.curvature=gauss-newton"];
const LAYERS: [&str; 2] = ["--set", "method.blocks=layer-wise"];

#[test]
fn methods_with_enough_to_spend_equal_the_dense_reference() {
    let gauss_newton = reference("gauss_newton");
    let fisher = reference("empirical_fisher");
    let cases: [(&[&str], &str, &ArrayD<f64>, f64); 5] = [
        (
            &["name=cg", "rtol=1e-11"],
            "gauss-newton",
            &gauss_newton,
            1e-9,
        ),
        (
            &[
                "name=cg",
                "rtol=1e-11",
                "preconditioner=nystroem",
                "rank=40",
            ],
            "gauss-newton",
            &gauss_newton,
            1e-9,
        ),
        (
            &["name=lissa", "full_batch=true", "depth=2000"],
            "gauss-newton",
            &gauss_newton,
            1e-9,
        ),
        // 120 gradients span no more than that: the rest of the space has no curvature.
        (
            &["name=arnoldi", "rank=130"],
            "empirical-fisher",
            &fisher,
            1e-7,
        ),
        (
            &["name=nystroem", "rank=130"],
            "empirical-fisher",
            &fisher,
            1e-6,
        ),
    ];
    for (keys, curvature, expected, tolerance) in cases {
        let keys = keys.iter().map(|key| format!("method.{key}"));
        let keys: Vec<String> = keys
            .chain([format!("method.curvature={curvature}")])
            .collect();
        let arguments: Vec<&str> = keys
            .iter()
            .flat_map(|key| ["--set", key.as_str()])
            .collect();
        let error = difference(&numbers("run", "influences", &arguments), expected);
        println!("{keys:?}: {error:.1e}");
        assert!(error < tolerance, "{keys:?}: {error:e}");
    }
}

#[test]
fn a_sweep_gives_what_single_runs_give() {
    let sweep = [&GAUSS_NEWTON[..], &["--damping", "0.04,1"]].concat();
    let both = numbers("sweep", "influences", &sweep);
    assert_eq!(both.shape(), [30, 120, 2]);
    let first = both.index_axis(Axis(2), 0).to_owned();
    assert!(difference(&first, &reference("gauss_newton")) < 1e-10);
    let single = numbers(
        "run",
        "influences",
        &[&GAUSS_NEWTON[..], &["--set", "method.damping=1"]].concat(),
    );
    assert!(difference(&both.index_axis(Axis(2), 1).to_owned(), &single) < 1e-13);
    // Relative to the mean eigenvalue, by key instead of command.
    let keys = ["--set", "method.sweep=[{ relative = 2.0 }]"];
    let relative = numbers("run", "influences", &[&GAUSS_NEWTON[..], &keys].concat());
    let keys = ["--damping", "2", "--relative"];
    let command = numbers("sweep", "influences", &[&GAUSS_NEWTON[..], &keys].concat());
    assert_eq!(relative, command);
    let damping = ["--set", "method.damping={ relative = 2.0 }"];
    let single = numbers("run", "influences", &[&GAUSS_NEWTON[..], &damping].concat());
    assert!(difference(&relative.index_axis(Axis(2), 0).to_owned(), &single) < 1e-13);
}

#[test]
fn blocks_and_self_influences_belong_to_the_whole() {
    let arguments = [&GAUSS_NEWTON[..], &LAYERS].concat();
    let whole = numbers("run", "influences", &arguments);
    let by_block = numbers(
        "run",
        "influences",
        &[&arguments[..], &["--set", "compute.mode=by-block"]].concat(),
    );
    assert_eq!(by_block.shape(), [30, 120, 2]);
    assert!(difference(&by_block.sum_axis(Axis(2)), &whole) < 1e-12);
    // With the training points as test points, self-influences are the diagonal.
    let test = [
        "--set",
        "data.test.inputs=x_train.npy",
        "--set",
        "data.test.targets=y_train.npy",
    ];
    let square = numbers("run", "influences", &[&arguments[..], &test].concat());
    let own = numbers("self", "self_influences", &arguments);
    let diagonal: Vec<f64> = (0..120).map(|j| square[[j, j]]).collect();
    assert!(difference(&own, &ndarray::Array1::from(diagonal).into_dyn()) < 1e-12);
}

#[test]
fn the_curvature_of_a_training_point_leaves_with_it() {
    let expected = reference("leverage");
    let rows = |array: &ArrayD<f64>| array.slice_axis(Axis(0), Slice::from(0..5)).to_owned();
    let plain = rows(&reference("gauss_newton"));
    assert!(
        difference(&plain, &rows(&expected)) > 0.1,
        "too little leverage to test"
    );
    let leverage = [&GAUSS_NEWTON[..], &["--set", "method.leverage=true"]].concat();
    let cg = ["--set", "method.name=cg", "--set", "method.rtol=1e-12"];
    for method in [&[][..], &cg] {
        let all = numbers("run", "influences", &[&leverage[..], method].concat());
        let error = difference(&rows(&all), &rows(&expected));
        assert!(error < 1e-10, "{method:?}: {error:e}");
    }
    let own = numbers("self", "self_influences", &leverage);
    let error = difference(&own, &expected.index_axis(Axis(0), 5).to_owned());
    assert!(error < 1e-10, "{error:e}");
    let folder = tempfile::tempdir().expect("a folder");
    let config = golden().join("config.toml");
    let output = folder.path().join("out.zarr");
    for mode in ["by-block", "perturbation"] {
        let mode = format!("compute.mode={mode}");
        let refused = influence(
            "run",
            &config,
            &output,
            &[&leverage[..], &["--set", &mode]].concat(),
        );
        let message = said(&refused);
        assert!(message.contains("with method.leverage"), "{message}");
    }
    let planned = influence("plan", &config, &output, &leverage);
    assert!(planned.status.success(), "{}", said(&planned));
}

#[test]
fn relative_influences_are_divided_by_what_their_point_changes() {
    let relative = [&GAUSS_NEWTON[..], &["--set", "method.relative=losses"]].concat();
    let roots = numbers("self", "self_influences", &GAUSS_NEWTON).mapv(f64::sqrt);
    let mut expected = numbers("run", "influences", &GAUSS_NEWTON);
    for (mut column, root) in expected.axis_iter_mut(Axis(1)).zip(&roots) {
        column /= *root;
    }
    let error = difference(&numbers("run", "influences", &relative), &expected);
    assert!(error < 1e-11, "{error:e}");
    let error = difference(&numbers("self", "self_influences", &relative), &roots);
    assert!(error < 1e-11, "{error:e}");
    let moved = ["--set", "method.relative=parameters"];
    let moved = numbers("run", "influences", &[&GAUSS_NEWTON[..], &moved].concat());
    assert!(difference(&moved, &expected) > 0.1);
}

#[test]
fn residuals_may_refer_to_the_exact_matrix_and_change_no_influence() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = golden().join("config.toml");
    let run = |name: &str, arguments: &[&str]| {
        let output = folder.path().join(name);
        let outcome = influence(
            "run",
            &config,
            &output,
            &[&GAUSS_NEWTON[..], arguments].concat(),
        );
        assert!(outcome.status.success(), "{}", said(&outcome));
        let residuals = read(&output, "solver_residual");
        let worst = residuals.iter().copied().fold(0.0, f64::max);
        (read(&output, "influences"), worst, said(&outcome))
    };
    let layers = ["--set", "method.blocks=layer-wise"];
    let ekfac = ["--set", "method.name=ekfac", "--set", "method.tolerance=0"];
    let factored = [&layers[..], &ekfac].concat();
    let exact = ["--set", "method.residual=exact"];
    let (plain, own, _) = run("own.zarr", &factored);
    let (influences, worst, summary) = run("exact.zarr", &[&factored[..], &exact].concat());
    assert_eq!(plain, influences);
    assert!(own < 1e-9 && worst > 0.1, "{own:e} {worst:e}");
    assert!(summary.contains(", of the exact matrix"), "{summary}");
    assert!(summary.contains("error, at most"), "{summary}");
    let (_, direct, _) = run("direct.zarr", &exact);
    assert!(direct < 1e-9, "{direct:e}");
    let (_, between, _) = run("layers.zarr", &[&layers[..], &exact].concat());
    assert!(between > 1e-2, "{between:e}");
}

#[test]
fn perturbations_have_the_shape_of_the_input_and_are_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.zarr");
    let config = golden().join("config.toml");
    let arguments = [&GAUSS_NEWTON[..], &["--set", "compute.mode=perturbation"]].concat();
    let outcome = influence("run", &config, &output, &arguments);
    assert!(outcome.status.success(), "{}", said(&outcome));
    let slopes = read(&output, "influences");
    assert_eq!(slopes.shape(), [30, 120, 64]);
    assert!(slopes.iter().any(|slope| slope.abs() > 0.1));
    let mut verify = Command::new(env!("CARGO_BIN_EXE_influence"));
    let verified = verify
        .arg("verify")
        .arg(&output)
        .output()
        .expect("the binary runs");
    assert!(
        said(&verified).contains(" 0 numbers differ"),
        "{}",
        said(&verified)
    );
    let planned = influence("plan", &config, &folder.path().join("no"), &arguments);
    assert!(
        said(&planned).contains("1.8 MiB before compression"),
        "{}",
        said(&planned)
    );
}

#[test]
fn a_fit_that_was_kept_gives_the_same_bytes_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("fitted.safetensors");
    let kept = kept.to_str().expect("text");
    let config = golden().join("config.toml");
    for method in ["direct", "arnoldi", "kfac", "ekfac"] {
        let name = format!("method.name={method}");
        let arguments = [&["--set", name.as_str()], &GAUSS_NEWTON[..], &LAYERS].concat();
        let output = |name: &str| folder.path().join(format!("{method}-{name}.zarr"));
        let (fresh, loaded) = (output("fresh"), output("loaded"));
        let from_kept = [&arguments[..], &["--fitted", kept]].concat();
        for outcome in [
            influence("run", &config, &fresh, &arguments),
            influence("fit", &config, &fresh, &from_kept),
            influence("run", &config, &loaded, &from_kept),
        ] {
            assert!(outcome.status.success(), "{}", said(&outcome));
        }
        assert!(
            files(&fresh) == files(&loaded),
            "{method}: the bytes differ"
        );
        // Another damping uses the same fit, another curvature does not.
        let damped = [&from_kept[..], &["--set", "method.damping=0.5"]].concat();
        let outcome = influence("run", &config, &output("damped"), &damped);
        assert!(outcome.status.success(), "{}", said(&outcome));
        let other = [
            &from_kept[..],
            &["--set", "method.curvature=empirical-fisher"],
        ]
        .concat();
        let refused = influence("run", &config, &output("other"), &other);
        assert_eq!(refused.status.code(), Some(2));
        let message = said(&refused);
        assert!(
            message.contains("curvature GaussNewton, now it is EmpiricalFisher"),
            "{message}"
        );
    }
    let nothing = influence(
        "fit",
        &config,
        folder.path(),
        &["--fitted", kept, "--set", "method={ name = \"identity\" }"],
    );
    assert!(
        said(&nothing).contains("identity has no fitted state"),
        "{}",
        said(&nothing)
    );
}

#[test]
fn methods_and_modes_equal_the_dense_references() {
    const TRACIN: &str = r#"method.checkpoints=[{ weights = "checkpoint.safetensors", learning_rate = 0.1 }, { weights = "model.safetensors", learning_rate = 0.05 }]"#;
    let layers = ["method.curvature=gauss-newton", "method.blocks=layer-wise"];
    let cases: [(&str, &[&str], &str); 9] = [
        (
            "config",
            &[
                "method.name=kfac",
                "method.tolerance=0",
                layers[0],
                layers[1],
            ],
            "kfac",
        ),
        (
            "config",
            &[
                "method.name=ekfac",
                "method.tolerance=0",
                layers[0],
                layers[1],
            ],
            "ekfac",
        ),
        ("config", &["method.name=diagonal", layers[0]], "diagonal"),
        (
            "config",
            &[
                "method.name=inverse-harmonic-mean",
                "method.curvature=empirical-fisher",
            ],
            "inverse_harmonic_mean",
        ),
        (
            "config",
            &[layers[0], layers[1], "compute.mode=by-block"],
            "by_block",
        ),
        (
            "config",
            &[layers[0], "compute.mode=perturbation"],
            "perturbation",
        ),
        ("gradients", &[], "identity"),
        ("gradients", &["method.name=cosine"], "cosine"),
        ("gradients", &["method.name=tracin", TRACIN], "tracin"),
    ];
    println!("| reference | largest difference |\n|---|---|");
    let folder = tempfile::tempdir().expect("a folder");
    for (config, keys, name) in cases {
        let output = folder.path().join(name);
        let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--set", *key]).collect();
        let config = golden().join(format!("{config}.toml"));
        let outcome = influence("run", &config, &output, &arguments);
        assert!(outcome.status.success(), "{name}: {}", said(&outcome));
        let mut values = read(&output, "influences");
        let expected = reference(name);
        // The reference of perturbations ends at the tenth training point.
        values.slice_axis_inplace(Axis(1), (0..expected.shape()[1]).into());
        let error = difference(&values, &expected);
        println!("| {name} | {error:.1e} |");
        assert!(error < 1e-10, "{name}: {error:e}");
    }
    let own = numbers("self", "self_influences", &GAUSS_NEWTON);
    assert!(difference(&own, &reference("self")) < 1e-10);
}

#[test]
fn a_single_checkpoint_is_the_model_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.zarr");
    let config = golden().join("gradients.toml");
    let outcome = influence("run", &config, &output, &["--set", "method.name=tracin"]);
    assert!(outcome.status.success(), "{}", said(&outcome));
    assert!(difference(&read(&output, "influences"), &reference("identity")) < 1e-10);
    let kept = ["--set", "method.name=tracin", "--fitted", "no.safetensors"];
    let refused = influence("run", &config, &folder.path().join("other.zarr"), &kept);
    assert!(
        said(&refused).contains("tracin has no fitted state"),
        "{}",
        said(&refused)
    );
}

#[test]
fn auto_is_the_method_that_fits_and_says_so() {
    let of = |section: &str| ["--set".to_owned(), format!("method={section}")];
    let numbers_of = |section: &str| {
        let [set, section] = of(section);
        numbers("run", "influences", &[&set, &section])
    };
    let written =
        "{ name = \"direct\", curvature = \"gauss-newton\", damping = { relative = 1.0 } }";
    assert_eq!(numbers_of("{ name = \"auto\" }"), numbers_of(written));
    // What is given stays.
    let given = "{ name = \"auto\", curvature = \"hessian\", damping = 0.04 }";
    assert_eq!(numbers_of(given), numbers("run", "influences", &[]));

    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.zarr");
    let fitted = folder.path().join("fit");
    let [set, section] = of("{ name = \"auto\" }");
    let kept = fitted.to_str().expect("UTF-8");
    let keep = [&*set, &*section, "--fitted", kept];
    for command in ["fit", "run"] {
        let outcome = influence(command, &golden().join("config.toml"), &output, &keep);
        let said = said(&outcome);
        assert!(outcome.status.success(), "{command}: {said}");
        assert!(
            said.contains("method.name = \"auto\" is direct") && said.contains("in seconds"),
            "{command}: {said}"
        );
    }
    assert_eq!(read(&output, "influences"), numbers_of(written));
}
