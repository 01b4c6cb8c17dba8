//! What is asked of a task: the loss and the measurement.

use std::fmt::{self, Display};

use crate::{Error, Result};

/// The training loss of a network: of what kind, and which targets count how much.
///
/// # Examples
/// ```
/// use influence_onnx::{LossKind, NetworkLoss};
///
/// let loss = NetworkLoss {
///     ignore: Some(-100),
///     ..NetworkLoss::new(LossKind::SequenceCrossEntropy)
/// };
/// assert_eq!(loss.kind.to_string(), "sequence-cross-entropy");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkLoss {
    /// What is computed of an output and its target.
    pub kind: LossKind,
    /// The target that does not count, such as -100; it may be the number of a class, too.
    ///
    /// The loss of a sample is the mean over what counts of it; a sample of which nothing counts
    /// has a loss of 0. Of numbers, those equal to it do not count.
    pub ignore: Option<i64>,
    /// A weight for each class, at least 0; for losses of classes.
    ///
    /// As in PyTorch, the mean over the positions of a sequence is weighted: the sum of `w_y` times
    /// the cross-entropy, over the sum of `w_y`. With one class for each sample
    /// ([`LossKind::CrossEntropy`]) there is no such sum, and the loss of a sample is `w_y` times
    /// its cross-entropy.
    pub class_weights: Option<Vec<f64>>,
    /// Label smoothing `ε` in `[0, 1)`; for losses of classes.
    ///
    /// As in PyTorch, the label is `1 - ε` its class and `ε / c` each of the `c` classes. Together
    /// with class weights, each class has its own weight.
    pub label_smoothing: f64,
}

impl NetworkLoss {
    /// A loss in which every target counts, as it is.
    pub fn new(kind: LossKind) -> Self {
        Self {
            kind,
            ignore: None,
            class_weights: None,
            label_smoothing: 0.0,
        }
    }

    /// Checks the settings that need no network.
    ///
    /// # Errors
    /// [`Error::Setting`] when one does not belong to this kind of loss, or is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        let kind = self.kind;
        let refuse = |what: &str, belongs: &str| {
            Err(Error::Setting(format!(
                "{what} belongs to {belongs}, the loss is `{kind}`"
            )))
        };
        if !kind.has_classes() && self.class_weights.is_some() {
            return refuse("class_weights", "losses of classes");
        }
        if !kind.has_classes() && self.label_smoothing != 0.0 {
            return refuse("label_smoothing", "losses of classes");
        }
        if kind == LossKind::InFile && self.ignore.is_some() {
            return refuse("ignore", "losses that are computed here");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::Setting(format!(
                "label_smoothing is at least 0 and below 1, got {}",
                self.label_smoothing
            )));
        }
        let weights = self.class_weights.iter().flatten();
        match weights.enumerate().find(|(_, weight)| !is_weight(**weight)) {
            None => Ok(()),
            Some((class, weight)) => Err(Error::Setting(format!(
                "class_weights are finite numbers from 0, class {class} (counted from 0) has {weight}"
            ))),
        }
    }
}

fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight >= 0.0
}

/// A kind of loss. Outputs of samples are along the first axis, `n` samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// `cross-entropy`: of the softmax of outputs `(n, c)`; targets are class numbers `(n)`.
    CrossEntropy,
    /// `mse`: squared error, mean over the outputs of a sample; targets are shaped like the
    /// outputs, or are `(n)` where there is one for each sample.
    MeanSquaredError,
    /// `binary-cross-entropy`: of the sigmoids of the outputs, mean over those of a sample; targets
    /// from 0 to 1, shaped as for [`MeanSquaredError`](Self::MeanSquaredError).
    BinaryCrossEntropy,
    /// `sequence-cross-entropy`: of the softmax of outputs `(n, t, c)` at each position, mean over
    /// the positions; targets are class numbers `(n, t)`.
    SequenceCrossEntropy,
    /// `next-token`: the same, where the targets are the tokens that the network reads, shifted by
    /// one: outputs at position `j` predict token `j + 1`. There are no targets besides the inputs,
    /// and the outputs at the last position count for nothing.
    ///
    /// The tokens are the input `input_ids`, or else the first integer input `(n, t)` that is not
    /// called `attention_mask`, `position_ids` or `token_type_ids`. Tokens where an input
    /// `attention_mask` `(n, t)` is 0 are no targets.
    NextToken,
    /// `output`: the output is the loss of each sample, `(n)` or `(n, 1)`; whatever targets it
    /// needs are inputs of the network. Such a loss has a Hessian, but no Gauss-Newton or Fisher
    /// matrix, which need the outputs from which the loss is computed.
    InFile,
}

