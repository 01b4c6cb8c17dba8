//! Which training points deserve to be looked at first: three rankings, and when each is the good
//! one.
//!
//! | ranking | looked at first | good when |
//! |---|---|---|
//! | loss | the largest training loss | the model does not fit wrong labels: they keep a large loss |
//! | self-influence | the largest `⟨(H+λI)⁻¹g, g⟩` | always near the loss; better where labels were memorised |
//! | mean influence | the most harmful on the test points | the model has memorised wrong labels, whose loss is then small |
//!
//! A regularised network keeps a large loss where a label is wrong, and no influence ranks better
//! than that loss. A network that has learned every label gives wrong ones a small loss, too; their
//! harm to clean test points remains. Hence the default: the loss, unless the model has learned
//! nearly all of its training labels.

use std::path::Path;

use anyhow::{Result, ensure};
use influence_core::aggregate::{Along, Mean};
use ndarray::Array1;

use super::{points::Evaluated, stored::Stored};

/// From this share of its own training labels on, a model is taken to have memorised them.
const MEMORISED: f64 = 0.99;

/// What training points are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The training loss, the largest first.
    Loss,
    /// The influence on themselves, the largest first.
    SelfInfluence,
    /// The mean influence on the test points, the most harmful first.
    Mean,
}

impl By {
    /// The column of listings.
    pub fn column(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::SelfInfluence => "self_influence",
            Self::Mean => "mean_influence",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::SelfInfluence => "self-influence",
            Self::Mean => "mean influence",
        }
    }
}

/// A score of each training point, by which it is more or less suspicious.
#[derive(Debug)]
pub struct Suspicion {
    /// What the score is.
    pub by: By,
    /// The score of each training point, `(n)`.
    pub scores: Array1<f64>,
}

impl Suspicion {
    /// What an output tells: self-influences, or mean influences on the test points.
    ///
    /// # Errors
    /// When the output is not complete, or has several numbers for a pair of points.
    pub fn read(stored: &Stored) -> Result<Self> {
        stored.check_complete()?;
        let (own, shape) = (
            stored.influences.array() == "self_influences",
            stored.influences.shape(),
        );
        ensure!(
            shape.len() == if own { 1 } else { 2 },
            "{}: expected one number for each pair of points, got the shape {shape:?}",
            stored.shown()
        );
        let (by, along) = if own {
            (By::SelfInfluence, Along::Train)
        } else {
            (By::Mean, Along::Test)
        };
        let scores = stored.influences.compute(Mean::along(along))?;
        Ok(Self { by, scores })
    }

    /// The training losses.
    pub fn of_losses(losses: &[f64]) -> Self {
        Self {
            by: By::Loss,
            scores: Array1::from(losses.to_vec()),
        }
    }

    /// The training points, the most suspicious first; ties in the order of their numbers.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| {
            let by_score = self.scores[a].total_cmp(&self.scores[b]);
            let by_score = match self.by {
                By::Mean => by_score,
                By::Loss | By::SelfInfluence => by_score.reverse(),
            };
            by_score.then(a.cmp(&b))
        });
        order
    }

    /// The first points in that order.
    pub fn first(&self, count: usize) -> Vec<usize> {
        let mut order = self.order();
        order.truncate(count);
        order
    }
}

/// The output of `influence self` of the same training points.
///
/// # Errors
/// When it is another output, or one of other points.
pub fn self_influences(path: &Path, expected: usize) -> Result<Suspicion> {
    let stored = Stored::open(path)?;
    ensure!(
        stored.influences.array() == "self_influences",
        "{}: expected an output of `influence self`, got one of `{}`",
        stored.shown(),
        stored.influences.array()
    );
    let own = Suspicion::read(&stored)?;
    ensure!(
        own.scores.len() == expected,
        "{}: expected self-influences of the same {expected} training points, got {}",
        stored.shown(),
        own.scores.len()
    );
    Ok(own)
}

/// The ranking to begin with, and why.
pub fn advised(known: &[By], about: Option<&Evaluated<'_>>) -> (By, String) {
    let influence = if known.contains(&By::Mean) {
        By::Mean
    } else {
        By::SelfInfluence
    };
    let Some(about) = about.filter(|_| known.contains(&By::Loss)) else {
        let why = "the output does not say what it was made from, so losses are not known";
        return (influence, why.into());
    };
    match about.accuracy() {
        None => (
            By::Loss,
            "targets are numbers: the largest losses are outliers".into(),
        ),
        Some(share) if share < MEMORISED => (
            By::Loss,
            format!(
                "the model gets {} of its training labels right, so wrong ones keep a large loss",
                percent(share)
            ),
        ),
        Some(share) => (
            influence,
            format!(
                "the model gets {} of its training labels right: if some are wrong, it has memorised them, and their loss is small",
                percent(share)
            ),
        ),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
