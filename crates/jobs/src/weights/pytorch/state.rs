//! Which tensors of a file are the weights, and their names.

mod choice;

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    object::{Id, Object, PickleNode, View},
    pickle::Pickle,
};

/// Deeper than modules are in each other.
const DEEPEST: usize = 100;

/// The longest name of a tensor.
const LONGEST: usize = 4096;

/// More values than a file of weights has.
const MOST_VALUES: usize = 1 << 20;

/// What optimizers keep of each parameter.
const OPTIMIZER: [&str; 5] = [
    "param_groups",
    "exp_avg",
    "exp_avg_sq",
    "momentum_buffer",
    "square_avg",
];

/// The tables of a module.
const TABLES: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// The weights that were found.
#[derive(Debug, Default)]
pub(super) struct StateDict {
    /// In the order of the file.
    pub(super) tensors: Vec<(String, View)>,
    /// Modules and their classes, where whole modules were saved, in the order of the file.
    pub(super) modules: Vec<(String, String)>,
    /// The key that was taken, if it was not all of the file.
    pub(super) key: Option<String>,
    /// What else holds tensors.
    pub(super) left_out: Vec<String>,
}

impl StateDict {
    /// The tensors under a key; without one those of the only state dict that there is.
    ///
    /// # Errors
    /// When there is nothing under the key, several state dicts and no key, or tensors of a kind
    /// that is not known.
    pub(super) fn find(pickle: &Pickle, key: Option<&str>) -> Result<Self> {
        let tree = Tree {
            pickle,
            left: Cell::new(MOST_VALUES),
        };
        let mut state = Self::default();
        let root = match key {
            Some(key) => match tree.under(pickle.root, key) {
                Some(found) => found,
                None => return tree.prefixed(key),
            },
            None => tree.only(&mut state)?,
        };
        tree.collect(root, "", 0, &mut state)?;
        Ok(state)
    }
}

/// The values of a pickle as dictionaries in each other.
struct Tree<'a> {
    pickle: &'a Pickle,
    /// How many values may still be looked at: a small file can name the same ones over and over.
    left: Cell<usize>,
}

