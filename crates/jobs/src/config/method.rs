//! The method, as configured.

mod curved;
mod damping;
mod keys;
mod refusal;
mod variants;
mod weight_decay;

use std::path::{Path, PathBuf};

use anyhow::Result;
use influence_core::{
    RelativeTo,
    block::{BlockStructure, Damping, Strength},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Value;

pub use curved::{CurvatureSetting, Curved, Dampings, Residual};
use keys::{AskedKey, Keys};
pub use variants::{
    AdamSettings, ArnoldiSettings, AutoSettings, CgSettings, Checkpoint, DampingByParameter,
    DiagonalSettings, DirectSettings, InverseHarmonicMeanSettings, KroneckerSettings,
    LissaSettings, NystroemSettings, Preconditioner, SourceSettings, TracinSettings,
};
pub(super) use weight_decay::with_weight_decay;

use super::mistake::read_at;

/// How the factors are computed, with the keys of the method alone.
///
/// In a file the keys of all methods are written side by side; those of another method are refused.
/// Serialised, it is the settings of its solver.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Method {
    /// Factorisation of the whole curvature.
    Direct(DirectSettings),
    /// Block conjugate gradients.
    Cg(CgSettings),
    /// A stochastic Neumann series.
    Lissa(LissaSettings),
    /// The dominant eigenvectors, found by Krylov iteration.
    Arnoldi(ArnoldiSettings),
    /// The dominant eigenvectors, found by a random sketch.
    Nystroem(NystroemSettings),
    /// The mean of the inverses of single samples' curvatures.
    InverseHarmonicMean(InverseHarmonicMeanSettings),
    /// Kronecker factors by layer.
    Kfac(KroneckerSettings),
    /// Kronecker factors by layer, with corrected eigenvalues.
    Ekfac(KroneckerSettings),
    /// The diagonal of the curvature.
    Diagonal(DiagonalSettings),
    /// The gradient dot product: no curvature, no damping.
    Identity,
    /// The cosine of gradients: no curvature, no damping.
    Cosine,
    /// The gradient dot product summed over checkpoints of the training run.
    Tracin(TracinSettings),
    /// The gradient dot product after the division that Adam makes: no curvature, no damping.
    Adam(AdamSettings),
    /// The derivative of the training itself.
    Magic,
    /// The derivative of the training, in segments of constant gradients and curvature.
    Source(SourceSettings),
    /// Whatever fits the model and the data: a job puts that in its place.
    Auto(AutoSettings),
}

/// A method by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    /// Factorisation of the whole curvature.
    #[default]
    Direct,
    /// Block conjugate gradients.
    Cg,
    /// A stochastic Neumann series.
    Lissa,
    /// The dominant eigenvectors, found by Krylov iteration.
    Arnoldi,
    /// The dominant eigenvectors, found by a random sketch.
    Nystroem,
    /// The mean of the inverses of single samples' curvatures.
    InverseHarmonicMean,
    /// Kronecker factors by layer.
    Kfac,
    /// Kronecker factors by layer, with corrected eigenvalues.
    Ekfac,
    /// The diagonal of the curvature.
    Diagonal,
    /// The gradient dot product: no curvature, no damping.
    Identity,
    /// The cosine of gradients: no curvature, no damping.
    Cosine,
    /// The gradient dot product summed over checkpoints of the training run.
    Tracin,
    /// The gradient dot product after the division that Adam makes: no curvature, no damping.
    Adam,
    /// The derivative of the training itself.
    Magic,
    /// The derivative of the training, in segments of constant gradients and curvature.
    Source,
    /// Whatever fits the model and the data.
    Auto,
}

impl MethodName {
    /// All methods, in the order in which messages list their keys.
    const ALL: [Self; 16] = [
        Self::Direct,
        Self::Cg,
        Self::Arnoldi,
        Self::Nystroem,
        Self::Lissa,
        Self::InverseHarmonicMean,
        Self::Kfac,
        Self::Ekfac,
        Self::Diagonal,
        Self::Identity,
        Self::Cosine,
        Self::Tracin,
        Self::Adam,
        Self::Magic,
        Self::Source,
        Self::Auto,
    ];

