//! Schemes of URLs, and the stores that they name.

use std::path::Path;

use crate::{Error, Result};

/// The scheme of a URL, and the feature that brings its store.
#[derive(Debug)]
pub(super) struct Scheme {
    pub(super) name: &'static str,
    pub(super) feature: &'static str,
    enabled: bool,
}

macro_rules! schemes {
    ($($name:literal: $feature:literal),+ $(,)?) => {
        [$(Scheme { name: $name, feature: $feature, enabled: cfg!(feature = $feature) }),+]
    };
}

/// Every scheme for which there is a store.
const SCHEMES: [Scheme; 10] = schemes! {
    "file": "object-store",
    "memory": "object-store",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "http": "http",
    "https": "http",
};

impl Scheme {
    /// The scheme of a URL whose store is compiled in, none for the path of a folder.
    pub(super) fn of(text: &str) -> Result<Option<&'static Self>> {
        let Some(name) = name(text) else {
            return Ok(None);
        };
        let known = SCHEMES
            .iter()
            .find(|scheme| scheme.name.eq_ignore_ascii_case(name));
        match known {
            Some(scheme) if scheme.enabled => Ok(Some(scheme)),
            Some(scheme) => Err(scheme.off()),
            None => Err(Error::UnknownScheme {
                scheme: name.to_owned(),
                known: SCHEMES.iter().map(|scheme| scheme.name).collect(),
            }),
        }
    }

    /// That the store is not compiled in.
    pub(super) fn off(&self) -> Error {
        Error::FeatureOff {
            scheme: self.name,
            feature: self.feature,
        }
    }
}

/// Whether a text is a URL, of a known scheme or not.
pub(super) fn is_url(text: &str) -> bool {
    name(text).is_some()
}

/// A path that looks like a URL was meant as one.
pub(super) fn refuse_url(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(text) if is_url(text) => Err(Error::Option {
            name: "folder",
            requirement: "a path; `Location::parse` reads URLs",
            got: name(text).map_or_else(String::new, |scheme| format!("{scheme}://…")),
        }),
        _ => Ok(()),
    }
}

/// The text before `://`, if it can be a scheme: `C:\data`, `./a://b` and `data` are folders.
fn name(text: &str) -> Option<&str> {
    let (name, _) = text.split_once("://")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    // A single letter is a drive.
    let is_scheme = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(letters);
    is_scheme.then_some(name)
}
