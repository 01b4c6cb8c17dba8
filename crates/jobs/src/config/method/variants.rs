//! The methods that have keys of their own, each with its reader.
//!
//! Defaults that are not named are those of the solver. What is serialised are the settings of the
//! solver alone.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use influence_core::block::Strength;
use influence_data::key::{KeyError, KeyPath};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{
    MethodName,
    curved::{CurvatureSetting, Curved, ONE_DAMPING, Residual},
    damping::check_strength,
    keys::Keys,
};

/// λ of single parameters, a number or a multiple, by name with `*` for any characters, such as
/// `{ "*.bias" = 0.0 }` where weight decay leaves out biases. All others have the damping, or the λ
/// of a sweep.
pub type DampingByParameter = BTreeMap<String, Strength>;

/// Factorisation of the whole curvature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DirectSettings {
    /// The curvature with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// λ of single parameters.
    #[serde(skip)]
    pub damping_by_parameter: Option<DampingByParameter>,
    /// Below which eigenvalues are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Strength>,
    /// Whether the curvature of a training point leaves with its gradient. Default `false`.
    #[serde(skip)]
    pub leverage: bool,
}

/// Block conjugate gradients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CgSettings {
    /// The curvature with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// λ of single parameters.
    #[serde(skip)]
    pub damping_by_parameter: Option<DampingByParameter>,
    /// The relative residual at which a row is solved. Default 1e-4, in 64-bit floats 1e-6.
    pub rtol: Option<f64>,
    /// The most iterations.
    pub max_iterations: Option<usize>,
    /// The preconditioner. Default none.
    #[serde(flatten)]
    pub preconditioner: Option<Preconditioner>,
    /// Whether the curvature of a training point leaves with its gradient. Default `false`.
    #[serde(skip)]
    pub leverage: bool,
}

/// A preconditioner of conjugate gradients, or of a Neumann series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "preconditioner", rename_all = "lowercase")]
pub enum Preconditioner {
    /// None.
    None,
    /// The diagonal of the curvature.
    Jacobi,
    /// A low-rank sketch of the curvature.
    Nystroem {
        /// Eigenvectors kept.
        rank: Option<usize>,
    },
    /// Kronecker factors of a Fisher matrix.
    Kfac,
    /// Those with measured eigenvalues.
    Ekfac,
}

/// A stochastic Neumann series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LissaSettings {
    /// The curvature with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// λ of single parameters.
    #[serde(skip)]
    pub damping_by_parameter: Option<DampingByParameter>,
    /// The relative residual at which a row is solved. Default 0.01.
    pub rtol: Option<f64>,
    /// Steps of a repeat.
    pub depth: Option<usize>,
    /// How many runs are averaged.
    pub repeats: Option<usize>,
    /// The divisor of the curvature. Default: estimated.
    pub scale: Option<f64>,
    /// Whether each step sees all training points instead of a batch. Default `false`.
    pub full_batch: Option<bool>,
    /// The preconditioner. Default none.
    #[serde(flatten)]
    pub preconditioner: Option<Preconditioner>,
}

/// The dominant eigenvectors, found by Krylov iteration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArnoldiSettings {
    /// The curvature with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// Eigenvectors kept.
    pub rank: Option<usize>,
    /// The residual of an eigenvector, relative to the largest eigenvalue, at which it is found.
    pub tolerance: Option<f64>,
    /// Whether the rest of the space is taken as having curvature zero (default `true`), or left
    /// out.
    pub complement: Option<bool>,
}

/// The dominant eigenvectors, found by a random sketch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NystroemSettings {
    /// The curvature with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// Eigenvectors kept.
    pub rank: Option<usize>,
    /// Columns of the sketch beyond the rank.
    pub oversampling: Option<usize>,
    /// How often the sketch is multiplied again.
    pub power_iterations: Option<usize>,
}

/// The mean of the inverses of single samples' curvatures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InverseHarmonicMeanSettings {
    /// The curvature, `empirical-fisher`, with its damping.
    #[serde(skip)]
    pub curved: Curved,
}

/// The diagonal of the curvature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiagonalSettings {
    /// The curvature, not the Hessian, with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// λ of single parameters.
    #[serde(skip)]
    pub damping_by_parameter: Option<DampingByParameter>,
}

/// Kronecker factors by layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KroneckerSettings {
    /// The curvature, not the Hessian, with its damping.
    #[serde(skip)]
    pub curved: Curved,
    /// The relative error that influences may have so that wide layers cost less (default 1e-4); 0
    /// for none.
    pub tolerance: Option<f64>,
    /// Below which eigenvalues are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Strength>,
}

/// The gradient dot product summed over checkpoints of the training run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracinSettings {
    /// The weights at each checkpoint, with the learning rate there. Where there are none: those of
    /// the model, with rate 1.
    #[serde(skip)]
    pub checkpoints: Vec<Checkpoint>,
}

