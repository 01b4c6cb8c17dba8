//! The method, as configured.

mod damping;
mod keys;
mod weight_decay;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use influence_backend_burn::Curvature;
use influence_core::block::{BlockStructure, Damping, Strength};
use serde::{Deserialize, Serialize};

pub(super) use weight_decay::with_weight_decay;

/// How the factors are computed.
///
/// A key that belongs to some methods only says to which; given to another it is refused. Defaults
/// not told are those of the solver.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// `direct` (default), `cg`, `lissa`, `arnoldi`, `nystroem`, `inverse-harmonic-mean`, `kfac`,
    /// `ekfac`, `identity`, `cosine` or `tracin`.
    #[serde(default)]
    pub name: MethodName,
    /// `gauss-newton` (default), `hessian`, `fisher` or `empirical-fisher`; `inverse-harmonic-mean`
    /// has `empirical-fisher` alone, `identity`, `cosine` and `tracin` have none.
    pub curvature: Option<CurvatureName>,
    /// With the curvature `fisher`: labels drawn for each sample. Default 1.
    pub draws: Option<usize>,
    /// λ, added to the curvature, needed wherever there is one: a number, `{ relative = 0.1 }`
    /// times the mean eigenvalue of each block, `"weight-decay"`, which is `train.weight_decay`, or
    /// a table of numbers and multiples by block. No default: it depends on the model.
    pub damping: Option<Damping>,
    /// With `direct`, `cg` and `lissa`: λ of single parameters, a number or a multiple, by name
    /// with `*` for any characters, such as `{ "*.bias" = 0.0 }` where weight decay leaves out
    /// biases. All others have `damping`, or the λ of a sweep.
    pub damping_by_parameter: Option<BTreeMap<String, Strength>>,
    /// Several dampings, each written like `damping`, which they override: the influences under
    /// each of them, from one fit.
    pub sweep: Option<Vec<Damping>>,
    /// `full` (default), `layer-wise` (default with `kfac` and `ekfac`), `parameter-wise`, or a
    /// table of lists of parameters by block.
    pub blocks: Option<BlockStructure>,
    /// With `cg` and `lissa`: the relative residual at which a row is solved. Default with `cg`
    /// 1e-4, in 64-bit floats 1e-6, with `lissa` 0.01.
    pub rtol: Option<f64>,
    /// With `cg`: the most iterations.
    pub max_iterations: Option<usize>,
    /// With `cg`: `none` (default), `jacobi` or `nystroem`.
    pub preconditioner: Option<PreconditionerName>,
    /// With `arnoldi`, `nystroem` and the preconditioner `nystroem`: eigenvectors kept.
    pub rank: Option<usize>,
    /// With `arnoldi`: the residual of an eigenvector, relative to the largest eigenvalue, at which
    /// it is found. With `kfac` and `ekfac`: the relative error that influences may have so that
    /// wide layers cost less (default 1e-4); 0 for none.
    pub tolerance: Option<f64>,
    /// With `arnoldi`: whether the rest of the space is taken as having curvature zero (default
    /// `true`), or left out.
    pub complement: Option<bool>,
    /// With `nystroem`: columns of the sketch beyond the rank.
    pub oversampling: Option<usize>,
    /// With `nystroem`: how often the sketch is multiplied again.
    pub power_iterations: Option<usize>,
    /// With `lissa`: steps of a repeat.
    pub depth: Option<usize>,
    /// With `lissa`: how many runs are averaged.
    pub repeats: Option<usize>,
    /// With `lissa`: the divisor of the curvature. Default: estimated.
    pub scale: Option<f64>,
    /// With `lissa`: whether each step sees all training points instead of a batch. Default
    /// `false`.
    pub full_batch: Option<bool>,
    /// With `tracin`: the weights at each checkpoint, with the learning rate there. Default: those
    /// of the model, with rate 1.
    pub checkpoints: Option<Vec<Checkpoint>>,
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
    /// The gradient dot product: no curvature, no damping.
    Identity,
    /// The cosine of gradients: no curvature, no damping.
    Cosine,
    /// The gradient dot product summed over checkpoints of the training run.
    Tracin,
}

impl MethodName {
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
            Self::Identity => "identity",
            Self::Cosine => "cosine",
            Self::Tracin => "tracin",
        }
    }

    /// Whether it inverts a curvature.
    pub fn has_curvature(self) -> bool {
        !matches!(self, Self::Identity | Self::Cosine | Self::Tracin)
    }
}

