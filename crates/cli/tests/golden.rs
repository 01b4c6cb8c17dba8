//! The real binary on models trained elsewhere, against independent dense float64 computations.

#[path = "support/difference.rs"]
mod difference;
#[path = "support/files.rs"]
mod files;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use difference::difference;
use files::files;
use ndarray::ArrayD;
use zarrs::{array::Array, filesystem::FilesystemStore};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn golden(case: &str, file: &str) -> PathBuf {
    tests().join("golden/cli").join(case).join(file)
}

fn reference(case: &str, name: &str) -> ArrayD<f64> {
    let file = std::fs::File::open(golden(case, &format!("reference_{name}.npy")))
        .expect("the references ship");
    let array = npyz::NpyFile::new(std::io::BufReader::new(file)).expect("a numpy array");
    let shape = [0, 1].map(|axis| usize::try_from(array.shape()[axis]).expect("small"));
    ArrayD::from_shape_vec(shape.to_vec(), array.into_vec().expect("float64")).expect("a matrix")
}

/// Runs a case with some keys set, and returns the path of its output.
fn run(case: &str, folder: &Path, settings: &[&str]) -> (PathBuf, Output) {
    let output = folder.join(format!("{case}-{}.zarr", settings.len()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command
        .arg("run")
        .arg(golden(case, "config.toml"))
        .arg("--overwrite");
    command
        .arg("--set")
        .arg(format!("output.path={}", output.display()));
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    let outcome = command.output().expect("the binary runs");
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{case} {settings:?}: {complaint}");
    (output, outcome)
}

fn influences(path: &Path, precision: &str) -> ArrayD<f64> {
    let store = Arc::new(FilesystemStore::new(path).expect("a store"));
    let array = Array::open(store, "/influences").expect("the array is there");
    if precision == "f64" {
        return array
            .retrieve_array_subset(&array.subset_all())
            .expect("float64");
    }
    let single: ArrayD<f32> = array
        .retrieve_array_subset(&array.subset_all())
        .expect("float32");
    single.mapv(f64::from)
}

#[test]
fn every_curvature_in_both_precisions_equals_the_dense_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    println!("| model | curvature | f64 | f32 |\n|---|---|---|---|");
    for case in ["softmax", "mlp", "cnn", "regression"] {
        for curvature in ["hessian", "gauss-newton", "empirical-fisher"] {
            let expected = reference(case, &curvature.replace('-', "_"));
            let measured = [("f64", 1e-10), ("f32", 1e-4)].map(|(precision, tolerance)| {
                let settings = [
                    format!("method.curvature={curvature}"),
                    format!("precision={precision}"),
                ];
                let (output, _) = run(
                    case,
                    folder.path(),
                    &settings.each_ref().map(String::as_str),
                );
                let difference = difference(&influences(&output, precision), &expected);
                assert!(
                    difference < tolerance,
                    "{case} {curvature} {precision}: {difference:e}"
                );
                difference
            });
            println!(
                "| {case} | {curvature} | {:.1e} | {:.1e} |",
                measured[0], measured[1]
            );
        }
    }
}

/// Cases of `make_layers.py`, from PyTorch's own layers.
#[test]
fn layers_of_every_kind_equal_the_dense_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    for case in ["norms", "tokens", "transposed"] {
        for curvature in ["hessian", "gauss-newton"] {
            let expected = reference(case, &curvature.replace('-', "_"));
            for (precision, tolerance) in [("f64", 1e-10), ("f32", 1e-4)] {
                let settings = [
                    format!("method.curvature={curvature}"),
                    format!("precision={precision}"),
                ];
                let (output, _) = run(
                    case,
                    folder.path(),
                    &settings.each_ref().map(String::as_str),
                );
                let difference = difference(&influences(&output, precision), &expected);
                println!("| {case} | {curvature} | {precision} | {difference:.1e} |");
                assert!(
                    difference < tolerance,
                    "{case} {curvature} {precision}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn blocks_and_conjugate_gradient_equal_the_dense_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[&str], &str); 4] = [
        (&["method.blocks=layer-wise"], "hessian_layer_wise"),
        (
            &["method.blocks=parameter-wise", "method.damping=0.04"],
            "hessian_parameter_wise",
        ),
        (
            &[
                "method.name=cg",
                "method.rtol=1e-11",
                "compute.strategy=sequential",
            ],
            "hessian",
        ),
        (
            &[
                "method.name=cg",
                "method.rtol=1e-11",
                "method.preconditioner=jacobi",
                "seed=3",
            ],
            "hessian",
        ),
    ];
    for (settings, name) in cases {
        let (output, _) = run("mlp", folder.path(), settings);
        let difference = difference(&influences(&output, "f64"), &reference("mlp", name));
        assert!(difference < 1e-10, "{settings:?}: {difference:e}");
    }
}

#[test]
fn the_same_run_writes_the_same_bytes_whatever_the_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = |settings: &[&str]| {
        let (output, _) = run("mlp", folder.path(), settings);
        files(&output)
    };
    let once = bytes(&["compute.threads=2"]);
    assert_eq!(bytes(&["compute.threads=2"]), once);
    assert_eq!(bytes(&["compute.threads=1"]), once);
    assert_eq!(bytes(&["compute.strategy=sequential"]), once);
}

/// Prints past the test harness, which hides the output of passing tests.
fn aloud(text: &str) {
    writeln!(std::io::stderr(), "{}", text.trim_end()).expect("stderr is open");
}

#[test]
fn python_opens_the_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, _) = run("softmax", folder.path(), &[]);
    let python = std::env::var("INFLUENCE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = tests().join("interop/open_zarr.py");
    let reference = golden("softmax", "reference_hessian.npy");
    match Command::new(&python)
        .arg(script)
        .arg(&output)
        .arg(reference)
        .output()
    {
        Err(error) => aloud(&format!("skipped: {python} cannot be run ({error})")),
        Ok(outcome) => {
            let said = String::from_utf8_lossy(&outcome.stdout);
            aloud(&said);
            assert!(
                outcome.status.success(),
                "{said}{}",
                String::from_utf8_lossy(&outcome.stderr)
            );
        }
    }
}
