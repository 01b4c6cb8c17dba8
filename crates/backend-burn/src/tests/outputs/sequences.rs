//! Losses of sequences, position by position.

use super::*;

/// Embedded tokens mapped to logits at each position.
#[derive(Module, Debug)]
struct Sequence {
    tokens: Embedding,
    layer: Linear,
}

const LENGTH: usize = 5;
const CLASSES: usize = 3;

impl Sequence {
    fn new() -> Self {
        let device = Device::flex();
        let sequence = Self {
            tokens: EmbeddingConfig::new(6, 3).init(&device),
            layer: LinearConfig::new(3, CLASSES).init(&device),
        };
        settled(sequence, 3.0)
    }

    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.layer.forward(self.tokens.forward(tokens))
    }
}

/// How a loss of a sequence brings logits `(n, t, c)` and labels `(n, t)`, none below zero,
/// together: minus the log-probability `(n, t)` of each label.
type Picked = fn(Tensor<3>, Tensor<2, Int>) -> Tensor<2>;
/// What becomes of these and the targets.
type Reduced = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

struct Labelled {
    picked: Picked,
    reduced: Reduced,
    declared: OutputLoss,
}

impl Task for Labelled {
    type Module = Sequence;
    type Inputs = (Tensor<2, Int>, Tensor<2>);

    fn loss(&self, module: &Sequence, (tokens, targets): Self::Inputs) -> Tensor<1> {
        let labels = targets.clone().clamp_min(0.0).int();
        (self.reduced)((self.picked)(module.forward(tokens), labels), targets)
    }

    fn outputs(&self, module: &Sequence, (tokens, _): Self::Inputs) -> Option<Outputs> {
        let logits = module.forward(tokens);
        Some(Outputs::new(logits.flatten(1, 2), self.declared))
    }
}

fn by_position(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let picked = log_softmax(logits, 2).gather(2, labels.unsqueeze_dim(2));
    picked.neg().squeeze_dim(2)
}

/// As `PyTorch` has it, the classes along the second axis.
fn classes_second(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let picked = log_softmax(logits.swap_dims(1, 2), 1).gather(1, labels.unsqueeze_dim(1));
    picked.neg().squeeze_dim(1)
}

/// All positions of all samples in one column.
fn in_one_column(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let [n, t, classes] = logits.dims();
    let logs = log_softmax(logits.reshape([n * t, classes]), 1);
    let picked = logs.gather(1, labels.reshape([n * t, 1]));
    picked.neg().reshape([n, t])
}

fn mean(losses: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
    losses.mean_dim(1).squeeze_dim(1)
}

fn summed(losses: Tensor<2>, _: Tensor<2>) -> Tensor<1> {
    losses.sum_dim(1).squeeze_dim(1)
}

fn without_padding(losses: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let counted = targets.greater_equal_elem(0.0).float();
    let sum = (losses * counted.clone()).sum_dim(1);
    (sum / counted.sum_dim(1)).squeeze_dim(1)
}

/// Two of five positions are padding in seven of nine rows.
fn padded() -> TensorData {
    let label = |entry: usize| {
        let (row, position) = (entry / LENGTH, entry % LENGTH);
        if row >= 2 && position >= 3 {
            -100.0
        } else {
            ((entry * 5 + 2) % CLASSES) as f64
        }
    };
    let values: Vec<f64> = (0..SAMPLES * LENGTH).map(label).collect();
    TensorData::new(values, [SAMPLES, LENGTH])
}

fn sequences() -> TensorData {
    let tokens = (0..SAMPLES * LENGTH).map(|index| ((index * index + 3 * index) % 6) as i64);
    TensorData::new(tokens.collect::<Vec<i64>>(), [SAMPLES, LENGTH])
}

#[test]
fn sequences_are_averaged_summed_or_masked_as_in_their_loss() {
    let reduced: [(&str, Reduced, Second); 3] = [
        ("mean", mean, oracle::mean_over_positions),
        ("sum", summed, oracle::summed_over_positions),
        ("padding ignored", without_padding, oracle::padding_ignored),
    ];
    let picked: [Picked; 3] = [by_position, classes_second, in_one_column];
    for (name, reduced, second) in reduced {
        for picked in picked {
            for declared in [
                OutputLoss::SequenceCrossEntropy { classes: CLASSES },
                OutputLoss::Derived,
            ] {
                let task = Labelled {
                    picked,
                    reduced,
                    declared,
                };
                let name = format!("{name} as {declared:?}");
                agrees(
                    task,
                    &Sequence::new(),
                    &[sequences(), padded()],
                    second,
                    &name,
                );
            }
        }
    }
}