impl Tree<'_> {
    /// What a dictionary, list or module holds, by name; none of anything else.
    fn entries(&self, id: Id) -> Option<Vec<(String, Id)>> {
        match self.pickle.node(id) {
            PickleNode::Dict(pairs) => Some(self.named(pairs)),
            PickleNode::List(items) | PickleNode::Tuple(items) => {
                let items = items.iter().enumerate();
                Some(
                    items
                        .map(|(index, &item)| (index.to_string(), item))
                        .collect(),
                )
            }
            PickleNode::Object(object) => match self.module(object) {
                Some(entries) => Some(entries),
                None if object.items.is_empty() => None,
                None => Some(self.named(&object.items)),
            },
            _ => None,
        }
    }

    /// Items by their keys; of equal keys the last counts, as in Python.
    fn named(&self, pairs: &[(Id, Id)]) -> Vec<(String, Id)> {
        let mut places = HashMap::new();
        let mut entries: Vec<(String, Id)> = Vec::new();
        for &(key, value) in pairs {
            let Some(key) = self.pickle.node(key).key() else {
                continue;
            };
            let place = *places.entry(key.clone()).or_insert(entries.len());
            if place < entries.len() {
                entries[place].1 = value;
            } else {
                entries.push((key.to_string(), value));
            }
        }
        entries
    }

    fn attribute(&self, object: &Object, name: &str) -> Option<Id> {
        let PickleNode::Dict(attributes) = self.pickle.node(object.state?) else {
            return None;
        };
        let found = attributes.iter().rev().find(
            |(key, _)| matches!(self.pickle.node(*key), PickleNode::Text(key) if **key == *name),
        );
        found.map(|&(_, value)| value)
    }

    /// What the state dict of a module has: its parameters, its buffers but for those that are not
    /// kept, and its modules.
    fn module(&self, object: &Object) -> Option<Vec<(String, Id)>> {
        let [parameters, buffers, modules] = TABLES.map(|table| {
            self.attribute(object, table)
                .and_then(|table| self.entries(table))
        });
        let passing = self.attribute(object, "_non_persistent_buffers_set");
        let passing = passing
            .and_then(|names| self.entries(names))
            .unwrap_or_default();
        let passes = |name: &str| {
            passing
                .iter()
                .any(|(_, known)| self.pickle.node(*known).key().as_deref() == Some(name))
        };
        let buffers = buffers?.into_iter().filter(|(name, _)| !passes(name));
        Some(
            parameters?
                .into_iter()
                .chain(buffers)
                .chain(modules?)
                .collect(),
        )
    }

    fn is_module(&self, id: Id) -> bool {
        matches!(self.pickle.node(id), PickleNode::Object(object) if self.module(object).is_some())
    }

    /// Whether there are floating-point tensors with axes below, other than those of optimizers.
    fn holds_weights(&self, id: Id) -> bool {
        self.any(id, false, &mut HashSet::new(), 0)
    }

    fn holds_tensors(&self, id: Id) -> bool {
        self.any(id, true, &mut HashSet::new(), 0)
    }

    fn any(&self, id: Id, all: bool, seen: &mut HashSet<Id>, depth: usize) -> bool {
        if !seen.insert(id) || depth > DEEPEST {
            return false;
        }
        if let PickleNode::Tensor(view) = self.pickle.node(id) {
            return all || (view.element.float.is_some() && !view.shape.is_empty());
        }
        let Some(entries) = self.entries(id) else {
            return false;
        };
        if !all
            && entries
                .iter()
                .any(|(name, _)| OPTIMIZER.contains(&name.as_str()))
        {
            return false;
        }
        entries
            .into_iter()
            .any(|(_, id)| self.any(id, all, seen, depth + 1))
    }

    fn look(&self) -> Result<()> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.with_context(|| format!("more than {MOST_VALUES} values were saved"))?);
        Ok(())
    }

    /// All tensors below, under names with dots.
    fn collect(&self, id: Id, name: &str, depth: usize, state: &mut StateDict) -> Result<()> {
        ensure!(
            depth < DEEPEST,
            "what was saved is nested more than {DEEPEST} deep"
        );
        ensure!(
            name.len() <= LONGEST,
            "a name has more than {LONGEST} letters"
        );
        self.look()?;
        let node = self.pickle.node(id);
        if let PickleNode::Tensor(view) = node {
            ensure!(!name.is_empty(), "one tensor was saved, no state dict");
            state.tensors.push((name.to_owned(), (**view).clone()));
            return Ok(());
        }
        if let PickleNode::Object(object) = node {
            if self.is_module(id) {
                let class: String = object.class.chars().take(LONGEST).collect();
                state.modules.push((name.to_owned(), class));
            } else {
                self.check_opaque(object, name)?;
            }
        }
        for (key, value) in self.entries(id).unwrap_or_default() {
            let name = if name.is_empty() {
                key
            } else {
                format!("{name}.{key}")
            };
            self.collect(value, &name, depth + 1, state)?;
        }
        Ok(())
    }

    /// Refuses what is made of tensors but is no tensor.
    fn check_opaque(&self, object: &Object, name: &str) -> Result<()> {
        let mut seen = HashSet::new();
        let mut below: Vec<Id> = object.parts.iter().copied().chain(object.state).collect();
        while let Some(id) = below.pop() {
            self.look()?;
            if !seen.insert(id) {
                continue;
            }
            match self.pickle.node(id) {
                PickleNode::Tensor(_) | PickleNode::Storage(_) => bail!(
                    "`{name}` is kept as {}, which is not read; convert it to an ordinary tensor before saving",
                    object.class
                ),
                PickleNode::Tuple(items) | PickleNode::List(items) => below.extend(items),
                PickleNode::Dict(pairs) => below.extend(pairs.iter().map(|(_, value)| *value)),
                PickleNode::Object(inner) => {
                    below.extend(inner.parts.iter().copied().chain(inner.state));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
