use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use super::Block;
use crate::{Error, Result, operator::Shift};

/// The damping λ, one for all blocks or one for each.
#[derive(Debug, Clone, PartialEq)]
pub enum Damping {
    /// The same for every block.
    Uniform(Strength),
    /// By name of block; every block must be named.
    PerBlock(BTreeMap<String, Strength>),
    /// Another damping, with exceptions for some parameters, which stay in their block.
    Excepting {
        /// The damping of all other parameters.
        rest: Box<Damping>,
        /// By name of parameter, in which `*` stands for any characters: `*.bias`. Each must name
        /// at least one.
        parameters: BTreeMap<String, Strength>,
    },
}

/// The damping of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockDamping {
    rest: Strength,
    /// For each parameter its own, if it has one.
    own: Vec<Option<Strength>>,
}

/// How strong the damping of a block is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strength {
    /// λ itself.
    Absolute(f64),
    /// λ is this times the mean eigenvalue of the curvature of the block.
    ///
    /// Grosse et al., *Studying large language model generalization with influence functions*,
    /// 2023, use 0.1.
    Relative(f64),
}

impl Damping {
    /// λ is `fraction` times the mean eigenvalue of each block.
    pub fn relative(fraction: f64) -> Self {
        Self::Uniform(Strength::Relative(fraction))
    }

    /// This damping, with other strengths for parameters of these names, in which `*` stands for
    /// any characters.
    ///
    /// Weight decay that leaves out biases is
    /// `Damping::from(decay).excepting([("*.bias".into(), 0.0.into())])`.
    #[must_use]
    pub fn excepting(self, parameters: impl IntoIterator<Item = (String, Strength)>) -> Self {
        Self::Excepting {
            rest: Box::new(self),
            parameters: parameters.into_iter().collect(),
        }
    }

    /// The damping of each block, in order.
    ///
    /// # Errors
    /// [`Error::UnknownName`] when a named block or parameter does not exist or a block is not
    /// named, [`Error::Setting`] when a parameter is named twice.
    pub fn resolve(&self, blocks: &[&Block]) -> Result<Vec<BlockDamping>> {
        let Self::Excepting { rest, parameters } = self else {
            let of_block = |(rest, block): (Strength, &&Block)| BlockDamping {
                rest,
                own: vec![None; block.parameters().len()],
            };
            let strengths = self.strengths(blocks)?.into_iter();
            return Ok(strengths.zip(blocks).map(of_block).collect());
        };
        check_names(parameters, blocks)?;
        let excepting = |(damping, block): (BlockDamping, &&Block)| {
            let own = block.members().zip(damping.own);
            let own = own.map(|((name, _), inner)| Ok(strength_of(name, parameters)?.or(inner)));
            let own = own.collect::<Result<_>>()?;
            Ok(BlockDamping { own, ..damping })
        };
        rest.resolve(blocks)?
            .into_iter()
            .zip(blocks)
            .map(excepting)
            .collect()
    }

    /// The strength of each block, exceptions left out.
    fn strengths(&self, blocks: &[&Block]) -> Result<Vec<Strength>> {
        match self {
            Self::Excepting { rest, .. } => rest.strengths(blocks),
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

/// Refuses names that no parameter has.
fn check_names(parameters: &BTreeMap<String, Strength>, blocks: &[&Block]) -> Result<()> {
    let known = || blocks.iter().flat_map(|block| block.members());
    let unknown = |pattern: &&String| !known().any(|(name, _)| matches(pattern, name));
    match parameters.keys().find(unknown) {
        None => Ok(()),
        Some(pattern) => Err(Error::UnknownName {
            kind: "parameter in damping",
            name: pattern.clone(),
            known: known().map(|(name, _)| name.to_owned()).collect(),
        }),
    }
}

/// The exception for a parameter, if there is one: by its exact name, else by the one pattern that
/// matches it.
fn strength_of(name: &str, parameters: &BTreeMap<String, Strength>) -> Result<Option<Strength>> {
    if let Some(strength) = parameters.get(name) {
        return Ok(Some(*strength));
    }
    let mut matching = parameters
        .iter()
        .filter(|(pattern, _)| matches(pattern, name));
    match (matching.next(), matching.next()) {
        (Some((first, _)), Some((second, _))) => Err(Error::Setting {
            name: "damping by parameter",
            requirement: "one for each parameter",
            got: format!("`{first}` and `{second}`, which both name `{name}`"),
        }),
        (found, _) => Ok(found.map(|(_, strength)| *strength)),
    }
}

/// Whether a name is the pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let mut starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            starts.any(|at| matches(rest, &tail[at..]))
        }),
    }
}

impl BlockDamping {
    /// λ of the block, or of its parameters, given how to find the mean eigenvalue of the block,
    /// which is called once at most.
    ///
    /// # Errors
    /// As [`Strength::value`]; [`Error::Setting`] for a λ that is negative or not finite, if not
    /// all are the same.
    pub fn shift(
        &self,
        block: &Block,
        mean_eigenvalue: impl FnOnce() -> Result<f64>,
    ) -> Result<Shift> {
        let mut strengths = self.own.iter().flatten().chain([&self.rest]);
        let is_relative = strengths.any(|strength| matches!(strength, Strength::Relative(_)));
        let mean = is_relative.then(mean_eigenvalue).transpose()?;
        let value = |strength: Strength| strength.value(|| Ok(mean.unwrap_or_default()));
        if self.own.iter().all(Option::is_none) {
            return Ok(value(self.rest)?.into());
        }
        let members = block.members().zip(&self.own);
        let ranges =
            members.map(|((_, columns), own)| Ok((columns, value(own.unwrap_or(self.rest))?)));
        Shift::by_columns(ranges.collect::<Result<_>>()?)
    }
}

impl Strength {
    /// λ, given how to find the mean eigenvalue.
    ///
    /// # Errors
    /// [`Error::Setting`] when λ would be relative to a mean eigenvalue that is not positive;
    /// whatever finding it reports.
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

/// As it is written in a configuration: `0.1` or `{ relative = 0.1 }`.
impl Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(value) => value.fmt(f),
            Self::Relative(fraction) => write!(f, "{{ relative = {fraction} }}"),
        }
    }
}

/// As it is written in a configuration, `{ fc = 0.1 }` by block; exceptions come after `but`.
impl Display for Damping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |entries: &BTreeMap<String, Strength>| {
            let entries = entries.iter();
            let entries = entries.map(|(name, strength)| format!("{name} = {strength}"));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        };
        match self {
            Self::Uniform(strength) => strength.fmt(f),
            Self::PerBlock(by_name) => f.write_str(&table(by_name)),
            Self::Excepting { rest, parameters } => write!(f, "{rest} but {}", table(parameters)),
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
