use std::path::Path;

use super::{Claim, Location, ZarrOptions};
use crate::{Error, Result};

/// What a URL begins with, and the feature that brings its store.
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
    fn of(text: &str) -> Result<Option<&'static Self>> {
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
    fn off(&self) -> Error {
        Error::FeatureOff {
            scheme: self.name,
            feature: self.feature,
        }
    }
}

impl Location {
    /// A path or a URL. What has no scheme is a [`folder`](Self::folder); a scheme picks the store, if its feature is on:
    ///
    /// | URL | feature | access |
    /// |---|---|---|
    /// | `file:///path` | `object-store` | |
    /// | `memory:///path` | `object-store` | lives as long as this location; its clones share it, another `parse` does not |
    /// | `s3://bucket/path`, `s3a://` | `s3` | variables `AWS_*`, as `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP` |
    /// | `gs://bucket/path` | `gcs` | variables `GOOGLE_*`, as `GOOGLE_SERVICE_ACCOUNT` |
    /// | `az://container/path`, `abfs[s]://` | `azure` | variables `AZURE_*`, as `AZURE_STORAGE_ACCOUNT_NAME` |
    /// | `http[s]://host/path` | `http` | reading only |
    ///
    /// The variables are those of the builders of `object_store`. A URL with a password or a query is refused, since URLs are shown.
    /// Nothing is sent yet. A value appears in an object store as a whole or not at all.
    ///
    /// Waiting for a store blocks the thread. Within an asynchronous runtime this works, but holds up one of its threads: better call
    /// whatever reads or writes by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::UnknownScheme`], [`Error::FeatureOff`], [`Error::Option`] for a URL that cannot be read, [`Error::Store`] when the
    /// store's settings are not complete.
    ///
    /// # Examples
    /// ```
    /// use influence_calculators::{Error, Location};
    ///
    /// assert_eq!(Location::parse("runs/first.zarr")?.to_string(), "runs/first.zarr");
    /// assert!(matches!(Location::parse("ftp://host/first.zarr"), Err(Error::UnknownScheme { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        match Scheme::of(text)? {
            None => Ok(Self::folder(text)),
            #[cfg(feature = "object-store")]
            Some(scheme) => super::remote::open(text, scheme),
            #[cfg(not(feature = "object-store"))]
            Some(scheme) => Err(scheme.off()),
        }
    }

    /// Whether [`parse`](Self::parse) takes this for a URL, be it of a known scheme or not, and not for a folder.
    pub fn is_url(text: &str) -> bool {
        name(text).is_some()
    }

    /// Refuses what writing an output with these options would refuse, and writes nothing.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotZarr`], [`Error::ReadOnly`] and [`Error::Option`]; [`Error::Store`] when the place cannot be looked at.
    pub fn check(&self, options: &ZarrOptions) -> Result<()> {
        Claim::unlocked(self, options).map(drop)
    }
}

/// A path that looks like a URL was meant as one.
pub(super) fn refuse_url(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(text) if Location::is_url(text) => Err(Error::Option {
            name: "folder",
            requirement: "a path; `Location::parse` reads URLs",
            got: name(text).map_or_else(String::new, |scheme| format!("{scheme}://…")),
        }),
        _ => Ok(()),
    }
}

/// What stands before `://`, if it can be a scheme: `C:\data`, `./a://b` and `data` are folders.
fn name(text: &str) -> Option<&str> {
    let (name, _) = text.split_once("://")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    // A single letter is a drive.
    let is_scheme = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(letters);
    is_scheme.then_some(name)
}
