//! How good outputs are: accuracy and R², and whether that is better than chance.

mod tally;

use std::fmt::{self, Display};

pub(super) use tally::Tally;

/// Of fewer points nothing is concluded.
const FEW: usize = 10;
/// A difference of this many standard errors is no accident.
const MARGIN: f64 = 2.0;

/// How good the outputs of a model are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// They choose among classes.
    Classes(Classes),
    /// They are numbers.
    Values(PredictedValues),
    /// The task does not say what they are, or targets are of another shape.
    Unknown,
}

/// How well classes are chosen. Of several choices for a sample (positions of a sequence, yes or no
/// of several outputs) each counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classes {
    /// The share of right choices.
    pub accuracy: f64,
    /// The share that the most frequent class has: what a constant choice gets right.
    pub chance: f64,
    /// How many choices there are.
    choices: usize,
    /// The mean cross-entropy of the outputs.
    entropy: f64,
    /// That of the frequencies of the classes: the best constant prediction.
    constant: f64,
    /// The standard error of the difference of the two.
    error: f64,
    /// Whether they are chosen at each position of a sequence.
    sequence: bool,
}

/// How well numbers are predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictedValues {
    /// The share of the variance that is explained, mean over the outputs whose targets vary;
    /// negative if the mean would be better.
    pub r2: f64,
    /// The least and the largest of an output.
    range: [f64; 2],
    /// How many outputs that are.
    outputs: usize,
    points: usize,
    /// The mean squared error, over all outputs.
    error: f64,
    /// That of the means of the targets: the best constant prediction.
    constant: f64,
}

/// What is wrong with a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// This many losses are not finite.
    NotFinite(usize),
    /// It knows nothing of the targets.
    Chance,
    /// It knows something, and a constant prediction has a smaller loss.
    Loss { own: f64, constant: f64 },
}

impl Score {
    /// The share of right choices, if classes are chosen.
    pub fn accuracy(&self) -> Option<f64> {
        match self {
            Self::Classes(classes) => Some(classes.accuracy),
            _ => None,
        }
    }

    /// The share of the most frequent class, if classes are chosen.
    pub fn chance(&self) -> Option<f64> {
        match self {
            Self::Classes(classes) => Some(classes.chance),
            _ => None,
        }
    }

    /// The share of the variance that is explained, mean over outputs, if they are numbers.
    pub fn r2(&self) -> Option<f64> {
        match self {
            Self::Values(values) => Some(values.r2),
            _ => None,
        }
    }

    /// The exponential of the mean cross-entropy, if classes are chosen at each position of a
    /// sequence.
    pub fn perplexity(&self) -> Option<f64> {
        match self {
            Self::Classes(classes) => classes.sequence.then(|| classes.entropy.exp()),
            _ => None,
        }
    }

    /// The loss of the best constant prediction.
    pub(super) fn constant(&self) -> Option<f64> {
        match self {
            Self::Classes(classes) => Some(classes.constant),
            Self::Values(values) => Some(values.constant),
            Self::Unknown => None,
        }
    }

    /// What is wrong, if that can be told.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Classes(classes) => classes.fault(),
            Self::Values(values) => values.fault(),
            Self::Unknown => None,
        }
    }
}

impl Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(classes) => {
                write!(f, "accuracy {:.1} %", 100.0 * classes.accuracy)?;
                match self.perplexity() {
                    Some(perplexity) => write!(f, ", perplexity {perplexity:.2}"),
                    None => Ok(()),
                }
            }
            Self::Values(PredictedValues {
                r2,
                range: [least, most],
                outputs,
                ..
            }) => {
                write!(f, "R² {r2:.4}")?;
                match outputs {
                    1 => Ok(()),
                    _ => write!(f, " (mean of {outputs} outputs, {least:.4} to {most:.4})"),
                }
            }
            Self::Unknown => write!(f, "nothing known of the outputs"),
        }
    }
}

impl Classes {
    /// A model knows something if it is right more often than chance, or its cross-entropy is
    /// smaller than that of a constant, beyond accident.
    fn fault(&self) -> Option<Fault> {
        let Self {
            accuracy, chance, ..
        } = *self;
        if self.choices < FEW || chance >= 1.0 {
            return None;
        }
        let margin = MARGIN * (chance * (1.0 - chance) / self.choices as f64).sqrt();
        let (gain, doubt) = (self.constant - self.entropy, MARGIN * self.error);
        if accuracy <= chance + margin && (gain <= doubt || gain.is_nan()) {
            return Some(Fault::Chance);
        }
        (-gain > doubt).then_some(Fault::Loss {
            own: self.entropy,
            constant: self.constant,
        })
    }
}

impl PredictedValues {
    fn fault(&self) -> Option<Fault> {
        if self.points < FEW {
            return None;
        }
        if self.r2 <= 0.0 || self.r2.is_nan() {
            return Some(Fault::Chance);
        }
        (self.error > self.constant).then_some(Fault::Loss {
            own: self.error,
            constant: self.constant,
        })
    }
}

#[cfg(test)]
mod tests;
