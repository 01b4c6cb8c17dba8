//! Where a configuration says what it says.

mod excerpt;

use std::{fmt, ops::Range, path::Path};

use anyhow::Error;
use influence_data::key::{KeyError, KeyPath, Part};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::overrides;
use excerpt::{excerpt, line_number};

/// A place that an error is about: `FILE:LINE`, or `--set KEY=VALUE`; put around the error as its
/// context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    name: String,
    excerpt: Option<String>,
}

impl Place {
    /// The line itself with a mark below it, several lines, where there is one.
    pub fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// The places of the keys of a configuration; none of one that was not read from a file.
#[derive(Debug, Clone, Default)]
pub struct Places {
    file: String,
    text: String,
    keys: Vec<Key>,
    overrides: Vec<Override>,
}

/// A key, with the bytes of the text where it is written.
#[derive(Debug, Clone)]
struct Key {
    path: KeyPath,
    /// Where the key itself is written.
    name: Range<usize>,
    /// Where an error of its value is shown.
    value: Range<usize>,
}

/// A setting of the command line, in place of one of the file.
#[derive(Debug, Clone)]
struct Override {
    path: KeyPath,
    text: String,
}

impl Places {
    /// The places of a text that is TOML, and of the settings of the command line in place of it.
    pub(super) fn new(path: &Path, text: &str, overrides: &[String]) -> Self {
        let mut keys = Vec::new();
        if let Ok(document) = DeTable::parse(text) {
            enter_table(&KeyPath::default(), document.get_ref(), &mut keys);
        }
        let overrides = overrides.iter().filter_map(|text| {
            let path = overrides::path(text)?;
            let text = text.clone();
            Some(Override { path, text })
        });
        Self {
            file: path.display().to_string(),
            text: text.to_owned(),
            keys,
            overrides: overrides.collect(),
        }
    }

    /// The place of bytes of the text.
    pub(super) fn of_bytes(&self, bytes: &Range<usize>) -> Place {
        Place {
            name: format!("{}:{}", self.file, line_number(&self.text, bytes.start)),
            excerpt: Some(excerpt(&self.text, bytes)),
        }
    }

    /// The error with its place, where it is about a key that has one.
    pub fn located(&self, error: Error) -> Error {
        if error.is::<Place>() {
            return error;
        }
        // Contexts are found by the error alone, sources by its chain alone.
        let sources = || error.chain().find_map(|source| source.downcast_ref());
        let key = error.downcast_ref::<KeyError>().or_else(sources);
        match key.and_then(|key| self.of_path(key.path(), key.part())) {
            Some(place) => error.context(place),
            None => error,
        }
    }

    /// The place of the last setting of the command line that decides about a path, or else the one
    /// in the file.
    fn of_path(&self, path: &KeyPath, part: Part) -> Option<Place> {
        let mut overrides = self.overrides.iter().rev();
        match overrides.find(|setting| path.is_within(&setting.path)) {
            Some(setting) => Some(setting.place()),
            None => self.of_key(path, part),
        }
    }

    /// The place in the file of a key, or of the nearest table or list around it that is there.
    fn of_key(&self, path: &KeyPath, part: Part) -> Option<Place> {
        let around = self.keys.iter().filter(|key| path.is_within(&key.path));
        let key = around.max_by_key(|key| key.path.segments().len())?;
        Some(self.of_bytes(match part {
            Part::Key => &key.name,
            Part::Value => &key.value,
        }))
    }
}

impl Override {
    fn place(&self) -> Place {
        Place {
            name: format!("--set {}", self.text),
            excerpt: None,
        }
    }
}

fn enter_table(path: &KeyPath, table: &DeTable<'_>, keys: &mut Vec<Key>) {
    for (name, value) in table {
        let path = path.clone().key(&**name.get_ref());
        enter(path, name.span(), value, keys);
    }
}

fn enter(path: KeyPath, name: Range<usize>, value: &Spanned<DeValue<'_>>, keys: &mut Vec<Key>) {
    let mut shown = value.span();
    match value.get_ref() {
        DeValue::Table(table) => {
            enter_table(&path, table, keys);
            // The table may be long, and in several pieces.
            shown = name.clone();
        }
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                enter(path.clone().index(index), element.span(), element, keys);
            }
        }
        _ => {}
    }
    keys.push(Key {
        path,
        name,
        value: shown,
    });
}

#[cfg(test)]
mod tests;
