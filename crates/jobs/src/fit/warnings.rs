//! What is said of a fit that is not quite what was asked for.

use std::path::Path;

use crate::{job::Job, watch::Watch};

/// How much of the way of a training its end may be away from weights that came of it: rounding
/// grows with the steps.
const SAME_TRAINING: f64 = 0.01;

/// Warns of gradients that are computed one by one.
pub(super) fn warn_of_untapped<'a>(parameters: impl Iterator<Item = &'a str>, watch: &dyn Watch) {
    for parameter in parameters {
        watch.warn(&format!(
            "the gradient of `{parameter}` is computed sample by sample, which is slow"
        ));
    }
}

/// Warns if a training of a member does not end at the weights of the job.
pub(super) fn warn_of_another_end(job: &Job, member: usize, trained: &[f64], watch: &dyn Watch) {
    let config = &job.config;
    let begin = job.untrained[member].parameters();
    let read = job.member(member).parameters();
    let apart = distance(trained, &read) / distance(&read, &begin);
    if apart.is_nan() || apart > SAME_TRAINING {
        let file = config.model.members()[member].unwrap_or(Path::new(""));
        watch.warn(&format!(
            "the training of the configuration, with the seed {}, does not end at the weights in {}: it ends {:.1} % of the way that it goes away from them; the influences are those of this training and not those on that model; run `influence train`, or give [train] and seed the values that the model was trained with",
            config.member_seed(member),
            file.display(),
            100.0 * apart
        ));
    }
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}
