//! Fits once and scores later: the expensive results are saved to files, and loaded for another
//! damping or for other training points.
//!
//! ```sh
//! cargo run --release --example fit_once_score_later
//! ```

#[path = "support/digits.rs"]
mod digits;
#[path = "support/mlp.rs"]
mod mlp;

use std::sync::Arc;

use influence::{
    ArrayDataset, Calculator, Concatenate, Curvature, Damping, Fit, Influence, Kronecker,
    Sequential, StoredFactors, Task, ZarrOptions,
};
use ndarray::ArrayD;

use digits::{Digits, Outcome};

/// The same settings each time; a file made with other settings is refused.
fn settings(damping: f64) -> Fit<impl Task<Module = mlp::Mlp>> {
    Fit::new(mlp::task())
        .with_curvature(Curvature::GaussNewton)
        .with_kronecker(Kronecker::Ekfac)
        .with_damping(damping)
}

fn influences(
    model: &Influence,
    test: &ArrayDataset,
    train: &ArrayDataset,
) -> Outcome<ArrayD<f64>> {
    let calculator = Sequential::new(model);
    let lazy = calculator.influences(test, train);
    Ok(lazy.with_chunks(20, 250)?.compute(Concatenate::new())?)
}

fn main() -> Outcome<()> {
    let digits = Digits::read(0..1000)?;
    let network = mlp::trained(&digits);
    let (train, test) = (digits.dataset()?, Digits::read(1700..1740)?.dataset()?);
    let data = Arc::new(train.clone());
    let folder = tempfile::tempdir()?;

    // The fit: Kronecker factors of every layer, which do not depend on the damping.
    let fitted = folder.path().join("ekfac.safetensors");
    let first = settings(0.1).fit_and_save(&network, data.clone(), &fitted)?;
    let loaded = settings(0.1).load(&network, data.clone(), &fitted)?;
    let at_once = influences(&first, &test, &train)?;
    assert_eq!(at_once, influences(&loaded, &test, &train)?, "to the bit");

    // Another damping without another fit: from the file, or from the fitted model.
    let from_file = influences(
        &settings(0.01).load(&network, data.clone(), &fitted)?,
        &test,
        &train,
    )?;
    let from_model = influences(&first.with_damping(&Damping::from(0.01))?, &test, &train)?;
    assert_eq!(from_file, from_model, "to the bit");
    let change = difference(&from_file, &at_once);
    println!("λ from 0.1 to 0.01 changes the influences by up to {change:.1} times the largest");
    assert!(change > 1.0, "the damping matters");
    let other = settings(0.01).with_curvature(Curvature::EmpiricalFisher);
    let refusal = other.load(&network, data, &fitted).err();
    println!("another curvature: {}", refusal.ok_or("refused")?);

    // The factors of the test points are solved once; scores against any training points come
    // later.
    let factors = folder.path().join("factors.zarr");
    let calculator = Sequential::new(&loaded);
    calculator
        .influence_factors(&test)
        .to_zarr(&factors, &ZarrOptions::default())?;
    let stored = StoredFactors::open(&factors)?;
    let later = calculator
        .influences_from_factors(&stored, &train)
        .compute(Concatenate::new())?;
    let rounding = difference(&later, &at_once);
    println!("from stored factors: within {rounding:.0e} of the largest influence");
    assert!(rounding < 1e-4, "the tolerance of factored layers");
    Ok(())
}

/// The largest difference, divided by the largest value of the second.
fn difference(got: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    let largest = |values: &ArrayD<f64>| {
        values
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()))
    };
    largest(&(got - expected)) / largest(expected)
}
