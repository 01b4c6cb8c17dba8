//! What is computed of a model, or of several, against retrainings and against each model alone.

use std::sync::Arc;

use influence_core::InfluenceModel;
use ndarray::ArrayD;

use super::*;
use crate::{fit::Affordable, job::Job, watch::Watch};

const SMOOTH: &str = r#"loss = "cross-entropy"
layers = [{ kind = "linear", name = "first", outputs = 6 }, { kind = "tanh" }, { kind = "linear", name = "last", outputs = 3 }]"#;
const MAGIC: &str = "method={ name = \"magic\" }";
const SOURCE: &str = "method={ name = \"source\" }";

/// What is said while a model is fitted.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl influence_backend_burn::FitObserver for Heard {
    fn fitting(&self, _step: influence_backend_burn::FitStep, _done: usize, _total: usize) {}
}

impl influence_calculators::Observer for Heard {}

impl Watch for Heard {
    fn warn(&self, message: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(message.to_owned());
    }
}

impl Problem {
    /// The configuration of all points with other settings.
    fn with(&self, model: &str, settings: &[&str]) -> Result<Config> {
        self.config("all", model, &all())?;
        let settings: Vec<String> = settings.iter().map(|&setting| setting.into()).collect();
        Config::load(&self.path("config.toml"), &settings)
    }
}

fn train(config: &Config) -> Result<()> {
    let watch = Unattended::default().watch();
    Trainer::new(config, &ConfiguredModels, true)?.train(&*watch)?;
    Ok(())
}

/// The influences of all training points on all test points, and the warnings.
fn influences(config: &Config) -> Result<(ArrayD<f64>, Vec<String>)> {
    let heard = Arc::new(Heard::default());
    let job = Job::of_inputs(config.clone(), &ConfiguredModels)?;
    let model = Affordable::new(&job)?.model(None, &*heard)?;
    let factors = model.factors(&job.test.batch(0..job.test.len())?)?;
    let gradients = model.gradients(&job.train.batch(0..POINTS)?)?;
    let scores = model.scores(&factors.converged()?, &gradients)?;
    let heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((scores, heard.clone()))
}

fn difference(values: &ArrayD<f64>, reference: &ArrayD<f64>) -> f64 {
    let largest = |array: &ArrayD<f64>| array.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    largest(&(values - reference)) / largest(reference)
}

/// `−n` times the central difference of the losses by the weight of a point.
fn by_weight(retraining: &Retraining<'_>, point: usize) -> Result<Vec<f64>> {
    const STEP: f32 = 0.02;
    let whole = Subset::new(all())?;
    let losses = |step: f32| {
        let mut weights = [1.0; POINTS];
        weights[point] += step;
        let model = retraining.weighted_model(&whole, Some(&weights), 3)?;
        Ok::<_, anyhow::Error>(retraining.outcome_of(&*model)?.losses)
    };
    let (ahead, behind) = (losses(STEP)?, losses(-STEP)?);
    let slope = |(ahead, behind)| -(POINTS as f64) * (ahead - behind) / f64::from(2.0 * STEP);
    Ok(ahead.iter().zip(&behind).map(slope).collect())
}

#[test]
fn magic_is_the_derivative_of_retrainings() -> Result<()> {
    let problem = Problem::new()?;
    let adam = [
        "train.optimiser=adam",
        "train.momentum=0",
        "train.learning_rate=0.02",
    ];
    // The steps of Adam all but jump where a gradient changes its sign, which is within the
    // differences that 32 bits allow.
    let cosine = ["train.schedule=cosine"];
    for (optimiser, tolerance) in [(&[][..], 2e-3), (&cosine, 2e-3), (&adam, 5e-2)] {
        let config = problem.with(SMOOTH, &[&[MAGIC], optimiser].concat())?;
        train(&config)?;
        let (found, warnings) = influences(&config)?;
        assert!(warnings.is_empty(), "{warnings:?}");
        let retraining = Retraining::new(&config, &ConfiguredModels, &[3])?;
        let slopes = (0..POINTS).map(|point| by_weight(&retraining, point));
        let slopes = slopes.collect::<Result<Vec<_>>>()?.concat();
        let slopes = ArrayD::from_shape_vec(vec![POINTS, found.shape()[0]], slopes)?;
        let off = difference(&found, &slopes.reversed_axes());
        assert!(off < tolerance, "{optimiser:?}: {off}");
    }
    Ok(())
}

#[test]
fn weights_of_another_training_are_told() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.with(SMOOTH, &[MAGIC])?;
    let error = format!("{:#}", influences(&config).expect_err("no weights"));
    assert!(error.contains("influence train"), "{error}");
    train(&config)?;
    for other in ["seed=4", "train.learning_rate=0.12"] {
        let (_, warnings) = influences(&problem.with(SMOOTH, &[MAGIC, other])?)?;
        let told = |warning: &String| warning.contains("does not end at the weights");
        assert!(warnings.iter().any(told), "{other}: {warnings:?}");
    }
    Ok(())
}

