use std::collections::BTreeMap;

use super::Block;
use crate::{Error, Result};

/// The damping λ, one for all blocks or one for each.
#[derive(Debug, Clone, PartialEq)]
pub enum Damping {
    /// The same for every block.
    Uniform(Strength),
    /// By name of block; every block must be named.
    PerBlock(BTreeMap<String, Strength>),
}

/// How strong the damping of a block is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strength {
    /// λ itself.
    Absolute(f64),
    /// λ is this times the mean eigenvalue of the curvature of the block.
    ///
    /// Grosse et al., *Studying large language model generalization with influence functions*, 2023, use 0.1.
    Relative(f64),
}

impl Damping {
    /// λ is `fraction` times the mean eigenvalue of each block.
    pub fn relative(fraction: f64) -> Self {
        Self::Uniform(Strength::Relative(fraction))
    }

    /// The strength for each block, in order.
    ///
    /// # Errors
    /// [`Error::UnknownName`] when a named block does not exist or a block is not named.
    pub fn resolve(&self, blocks: &[&Block]) -> Result<Vec<Strength>> {
        match self {
            Self::Uniform(strength) => Ok(vec![*strength; blocks.len()]),
            Self::PerBlock(by_name) => {
                let names: Vec<String> =
                    blocks.iter().map(|block| block.name().to_owned()).collect();
                if let Some(name) = by_name.keys().find(|name| !names.contains(name)) {
                    return Err(Error::UnknownName {
                        kind: "block in damping",
                        name: name.clone(),
                        known: names,
                    });
                }
                let of_block = |name: &String| {
                    by_name
                        .get(name)
                        .copied()
                        .ok_or_else(|| Error::UnknownName {
                            kind: "damping of block",
                            name: name.clone(),
                            known: by_name.keys().cloned().collect(),
                        })
                };
                names.iter().map(of_block).collect()
            }
        }
    }
}

impl Strength {
    /// λ, given how to find the mean eigenvalue.
    ///
    /// # Errors
    /// [`Error::Setting`] when λ would be relative to a mean eigenvalue that is not positive; whatever finding it reports.
    pub fn value(self, mean_eigenvalue: impl FnOnce() -> Result<f64>) -> Result<f64> {
        match self {
            Self::Absolute(value) => Ok(value),
            Self::Relative(fraction) => match mean_eigenvalue()? {
                mean if mean > 0.0 => Ok(fraction * mean),
                mean => Err(Error::Setting {
                    name: "relative damping",
                    requirement: "relative to a positive mean eigenvalue",
                    got: mean.to_string(),
                }),
            },
        }
    }
}

impl From<f64> for Strength {
    fn from(value: f64) -> Self {
        Self::Absolute(value)
    }
}

impl From<f64> for Damping {
    fn from(value: f64) -> Self {
        Self::Uniform(value.into())
    }
}
