use std::{
    fmt::{self, Display},
    path::PathBuf,
};

use serde::Deserialize;

/// What may be followed by `#` and the name of a part.
const WITH_PARTS: [&str; 5] = [".safetensors", ".npz", ".csv", ".parquet", "/"];

/// Where an array is: `FILE.npy`, `FILE.npz#ARRAY` or `FILE.safetensors#TENSOR` (without the name when there is one), `FILE.csv#COLUMNS` or
/// `FILE.parquet#COLUMNS` (`a`, `a,b`, or `-a` for all but `a`), an IDX file, the folder of a Zarr array, or `FOLDER/` and `FOLDER/#class` of images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct ArrayPath {
    /// The file or folder.
    pub path: PathBuf,
    /// The part of it: an array, a tensor, columns, or the classes.
    pub part: Option<String>,
}

impl From<String> for ArrayPath {
    fn from(text: String) -> Self {
        let separators = WITH_PARTS.iter().filter_map(|ending| {
            let found = text.find(&format!("{ending}#"))?;
            Some(found + ending.len())
        });
        match separators.min() {
            Some(end) => Self {
                path: text[..end].into(),
                part: Some(text[end + 1..].to_owned()),
            },
            None => Self {
                path: text.into(),
                part: None,
            },
        }
    }
}

impl Display for ArrayPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let Some(part) = &self.part else {
            return f.write_str(&path);
        };
        // A folder may have lost the slash by which it is known to have parts.
        let known = WITH_PARTS.iter().any(|ending| path.ends_with(ending));
        write!(f, "{path}{}#{part}", if known { "" } else { "/" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_what_has_parts() {
        for (text, path, part) in [
            ("x.npy", "x.npy", None),
            ("a#b/x.npy", "a#b/x.npy", None),
            ("x.safetensors", "x.safetensors", None),
            ("x.safetensors#a#b", "x.safetensors", Some("a#b")),
            ("x.npz#x.csv#y", "x.npz", Some("x.csv#y")),
            ("t.csv#-label,id", "t.csv", Some("-label,id")),
            ("t.parquet#pixels", "t.parquet", Some("pixels")),
            ("data.zarr/x", "data.zarr/x", None),
            ("photos/", "photos/", None),
            ("photos/#class", "photos/", Some("class")),
        ] {
            let array = ArrayPath::from(text.to_owned());
            assert_eq!(
                (array.path.to_str(), array.part.as_deref()),
                (Some(path), part)
            );
            assert_eq!(array.to_string(), text);
        }
    }

    #[test]
    fn a_folder_with_a_part_is_written_as_it_is_read() {
        let array = ArrayPath {
            path: "photos".into(),
            part: Some("class".into()),
        };
        assert_eq!(array.to_string(), "photos/#class");
    }
}
