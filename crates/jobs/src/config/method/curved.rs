//! What all methods have that invert a curvature.

use anyhow::Result;
use influence_backend_burn::Curvature;
use influence_core::{
    RelativeTo,
    block::{BlockStructure, Damping, Strength},
};
use influence_data::key::{KeyError, KeyPath};
use serde::Serialize;

use super::{MethodName, damping, keys::Keys};

/// What all methods have that invert a curvature.
#[derive(Debug, Clone, PartialEq)]
pub struct Curved {
    /// The curvature. Default `gauss-newton`; `inverse-harmonic-mean` has `empirical-fisher` alone.
    pub curvature: CurvatureSetting,
    /// λ, added to the curvature. No default but with `auto`: it depends on the model.
    pub damping: Dampings,
    /// `full` (default), `layer-wise` (default with `kfac` and `ekfac`), `parameter-wise`, or a
    /// table of lists of parameters by block.
    pub blocks: Option<BlockStructure>,
    /// The matrix that residuals refer to. Default `own`.
    pub residual: Residual,
    /// What the influences of a training point are divided by, if they are: `parameters` or
    /// `losses`.
    pub relative: Option<RelativeTo>,
}

/// The matrix that the residuals of rows refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Residual {
    /// The one that the method inverts.
    #[default]
    Own,
    /// The exact one that the curvature is or stands for, of all parameters: the Hessian, or else
    /// the Gauss-Newton matrix. Costs a pass over the training data per chunk of rows.
    Exact,
}

/// The curvature, as configured.
///
/// A type beside [`Curvature`], whose seed of drawn labels is that of the configuration, and whose
/// number of draws has no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CurvatureSetting {
    /// The exact second derivative of the training loss.
    Hessian,
    /// The exact Gauss-Newton matrix.
    #[default]
    GaussNewton,
    /// The Fisher matrix of the model, with labels drawn from its own predictions.
    Fisher {
        /// Labels drawn for each sample. Default 1.
        draws: Option<usize>,
    },
    /// The second moment of the training gradients.
    EmpiricalFisher,
}

/// What is wrong with a sweep where gradients of training points are solved for, too.
pub(super) const ONE_DAMPING: &str =
    "takes one damping, which the gradients depend on: leave it out, or method.sweep";

/// What influences may be divided by, by name.
const RELATIVE: [(&str, RelativeTo); 3] = [
    ("parameters", RelativeTo::Parameters),
    ("losses", RelativeTo::Losses),
    ("cosine", RelativeTo::Cosine),
];

/// λ: one, or several of which each gives influences of its own, from one fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Dampings {
    /// A number, `{ relative = 0.1 }` times the mean eigenvalue of each block, `"weight-decay"`,
    /// which is `train.weight_decay`, or a table of numbers and multiples by block.
    Single(Damping),
    /// Several dampings, at least one, each written like a single one, which they override.
    Sweep(Vec<Damping>),
}

impl CurvatureSetting {
    /// The name, as it is configured.
    pub fn name(self) -> &'static str {
        self.with_seed(0).name()
    }

    /// The curvature, with the seed of the labels that are drawn.
    pub fn with_seed(self, seed: u64) -> Curvature {
        match self {
            Self::Hessian => Curvature::Hessian,
            Self::GaussNewton => Curvature::GaussNewton,
            Self::Fisher { draws } => Curvature::Fisher {
                draws: draws.unwrap_or(1),
                seed,
            },
            Self::EmpiricalFisher => Curvature::EmpiricalFisher,
        }
    }

    /// The number of labels that are drawn for each sample, where it is given.
    pub fn draws(self) -> Option<usize> {
        match self {
            Self::Fisher { draws } => draws,
            _ => None,
        }
    }

    fn read(keys: &mut Keys) -> Result<Self> {
        const FISHER: CurvatureSetting = CurvatureSetting::Fisher { draws: None };
        let all = [
            Self::Hessian,
            Self::GaussNewton,
            FISHER,
            Self::EmpiricalFisher,
        ];
        let chosen = keys.choice("curvature", &all.map(|one| (one.name(), one)))?;
        let draws = keys.count_of("the curvature fisher", "draws")?;
        let default = match keys.method() {
            MethodName::InverseHarmonicMean => Self::EmpiricalFisher,
            _ => Self::default(),
        };
        match chosen.unwrap_or(default) {
            Self::Fisher { .. } => Ok(Self::Fisher { draws }),
            other if draws.is_none() => Ok(other),
            _ => {
                let wrong = "is a setting of the curvature fisher";
                Err(KeyError::sentence("method.draws", wrong).into())
            }
        }
    }
}

impl Dampings {
    /// The dampings of a sweep.
    pub fn sweep(&self) -> Option<&[Damping]> {
        match self {
            Self::Single(_) => None,
            Self::Sweep(dampings) => Some(dampings),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sweep().map_or(1, <[_]>::len)
    }
}

impl Curved {
    /// The name of what influences are divided by, if they are.
    pub fn relative_name(&self) -> Option<&'static str> {
        let named = RELATIVE.iter().find(|(_, one)| Some(*one) == self.relative);
        named.map(|(name, _)| *name)
    }

    pub(super) fn read(keys: &mut Keys) -> Result<Self> {
        Ok(Self::read_around(keys, |_| Ok(()))?.0)
    }

    /// With what else a method says of its dampings.
    pub(super) fn read_around<E>(
        keys: &mut Keys,
        more: impl FnOnce(&mut Keys) -> Result<E>,
    ) -> Result<(Self, E)> {
        let curvature = CurvatureSetting::read(keys)?;
        let single = keys.take("damping")?;
        if let Some(single) = &single {
            damping::check(single, &"method.damping".into())?;
        }
        let more = more(keys)?;
        let sweep: Option<Vec<Damping>> = keys.take("sweep")?;
        for (index, one) in sweep.iter().flatten().enumerate() {
            damping::check(one, &KeyPath::from("method.sweep").index(index))?;
        }
        let damping = match (sweep, single) {
            (Some(dampings), _) if dampings.is_empty() => {
                let wrong = "must name at least one damping";
                return Err(KeyError::sentence("method.sweep", wrong).into());
            }
            (Some(dampings), _) => Dampings::Sweep(dampings),
            (None, Some(damping)) => Dampings::Single(damping),
            (None, None) if keys.method() == MethodName::Auto => {
                Dampings::Single(Damping::Uniform(Strength::Relative(1.0)))
            }
            (None, None) => {
                let name = keys.method().as_str();
                let wrong =
                    format!("missing key `damping`, the λ that {name} adds to the curvature");
                return Err(KeyError::new("method", wrong).into());
            }
        };
        let blocks = keys.take("blocks")?;
        let residuals = [("own", Residual::Own), ("exact", Residual::Exact)];
        let residual = keys.choice("residual", &residuals)?.unwrap_or_default();
        let relative = keys.choice("relative", &RELATIVE)?;
        if relative.is_some() && damping.sweep().is_some() {
            return Err(KeyError::sentence("method.relative", ONE_DAMPING).into());
        }
        let curved = Self {
            curvature,
            damping,
            blocks,
            residual,
            relative,
        };
        Ok((curved, more))
    }
}