/// The gradient dot product after the division that Adam makes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdamSettings {
    /// A file like `model.weights` with the second moments of the gradients in place of the
    /// parameters.
    #[serde(skip)]
    pub second_moments: PathBuf,
    /// What is added to their roots. Default 1e-8.
    pub epsilon: f64,
}

/// The derivative of the training, in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceSettings {
    /// The number of segments. Default 3.
    pub segments: usize,
    /// The number of checkpoints in each, over which gradients and curvature are averaged.
    /// Default 2.
    pub checkpoints_per_segment: usize,
}

/// Whatever fits the model and the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AutoSettings {
    /// The curvature with its damping; what is not given is chosen with the method.
    #[serde(skip)]
    pub curved: Curved,
    #[serde(skip)]
    given: Table,
}

/// A checkpoint of a training run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// A file of weights, like `model.weights`.
    pub weights: PathBuf,
    /// The learning rate at which training went through it.
    pub learning_rate: f64,
}

/// The curvature of a method that solves with products, and λ of single parameters.
fn excepting(keys: &mut Keys) -> Result<(Curved, Option<DampingByParameter>)> {
    Curved::read_around(keys, |keys| {
        let by_parameter: Option<DampingByParameter> = keys.take("damping_by_parameter")?;
        for (name, strength) in by_parameter.iter().flatten() {
            let path = KeyPath::from("method.damping_by_parameter");
            check_strength(*strength, path.key(name))?;
        }
        Ok(by_parameter)
    })
}

/// Below which eigenvalues are left out.
fn cut_off(keys: &mut Keys) -> Result<Option<Strength>> {
    let cut_off: Option<Strength> = keys.take("cut_off")?;
    match cut_off {
        Some(Strength::Absolute(value) | Strength::Relative(value))
            if !(value.is_finite() && value > 0.0) =>
        {
            let wrong = format!("must be finite and positive, got {value}");
            Err(KeyError::sentence("method.cut_off", wrong).into())
        }
        given => Ok(given),
    }
}

/// Whether the curvature of a training point leaves with its gradient.
fn leverage(keys: &mut Keys, curved: &Curved) -> Result<bool> {
    let leverage = keys.take("leverage")?.unwrap_or(false);
    let wrong = if !leverage {
        return Ok(false);
    } else if curved.curvature != CurvatureSetting::GaussNewton {
        "takes away the Gauss-Newton curvature of a point: it needs the curvature gauss-newton, which of a model that is linear in its parameters is the Hessian"
    } else if curved.damping.sweep().is_some() {
        ONE_DAMPING
    } else if curved.relative.is_some() {
        "changes the gradients of training points, and so does method.relative: leave out one of them"
    } else if curved.residual == Residual::Exact {
        "solves for training points, too, each of which would be held against the exact matrix: leave out method.residual"
    } else {
        return Ok(true);
    };
    Err(KeyError::sentence("method.leverage", wrong).into())
}

impl DirectSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let (curved, damping_by_parameter) = excepting(keys)?;
        let (cut_off, leverage) = (cut_off(keys)?, leverage(keys, &curved)?);
        if cut_off.is_some() && (leverage || damping_by_parameter.is_some()) {
            let wrong = "needs the eigenvectors of the curvature with one λ and of all points: leave out method.leverage and method.damping_by_parameter";
            return Err(KeyError::sentence("method.cut_off", wrong).into());
        }
        Ok(Self {
            curved,
            damping_by_parameter,
            cut_off,
            leverage,
        })
    }
}

impl CgSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let (curved, damping_by_parameter) = excepting(keys)?;
        Ok(Self {
            leverage: leverage(keys, &curved)?,
            curved,
            damping_by_parameter,
            rtol: keys.fraction("rtol")?,
            max_iterations: keys.count("max_iterations")?,
            preconditioner: Preconditioner::read(keys)?,
        })
    }
}

impl Preconditioner {
    fn read(keys: &mut Keys) -> Result<Option<Self>> {
        const ALL: [(&str, Preconditioner); 5] = [
            ("none", Preconditioner::None),
            ("jacobi", Preconditioner::Jacobi),
            ("nystroem", Preconditioner::Nystroem { rank: None }),
            ("kfac", Preconditioner::Kfac),
            ("ekfac", Preconditioner::Ekfac),
        ];
        let chosen = keys.choice("preconditioner", &ALL)?;
        let rank = keys.count_of("the preconditioner nystroem", "rank")?;
        match (chosen, rank) {
            (Some(Self::Nystroem { .. }), rank) => Ok(Some(Self::Nystroem { rank })),
            (_, Some(_)) => {
                let wrong = "is, with cg and lissa, a setting of the preconditioner nystroem";
                Err(KeyError::sentence("method.rank", wrong).into())
            }
            (other, None) => Ok(other),
        }
    }
}

