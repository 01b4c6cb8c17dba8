//! The whole path to Zarr and back, on disk.

use std::sync::Arc;

use burn::tensor::Tensor;
use influence::{
    Calculator, Classification, Concatenate, Curvature, Fit, Parallel, Precision, Sequential,
    StoredFactors, ZarrOptions,
};
use ndarray::ArrayD;
use zarrs::{array::Array, filesystem::FilesystemStore};

use crate::{
    models::Dense,
    reference::{data, difference, fixture, matrix},
};

#[test]
fn influences_reach_zarr_and_stored_factors_give_them_again() {
    let case = fixture("softmax_ce");
    let model = Fit::new(Classification::new(|m: &Dense, x: Tensor<2>| m.forward(x)))
        .with_curvature(Curvature::Hessian)
        .with_precision(Precision::F64)
        .with_damping(case["lam"].as_f64().expect("a damping"))
        .fit(
            &Dense::from_fixture(&case, ""),
            Arc::new(data(&case, "train")),
        )
        .expect("the model is fitted");
    let (test, train) = (data(&case, "test"), data(&case, "train"));
    let reference = matrix(&case["hessian_full"]["up"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (influences, factors) = (
        folder.path().join("influences.zarr"),
        folder.path().join("factors.zarr"),
    );

    let parallel = Parallel::new(&model, None).expect("threads");
    let lazy = parallel
        .influences(&test, &train)
        .with_chunks(3, 4)
        .expect("chunks");
    lazy.to_zarr(&influences, &ZarrOptions::default())
        .expect("written");
    let store = Arc::new(FilesystemStore::new(&influences).expect("a store"));
    let array = Array::open(store, "/influences").expect("the array is there");
    let names: Vec<_> = array.dimension_names().clone().expect("names");
    assert_eq!(names, [Some("test".to_owned()), Some("train".to_owned())]);
    let stored: ArrayD<f64> = array
        .retrieve_array_subset(&array.subset_all())
        .expect("read");
    assert!(difference(&stored, &reference) < 1e-10);

    let sequential = Sequential::new(&model);
    sequential
        .influence_factors(&test)
        .to_zarr(&factors, &ZarrOptions::default())
        .expect("written");
    let stored = StoredFactors::open(&factors).expect("the factors are there");
    let again = sequential
        .influences_from_factors(&stored, &train)
        .compute(Concatenate::new())
        .expect("influences");
    assert!(difference(&again, &reference) < 1e-10);
}
