use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

/// The endings that may be followed by `#` and the name of a part, in letters of either case.
const WITH_PARTS: [&str; 9] = [
    ".safetensors",
    ".npz",
    ".csv",
    ".tsv",
    ".csv.gz",
    ".tsv.gz",
    ".parquet",
    ".pq",
    "/",
];

/// Where an array is: `FILE.npy`, `FILE.npz#ARRAY` or `FILE.safetensors#TENSOR` (without the name
/// when there is one), `FILE.csv#COLUMNS` or `FILE.parquet#COLUMNS` (`a`, `a,b`, or `-a` for all
/// but `a`), an IDX file, the folder of a Zarr array, or `FOLDER/` and `FOLDER/#class` of images.
///
/// In a configuration it is this text, or a table of it and of how the file is written: `{ file =
/// "y.csv", header = false }`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArrayPath {
    /// The file or folder.
    pub path: PathBuf,
    /// The part of it: an array, a tensor, columns, or the classes.
    pub part: Option<String>,
    /// How it is written, if it is a table of text.
    pub form: TableForm,
}

/// How a table of text is written, as far as it is configured; the rest is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableForm {
    /// Whether the first line has the names of the columns.
    pub header: Option<bool>,
    /// The character between two columns.
    pub delimiter: Option<Delimiter>,
    /// The mark before the decimals of a number.
    pub decimal: Option<Decimal>,
}

impl TableForm {
    /// The settings here, and those of `other` where there are none here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            header: self.header.or(other.header),
            delimiter: self.delimiter.or(other.delimiter),
            decimal: self.decimal.or(other.decimal),
        }
    }
}

/// One ASCII character between columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Delimiter(pub u8);

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            b"tab" => Ok(Self(b'\t')),
            [byte] if !byte.is_ascii_alphanumeric() && !b"\"\r\n.+-#".contains(byte) => {
                Ok(Self(*byte))
            }
            _ => Err(format!(
                "expected one character, such as \",\", \";\", \"|\" or \"tab\", got {text:?}"
            )),
        }
    }
}

impl Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("tab"),
            byte => write!(f, "{}", char::from(byte)),
        }
    }
}

/// The mark before the decimals of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Decimal {
    /// `0.5`
    Point,
    /// `0,5`
    Comma,
}

impl TryFrom<String> for Decimal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "." => Ok(Self::Point),
            "," => Ok(Self::Comma),
            _ => Err(format!("expected \".\" or \",\", got {text:?}")),
        }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Point => ".",
            Self::Comma => ",",
        })
    }
}

/// The keys of an array that is written as a table.
pub(crate) const WRITTEN: [&str; 4] = ["file", "header", "delimiter", "decimal"];

/// An array, and how its file is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: String,
    header: Option<bool>,
    delimiter: Option<Delimiter>,
    decimal: Option<Decimal>,
}

impl<'de> Deserialize<'de> for ArrayPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?)
    }
}

impl ArrayPath {
    /// As a configuration writes it: a path, or a table with the key `file`.
    pub(crate) fn from_value<E: serde::de::Error>(value: Value) -> Result<Self, E> {
        match value {
            Value::String(text) => Ok(Self::from(text)),
            Value::Table(table) => Self::written(table).map_err(E::custom),
            other => Err(E::custom(format!(
                "expected a path, or a table such as {{ file = \"y.csv\", header = false }}, got {other}"
            ))),
        }
    }

    fn written(table: Table) -> Result<Self, toml::de::Error> {
        let Written {
            file,
            header,
            delimiter,
            decimal,
        } = table.try_into()?;
        let form = TableForm {
            header,
            delimiter,
            decimal,
        };
        Ok(Self {
            form,
            ..Self::from(file)
        })
    }

    /// The path before a `#` that names no part, if there is a file at it.
    pub(crate) fn before_unknown_part(&self) -> Option<&Path> {
        let text = self.path.to_str()?;
        let mut marks = text.match_indices('#');
        marks
            .find_map(|(mark, _)| Some(Path::new(&text[..mark])).filter(|path| path.exists()))
            .filter(|_| self.part.is_none())
    }

    /// The endings that may be followed by `#` and a part.
    pub(crate) fn endings_with_parts() -> String {
        WITH_PARTS.join(", ")
    }
}

impl From<String> for ArrayPath {
    fn from(text: String) -> Self {
        // As many bytes as the text.
        let lowered = text.to_ascii_lowercase();
        let separators = WITH_PARTS.iter().filter_map(|ending| {
            let found = lowered.find(&format!("{ending}#"))?;
            Some(found + ending.len())
        });
        let (path, part) = match separators.min() {
            Some(end) => (text[..end].into(), Some(text[end + 1..].to_owned())),
            None => (text.into(), None),
        };
        Self {
            path,
            part,
            form: TableForm::default(),
        }
    }
}

impl From<&str> for ArrayPath {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Display for ArrayPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let Some(part) = &self.part else {
            return f.write_str(&path);
        };
        // A folder may have lost the slash that marks it as having parts.
        let lowered = path.to_ascii_lowercase();
        let known = WITH_PARTS.iter().any(|ending| lowered.ends_with(ending));
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
            ("T.CSV#a", "T.CSV", Some("a")),
            ("t.tsv#a", "t.tsv", Some("a")),
            ("t.csv.gz#a,b", "t.csv.gz", Some("a,b")),
            ("t.Pq#a", "t.Pq", Some("a")),
            ("t.data#a", "t.data#a", None),
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
            ..ArrayPath::default()
        };
        assert_eq!(array.to_string(), "photos/#class");
    }

    #[test]
    fn a_table_says_how_the_file_is_written() {
        #[derive(Deserialize)]
        struct Array {
            array: ArrayPath,
        }
        let read = |text: &str| toml::from_str::<Array>(text).map(|read| read.array);
        let array = read("array = { file = \"y.csv#a\", header = false, delimiter = \"tab\" }");
        let expected = ArrayPath {
            form: TableForm {
                header: Some(false),
                delimiter: Some(Delimiter(b'\t')),
                decimal: None,
            },
            ..ArrayPath::from("y.csv#a".to_owned())
        };
        assert_eq!(array.expect("valid"), expected);
        for text in [
            "array = 3",
            "array = { header = true }",
            "array = { file = \"y.csv\", heading = true }",
            "array = { file = \"y.csv\", delimiter = \"ab\" }",
            "array = { file = \"y.csv\", delimiter = \"1\" }",
            "array = { file = \"y.csv\", decimal = \";\" }",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