impl LissaSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let (curved, damping_by_parameter) = excepting(keys)?;
        Ok(Self {
            curved,
            damping_by_parameter,
            rtol: keys.fraction("rtol")?,
            depth: keys.count("depth")?,
            repeats: keys.count("repeats")?,
            scale: keys.positive("scale")?,
            full_batch: keys.take("full_batch")?,
            preconditioner: Preconditioner::read(keys)?,
        })
    }
}

impl ArnoldiSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        Ok(Self {
            curved: Curved::read(keys)?,
            rank: keys.count("rank")?,
            tolerance: keys.positive("tolerance")?,
            complement: keys.take("complement")?,
        })
    }
}

impl NystroemSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        Ok(Self {
            curved: Curved::read(keys)?,
            rank: keys.count("rank")?,
            oversampling: keys.take("oversampling")?,
            power_iterations: keys.take("power_iterations")?,
        })
    }
}

impl InverseHarmonicMeanSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let curved = Curved::read(keys)?;
        if curved.curvature == CurvatureSetting::EmpiricalFisher {
            return Ok(Self { curved });
        }
        let wrong = "inverse-harmonic-mean is made of the gradients of samples, the curvature empirical-fisher";
        Err(KeyError::new("method.curvature", wrong).into())
    }
}

impl DiagonalSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let (curved, damping_by_parameter) = excepting(keys)?;
        check_fisher(keys, &curved)?;
        Ok(Self {
            curved,
            damping_by_parameter,
        })
    }
}

impl KroneckerSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let curved = Curved::read(keys)?;
        check_fisher(keys, &curved)?;
        Ok(Self {
            curved,
            tolerance: keys.not_negative("tolerance")?,
            cut_off: cut_off(keys)?,
        })
    }
}

/// Refuses the Hessian for a method that approximates a Fisher matrix.
fn check_fisher(keys: &Keys, curved: &Curved) -> Result<(), KeyError> {
    if curved.curvature != CurvatureSetting::Hessian {
        return Ok(());
    }
    let wrong = format!(
        "{} approximates a Fisher matrix; use gauss-newton, fisher or empirical-fisher",
        keys.method().as_str()
    );
    Err(KeyError::new("method.curvature", wrong))
}

impl SourceSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        const DEFAULT: SourceSettings = SourceSettings {
            segments: 3,
            checkpoints_per_segment: 2,
        };
        let segments = keys.count("segments")?;
        let checkpoints = keys.count("checkpoints_per_segment")?;
        Ok(Self {
            segments: segments.unwrap_or(DEFAULT.segments),
            checkpoints_per_segment: checkpoints.unwrap_or(DEFAULT.checkpoints_per_segment),
        })
    }

    /// How the training is cut, in words.
    pub fn described(self) -> String {
        format!(
            "{} segments of {} checkpoints",
            self.segments, self.checkpoints_per_segment
        )
    }

    /// The number of checkpoints of all segments.
    pub fn checkpoints(self) -> usize {
        self.segments.saturating_mul(self.checkpoints_per_segment)
    }
}

impl AutoSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let given = keys.table().clone();
        let curved = Curved::read(keys)?;
        Ok(Self { curved, given })
    }

    /// The section that chooses this method, with the keys that are given, and others where they
    /// are not.
    pub(crate) fn section(&self, method: MethodName, others: Table) -> Table {
        let mut section = others;
        section.extend(self.given.clone());
        section.insert("name".into(), method.as_str().into());
        section
    }
}

impl AdamSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        /// That of Adam.
        const EPSILON: f64 = 1e-8;
        let second_moments = keys.take("second_moments")?.ok_or_else(|| {
            KeyError::new(
                "method",
                "missing key `second_moments`, a file with the second moments of Adam",
            )
        })?;
        Ok(Self {
            second_moments,
            epsilon: keys.positive("epsilon")?.unwrap_or(EPSILON),
        })
    }
}

impl TracinSettings {
    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        let checkpoints: Option<Vec<Checkpoint>> = keys.take("checkpoints")?;
        if checkpoints.as_ref().is_some_and(Vec::is_empty) {
            let wrong = "must name at least one";
            return Err(KeyError::sentence("method.checkpoints", wrong).into());
        }
        let checkpoints = checkpoints.unwrap_or_default();
        for (index, checkpoint) in checkpoints.iter().enumerate() {
            let rate = checkpoint.learning_rate;
            if !rate.is_finite() {
                let path = KeyPath::from("method.checkpoints").index(index);
                let wrong = format!("must be finite, got {rate}");
                return Err(KeyError::sentence(path.key("learning_rate"), wrong).into());
            }
        }
        Ok(Self { checkpoints })
    }
}