    /// The name, as it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Cg => "cg",
            Self::Lissa => "lissa",
            Self::Arnoldi => "arnoldi",
            Self::Nystroem => "nystroem",
            Self::InverseHarmonicMean => "inverse-harmonic-mean",
            Self::Kfac => "kfac",
            Self::Ekfac => "ekfac",
            Self::Diagonal => "diagonal",
            Self::Identity => "identity",
            Self::Cosine => "cosine",
            Self::Tracin => "tracin",
            Self::Adam => "adam",
            Self::Magic => "magic",
            Self::Source => "source",
            Self::Auto => "auto",
        }
    }

    /// The method of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// Whether it follows the training itself, as `[train]` describes it.
    pub fn unrolls(self) -> bool {
        matches!(self, Self::Magic | Self::Source)
    }

    fn read(self, keys: &mut Keys) -> Result<Method> {
        Ok(match self {
            Self::Direct => Method::Direct(DirectSettings::read(keys)?),
            Self::Cg => Method::Cg(CgSettings::read(keys)?),
            Self::Lissa => Method::Lissa(LissaSettings::read(keys)?),
            Self::Arnoldi => Method::Arnoldi(ArnoldiSettings::read(keys)?),
            Self::Nystroem => Method::Nystroem(NystroemSettings::read(keys)?),
            Self::InverseHarmonicMean => {
                Method::InverseHarmonicMean(InverseHarmonicMeanSettings::read(keys)?)
            }
            Self::Kfac => Method::Kfac(KroneckerSettings::read(keys)?),
            Self::Ekfac => Method::Ekfac(KroneckerSettings::read(keys)?),
            Self::Diagonal => Method::Diagonal(DiagonalSettings::read(keys)?),
            Self::Identity => Method::Identity,
            Self::Cosine => Method::Cosine,
            Self::Tracin => Method::Tracin(TracinSettings::read(keys)?),
            Self::Adam => Method::Adam(AdamSettings::read(keys)?),
            Self::Magic => Method::Magic,
            Self::Source => Method::Source(SourceSettings::read(keys)?),
            Self::Auto => Method::Auto(AutoSettings::read(keys)?),
        })
    }

    /// The keys of the method: those that its reader asks for.
    fn keys(self) -> Vec<AskedKey> {
        let mut keys = Keys::least(self);
        let read = self.read(&mut keys);
        debug_assert!(read.is_ok(), "{read:?}");
        keys.asked()
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let section = Value::deserialize(deserializer)?;
        Self::of_section(section).map_err(D::Error::custom)
    }
}

impl Method {
    /// Reads the section of a configuration.
    ///
    /// # Errors
    /// When a key is unknown, of another method, missing, of the wrong type or out of its domain;
    /// the message begins with the key.
    pub(crate) fn of_section(section: Value) -> Result<Self> {
        let mut keys = Keys::new(read_at("method".into(), section)?)?;
        let name = keys.method();
        refusal::check_keys(keys.given(), name)?;
        name.read(&mut keys)
    }

    /// The name.
    pub fn name(&self) -> MethodName {
        match self {
            Self::Direct(_) => MethodName::Direct,
            Self::Cg(_) => MethodName::Cg,
            Self::Lissa(_) => MethodName::Lissa,
            Self::Arnoldi(_) => MethodName::Arnoldi,
            Self::Nystroem(_) => MethodName::Nystroem,
            Self::InverseHarmonicMean(_) => MethodName::InverseHarmonicMean,
            Self::Kfac(_) => MethodName::Kfac,
            Self::Ekfac(_) => MethodName::Ekfac,
            Self::Diagonal(_) => MethodName::Diagonal,
            Self::Identity => MethodName::Identity,
            Self::Cosine => MethodName::Cosine,
            Self::Tracin(_) => MethodName::Tracin,
            Self::Adam(_) => MethodName::Adam,
            Self::Magic => MethodName::Magic,
            Self::Source(_) => MethodName::Source,
            Self::Auto(_) => MethodName::Auto,
        }
    }

    /// The curvature with its damping, if the method inverts one.
    pub fn curved(&self) -> Option<&Curved> {
        match self {
            Self::Direct(DirectSettings { curved, .. })
            | Self::Cg(CgSettings { curved, .. })
            | Self::Lissa(LissaSettings { curved, .. })
            | Self::Arnoldi(ArnoldiSettings { curved, .. })
            | Self::Nystroem(NystroemSettings { curved, .. })
            | Self::InverseHarmonicMean(InverseHarmonicMeanSettings { curved })
            | Self::Kfac(KroneckerSettings { curved, .. })
            | Self::Ekfac(KroneckerSettings { curved, .. })
            | Self::Diagonal(DiagonalSettings { curved, .. })
            | Self::Auto(AutoSettings { curved, .. }) => Some(curved),
            Self::Identity
            | Self::Cosine
            | Self::Tracin(_)
            | Self::Adam(_)
            | Self::Magic
            | Self::Source(_) => None,
        }
    }

    /// λ of single parameters, if any is given.
    pub fn damping_by_parameter(&self) -> Option<&DampingByParameter> {
        match self {
            Self::Direct(DirectSettings {
                damping_by_parameter,
                ..
            })
            | Self::Cg(CgSettings {
                damping_by_parameter,
                ..
            })
            | Self::Lissa(LissaSettings {
                damping_by_parameter,
                ..
            })
            | Self::Diagonal(DiagonalSettings {
                damping_by_parameter,
                ..
            }) => damping_by_parameter.as_ref(),
            _ => None,
        }
    }

