//! Which part of a file holds the weights of the model.

use anyhow::{Result, bail, ensure};

use super::{DEEPEST, StateDict, Tree};
use crate::weights::pytorch::object::{Id, PickleNode};

impl Tree<'_> {
    /// The only state dict of the file: it, or the one in it that holds weights.
    pub(super) fn only(&self, state: &mut StateDict) -> Result<Id> {
        let mut at = self.pickle.root;
        let mut path = Vec::new();
        for _ in 0..DEEPEST {
            let entries = self.entries(at).unwrap_or_default();
            if self.is_module(at) || entries.is_empty() {
                break;
            }
            let (direct, within): (Vec<_>, Vec<_>) = entries
                .iter()
                .filter(|(_, id)| self.holds_weights(*id))
                .partition(|(_, id)| matches!(self.pickle.node(*id), PickleNode::Tensor(_)));
            let flat = direct
                .iter()
                .any(|(name, _)| name.contains('.') || matches!(name.as_str(), "weight" | "bias"));
            let [(key, next)] = &within[..] else {
                ensure!(within.is_empty(), Self::several(&path, &within, flat));
                break;
            };
            ensure!(!flat, Self::several(&path, &within, flat));
            let others = entries
                .iter()
                .filter(|(name, id)| name != key && self.holds_tensors(*id));
            state.left_out.extend(others.map(|(name, _)| name.clone()));
            path.push(key.clone());
            at = *next;
        }
        state.key = (!path.is_empty()).then(|| path.join("."));
        Ok(at)
    }

    fn several(path: &[String], within: &[&(String, Id)], flat: bool) -> String {
        let full = |key: &str| {
            path.iter()
                .map(String::as_str)
                .chain([key])
                .collect::<Vec<_>>()
                .join(".")
        };
        let keys: Vec<String> = within
            .iter()
            .map(|(key, _)| format!("`{}`", full(key)))
            .collect();
        let first = within.first().map(|(key, _)| full(key)).unwrap_or_default();
        let beside = if flat { ", and weights beside" } else { "" };
        format!(
            "state dicts are under {}{beside}: choose the model with model.state = {first:?} (`--state {first}` of `init`); model.state = \"\" takes all that the file holds",
            keys.join(", ")
        )
    }

    /// The value at a dotted key, if it is a dictionary, a list or a module.
    pub(super) fn under(&self, at: Id, key: &str) -> Option<Id> {
        if key.is_empty() {
            return Some(at);
        }
        let entries = self.entries(at)?;
        let ends = key
            .char_indices()
            .filter(|(_, letter)| *letter == '.')
            .map(|(at, _)| at)
            .chain([key.len()]);
        let mut ends: Vec<usize> = ends.collect();
        ends.reverse();
        ends.into_iter().find_map(|end| {
            let (_, found) = entries.iter().find(|(name, _)| *name == key[..end])?;
            self.entries(*found)?;
            self.under(*found, key.get(end + 1..).unwrap_or_default())
        })
    }

    /// The tensors whose names begin with a key.
    pub(super) fn prefixed(&self, key: &str) -> Result<StateDict> {
        let mut all = StateDict::default();
        if let Some(entries) = self.entries(self.pickle.root) {
            for (name, id) in entries {
                if let (PickleNode::Tensor(view), Some(rest)) = (
                    self.pickle.node(id),
                    name.strip_prefix(key)
                        .and_then(|rest| rest.strip_prefix('.')),
                ) {
                    all.tensors.push((rest.to_owned(), (**view).clone()));
                }
            }
        }
        if !all.tensors.is_empty() {
            all.key = Some(key.to_owned());
            return Ok(all);
        }
        let entries = self.entries(self.pickle.root).unwrap_or_default();
        let within = entries
            .iter()
            .filter(|(_, id)| self.entries(*id).is_some() && self.holds_weights(*id));
        let within: Vec<String> = within.map(|(name, _)| format!("`{name}`")).collect();
        if within.is_empty() {
            bail!(
                "model.state: there is nothing under `{key}`, and no state dict under another key; leave model.state out"
            );
        }
        bail!(
            "model.state: there is nothing under `{key}`; state dicts are under {}",
            within.join(", ")
        )
    }
}