#[test]
fn models_that_are_trained_otherwise_than_recorded_are_refused() -> Result<()> {
    let problem = Problem::new()?;
    let norm = r#"{ kind = "batch_norm", name = "norm" }"#;
    let config = problem.with(&SMOOTH.replace(r#"{ kind = "tanh" }"#, norm), &[MAGIC])?;
    train(&config)?;
    let error = format!("{:#}", influences(&config).expect_err("batch norm"));
    assert!(error.contains("dropout or batch norm"), "{error}");
    let config = problem.with(&SMOOTH.replace(r#"{ kind = "tanh" }"#, norm), &[SOURCE])?;
    let error = format!("{:#}", influences(&config).expect_err("batch norm"));
    assert!(error.contains("source cannot follow"), "{error}");
    Ok(())
}

#[test]
fn segments_need_gradient_descent_of_enough_steps() -> Result<()> {
    let problem = Problem::new()?;
    train(&problem.with(SMOOTH, &[SOURCE])?)?;
    let adam = ["train.optimiser=adam", "train.momentum=0"];
    let config = problem.with(SMOOTH, &[SOURCE, adam[0], adam[1]])?;
    let error = format!("{:#}", influences(&config).expect_err("adam"));
    assert!(
        error.contains("train.optimiser") && error.contains("magic"),
        "{error}"
    );
    let config = problem.with(SMOOTH, &[SOURCE, "method.segments=9"])?;
    let error = format!("{:#}", influences(&config).expect_err("18 checkpoints"));
    assert!(error.contains("method.segments is 9"), "{error}");
    assert!(error.contains("16 steps"), "{error}");
    Ok(())
}

#[test]
fn an_ensemble_has_the_mean_of_its_models() -> Result<()> {
    let problem = Problem::new()?;
    let curved = "method={ curvature = \"gauss-newton\", damping = 0.1 }";
    let swept = "method={ curvature = \"gauss-newton\", sweep = [0.1, { relative = 1.0 }] }";
    let list = "model.weights=[\"first.safetensors\", \"second.safetensors\"]";
    train(&problem.with(SMOOTH, &[curved, list])?)?;
    for method in [curved, swept, MAGIC, SOURCE, "method={ name = \"cosine\" }"] {
        let together = influences(&problem.with(SMOOTH, &[method, list])?)?;
        assert!(together.1.is_empty(), "{:?}", together.1);
        let alone = |weights: &str, seed: &str| {
            let weights = format!("model.weights={weights}.safetensors");
            let (scores, warnings) = influences(&problem.with(SMOOTH, &[method, &weights, seed])?)?;
            assert!(warnings.is_empty(), "{warnings:?}");
            Ok::<_, anyhow::Error>(scores)
        };
        let (first, second) = (alone("first", "seed=3")?, alone("second", "seed=4")?);
        assert!(difference(&first, &second) > 0.1, "{method}");
        assert!(
            difference(&together.0, &((first + second) / 2.0)) < 1e-6,
            "{method}"
        );
    }
    Ok(())
}

#[test]
fn lists_of_weights_are_refused_where_they_mean_nothing() -> Result<()> {
    let problem = Problem::new()?;
    let plain = "method={ damping = 0.1 }";
    let read = |setting: &str| {
        let config = problem.with(SMOOTH, &[plain, setting]);
        format!("{:#}", config.expect_err(setting))
    };
    for (list, part) in [
        ("model.weights=[]", "the list is empty"),
        ("model.weights=[\"a\", 3]", "a list of such strings"),
        ("model.weights=[\"a\", \"b\", \"a\"]", "a is listed twice"),
    ] {
        let error = read(list);
        assert!(
            error.contains("model.weights") && error.contains(part),
            "{error}"
        );
    }
    let list = "model.weights=[\"a.safetensors\", \"b.safetensors\"]";
    let config = problem.with(SMOOTH, &[plain, list])?;
    let error = crate::fit::check_savable(&config)
        .expect_err("several fits")
        .to_string();
    assert!(error.contains("that of one model"), "{error}");
    let of_any_width = SMOOTH.replace(", outputs = 6", "");
    let wider = SMOOTH.replace("outputs = 6", "outputs = 7");
    train(&problem.with(SMOOTH, &[plain, "model.weights=a.safetensors"])?)?;
    train(&problem.with(&wider, &[plain, "model.weights=b.safetensors"])?)?;
    let error = format!(
        "{:#}",
        influences(&problem.with(&of_any_width, &[plain, list])?).expect_err("two widths")
    );
    assert!(error.contains("model.weights[1]"), "{error}");
    let tracin = "method={ name = \"tracin\", checkpoints = [{ weights = \"a.safetensors\", learning_rate = 0.1 }] }";
    let error = format!(
        "{:#}",
        influences(&problem.with(SMOOTH, &[tracin, list])?).expect_err("two lists")
    );
    assert!(error.contains("method.checkpoints names models"), "{error}");
    Ok(())
}