    /// Conjugate gradients with the Gauss-Newton matrix, under the damping and with the blocks of
    /// another method, to a relative residual.
    pub(crate) fn by_conjugate_gradients(&self, rtol: f64) -> Option<Self> {
        let curved = Curved {
            curvature: CurvatureSetting::GaussNewton,
            residual: Residual::Own,
            relative: None,
            ..self.curved()?.clone()
        };
        Some(Self::Cg(CgSettings {
            curved: Curved {
                blocks: Some(self.blocks()),
                ..curved
            },
            damping_by_parameter: self.damping_by_parameter().cloned(),
            rtol: Some(rtol),
            max_iterations: None,
            preconditioner: None,
            leverage: false,
        }))
    }

    /// Whether the curvature of a training point leaves with its gradient.
    pub fn leverage(&self) -> bool {
        match self {
            Self::Direct(DirectSettings { leverage, .. })
            | Self::Cg(CgSettings { leverage, .. }) => *leverage,
            _ => false,
        }
    }

    /// Whether it follows the training itself, as `[train]` describes it.
    pub fn unrolls(&self) -> bool {
        self.name().unrolls()
    }

    /// How it cuts the training into segments, if it does.
    pub fn segments(&self) -> Option<SourceSettings> {
        match self {
            Self::Source(source) => Some(*source),
            _ => None,
        }
    }

    /// Below which eigenvalues are left out, if some are.
    pub fn cut_off(&self) -> Option<Strength> {
        match self {
            Self::Direct(DirectSettings { cut_off, .. })
            | Self::Kfac(KroneckerSettings { cut_off, .. })
            | Self::Ekfac(KroneckerSettings { cut_off, .. }) => *cut_off,
            _ => None,
        }
    }

    /// The checkpoints of the training run that are asked for.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        match self {
            Self::Tracin(tracin) => &tracin.checkpoints,
            _ => &[],
        }
    }

    /// The file of second moments that is asked for.
    pub fn second_moments(&self) -> Option<&Path> {
        match self {
            Self::Adam(adam) => Some(&adam.second_moments),
            _ => None,
        }
    }

    /// The files that the method reads: those of the weights of checkpoints, or that of second
    /// moments.
    pub fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Tracin(tracin) => {
                let checkpoints = tracin.checkpoints.iter_mut();
                checkpoints
                    .map(|checkpoint| &mut checkpoint.weights)
                    .collect()
            }
            Self::Adam(adam) => vec![&mut adam.second_moments],
            _ => Vec::new(),
        }
    }

    /// The dampings as the core takes them, one or those of a sweep; none where nothing is damped.
    pub fn dampings(&self) -> Vec<Damping> {
        let written = self.curved().map(|curved| match &curved.damping {
            Dampings::Single(damping) => std::slice::from_ref(damping),
            Dampings::Sweep(dampings) => dampings.as_slice(),
        });
        let by_parameter = self.damping_by_parameter();
        let written = written.unwrap_or_default().iter().cloned();
        let damped = written.map(|damping| match by_parameter {
            None => damping,
            Some(parameters) => damping.excepting(parameters.clone()),
        });
        damped.collect()
    }

    /// The dampings of the sweep as the core takes them, if there is one, each with how it is
    /// written.
    pub fn sweep(&self) -> Option<Vec<(String, Damping)>> {
        let written = self.curved()?.damping.sweep()?.iter();
        Some(
            written
                .map(Damping::to_string)
                .zip(self.dampings())
                .collect(),
        )
    }

    /// What the influences of a training point are divided by, if they are.
    pub fn relative(&self) -> Option<RelativeTo> {
        self.curved()?.relative
    }

    /// λ of a method whose residuals are computed and no estimates, where it is one known number
    /// and the curvature is not negative: it bounds the error that the residual stands for.
    pub fn lambda_of_residuals(&self) -> Option<f64> {
        let curved = self.curved()?;
        let iterates = matches!(self, Self::Cg(_) | Self::Lissa(_));
        if !iterates && curved.residual == Residual::Own {
            return None;
        }
        let Dampings::Single(Damping::Uniform(Strength::Absolute(lambda))) = curved.damping else {
            return None;
        };
        let is_plain = self.damping_by_parameter().is_none();
        let is_definite = curved.curvature != CurvatureSetting::Hessian;
        (is_plain && is_definite && lambda > 0.0).then_some(lambda)
    }

    /// The blocks of the curvature; all parameters are one where the method has no curvature.
    pub fn blocks(&self) -> BlockStructure {
        let given = self.curved().and_then(|curved| curved.blocks.clone());
        given.unwrap_or(match self {
            Self::Kfac(_) | Self::Ekfac(_) | Self::Source(_) => BlockStructure::LayerWise,
            _ => BlockStructure::Full,
        })
    }
}

#[cfg(test)]
mod tests;
