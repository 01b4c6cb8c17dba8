//! Where a configuration says what it says.

mod excerpt;

use std::{fmt, ops::Range, path::Path};

use anyhow::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

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
    overrides: Vec<String>,
}

/// A key, its path written with dots and elements of lists as `[0]`.
#[derive(Debug, Clone)]
struct Key {
    path: String,
    /// Where the key itself is written.
    name: Range<usize>,
    /// Where an error of its value is shown.
    value: Range<usize>,
    /// The value, if it is a text.
    text: Option<String>,
}

impl Places {
    /// The places of a text that is TOML, and of what the command line says in place of it.
    pub(super) fn new(path: &Path, text: &str, overrides: &[String]) -> Self {
        let mut keys = Vec::new();
        if let Ok(document) = DeTable::parse(text) {
            enter_table("", document.get_ref(), &mut keys);
        }
        Self {
            file: path.display().to_string(),
            text: text.to_owned(),
            keys,
            overrides: overrides.to_vec(),
        }
    }

    /// The place of bytes of the text.
    pub(super) fn of_bytes(&self, bytes: &Range<usize>) -> Place {
        Place {
            name: format!("{}:{}", self.file, line_number(&self.text, bytes.start)),
            excerpt: Some(excerpt(&self.text, bytes)),
        }
    }

    /// The error with its place, where its message begins with a key that has one.
    pub fn located(&self, error: Error) -> Error {
        if error.is::<Place>() {
            return error;
        }
        match self.place(&format!("{error:#}")) {
            Some(place) => error.context(place),
            None => error,
        }
    }

    fn place(&self, message: &str) -> Option<Place> {
        let key = leading_key(message)?;
        if let Some(text) = self.overriding(key, message) {
            return Some(Place {
                name: format!("--set {text}"),
                excerpt: None,
            });
        }
        let mut path = key;
        while self.find(path).is_none() {
            path = &path[..path.rfind(['.', '['])?];
        }
        let path = self.within(path, message);
        let key = self.find(&path)?;
        let unknown = message.contains("unknown key");
        Some(self.of_bytes(if unknown { &key.name } else { &key.value }))
    }

    /// The last override that decides about a key: of it, of a table that it is in, or of a key in
    /// it that the message names.
    fn overriding(&self, key: &str, message: &str) -> Option<&str> {
        let decides = |text: &&String| {
            let Some((overridden, value)) = text.split_once('=') else {
                return false;
            };
            let (overridden, value) = (overridden.trim(), value.trim().trim_matches(['"', '\'']));
            is_within(key, overridden) || is_within(overridden, key) && told(value, message) > 0
        };
        let found = self.overrides.iter().rev().find(decides);
        found.map(String::as_str)
    }

    /// The part of a value that a message is about: the layer or the key that it names, or the text
    /// that it repeats.
    fn within(&self, path: &str, message: &str) -> String {
        if let Some(layer) = named_layer(message) {
            let element = format!("{path}[{layer}]");
            if self.find(&element).is_some() {
                return self.unknown_key(&element, message).unwrap_or(element);
            }
        }
        let inner = self.keys.iter().filter(|key| is_within(&key.path, path));
        let repeated = inner.filter_map(|key| {
            let length = told(key.text.as_ref()?, message);
            (length > 0).then_some((length, key))
        });
        let repeated: Vec<(usize, &Key)> = repeated.collect();
        let longest = repeated.iter().map(|(length, _)| *length).max();
        let mut best = repeated
            .iter()
            .filter(|(length, _)| Some(*length) == longest);
        match (best.next(), best.next()) {
            (Some((_, key)), None) => key.path.clone(),
            // Two columns of one file, say.
            _ => path.to_owned(),
        }
    }

    fn unknown_key(&self, path: &str, message: &str) -> Option<String> {
        let (before, _) = message.split_once(": unknown key")?;
        let key = before.rsplit([' ', '.']).next()?;
        let path = format!("{path}.{key}");
        self.find(&path).map(|key| key.path.clone())
    }

    fn find(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }
}

/// How much of the path of a file a message repeats: all of it, or what is before `#`.
fn told(value: &str, message: &str) -> usize {
    // A word, as the name of a method, may be in any message.
    if !value.contains(['.', '/']) {
        return 0;
    }
    let file = value.split('#').next().unwrap_or_default();
    let parts = [value, file].into_iter();
    let repeated = parts.filter(|part| message.contains(part));
    repeated.map(str::len).max().unwrap_or(0)
}

/// Whether a path is another one, or leads on from it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What a message begins with, if that may be a key.
fn leading_key(message: &str) -> Option<&str> {
    let end = message.find([':', ' ']).unwrap_or(message.len());
    let key = &message[..end];
    let by_itself = !message[end..].starts_with(' ');
    (by_itself || key.contains('.')).then_some(key)
}

/// The layer that a message is about; messages count from 1.
fn named_layer(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("layer ")?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

fn enter_table(path: &str, table: &DeTable<'_>, keys: &mut Vec<Key>) {
    for (name, value) in table {
        let path = match path {
            "" => name.get_ref().to_string(),
            path => format!("{path}.{}", name.get_ref()),
        };
        enter(path, name.span(), value, keys);
    }
}

fn enter(path: String, name: Range<usize>, value: &Spanned<DeValue<'_>>, keys: &mut Vec<Key>) {
    let text = match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Table(table) => {
            enter_table(&path, table, keys);
            None
        }
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                enter(format!("{path}[{index}]"), element.span(), element, keys);
            }
            None
        }
        _ => None,
    };
    let is_table = matches!(value.get_ref(), DeValue::Table(_));
    keys.push(Key {
        path,
        value: if is_table { name.clone() } else { value.span() },
        name,
        text,
    });
}

#[cfg(test)]
mod tests;
