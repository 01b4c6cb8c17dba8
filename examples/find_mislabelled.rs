//! Finds mislabelled training points: a tenth of the labels of handwritten digits is wrong, and the
//! influences show which.
//!
//! There are two orders of inspection: by the mean influence on test points with correct labels,
//! the most harmful first; and by the influence of each point on itself, the largest first, which
//! needs no test points.
//!
//! ```sh
//! cargo run --release --example find_mislabelled
//! ```

#[path = "support/digits.rs"]
mod digits;
#[path = "support/mlp.rs"]
mod mlp;

use std::sync::Arc;

use influence::{Along, Calculator, Curvature, Fit, Kronecker, Mean, Parallel};

use digits::{Digits, Outcome};

/// Training points, of which every tenth has a wrong label.
const TRAIN: usize = 1000;
const EVERY: usize = 10;

fn main() -> Outcome<()> {
    let mut digits = Digits::read(0..TRAIN)?;
    for (turn, label) in (0_i64..).zip(digits.labels.iter_mut().step_by(EVERY)) {
        *label = (*label + 1 + turn % 9) % 10;
    }
    let model = mlp::trained(&digits);

    let (train, test) = (digits.dataset()?, Digits::read(TRAIN..1400)?.dataset()?);
    let influence = Fit::new(mlp::task())
        .with_curvature(Curvature::GaussNewton)
        .with_kronecker(Kronecker::Ekfac)
        .with_damping(0.01)
        .fit(&model, Arc::new(train.clone()))?;
    let calculator = Parallel::new(influence, None)?;
    let mean = calculator
        .influences(&test, &train)
        .compute(Mean::along(Along::Test))?;
    let on_themselves = calculator.self_influences(&train).compute()?;

    println!(
        "wrong labels among the {} of {TRAIN} training points that are inspected first:",
        TRAIN / EVERY
    );
    let harmful = found(mean.iter().copied());
    let unusual = found(on_themselves.iter().map(|influence| -influence));
    println!("  mean influence, most harmful first    {harmful}");
    println!("  self-influence, largest first         {unusual}");
    println!(
        "  chance                                {}",
        TRAIN / EVERY / EVERY
    );
    assert!(
        harmful > 60 && unusual > 60,
        "far more than the 10 of chance"
    );
    Ok(())
}

/// The number of points with a wrong label among those with the lowest scores.
fn found(scores: impl Iterator<Item = f64>) -> usize {
    let mut ranked: Vec<(usize, f64)> = scores.enumerate().collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let inspected = &ranked[..TRAIN / EVERY];
    inspected
        .iter()
        .filter(|(point, _)| point % EVERY == 0)
        .count()
}
