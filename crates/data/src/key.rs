//! Errors that know which key of a configuration they are about.
//!
//! An error about a key is a [`KeyError`]. Whoever calls what failed puts the keys that lead to it
//! in front, by [`AtKey`], so that a reader of `inputs` need not know whether its table is
//! `data.train` or `data.test`:
//!
//! ```
//! use influence_data::key::{AtKey, KeyError};
//!
//! let read: Result<(), _> = Err(KeyError::new("inputs", "no such file"));
//! let error = read.at_key("data.train").unwrap_err();
//! assert_eq!(format!("{error:#}"), "data.train: inputs: no such file");
//! let key = error.downcast_ref::<KeyError>().expect("a key");
//! assert_eq!(key.path().to_string(), "data.train.inputs");
//! ```

use std::{error::Error as StdError, fmt, slice};

use anyhow::Error;

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A key of a table; it may hold any letters, dots among them.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// The way to a value of a configuration, from a table that holds it: the whole configuration, or a
/// part of it.
///
/// It is displayed as `method.sweep[1]`, keys as they are, without quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// The path of a key of the table or list that this path leads to. The name may hold dots.
    #[must_use]
    pub fn key(mut self, name: impl Into<String>) -> Self {
        self.0.push(Segment::Key(name.into()));
        self
    }

    /// The path of an element of the list that this path leads to, counted from 0.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// This path, and on from there along another one.
    #[must_use]
    pub fn join(mut self, rest: Self) -> Self {
        self.0.extend(rest.0);
        self
    }

    /// Whether this path is another one, or leads on from it.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// The steps, from the outermost.
    pub fn segments(&self) -> slice::Iter<'_, Segment> {
        self.0.iter()
    }
}

/// Keys between dots; [`key`](KeyPath::key) adds one that may hold a dot itself.
impl From<&str> for KeyPath {
    fn from(keys: &str) -> Self {
        keys.split('.').fold(Self::default(), Self::key)
    }
}

/// An element of a list, counted from 0.
impl From<usize> for KeyPath {
    fn from(index: usize) -> Self {
        Self::default().index(index)
    }
}

impl FromIterator<Segment> for KeyPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(name) if position == 0 => f.write_str(name)?,
                Segment::Key(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Which part of a line `key = value` is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key: there is none of this name.
    Key,
    /// The value, or something in it.
    Value,
}

/// What is wrong with a key of a configuration or with its value.
///
/// As the context of another error it says where that one is from.
#[derive(Debug)]
pub struct KeyError {
    path: KeyPath,
    part: Part,
    message: Message,
}

#[derive(Debug)]
enum Message {
    Text(String),
    /// That of another error, which this one stands in place of.
    Error(Error),
}

impl KeyError {
    /// An error whose message is the path, a colon, and what is wrong:
    /// `data.split.test: expected a share between 0 and 1`.
    pub fn new(path: impl Into<KeyPath>, wrong: impl fmt::Display) -> Self {
        let path = path.into();
        let message = format!("{path}: {wrong}");
        Self::worded(path, message)
    }

    /// An error whose message is a sentence that begins with the path:
    /// `compute.threads must be at least 1, got 0`.
    pub fn sentence(path: impl Into<KeyPath>, rest: impl fmt::Display) -> Self {
        let path = path.into();
        let message = format!("{path} {rest}");
        Self::worded(path, message)
    }

    /// An error whose message says the path in its own way, or leaves it to the context.
    pub fn worded(path: impl Into<KeyPath>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            part: Part::Value,
            message: Message::Text(message.into()),
        }
    }

    /// The same about the key itself instead of its value.
    #[must_use]
    pub fn of_key(self) -> Self {
        Self {
            part: Part::Key,
            ..self
        }
    }

    /// The way to the value, as far as it is known.
    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    /// Whether the key or its value is wrong.
    pub fn part(&self) -> Part {
        self.part
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Message::Text(text) => text.fmt(f),
            Message::Error(error) => error.fmt(f),
        }
    }
}

impl StdError for KeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.message {
            Message::Text(_) => None,
            Message::Error(error) => error.source(),
        }
    }
}

/// Puts keys in front of the path of an error.
pub trait AtKey<T> {
    /// The error with the path of a table or value that it is from, which its message then begins
    /// with: `PATH: message`.
    ///
    /// # Errors
    /// The error itself.
    fn at_key(self, path: impl Into<KeyPath>) -> Result<T, Error>;

    /// The error with the path of a table or value that it is from; its message says nothing of it.
    ///
    /// # Errors
    /// The error itself.
    fn at_unsaid_key(self, path: impl Into<KeyPath>) -> Result<T, Error>;
}

impl<T, E: Into<Error>> AtKey<T> for Result<T, E> {
    fn at_key(self, path: impl Into<KeyPath>) -> Result<T, Error> {
        self.map_err(|error| {
            let mut error: Error = error.into();
            let path = path.into();
            let text = path.to_string();
            match error.downcast_mut::<KeyError>() {
                Some(inner) => {
                    put_before(path, inner);
                    error.context(text)
                }
                None => error.context(KeyError::worded(path, text)),
            }
        })
    }

    fn at_unsaid_key(self, path: impl Into<KeyPath>) -> Result<T, Error> {
        self.map_err(|error| {
            let mut error: Error = error.into();
            let path = path.into();
            match error.downcast_mut::<KeyError>() {
                Some(inner) => {
                    put_before(path, inner);
                    error
                }
                None => Error::new(KeyError {
                    path,
                    part: Part::Value,
                    message: Message::Error(error),
                }),
            }
        })
    }
}

fn put_before(path: KeyPath, error: &mut KeyError) {
    error.path = path.join(std::mem::take(&mut error.path));
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn path(error: &Error) -> String {
        let error = error.downcast_ref::<KeyError>().expect("a key");
        error.path().to_string()
    }

    #[test]
    fn paths_are_shown_as_they_are_written() {
        let by_name = KeyPath::from("method.damping").key("fc.weight");
        assert_eq!(by_name.to_string(), "method.damping.fc.weight");
        assert_ne!(by_name, KeyPath::from("method.damping.fc.weight"));
        assert!(by_name.is_within(&"method".into()) && !by_name.is_within(&"meth".into()));
        let element = KeyPath::from("method.sweep").index(1);
        assert_eq!(element.to_string(), "method.sweep[1]");
    }

    #[test]
    fn keys_add_up_through_other_contexts() {
        let error = KeyError::new("name", "unknown").of_key();
        let error = Err::<(), _>(error)
            .at_unsaid_key(2)
            .context("layer 3")
            .at_key("model.layers")
            .context("the model")
            .expect_err("it is one");
        let text = "the model: model.layers: layer 3: name: unknown";
        assert_eq!(format!("{error:#}"), text);
        assert_eq!(path(&error), "model.layers[2].name");
        let key = error.downcast_ref::<KeyError>().expect("a key");
        assert_eq!(key.part(), Part::Key);
    }

    #[test]
    fn errors_without_a_key_get_one() {
        let error = || Err::<(), _>(anyhow!("why").context("x.npy"));
        let said = error().at_key("data.train").expect_err("it is one");
        assert_eq!(format!("{said:#}"), "data.train: x.npy: why");
        assert_eq!(path(&said), "data.train");
        let unsaid = error().at_unsaid_key("inputs");
        let unsaid = unsaid.at_key("data.test").expect_err("it is one");
        assert_eq!(format!("{unsaid:#}"), "data.test: x.npy: why");
        assert_eq!(path(&unsaid), "data.test.inputs");
    }
}
