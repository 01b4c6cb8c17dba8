use std::{
    fmt::{self, Display},
    path::PathBuf,
};

use serde::Deserialize;

/// What separates a file from the name of a tensor in it.
const SEPARATOR: &str = ".safetensors#";

/// Where an array is: `FILE.npy`, `FILE.safetensors#TENSOR` (without the name when there is one tensor), or the folder of a Zarr array.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct ArrayPath {
    /// The file or folder.
    pub path: PathBuf,
    /// The tensor in the file.
    pub tensor: Option<String>,
}

impl From<String> for ArrayPath {
    fn from(text: String) -> Self {
        match text.split_once(SEPARATOR) {
            Some((file, tensor)) => Self {
                path: format!("{file}.safetensors").into(),
                tensor: Some(tensor.to_owned()),
            },
            None => Self {
                path: text.into(),
                tensor: None,
            },
        }
    }
}

impl Display for ArrayPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.tensor {
            Some(tensor) => write!(f, "#{tensor}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safetensors_are_followed_by_a_name() {
        for (text, path, tensor) in [
            ("x.npy", "x.npy", None),
            ("a#b/x.npy", "a#b/x.npy", None),
            ("x.safetensors", "x.safetensors", None),
            ("x.safetensors#a#b", "x.safetensors", Some("a#b")),
            ("data.zarr/x", "data.zarr/x", None),
        ] {
            let array = ArrayPath::from(text.to_owned());
            assert_eq!(
                (array.path.to_str(), array.tensor.as_deref()),
                (Some(path), tensor)
            );
            assert_eq!(array.to_string(), text);
        }
    }
}
