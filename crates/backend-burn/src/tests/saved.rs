//! Fitted models kept in files.

use std::{path::Path, sync::Arc};

use burn::tensor::{Tensor, TensorData};
use influence_core::{
    Dataset, InfluenceModel, Precision, Rows,
    block::BlockStructure,
    solver::{Arnoldi, ConjugateGradient, Direct, Jacobi},
};

use super::{floats, labels, models::Mlp};
use crate::{ArrayDataset, Classification, Curvature, Fit, Influence, Kronecker, Task};

fn task() -> impl Task<Module = Mlp> {
    Classification::new(|m: &Mlp, x: Tensor<2>| m.tanh(x))
}

fn dataset(seed: f64) -> Arc<ArrayDataset> {
    let fields: Vec<TensorData> = vec![floats(&[11, 5], seed), labels(11, 3)];
    Arc::new(ArrayDataset::new(fields).expect("a data set"))
}

fn settings<T: Task>(task: T) -> Fit<T> {
    Fit::new(task)
        .with_curvature(Curvature::GaussNewton)
        .with_blocks(BlockStructure::LayerWise)
        .with_damping(0.01)
        .with_batch_size(4)
}

fn factors(influence: &Influence) -> Vec<u64> {
    let batch = dataset(3.0).batch(0..7).expect("a batch");
    let rows = influence
        .factors(&batch)
        .and_then(influence_core::solver::Solution::converged);
    let values = rows.and_then(|rows| rows.to_host()).expect("factors");
    values.iter().map(|value| value.to_bits()).collect()
}

/// Fits, keeps, and takes up again under another damping.
fn comes_back<T: Task<Module = Mlp>>(fit: impl Fn() -> Fit<T>, path: &Path) {
    let (mlp, train) = (Mlp::new([5, 4, 6, 3], true), dataset(1.0));
    let fitted = fit()
        .fit_and_save(&mlp, train.clone(), path)
        .expect("fitted");
    let loaded = fit().load(&mlp, train.clone(), path).expect("loaded");
    assert_eq!(factors(&loaded), factors(&fitted));
    let damped = fit().with_damping(0.3);
    let other = damped.load(&mlp, train.clone(), path).expect("loaded");
    let fresh = fit().with_damping(0.3).fit(&mlp, train).expect("fitted");
    assert_eq!(factors(&other), factors(&fresh));
    assert_ne!(factors(&other), factors(&fitted));
}

#[test]
fn a_loaded_fit_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fitted.safetensors");
    for precision in [Precision::F32, Precision::F64] {
        let fit = || settings(task()).with_precision(precision);
        comes_back(|| fit().with_solver(Direct), &path);
        for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
            comes_back(|| fit().with_kronecker(kronecker), &path);
            let preconditioned = || {
                let fit = fit().with_blocks(BlockStructure::Full);
                fit.with_preconditioned_solver(ConjugateGradient::new(), kronecker)
            };
            comes_back(preconditioned, &path);
        }
        let arnoldi = Arnoldi::new(6).expect("a rank");
        comes_back(|| fit().with_solver(arnoldi.clone()), &path);
        let jacobi = Arc::new(Jacobi::new(4, 1).expect("settings"));
        let solver = || ConjugateGradient::new().with_preconditioner(jacobi.clone());
        comes_back(|| fit().with_solver(solver()), &path);
    }
}

#[test]
fn a_fit_of_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fitted.safetensors");
    let (mlp, train) = (Mlp::new([5, 4, 6, 3], true), dataset(1.0));
    settings(task())
        .fit_and_save(&mlp, train.clone(), &path)
        .expect("fitted");
    let said = |outcome: influence_core::Result<Influence>| {
        outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let other_data = said(settings(task()).load(&mlp, dataset(2.0), &path));
    assert!(other_data.contains("training data sha256:"), "{other_data}");
    let other_weights = Mlp::new([5, 4, 6, 3], true);
    let other_weights = super::moved(&other_weights, &vec![1.0; 1 << 10], 0.1);
    let other_weights = said(settings(task()).load(&other_weights, train.clone(), &path));
    assert!(
        other_weights.contains("parameters sha256:"),
        "{other_weights}"
    );
    let relu = || Classification::new(|m: &Mlp, x: Tensor<2>| m.relu(x));
    let other_function = said(settings(relu()).load(&mlp, train.clone(), &path));
    assert!(
        other_function.contains("function gradients of norm"),
        "{other_function}"
    );
    for (fit, key) in [
        (
            settings(task()).with_curvature(Curvature::EmpiricalFisher),
            "curvature GaussNewton",
        ),
        (
            settings(task()).with_solver(ConjugateGradient::new()),
            "method ",
        ),
        (
            settings(task()).with_blocks(BlockStructure::Full),
            "blocks ",
        ),
        (
            settings(task()).with_precision(Precision::F64),
            "precision F32",
        ),
    ] {
        let message = said(fit.load(&mlp, train.clone(), &path));
        assert!(
            message.contains(key) && message.contains("fit again"),
            "{message}"
        );
    }
    let missing = said(settings(task()).load(&mlp, train, folder.path().join("none")));
    assert!(missing.contains("none"), "{missing}");
}
