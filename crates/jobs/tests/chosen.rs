//! `method.name = "auto"`: which method is chosen for which model, and what it says.

use std::{fs, path::Path};

use influence_jobs::{
    config::{Config, Method, MethodName, method::Residual},
    job::Job,
    models::ConfiguredModels,
};
use safetensors::{Dtype, serialize, tensor::TensorView};

const CLASSES: usize = 2;

fn save(path: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (*name, view.expect("as many bytes"))
    });
    let file = serialize(views, None).expect("distinct names");
    fs::write(path, file).expect("written");
}

fn floats(count: usize) -> Vec<u8> {
    let values = (0_u16..251).cycle().take(count);
    let values = values.map(|index| (f32::from(index) * 2.3).sin() * 0.1);
    values.flat_map(f32::to_le_bytes).collect()
}

/// A folder with a network of these widths, without biases, and a few points.
fn folder(widths: &[usize], method: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (1..widths.len())
        .map(|place| format!("fc{place}"))
        .collect();
    let keys: Vec<String> = names.iter().map(|name| format!("{name}.weight")).collect();
    let weights = keys.iter().zip(widths.windows(2)).map(|(key, sides)| {
        let (inputs, outputs) = (sides[0], sides[1]);
        (
            key.as_str(),
            Dtype::F32,
            vec![outputs, inputs],
            floats(inputs * outputs),
        )
    });
    let weights: Vec<_> = weights.collect();
    save(&folder.path().join("model.safetensors"), &weights);
    for (side, points) in [("train", 12), ("test", 3)] {
        let classes = (0_i64..).take(points).map(|place| place % 2);
        save(
            &folder.path().join(format!("{side}.safetensors")),
            &[
                (
                    "x",
                    Dtype::F32,
                    vec![points, widths[0]],
                    floats(points * widths[0]),
                ),
                (
                    "y",
                    Dtype::I64,
                    vec![points],
                    classes.flat_map(i64::to_le_bytes).collect(),
                ),
            ],
        );
    }
    let layers = names
        .iter()
        .map(|name| format!("{{ kind = \"linear\", name = \"{name}\" }}"));
    let layers = layers.collect::<Vec<_>>().join(", { kind = \"tanh\" }, ");
    let text = format!(
        "[model]\nweights = \"model.safetensors\"\nloss = \"cross-entropy\"\nlayers = [{layers}]\n\
         [data]\n\
         train = {{ inputs = \"train.safetensors#x\", targets = \"train.safetensors#y\" }}\n\
         test = {{ inputs = \"test.safetensors#x\", targets = \"test.safetensors#y\" }}\n\
         [method]\nname = \"auto\"\n{method}\n\
         [output]\npath = \"influences.zarr\"\n{more}\n"
    );
    fs::write(folder.path().join("influence.toml"), text).expect("written");
    folder
}

fn job(widths: &[usize], method: &str, more: &str) -> anyhow::Result<Job> {
    let folder = folder(widths, method, more);
    let config = Config::load(&folder.path().join("influence.toml"), &[])?;
    Job::of_inputs(config, &ConfiguredModels)
}

/// The method of a job, with its dampings, and what is said of it.
fn chosen(job: &Job) -> (Method, Vec<String>, &str) {
    let method = job.config.method().expect("a method").clone();
    let dampings = method.dampings().iter().map(ToString::to_string).collect();
    let said = job.remarks.iter().find(|remark| remark.contains("auto"));
    (method, dampings, said.expect("it is said"))
}

#[test]
fn the_method_follows_from_the_size_of_the_model() {
    for (widths, name, damping, said) in [
        (
            &[5, 4, CLASSES][..],
            MethodName::Direct,
            "{ relative = 1 }",
            "28 parameters: so few",
        ),
        (
            &[80, 50, CLASSES],
            MethodName::Cg,
            "{ relative = 1 }",
            "4100 parameters: exact",
        ),
        (
            &[400, 260, CLASSES],
            MethodName::Ekfac,
            "{ relative = 0.1 }",
            "104520 parameters: exact influences, by cg, would take about 1e9 operations",
        ),
    ] {
        let job = job(widths, "", "").expect("a method");
        let (method, dampings, told) = chosen(&job);
        assert_eq!(
            (method.name(), &dampings[..]),
            (name, &[damping.to_owned()][..])
        );
        assert!(told.contains(said), "{told}");
        let curved = method.curved().expect("a curvature");
        assert_eq!(curved.curvature.name(), "gauss-newton");
        // Rough values are held against the exact matrix where that takes a moment.
        let exact = curved.residual == Residual::Exact;
        assert_eq!(exact, name == MethodName::Ekfac);
        // Whoever computes with the output later computes by the same method.
        let origin = &job.config.origin["method"];
        assert_eq!(origin["name"].as_str(), Some(name.as_str()));
        assert!(job.blocks.iter().sum::<usize>() == job.dim);
    }
}

#[test]
fn the_damping_of_one_layer_is_its_weight_decay() {
    let job = job(&[5, CLASSES], "", "[train]\nweight_decay = 0.003").expect("a method");
    let (method, dampings, _) = chosen(&job);
    assert_eq!(method.name(), MethodName::Direct);
    assert_eq!(dampings, ["0.003"]);
}

#[test]
fn what_is_given_stays_and_is_checked_by_the_method_chosen() {
    let given = "curvature = \"fisher\"\ndraws = 2\nsweep = [0.1, 0.2]\nresidual = \"own\"";
    let job_of = |method| job(&[400, 260, CLASSES], method, "");
    let large = job_of(given).expect("a method");
    let (method, dampings, _) = chosen(&large);
    assert_eq!(method.name(), MethodName::Ekfac);
    assert_eq!(dampings, ["0.1", "0.2"]);
    let curved = method.curved().expect("a curvature");
    assert_eq!(curved.curvature.draws(), Some(2));
    assert_eq!(curved.residual, Residual::Own);
    // The Hessian has no Kronecker factors.
    let hessian = job_of("curvature = \"hessian\"").expect("a method");
    let (method, dampings, told) = chosen(&hessian);
    assert_eq!(method.name(), MethodName::Arnoldi);
    assert_eq!(dampings, ["{ relative = 1 }"]);
    assert!(
        told.contains("the Hessian has no Kronecker factors"),
        "{told}"
    );
    let wrong = job_of("rank = 3").expect_err("a key of other methods");
    let wrong = format!("{wrong:#}");
    assert!(
        wrong.contains("method.rank") && wrong.contains("not of auto"),
        "{wrong}"
    );
}

#[test]
fn factors_that_do_not_fit_are_not_chosen() {
    let little = job(&[1500, 80, CLASSES], "", "[compute]\nmemory = \"64MiB\"");
    let little = little.expect("a method");
    let (method, _, told) = chosen(&little);
    assert_eq!(method.name(), MethodName::Cg);
    assert!(told.contains("the factors of ekfac would take"), "{told}");
    assert_eq!(little.config.origin["method"]["name"].as_str(), Some("cg"));
}
