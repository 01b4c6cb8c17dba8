//! Parameters, the blocks in which the curvature is inverted, and their damping.

mod damping;

use std::ops::Range;

use crate::{Error, Result};

pub use damping::{BlockDamping, Damping, Strength};

/// A trainable tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its dotted path in the model, `layer1.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// The parameters of a model in order; a parameter-space vector is all of them, flattened row-major
/// and joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterLayout {
    parameters: Vec<Parameter>,
    offsets: Vec<usize>,
}

impl ParameterLayout {
    /// Lays out parameters in the given order.
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let mut offsets = vec![0];
        let mut offset = 0;
        for parameter in &parameters {
            offset += parameter.shape.iter().product::<usize>();
            offsets.push(offset);
        }
        Self {
            parameters,
            offsets,
        }
    }

    /// The parameters in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The number of scalars.
    pub fn dim(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The columns of one parameter; empty for an index beyond the last.
    pub fn columns(&self, parameter: usize) -> Range<usize> {
        let end = self.dim();
        let at = |index: usize| self.offsets.get(index).copied().unwrap_or(end);
        at(parameter)..at(parameter + 1)
    }
}

/// Parameters whose curvature is inverted together; curvature between blocks is taken as zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    name: String,
    parameters: Vec<usize>,
    names: Vec<String>,
    columns: Vec<Range<usize>>,
    own_columns: Vec<Range<usize>>,
}

impl Block {
    fn new(name: String, mut parameters: Vec<usize>, layout: &ParameterLayout) -> Self {
        parameters.sort_unstable();
        let mut columns: Vec<Range<usize>> = Vec::new();
        for range in parameters.iter().map(|&index| layout.columns(index)) {
            match columns.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => columns.push(range),
            }
        }
        let names = parameters
            .iter()
            .map(|&index| layout.parameters[index].name.clone());
        let mut end = 0;
        let own_columns = parameters.iter().map(|&index| {
            let start = end;
            end += layout.columns(index).len();
            start..end
        });
        Self {
            name,
            names: names.collect(),
            own_columns: own_columns.collect(),
            parameters,
            columns,
        }
    }

    /// Its parameters in order, each by name and with its columns in vectors of the block.
    pub fn members(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.own_columns.iter().cloned())
    }

    /// The name of the block.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The indices of its parameters in the layout, ascending.
    pub fn parameters(&self) -> &[usize] {
        &self.parameters
    }

    /// The columns that the block takes of a parameter-space vector, ascending, neighbours joined.
    pub fn columns(&self) -> &[Range<usize>] {
        &self.columns
    }

    /// The number of scalars in the block.
    pub fn dim(&self) -> usize {
        self.columns.iter().map(Range::len).sum()
    }
}

/// How the parameters fall into blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BlockStructure {
    /// One block of all parameters, named `full`.
    #[default]
    Full,
    /// One block per module that owns parameters, named by its path.
    LayerWise,
    /// One block per parameter, named as the parameter.
    ParameterWise,
    /// Named blocks of named parameters.
    Custom(CustomBlocks),
}

/// Blocks listed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomBlocks {
    blocks: Vec<(String, Vec<String>)>,
    ignore_rest: bool,
}

impl CustomBlocks {
    /// Each block with the parameters it holds; together they must hold all.
    pub fn new<B, P, S, T>(blocks: B) -> Self
    where
        B: IntoIterator<Item = (S, P)>,
        P: IntoIterator<Item = T>,
        S: Into<String>,
        T: Into<String>,
    {
        let blocks = blocks.into_iter().map(|(name, parameters)| {
            (
                name.into(),
                parameters.into_iter().map(Into::into).collect(),
            )
        });
        Self {
            blocks: blocks.collect(),
            ignore_rest: false,
        }
    }

    /// Each block with the names of its parameters, in the order given.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &[String])> {
        let blocks = self.blocks.iter();
        blocks.map(|(name, parameters)| (name.as_str(), &parameters[..]))
    }

    /// Lets parameters that no block holds have no influence.
    #[must_use]
    pub fn ignoring_rest(self) -> Self {
        Self {
            ignore_rest: true,
            ..self
        }
    }
}

impl BlockStructure {
    /// The blocks of a model with these parameters, none of them empty.
    ///
    /// # Errors
    /// [`Error::Setting`] for a model without parameters, an empty block or a name given twice,
    /// [`Error::UnknownName`], [`Error::BlockOverlap`] and [`Error::BlockIncomplete`] for custom
    /// blocks that do not tile the parameters.
    pub fn resolve(&self, layout: &ParameterLayout) -> Result<Vec<Block>> {
        if layout.dim() == 0 {
            return Err(Error::Setting {
                name: "model",
                requirement: "one with trainable parameters",
                got: "none".into(),
            });
        }
        match self {
            Self::Full => Ok(vec![Block::new(
                "full".into(),
                (0..layout.parameters.len()).collect(),
                layout,
            )]),
            Self::LayerWise => Ok(grouped(layout, |name| {
                name.rsplit_once('.').map_or("", |(module, _)| module)
            })),
            Self::ParameterWise => Ok(grouped(layout, |name| name)),
            Self::Custom(custom) => custom.resolve(layout),
        }
    }
}

fn grouped<'a>(layout: &'a ParameterLayout, key: impl Fn(&'a str) -> &'a str) -> Vec<Block> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, parameter) in layout.parameters.iter().enumerate() {
        let name = key(&parameter.name);
        match groups.iter_mut().find(|(group, _)| *group == name) {
            Some((_, members)) => members.push(index),
            None => groups.push((name, vec![index])),
        }
    }
    groups
        .into_iter()
        .map(|(name, members)| Block::new(name.to_owned(), members, layout))
        .collect()
}

impl CustomBlocks {
    fn resolve(&self, layout: &ParameterLayout) -> Result<Vec<Block>> {
        let mut owner: Vec<Option<&str>> = vec![None; layout.parameters.len()];
        let mut resolved: Vec<Block> = Vec::with_capacity(self.blocks.len());
        for (name, members) in &self.blocks {
            if resolved.iter().any(|block| block.name == *name) {
                return Err(Error::Setting {
                    name: "block name",
                    requirement: "unique",
                    got: name.clone(),
                });
            }
            let mut indices = Vec::with_capacity(members.len());
            for member in members {
                let index = find(layout, member)?;
                if let Some(first) = owner[index].replace(name) {
                    return Err(Error::BlockOverlap {
                        parameter: member.clone(),
                        first: first.to_owned(),
                        second: name.clone(),
                    });
                }
                indices.push(index);
            }
            let block = Block::new(name.clone(), indices, layout);
            if block.dim() == 0 {
                return Err(Error::Setting {
                    name: "block",
                    requirement: "one with parameters",
                    got: name.clone(),
                });
            }
            resolved.push(block);
        }
        let left_out = layout
            .parameters
            .iter()
            .zip(&owner)
            .filter(|(_, owner)| owner.is_none());
        let parameters: Vec<String> = left_out
            .map(|(parameter, _)| parameter.name.clone())
            .collect();
        if parameters.is_empty() || self.ignore_rest {
            Ok(resolved)
        } else {
            Err(Error::BlockIncomplete { parameters })
        }
    }
}

fn find(layout: &ParameterLayout, name: &str) -> Result<usize> {
    layout
        .parameters
        .iter()
        .position(|parameter| parameter.name == name)
        .ok_or_else(|| Error::UnknownName {
            kind: "parameter",
            name: name.to_owned(),
            known: layout
                .parameters
                .iter()
                .map(|parameter| parameter.name.clone())
                .collect(),
        })
}

#[cfg(test)]
mod tests;
