//! A training as the backend unrolls it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use influence_backend_burn::{TrainingStep, TrainingSteps, UpdateRule};
use influence_calculators::Prefetch;
use influence_core::{Error as CoreError, block::ParameterLayout};
use influence_data::{Gather, Samples, key::KeyError};

use super::Course;
use crate::{
    config::{Optimiser, Training},
    fit_settings::FitSettings,
};

/// The steps that [`descend`](super::descend) takes with these settings and this seed.
pub(super) fn descent(
    settings: &Training,
    seed: u64,
    train: &Arc<Prefetch<Samples>>,
) -> TrainingSteps {
    let course = Course {
        settings,
        seed,
        points: train.inner(),
        weights: None,
    };
    let mut orders = course.orders();
    let mut steps = Vec::new();
    for _ in 0..settings.epochs {
        for batch in orders.next().chunks(settings.batch) {
            steps.push(TrainingStep {
                batch: batch.to_vec(),
                learning_rate: settings.rate(steps.len(), course.steps()),
            });
        }
    }
    let points = Arc::clone(train);
    TrainingSteps {
        samples: train.inner().count(),
        gather: Arc::new(move |chosen| points.inner().gather(chosen).map_err(CoreError::dataset)),
        steps,
        rule: rule(settings),
        weight_decay: settings.weight_decay,
    }
}

/// How a step follows from its gradient.
pub(crate) fn rule(settings: &Training) -> UpdateRule {
    match settings.optimiser {
        Optimiser::Adam => UpdateRule::ADAM,
        #[expect(clippy::cast_possible_truncation, reason = "burn keeps it in 32 bits")]
        Optimiser::Sgd => UpdateRule::Sgd {
            momentum: settings.momentum as f32,
        },
    }
}

/// A single step along the gradient of the first batch, which has the length 1.
pub(super) fn first_step(descent: &TrainingSteps) -> TrainingSteps {
    let first = descent.steps.iter().take(1);
    TrainingSteps {
        steps: first
            .map(|step| TrainingStep {
                batch: step.batch.clone(),
                learning_rate: 1.0,
            })
            .collect(),
        rule: UpdateRule::Sgd { momentum: 0.0 },
        weight_decay: 0.0,
        ..descent.clone()
    }
}

/// The settings of a training that is such a step on that batch alone.
pub(super) fn of_one_step(settings: &Training, batch: usize) -> Training {
    Training {
        optimiser: Optimiser::Sgd,
        learning_rate: 1.0,
        momentum: 0.0,
        weight_decay: 0.0,
        epochs: 1,
        batch,
        ..settings.clone()
    }
}

/// Refuses a model whose first step is another one when it is trained than when it is recorded.
pub(super) fn check_step(
    settings: &FitSettings,
    layout: &ParameterLayout,
    begin: &[f64],
    [recorded, trained]: [&[f64]; 2],
) -> Result<()> {
    /// How much of the longest step a difference may be: burn approximates some derivatives.
    const TOLERANCE: f64 = 1e-2;
    /// How much of the largest parameter rounding may change.
    const ROUNDING: f64 = 1e-6;
    let largest =
        |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |a: f64, b| a.max(b.abs()));
    let apart =
        |one: &[f64], other: &[f64]| largest(&mut one.iter().zip(other).map(|(a, b)| a - b));
    let allowed =
        TOLERANCE * apart(trained, begin) + ROUNDING * largest(&mut begin.iter().copied());
    for (index, parameter) in layout.parameters().iter().enumerate() {
        let columns = layout.columns(index);
        ensure!(
            apart(&recorded[columns.clone()], &trained[columns]) <= allowed,
            KeyError::new(
                "method.name",
                format_args!(
                    "{} cannot follow the training of this model: the first step of `{}` is another one than that along its gradient, as with dropout or batch norm, which act otherwise while a model is trained; take another method",
                    settings.method_name(),
                    parameter.name
                )
            )
        );
    }
    Ok(())
}
