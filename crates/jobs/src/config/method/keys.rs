//! The keys of a method, taken from its table one by one.
//!
//! The reader of a method is the list of its keys: whatever it asks for belongs to the method, and
//! [`Keys`] keeps what it was asked for.

use std::fmt::Display;

use anyhow::Result;
use influence_data::key::{KeyError, KeyPath};
use serde::de::DeserializeOwned;
use toml::Table;

use super::MethodName;
use crate::config::mistake::{one_of, read_at};

/// A key that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedKey {
    pub(super) name: &'static str,
    /// The part of the method that it is a setting of, where that is not always there.
    pub(super) part: Option<&'static str>,
}

/// The section of a method.
#[derive(Debug)]
pub(super) struct Keys {
    method: MethodName,
    table: Table,
    asked: Vec<AskedKey>,
}

impl Keys {
    /// The section in a table.
    pub(super) fn new(table: Table) -> Result<Self> {
        let mut keys = Self {
            method: MethodName::default(),
            table,
            asked: Vec::new(),
        };
        keys.method = keys.take("name")?.unwrap_or_default();
        Ok(keys)
    }

    /// The shortest section of a method.
    pub(super) fn least(method: MethodName) -> Self {
        let name = AskedKey {
            name: "name",
            part: None,
        };
        Self {
            method,
            table: Table::from_iter([
                ("damping".to_owned(), 0.0.into()),
                ("second_moments".to_owned(), "".into()),
            ]),
            asked: vec![name],
        }
    }

    /// The method by name.
    pub(super) fn method(&self) -> MethodName {
        self.method
    }

    /// What is given and not taken.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The keys that are given and not taken.
    pub(super) fn given(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }

    /// The keys that were asked for, in this order.
    pub(super) fn asked(self) -> Vec<AskedKey> {
        self.asked
    }

    /// The value of a key, if it is given.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<Option<T>> {
        self.asked.push(AskedKey {
            name: key,
            part: None,
        });
        let value = self.table.remove(key);
        let read = value.map(|value| read_at(path(key), value));
        Ok(read.transpose()?)
    }

    /// A value by name, one of several.
    pub(super) fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>> {
        let Some(given) = self.take::<String>(key)? else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(name, _)| *name == given);
        let chosen = chosen.ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let known = one_of("known", &given, &names);
            KeyError::new(path(key), format!("unknown value `{given}`; {known}"))
        })?;
        Ok(Some(chosen.1.clone()))
    }

    /// A number of things, at least one.
    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<usize>> {
        self.within(key, "must be at least 1", |value: usize| value > 0)
    }

    /// As [`count`](Self::count), a setting of a part of the method.
    pub(super) fn count_of(
        &mut self,
        part: &'static str,
        key: &'static str,
    ) -> Result<Option<usize>> {
        let value = self.count(key)?;
        if let Some(asked) = self.asked.last_mut() {
            asked.part = Some(part);
        }
        Ok(value)
    }

    /// A number between 0 and 1.
    pub(super) fn fraction(&mut self, key: &'static str) -> Result<Option<f64>> {
        let domain = "must be between 0 and 1";
        self.within(key, domain, |value: f64| value > 0.0 && value < 1.0)
    }

    /// A positive number.
    pub(super) fn positive(&mut self, key: &'static str) -> Result<Option<f64>> {
        let domain = "must be finite and positive";
        self.within(key, domain, |value: f64| value.is_finite() && value > 0.0)
    }

    /// A number that is positive or zero.
    pub(super) fn not_negative(&mut self, key: &'static str) -> Result<Option<f64>> {
        let domain = "must be finite and not negative";
        self.within(key, domain, |value: f64| value.is_finite() && value >= 0.0)
    }

    /// A value in a domain.
    fn within<T: DeserializeOwned + Copy + Display>(
        &mut self,
        key: &'static str,
        domain: &str,
        is_within: impl FnOnce(T) -> bool,
    ) -> Result<Option<T>> {
        let value = self.take(key)?;
        match value {
            Some(value) if !is_within(value) => {
                let wrong = format!("{domain}, got {value}");
                Err(KeyError::sentence(path(key), wrong).into())
            }
            _ => Ok(value),
        }
    }
}

fn path(key: &str) -> KeyPath {
    KeyPath::from("method").key(key)
}
