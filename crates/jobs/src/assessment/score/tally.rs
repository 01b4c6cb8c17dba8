//! Outputs and targets, counted.

use std::collections::BTreeMap;

use influence_backend_burn::{EvaluatedOutputs, OutputLoss};
use influence_core::Values as Targets;
use ndarray::ArrayView1;

use super::{Classes, PredictedValues, Score};
use crate::prediction::largest;

/// Outputs and targets, as they come.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    choices: Vec<Choice>,
    /// Whether there are choices at each position of a sequence.
    sequence: bool,
    /// Outputs and targets of each sample.
    values: Vec<Pair>,
    /// Samples of which nothing counts.
    uncounted: usize,
}

/// What the model says of a sample, and what it was to say.
type Pair = (Vec<f64>, Vec<f64>);

/// One choice of a class.
#[derive(Debug, Clone, Copy)]
struct Choice {
    /// The output, where several have frequencies of their own.
    question: usize,
    right: bool,
    class: usize,
    /// The cross-entropy.
    entropy: f64,
}

impl Tally {
    /// Adds the outputs and targets of some samples; those that do not fit each other, and what has
    /// no weight in the loss, are left out.
    pub(crate) fn add(&mut self, outputs: &EvaluatedOutputs, targets: &Targets) {
        let values = &outputs.values;
        if let Some(weights) = &outputs.weights {
            let none = |row: &ArrayView1<'_, f64>| row.iter().all(|&weight| weight == 0.0);
            self.uncounted += weights.rows().into_iter().filter(none).count();
        }
        match outputs.loss {
            OutputLoss::CrossEntropy => self.choose(outputs, values.ncols(), targets),
            OutputLoss::SequenceCrossEntropy { classes } => {
                self.sequence = true;
                self.choose(outputs, classes, targets);
            }
            OutputLoss::BinaryCrossEntropy => self.decide(outputs, targets),
            OutputLoss::MeanSquaredError if targets.len() == values.len() => {
                self.compare(outputs, targets);
            }
            _ => {}
        }
    }

    /// One of this many classes, once or at each position.
    fn choose(&mut self, outputs: &EvaluatedOutputs, classes: usize, targets: &Targets) {
        let positions = outputs.values.ncols() / classes.max(1);
        if targets.len() != outputs.values.nrows() * positions {
            return;
        }
        // Positions that are masked have no class, or no weight.
        let mut labels = targets.integers();
        for (sample, row) in outputs.values.rows().into_iter().enumerate() {
            let row = row.to_vec();
            for (position, scores) in row.chunks_exact(classes.max(1)).enumerate() {
                let class = labels.next().and_then(|class| usize::try_from(class).ok());
                let own = class.and_then(|class| Some((class, scores.get(class)?)));
                let Some((class, own)) = own.filter(|_| counts(outputs, sample, position)) else {
                    continue;
                };
                self.choices.push(Choice {
                    question: 0,
                    right: largest(scores.iter().copied()) == Some(class),
                    class,
                    entropy: log_sum_exp(scores) - own,
                });
            }
        }
    }

    /// Yes or no for each output.
    fn decide(&mut self, outputs: &EvaluatedOutputs, targets: &Targets) {
        if targets.len() != outputs.values.len() {
            return;
        }
        let numbers = outputs.values.indexed_iter().zip(targets.floats());
        let choices = numbers.filter_map(|(((sample, question), &score), target)| {
            let yes = match target {
                0.0 => false,
                1.0 => true,
                _ => return None,
            };
            counts(outputs, sample, question).then(|| Choice {
                question,
                right: (score > 0.0) == yes,
                class: usize::from(yes),
                entropy: log_sum_exp(&[0.0, score]) - if yes { score } else { 0.0 },
            })
        });
        self.choices.extend(choices);
    }

    /// Numbers, of the samples all of whose numbers count.
    fn compare(&mut self, outputs: &EvaluatedOutputs, targets: &Targets) {
        let columns = outputs.values.ncols().max(1);
        let targets: Vec<f64> = targets.floats().collect();
        let rows = outputs.values.rows().into_iter();
        for (sample, (row, target)) in rows.zip(targets.chunks(columns)).enumerate() {
            if (0..columns).all(|output| counts(outputs, sample, output)) {
                self.values.push((row.to_vec(), target.to_vec()));
            }
        }
    }

    /// How many samples there were of which nothing counts.
    pub(crate) fn uncounted(&self) -> usize {
        self.uncounted
    }

    pub(crate) fn score(&self) -> Score {
        if !self.choices.is_empty() {
            return Score::Classes(Classes {
                sequence: self.sequence,
                ..classes(&self.choices)
            });
        }
        values(&self.values).map_or(Score::Unknown, Score::Values)
    }
}

/// Whether an output or position of a sample has a weight in the loss.
fn counts(outputs: &EvaluatedOutputs, sample: usize, position: usize) -> bool {
    outputs.weights.as_ref().is_none_or(|weights| {
        let column = if weights.ncols() == 1 { 0 } else { position };
        weights[[sample, column]] != 0.0
    })
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
        sequence: false,
    }
}

/// None where no target varies.
fn values(pairs: &[Pair]) -> Option<PredictedValues> {
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
    Some(PredictedValues {
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
