//! How good outputs are: accuracy and R², and whether that is better than chance.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use burn::tensor::TensorData;
use influence_backend_burn::OutputLoss;
use ndarray::{Array2, ArrayView1};

use crate::prediction::largest;

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
    Values(Values),
    /// The task does not say what they are, or targets are of another shape.
    Unknown,
}

/// How well classes are chosen. Of several choices for a sample (positions of a sequence, yes or no of several outputs) each counts.
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
}

/// How well numbers are predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// The share of the variance that is explained, mean over the outputs whose targets vary; negative if the mean would be better.
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
            Self::Classes(classes) => write!(f, "accuracy {:.1} %", 100.0 * classes.accuracy),
            Self::Values(Values {
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
    /// A model knows something if it is right more often than chance, or its cross-entropy is smaller than that of a constant, beyond accident.
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

impl Values {
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

/// Outputs and targets, as they come.
#[derive(Debug, Default)]
pub(super) struct Tally {
    choices: Vec<Choice>,
    /// Outputs and targets of each sample.
    values: Vec<Pair>,
}

/// What the model says of a sample, and what it was to say.
type Pair = (Vec<f64>, Vec<f64>);

/// One choice of a class.
#[derive(Debug, Clone, Copy)]
struct Choice {
    /// Among several questions with frequencies of their own, which one.
    question: usize,
    right: bool,
    class: usize,
    /// The cross-entropy.
    entropy: f64,
}

impl Tally {
    /// Takes the outputs and targets of some samples; what does not fit each other is left out.
    pub(super) fn add(&mut self, outputs: &Array2<f64>, loss: OutputLoss, targets: &TensorData) {
        match loss {
            OutputLoss::CrossEntropy => self.choose(outputs, outputs.ncols(), targets),
            OutputLoss::SequenceCrossEntropy { classes } => self.choose(outputs, classes, targets),
            OutputLoss::BinaryCrossEntropy => self.decide(outputs, targets),
            OutputLoss::MeanSquaredError if targets.num_elements() == outputs.len() => {
                let columns = outputs.ncols().max(1);
                let targets: Vec<f64> = targets.iter::<f64>().collect();
                let rows = outputs.rows().into_iter().zip(targets.chunks(columns));
                self.values
                    .extend(rows.map(|(row, target)| (row.to_vec(), target.to_vec())));
            }
            _ => {}
        }
    }

    /// One of this many classes, once or at each position.
    fn choose(&mut self, outputs: &Array2<f64>, classes: usize, targets: &TensorData) {
        let groups: Vec<Vec<f64>> = outputs
            .rows()
            .into_iter()
            .flat_map(|row| {
                let row = row.to_vec();
                row.chunks(classes.max(1))
                    .map(<[f64]>::to_vec)
                    .collect::<Vec<_>>()
            })
            .collect();
        if targets.num_elements() != groups.len() {
            return;
        }
        // Positions that are masked have no class.
        let choices = groups.iter().zip(targets.iter::<i64>());
        let choices = choices.filter_map(|(scores, class)| {
            let class = usize::try_from(class).ok()?;
            let own = scores.get(class)?;
            Some(Choice {
                question: 0,
                right: largest(scores.iter().copied()) == Some(class),
                class,
                entropy: log_sum_exp(scores) - own,
            })
        });
        self.choices.extend(choices);
    }

    /// Yes or no for each output.
    fn decide(&mut self, outputs: &Array2<f64>, targets: &TensorData) {
        if targets.num_elements() != outputs.len() {
            return;
        }
        let numbers = outputs.indexed_iter().zip(targets.iter::<f64>());
        let choices = numbers.filter_map(|(((_, question), &score), target)| {
            let yes = match target {
                0.0 => false,
                1.0 => true,
                _ => return None,
            };
            Some(Choice {
                question,
                right: (score > 0.0) == yes,
                class: usize::from(yes),
                entropy: log_sum_exp(&[0.0, score]) - if yes { score } else { 0.0 },
            })
        });
        self.choices.extend(choices);
    }

    pub(super) fn score(&self) -> Score {
        if !self.choices.is_empty() {
            return Score::Classes(classes(&self.choices));
        }
        values(&self.values).map_or(Score::Unknown, Score::Values)
    }
}

fn classes(choices: &[Choice]) -> Classes {
    let mut counts: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
    for choice in choices {
        let question = counts.entry(choice.question).or_default();
        *question.entry(choice.class).or_default() += 1;
    }
    let count = choices.len() as f64;
    let most = counts
        .values()
        .filter_map(|question| question.values().max());
    let surprise = |choice: &Choice| {
        let question = &counts[&choice.question];
        let all: usize = question.values().sum();
        (all as f64 / question[&choice.class] as f64).ln()
    };
    let mean = |of: &dyn Fn(&Choice) -> f64| choices.iter().map(of).sum::<f64>() / count;
    let (entropy, constant) = (mean(&|choice| choice.entropy), mean(&surprise));
    let gain = constant - entropy;
    let spread = mean(&|choice| (surprise(choice) - choice.entropy - gain).powi(2));
    Classes {
        accuracy: mean(&|choice| f64::from(u8::from(choice.right))),
        chance: most.sum::<usize>() as f64 / count,
        choices: choices.len(),
        entropy,
        constant,
        error: (spread / count).sqrt(),
    }
}

/// None where no target varies.
fn values(pairs: &[Pair]) -> Option<Values> {
    let outputs = pairs.first()?.1.len();
    let count = pairs.len() as f64;
    let (mut scores, mut error, mut constant) = (Vec::new(), 0.0, 0.0);
    for output in 0..outputs {
        let mean = pairs.iter().map(|(_, target)| target[output]).sum::<f64>() / count;
        let squares =
            |of: &dyn Fn(&Pair) -> f64| pairs.iter().map(|pair| of(pair).powi(2)).sum::<f64>();
        let residual = squares(&|(said, target)| said[output] - target[output]);
        let total = squares(&|(_, target)| target[output] - mean);
        error += residual / count;
        constant += total / count;
        if total > 0.0 {
            scores.push(1.0 - residual / total);
        }
    }
    let scores = ArrayView1::from(&scores[..]);
    Some(Values {
        r2: scores.mean()?,
        range: [
            scores.fold(f64::INFINITY, |least, &score| least.min(score)),
            scores.fold(f64::NEG_INFINITY, |most, &score| most.max(score)),
        ],
        outputs: scores.len(),
        points: pairs.len(),
        error: error / outputs as f64,
        constant: constant / outputs as f64,
    })
}

fn log_sum_exp(scores: &[f64]) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn score(outputs: &Array2<f64>, loss: OutputLoss, targets: &TensorData) -> Score {
        let mut tally = Tally::default();
        tally.add(outputs, loss, targets);
        tally.score()
    }

    fn close(value: Option<f64>, expected: f64) {
        let value = value.expect("it is known");
        assert!(
            (value - expected).abs() < 1e-12,
            "{value} is not {expected}"
        );
    }

    #[test]
    fn positions_of_a_sequence_are_choices_of_their_own_and_masked_ones_none() {
        let outputs = array![[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 3.0]];
        let targets = TensorData::new(vec![1_i64, 1, 0, -100], [2, 2]);
        let loss = OutputLoss::SequenceCrossEntropy { classes: 2 };
        let score = score(&outputs, loss, &targets);
        close(score.accuracy(), 2.0 / 3.0);
        close(score.chance(), 2.0 / 3.0);
    }

    #[test]
    fn yes_and_no_have_frequencies_by_output() {
        let outputs = array![[1.0, -2.0], [3.0, -1.0], [-1.0, 1.0], [2.0, -4.0]];
        let targets = TensorData::new(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0], [4, 2]);
        let score = score(&outputs, OutputLoss::BinaryCrossEntropy, &targets);
        // The first output is right on two of four, the second on two.
        close(score.accuracy(), 0.5);
        close(score.chance(), 0.75);
        // −¾ ln ¾ − ¼ ln ¼ for both outputs.
        close(score.constant(), 0.562_335_144_618_808_3);
    }

    #[test]
    fn the_explained_variance_is_a_mean_over_outputs_that_vary() {
        let outputs = array![[1.0, 0.0, 5.0], [2.0, 0.0, 5.0], [4.0, 3.0, 4.0]];
        let targets = TensorData::new(vec![1.0, 1.0, 5.0, 2.0, 2.0, 5.0, 3.0, 3.0, 5.0], [3, 3]);
        let score = score(&outputs, OutputLoss::MeanSquaredError, &targets);
        // 1 − 1/2, 1 − 5/2, and a target that does not vary.
        close(score.r2(), -0.5);
        assert_eq!(
            score.to_string(),
            "R² -0.5000 (mean of 2 outputs, -1.5000 to 0.5000)"
        );
    }

    /// Fifty points, as many of either class, of which so many are right and outputs so far apart.
    fn of(right: usize, apart: f64) -> Option<Fault> {
        let outputs = Array2::from_shape_fn((50, 2), |(point, class)| {
            let chosen = (point % 2 == class) == (point < right);
            if chosen { apart } else { 0.0 }
        });
        let targets: Vec<i64> = (0..50).map(|point| point % 2).collect();
        score(
            &outputs,
            OutputLoss::CrossEntropy,
            &TensorData::new(targets, [50]),
        )
        .fault()
    }

    #[test]
    fn chance_has_a_margin_and_confidence_a_price() {
        assert_eq!(of(48, 3.0), None);
        assert_eq!(of(0, 3.0), Some(Fault::Chance));
        // 32 of 50 are right: within two standard errors, and not worth the confidence.
        assert_eq!(of(32, 1.0), Some(Fault::Chance));
        assert_eq!(of(33, 0.5), None);
        // Right more often than chance, and sure of it when wrong.
        assert!(matches!(of(40, 30.0), Some(Fault::Loss { .. })));
    }

    #[test]
    fn of_few_points_or_a_single_class_nothing_is_concluded() {
        let fault = |points: usize, class: i64| {
            let outputs = Array2::from_shape_fn((points, 2), |(_, class)| class as f64);
            let targets = TensorData::new(vec![class; points], [points]);
            score(&outputs, OutputLoss::CrossEntropy, &targets).fault()
        };
        assert_eq!([fault(9, 0), fault(50, 0), fault(50, 1)], [None; 3]);
    }
}
