//! Unlearning in place of retraining: the proximal Bregman response to the removal of points, which
//! is what influences of networks approximate. It has no seed and no noise.

use anyhow::Result;
use ndarray::{Axis, s};
use serde_json::json;

use super::{
    attribution::Contest,
    drawn::Scatter,
    loo::{chosen_of, statistics},
    outcome::{Evaluation, Finding},
};
use crate::proximal::proximal_responses;

/// What is minimised, in words.
const OBJECTIVE: &str = "proximal Bregman objective (Bae et al. 2022) from the trained weights, with the damping of the configured method";
/// The formula of the prediction.
const DIVISOR: &str = "n: influence / n";

/// Training points that are unlearnt, one at a time.
#[derive(Debug, Clone)]
pub struct Unlearning {
    points: Vec<usize>,
}

impl Unlearning {
    /// Chooses points as [`LeaveOneOut`](super::LeaveOneOut) does.
    ///
    /// # Errors
    /// When there are too few points, or their influences cannot be computed.
    pub fn choose(contest: &Contest<'_>, count: usize) -> Result<Self> {
        let points = chosen_of(contest, count, &format!("--pbrf {count}: unlearn"))?;
        Ok(Self { points })
    }

    /// Unlearns the points, and rates attributions by what that does to the test points.
    ///
    /// # Errors
    /// As [`proximal_responses`], and whatever a fit or a computation reports.
    pub fn rate(&self, contest: &Contest<'_>) -> Result<Evaluation> {
        let job = contest.job(contest.configured().clone())?;
        let responses = proximal_responses(&job, &self.points, &*contest.host.watch())?;
        let actual = responses.slice(s![.., ..contest.rows]).t().to_owned();
        let mut findings = Vec::new();
        contest.each(false, &Ok, &mut |attribution| {
            let predicted = attribution.influences.select(Axis(1), &self.points);
            let predicted = predicted / contest.points as f64;
            let baseline = attribution.is_baseline;
            let statistics = statistics(&predicted, &actual, contest.seed(), baseline);
            let pooled = || vec![Scatter::pooled(&predicted, &actual, contest.seed())];
            findings.push(Finding::of(attribution, statistics).with_scatters(pooled));
            Ok(())
        })?;
        let about = json!({
            "unlearnt": self.points,
            "test_points": contest.rows,
            "objective": OBJECTIVE,
            "divisor": DIVISOR,
            "intervals": "95 %, resampling points unlearnt, and test points for means over these",
        });
        Ok(Evaluation::new("pbrf", about, findings))
    }
}
