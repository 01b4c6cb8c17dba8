use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;

/// The files that hold the weights of a model, or those of the models of an ensemble, one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles(Vec<PathBuf>);

impl WeightFiles {
    /// The only file, or that of the first model of an ensemble.
    pub fn first(&self) -> &Path {
        self.0.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// All files, in order.
    pub fn all(&self) -> &[PathBuf] {
        &self.0
    }

    /// As [`all`](Self::all), to be changed.
    pub fn all_mut(&mut self) -> &mut [PathBuf] {
        &mut self.0
    }

    /// Whether they are those of several models.
    pub fn is_ensemble(&self) -> bool {
        self.0.len() > 1
    }
}

impl fmt::Display for WeightFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|path| path.display().to_string());
        f.write_str(&shown.collect::<Vec<_>>().join(", "))
    }
}

impl<'de> Deserialize<'de> for WeightFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = |value: &Value| match value {
            Value::String(path) => Ok(PathBuf::from(path)),
            other => Err(D::Error::custom(format!(
                "expected a string, the path of a file, or a list of such strings, got {other}"
            ))),
        };
        let files = match Value::deserialize(deserializer)? {
            Value::Array(list) => list.iter().map(path).collect::<Result<Vec<_>, _>>()?,
            one => vec![path(&one)?],
        };
        if files.is_empty() {
            let wrong = "the list is empty; name the file of the weights, or those of the models of an ensemble";
            return Err(D::Error::custom(wrong));
        }
        match (1..files.len()).find(|&later| files[..later].contains(&files[later])) {
            None => Ok(Self(files)),
            Some(later) => Err(D::Error::custom(format!(
                "{} is listed twice; each model of an ensemble has a file of its own",
                files[later].display()
            ))),
        }
    }
}
