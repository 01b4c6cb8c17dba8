use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value};
use zarrs::array::{
    BytesToBytesCodecTraits,
    codec::{Crc32cCodec, GzipCodec, ZstdCodec},
};

use crate::{
    Error, Result,
    zarr::{format::OWN, layout::Labels},
};

/// How to write Zarr; the chunks are those of the grid.
///
/// # Examples
/// ```
/// use influence_calculators::zarr::{Compression, ZarrOptions};
///
/// let options = ZarrOptions::default()
///     .with_attribute("damping", 0.1)
///     .with_compression(Compression::None);
/// assert_eq!(options.attributes()["damping"], 0.1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ZarrOptions {
    attributes: Map<String, Value>,
    remarks: BTreeSet<String>,
    compression: Compression,
    if_exists: IfExists,
    test_labels: Option<Labels>,
    train_labels: Option<Labels>,
}

/// What happens to an output that is in the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum IfExists {
    #[default]
    Refuse,
    Replace,
    Resume,
    Join,
}

/// How chunks are compressed; a checksum (CRC32C) follows in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Zstandard, level 1 to 22; level 3 by default.
    Zstd(i32),
    /// Gzip, level 0 to 9, for readers without Zstandard.
    Gzip(u32),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

impl ZarrOptions {
    /// Adds an attribute to the group: where the numbers come from, and how they were made.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Adds an attribute that may differ in a run which resumes the output: a path, a person, a
    /// time.
    #[must_use]
    pub fn with_remark(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        self.remarks.insert(name.clone());
        self.with_attribute(name, value)
    }

    /// Adds attributes to the group.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Map<String, Value>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    /// Labels the test points, in the coordinate `test`; otherwise they are counted from 0.
    #[must_use]
    pub fn with_test_labels(self, labels: Labels) -> Self {
        Self {
            test_labels: Some(labels),
            ..self
        }
    }

    /// Labels the training points, in the coordinate `train`; otherwise they are counted from 0.
    #[must_use]
    pub fn with_train_labels(self, labels: Labels) -> Self {
        Self {
            train_labels: Some(labels),
            ..self
        }
    }

    /// Compresses chunks in this way.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self {
            compression,
            ..self
        }
    }

    /// Replaces an output of this crate; anything else in its place is still refused.
    #[must_use]
    pub fn overwriting(self) -> Self {
        Self {
            if_exists: IfExists::Replace,
            ..self
        }
    }

    /// Resumes an output of this crate that was made with the same settings, or begins one
    /// where there is nothing.
    ///
    /// Chunks that are there are checked against their checksums; only those that are missing or
    /// damaged are computed. The outcome is that of a run that was never interrupted, to the byte.
    /// Where chunks are not given they are those of the output.
    #[must_use]
    pub fn resuming(self) -> Self {
        Self {
            if_exists: IfExists::Resume,
            ..self
        }
    }

    /// Joins an output that was [declared](crate::Lazy::declare) with the same settings, as one of
    /// several processes that write it at the same time.
    ///
    /// Chunks that are missing or damaged in the [share](crate::Lazy::with_share) of the run are
    /// computed and written, and nothing else is touched. The output stays incomplete until a run
    /// [resumes](Self::resuming) it, which checks every chunk and computes what is missing.
    #[must_use]
    pub fn joining(self) -> Self {
        Self {
            if_exists: IfExists::Join,
            ..self
        }
    }

    /// The attributes of the caller.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// The labels of the points along a dimension, if they were given.
    pub(super) fn labels(&self, dimension: &str) -> Option<&Labels> {
        match dimension {
            "test" => self.test_labels.as_ref(),
            "train" => self.train_labels.as_ref(),
            _ => None,
        }
    }

    /// The names of attributes by which runs may differ.
    pub(super) fn remarks(&self) -> &BTreeSet<String> {
        &self.remarks
    }

    /// How chunks are compressed, in words: codec and level.
    pub(super) fn compression(&self) -> String {
        match self.compression {
            Compression::None => "none".to_owned(),
            Compression::Zstd(level) => format!("zstd {level}"),
            Compression::Gzip(level) => format!("gzip {level}"),
        }
    }

    pub(super) fn if_exists(&self) -> IfExists {
        self.if_exists
    }

    pub(super) fn check(&self) -> Result<()> {
        self.codecs()?;
        if self.attributes.contains_key(OWN) {
            return Err(Error::Option {
                name: "attribute name",
                requirement: "other than `influence`",
                got: OWN.into(),
            });
        }
        Ok(())
    }

    pub(crate) fn codecs(&self) -> Result<Vec<Arc<dyn BytesToBytesCodecTraits>>> {
        let bad = |requirement, got: String| Error::Option {
            name: "compression level",
            requirement,
            got,
        };
        let mut codecs: Vec<Arc<dyn BytesToBytesCodecTraits>> = Vec::new();
        match self.compression {
            Compression::None => {}
            Compression::Zstd(level @ 1..=22) => {
                codecs.push(Arc::new(ZstdCodec::new(level, false)));
            }
            Compression::Zstd(level) => return Err(bad("1 to 22", level.to_string())),
            Compression::Gzip(level) => {
                codecs.push(Arc::new(
                    GzipCodec::new(level).map_err(|_| bad("0 to 9", level.to_string()))?,
                ));
            }
        }
        codecs.push(Arc::new(Crc32cCodec::new()));
        Ok(codecs)
    }
}
