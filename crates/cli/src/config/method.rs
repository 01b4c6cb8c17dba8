//! The method, as configured.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use influence_backend_burn::Curvature;
use influence_core::block::{BlockStructure, CustomBlocks, Damping, Strength};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use toml::Value;

/// How the factors are computed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// `direct` (default), `cg` or `identity`.
    #[serde(default)]
    pub name: MethodName,
    /// `hessian` (default), `gauss-newton` or `empirical-fisher`.
    #[serde(default)]
    pub curvature: CurvatureName,
    /// With `direct` and `cg`: λ, added to the curvature: a number, or a table of numbers by block. No default: it depends on the model.
    pub damping: Option<DampingValue>,
    /// `full` (default), `layer-wise`, `parameter-wise`, or a table of lists of parameters by block.
    #[serde(default)]
    pub blocks: Blocks,
    /// With `cg`: the relative residual at which a row is solved. Default: that of the solver.
    pub rtol: Option<f64>,
    /// With `cg`: the most iterations. Default: that of the solver.
    pub max_iterations: Option<usize>,
    /// With `cg`: `none` (default) or `jacobi`.
    pub preconditioner: Option<PreconditionerName>,
}

/// λ, one for all blocks or one for each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DampingValue {
    /// The same λ for every block.
    Uniform(f64),
    /// λ by name of block.
    PerBlock(BTreeMap<String, f64>),
}

impl DampingValue {
    /// As the core takes it.
    pub fn structure(&self) -> Damping {
        match self {
            Self::Uniform(value) => Damping::from(*value),
            Self::PerBlock(values) => Damping::PerBlock(
                values
                    .iter()
                    .map(|(block, value)| (block.clone(), Strength::Absolute(*value)))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for DampingValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(number) = number(&value) {
            return Ok(Self::Uniform(number));
        }
        let by_block = value.as_table().and_then(|table| {
            table
                .iter()
                .map(|(block, value)| Some((block.clone(), number(value)?)))
                .collect::<Option<_>>()
        });
        by_block.map(Self::PerBlock).ok_or_else(|| {
            D::Error::custom(format!(
                "expected a number, or a table of numbers by block as {{ fc = 0.1 }}, got {value}"
            ))
        })
    }
}

/// How the parameters fall into blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blocks {
    /// One block of all parameters.
    #[default]
    Full,
    /// One block per layer, named as the layer.
    LayerWise,
    /// One block per parameter, named as the parameter.
    ParameterWise,
    /// Named blocks of named parameters.
    #[serde(untagged)]
    Custom(BTreeMap<String, Vec<String>>),
}

impl From<Blocks> for BlockStructure {
    fn from(blocks: Blocks) -> Self {
        match blocks {
            Blocks::Full => Self::Full,
            Blocks::LayerWise => Self::LayerWise,
            Blocks::ParameterWise => Self::ParameterWise,
            Blocks::Custom(blocks) => Self::Custom(CustomBlocks::new(blocks)),
        }
    }
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("full") => Ok(Self::Full),
            Some("layer-wise") => Ok(Self::LayerWise),
            Some("parameter-wise") => Ok(Self::ParameterWise),
            _ => value.clone().try_into().map(Self::Custom).map_err(|_| {
                D::Error::custom(format!(
                    "expected \"full\", \"layer-wise\", \"parameter-wise\", or a table of lists of parameters by block as {{ head = [\"fc.weight\"] }}, got {value}"
                ))
            }),
        }
    }
}

/// A method by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    /// Factorisation of the whole curvature.
    #[default]
    Direct,
    /// Block conjugate gradients.
    Cg,
    /// The gradient dot product: no curvature, no damping.
    Identity,
}

impl MethodName {
    /// The name, as it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Cg => "cg",
            Self::Identity => "identity",
        }
    }
}

/// A curvature by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurvatureName {
    /// The exact second derivative of the training loss.
    #[default]
    Hessian,
    /// The exact Gauss-Newton matrix.
    GaussNewton,
    /// The second moment of the training gradients.
    EmpiricalFisher,
}

impl CurvatureName {
    /// The name, as it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss-newton",
            Self::EmpiricalFisher => "empirical-fisher",
        }
    }
}

impl From<CurvatureName> for Curvature {
    fn from(name: CurvatureName) -> Self {
        match name {
            CurvatureName::Hessian => Self::Hessian,
            CurvatureName::GaussNewton => Self::GaussNewton,
            CurvatureName::EmpiricalFisher => Self::EmpiricalFisher,
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
}

impl Method {
    /// The curvature, if the method has one.
    pub fn curvature(&self) -> Option<CurvatureName> {
        (self.name != MethodName::Identity).then_some(self.curvature)
    }

    /// λ as the core takes it; none where nothing is damped.
    pub fn damping(&self) -> Damping {
        let damping = self.damping.as_ref();
        damping.map_or(Damping::from(0.0), DampingValue::structure)
    }

    /// Checks domains, and that keys of one method are not given to another.
    pub(super) fn check(&self) -> Result<()> {
        let values: Vec<(String, f64)> = match &self.damping {
            None => Vec::new(),
            Some(DampingValue::Uniform(value)) => vec![("method.damping".into(), *value)],
            Some(DampingValue::PerBlock(values)) => values
                .iter()
                .map(|(block, value)| (format!("method.damping.{block}"), *value))
                .collect(),
        };
        for (key, value) in values {
            ensure!(
                value.is_finite() && value >= 0.0,
                "{key} must be finite and not negative, got {value}"
            );
        }
        if let Some(rtol) = self.rtol {
            ensure!(
                rtol > 0.0 && rtol < 1.0,
                "method.rtol must be between 0 and 1, got {rtol}"
            );
        }
        ensure!(
            self.max_iterations != Some(0),
            "method.max_iterations must be at least 1, got 0"
        );
        self.check_keys()
    }

    /// Refuses keys of other methods, and misses those of its own that have no default.
    fn check_keys(&self) -> Result<()> {
        let name = self.name.as_str();
        let of_cg = [
            ("rtol", self.rtol.is_some()),
            ("max_iterations", self.max_iterations.is_some()),
            ("preconditioner", self.preconditioner.is_some()),
        ];
        for (key, given) in of_cg {
            ensure!(
                !given || self.name == MethodName::Cg,
                "method.{key} is a setting of the method cg, not of {name}"
            );
        }
        let damped = self.name != MethodName::Identity;
        ensure!(
            damped || self.damping.is_none(),
            "method.damping is a setting of the methods direct and cg, not of {name}"
        );
        ensure!(
            !damped || self.damping.is_some(),
            "method: missing field `damping`, the λ that {name} adds to the curvature"
        );
        Ok(())
    }
}

fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a damping is no count")]
    value
        .as_float()
        .or_else(|| value.as_integer().map(|integer| integer as f64))
}