impl LossKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CrossEntropy,
        Self::MeanSquaredError,
        Self::BinaryCrossEntropy,
        Self::SequenceCrossEntropy,
        Self::NextToken,
        Self::InFile,
    ];

    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::MeanSquaredError => "mse",
            Self::BinaryCrossEntropy => "binary-cross-entropy",
            Self::SequenceCrossEntropy => "sequence-cross-entropy",
            Self::NextToken => "next-token",
            Self::InFile => "output",
        }
    }

    /// Whether outputs choose one of several classes.
    pub(super) fn has_classes(self) -> bool {
        matches!(
            self,
            Self::CrossEntropy | Self::SequenceCrossEntropy | Self::NextToken
        )
    }
}

impl Display for LossKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The quantity that is explained for each test point. For sequences, and for several outputs with
/// a label each, it is the mean over those that count.
///
/// Neither class weights nor label smoothing enter a measurement other than the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measurement {
    /// Its training loss.
    #[default]
    Loss,
    /// `log p / (1 - p)` of the probability `p` of its target: the logit of the target less the
    /// logarithm of the summed exponentials of the other logits. This is the model output function
    /// of TRAK. For losses of classes, and `binary-cross-entropy`.
    ///
    /// Park et al., *TRAK: attributing model behavior at scale*, 2023.
    Margin,
    /// The output for its target class, or that of a given number, whatever the target is.
    ///
    /// Numbers and labels of their own (`mse`, `binary-cross-entropy`) have no target class: there
    /// the number is that of the output, counted from 0, and may be left out if there is one
    /// output.
    Logit {
        /// The number of a class or output.
        class: Option<usize>,
    },
    /// The logarithm of the probability of its target. For losses of classes, and
    /// `binary-cross-entropy`.
    LogProbability,
    /// Whatever the file computes: a tensor that [`ReadSettings::measured`] names, with one number
    /// for each sample.
    ///
    /// [`ReadSettings::measured`]: crate::ReadSettings::measured
    InFile,
}

impl Measurement {
    /// Checks that it is defined for a loss of outputs, of this shape for each sample.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is not.
    pub fn check_defined(self, kind: LossKind, outputs: &[usize]) -> Result<()> {
        self.check(kind)?;
        self.check_output(kind, outputs)
    }

    /// Checks that it is defined for a loss.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is not.
    pub(super) fn check(self, kind: LossKind) -> Result<()> {
        let with_labels = kind.has_classes() || kind == LossKind::BinaryCrossEntropy;
        let defined = match self {
            Self::Loss | Self::InFile => true,
            Self::Logit { .. } => kind != LossKind::InFile,
            Self::Margin | Self::LogProbability => with_labels,
        };
        if defined {
            return Ok(());
        }
        let (name, what) = (
            self.as_str(),
            if kind == LossKind::InFile {
                "a loss inside the file"
            } else {
                "numbers"
            },
        );
        Err(Error::Setting(format!(
            "measurement `{name}` is not defined for {what} (loss `{kind}`); use `loss`"
        )))
    }

    /// Checks that an output, of this shape of one sample, has the one that is asked for.
    ///
    /// # Errors
    /// [`Error::Setting`] when there is no such class or output, or more than one to choose from.
    pub(super) fn check_output(self, kind: LossKind, shape: &[usize]) -> Result<()> {
        let Self::Logit { class } = self else {
            return Ok(());
        };
        let outputs = if kind.has_classes() {
            shape.last().copied().unwrap_or(1)
        } else {
            shape.iter().product()
        };
        match class {
            Some(class) if class >= outputs => Err(Error::Setting(format!(
                "measurement `logit` of class or output {class}, and there are {outputs}, counted from 0"
            ))),
            None if !kind.has_classes() && outputs != 1 => Err(Error::Setting(format!(
                "measurement `logit` needs the number of the output that is meant: with loss `{kind}` there is no target class, and there are {outputs} outputs"
            ))),
            _ => Ok(()),
        }
    }

    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Margin => "margin",
            Self::Logit { .. } => "logit",
            Self::LogProbability => "log-probability",
            Self::InFile => "output",
        }
    }
}