/// A curvature by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurvatureName {
    /// The exact second derivative of the training loss.
    Hessian,
    /// The exact Gauss-Newton matrix.
    #[default]
    GaussNewton,
    /// The Fisher matrix of the model, with labels drawn from its own predictions.
    Fisher,
    /// The second moment of the training gradients.
    EmpiricalFisher,
}

impl CurvatureName {
    /// The name, as it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss-newton",
            Self::Fisher => "fisher",
            Self::EmpiricalFisher => "empirical-fisher",
        }
    }
}

/// A preconditioner of conjugate gradients by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PreconditionerName {
    /// None.
    None,
    /// The diagonal of the curvature.
    Jacobi,
    /// A low-rank sketch of the curvature.
    Nystroem,
}

impl Method {
    /// The name of the curvature, if the method has one.
    pub fn curvature_name(&self) -> Option<CurvatureName> {
        let default = match self.name {
            MethodName::InverseHarmonicMean => CurvatureName::EmpiricalFisher,
            _ => CurvatureName::default(),
        };
        let name = self.curvature.unwrap_or(default);
        self.name.has_curvature().then_some(name)
    }

    /// The curvature; the empirical Fisher, of which nothing is computed ahead, where the method
    /// has none.
    pub fn curvature(&self, seed: u64) -> Curvature {
        match self.curvature_name() {
            Some(CurvatureName::Hessian) => Curvature::Hessian,
            Some(CurvatureName::GaussNewton) => Curvature::GaussNewton,
            Some(CurvatureName::Fisher) => Curvature::Fisher {
                draws: self.draws.unwrap_or(1),
                seed,
            },
            Some(CurvatureName::EmpiricalFisher) | None => Curvature::EmpiricalFisher,
        }
    }

    /// λ as the core takes it, the first one of a sweep; none where nothing is damped.
    pub fn damping(&self) -> Damping {
        let first = self.sweep.as_ref().and_then(|dampings| dampings.first());
        let damping = first.or(self.damping.as_ref());
        damping.map_or(Damping::from(0.0), |damping| self.damped(damping))
    }

    /// The dampings of the sweep as the core takes them, if there is one, each with how it is
    /// written.
    pub fn dampings(&self) -> Option<Vec<(String, Damping)>> {
        let dampings = self.sweep.as_ref()?.iter();
        let named = dampings.map(|damping| (damping.to_string(), self.damped(damping)));
        Some(named.collect())
    }

    /// λ of a method that iterates to a residual, where it is one known number and the curvature is
    /// not negative: it bounds the error that the residual stands for.
    pub fn lambda_of_iterations(&self) -> Option<f64> {
        let iterates = matches!(self.name, MethodName::Cg | MethodName::Lissa);
        let is_plain = self.sweep.is_none() && self.damping_by_parameter.is_none();
        let is_definite = self.curvature_name() != Some(CurvatureName::Hessian);
        let Some(Damping::Uniform(Strength::Absolute(lambda))) = self.damping else {
            return None;
        };
        (iterates && is_plain && is_definite && lambda > 0.0).then_some(lambda)
    }

    /// A damping with the exceptions of single parameters.
    fn damped(&self, damping: &Damping) -> Damping {
        match &self.damping_by_parameter {
            None => damping.clone(),
            Some(parameters) => damping.clone().excepting(parameters.clone()),
        }
    }

    /// The blocks of the curvature.
    pub fn blocks(&self) -> BlockStructure {
        let default = match self.name {
            MethodName::Kfac | MethodName::Ekfac => BlockStructure::LayerWise,
            _ => BlockStructure::Full,
        };
        self.blocks.clone().unwrap_or(default)
    }

    /// Checks domains, and that keys of one method are not given to another.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(damping) = &self.damping {
            damping::check(damping, "method.damping")?;
        }
        for (index, damping) in self.sweep.iter().flatten().enumerate() {
            damping::check(damping, &format!("method.sweep[{index}]"))?;
        }
        for (name, strength) in self.damping_by_parameter.iter().flatten() {
            damping::check_strength(*strength, &format!("method.damping_by_parameter.{name}"))?;
        }
        self.check_keys()?;
        self.check_domains()
    }
}
