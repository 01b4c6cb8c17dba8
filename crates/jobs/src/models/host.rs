//! Training on the host, by the same steps as [`descend`](super::descend).

use anyhow::Result;
use influence_backend_burn::{HostMlp, HostSteps, StepRule};

use super::{course::Course, descent::check_finite};
use crate::config::{Optimiser, Training};

/// The most products of a step, samples times parameters: networks that take more are trained by
/// burn, which spreads a step over all threads.
pub(super) const WORK: usize = 1 << 26;

/// Minimises the mean loss of a perceptron on the host; `after` is called with the number and the
/// mean loss of each epoch.
pub(super) fn descend(
    network: &mut HostMlp,
    course: &Course<'_>,
    after: &mut dyn FnMut(usize, f64, &HostMlp) -> Result<()>,
) -> Result<()> {
    course.check()?;
    let settings = course.settings;
    let mut orders = course.orders();
    let mut steps = HostSteps::new(rule(settings), settings.weight_decay);
    let mut taken = 0;
    for number in 1..=settings.epochs {
        let order = orders.next();
        let mut sum = 0.0;
        for chosen in order.chunks(settings.batch) {
            let batch = course.points.gather(chosen)?;
            let weights = course.weights_of(chosen);
            sum += network.differentiate(&batch, weights.as_deref())? * chosen.len() as f64;
            steps.take(network, settings.rate(taken, course.steps()));
            taken += 1;
        }
        let loss = sum / order.len() as f64;
        check_finite(loss, number, settings)?;
        after(number, loss, network)?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the weights have 32 bits")]
fn rule(settings: &Training) -> StepRule {
    match settings.optimiser {
        Optimiser::Adam => StepRule::Adam,
        Optimiser::Sgd => StepRule::Sgd {
            momentum: settings.momentum as f32,
        },
    }
}

#[cfg(test)]
mod tests;
