//! Fitted states in files: safetensors, with their provenance in a header.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use influence_core::solver::State;
use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors, View};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Everything a fitted state depends on, by name; it is loaded only where all of it is the same.
/// Causes come before their effects, so that an error names the cause.
pub(crate) type Provenance = Vec<(&'static str, String)>;

/// The key of the header in the metadata of the file.
const HEADER: &str = "influence";
const FORMAT: &str = "format";
/// Raised whenever states are kept otherwise.
const FORMAT_NUMBER: &str = "1";
/// Between the name of a block and that of an array of its state; no parameter is named so.
const SEPARATOR: char = '\u{1f}';

/// Writes a file, given its path and its bytes.
pub(crate) type Write<'a> = &'a dyn Fn(&Path, &[u8]) -> io::Result<()>;
/// Reads a file, given its path.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Writes the states of blocks by `write`.
///
/// Arrays are kept in 32 bits where no bit is lost by it, else in 64.
pub(crate) fn write(
    path: &Path,
    provenance: &Provenance,
    states: &[(String, State)],
    write: Write<'_>,
) -> Result<()> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut header: Map<String, Value> = provenance
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_str().into()))
        .collect();
    header.insert(FORMAT.into(), FORMAT_NUMBER.into());
    let metadata = HashMap::from([(HEADER.to_owned(), Value::from(header).to_string())]);
    let arrays = states.iter().flat_map(|(block, state)| {
        let named = state.arrays().iter();
        named
            .map(move |(name, array)| (format!("{block}{SEPARATOR}{name}"), SavedArray::new(array)))
    });
    let bytes = safetensors::serialize(arrays, Some(metadata))
        .map_err(|error| failed(io::Error::other(error)))?;
    write(path, &bytes).map_err(failed)
}

/// Reads the states of blocks by `read`, if they were made from the same.
pub(crate) fn read(
    path: &Path,
    provenance: &Provenance,
    read: Read<'_>,
) -> Result<BTreeMap<String, State>> {
    let bytes = read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let refuse = |problem: String| Error::NoFittedState {
        path: path.to_owned(),
        problem,
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| refuse(e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|all| all.get(HEADER));
    let header = header.ok_or_else(|| refuse(format!("there is no `{HEADER}` in its metadata")))?;
    let header: BTreeMap<String, String> =
        serde_json::from_str(header).map_err(|error| refuse(error.to_string()))?;
    compare(path, &header, provenance)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| refuse(e.to_string()))?;
    let mut states: BTreeMap<String, Vec<(String, ArrayD<f64>)>> = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let (block, name) = name
            .split_once(SEPARATOR)
            .ok_or_else(|| refuse(format!("the tensor {name} belongs to no block")))?;
        let array = numbers(&tensor).ok_or_else(|| refuse(format!("{name} holds no floats")))?;
        let array = ArrayD::from_shape_vec(tensor.shape(), array);
        let array = array.map_err(|error| refuse(error.to_string()))?;
        states
            .entry(block.to_owned())
            .or_default()
            .push((name.to_owned(), array));
    }
    let states = states.into_iter();
    Ok(states
        .map(|(block, arrays)| (block, arrays.into_iter().collect()))
        .collect())
}

/// Refuses a state of another format, and then one whose provenance differs.
fn compare(path: &Path, saved: &BTreeMap<String, String>, current: &Provenance) -> Result<()> {
    let format = (FORMAT, FORMAT_NUMBER.to_owned());
    for (key, value) in std::iter::once(&format).chain(current) {
        let was = saved.get(*key).map_or("absent", String::as_str);
        if was != value {
            return Err(Error::FittedOtherwise {
                path: path.to_owned(),
                key: (*key).to_owned(),
                saved: was.to_owned(),
                current: value.clone(),
            });
        }
    }
    Ok(())
}

/// An array as it is written.
struct SavedArray {
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl SavedArray {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only where nothing is lost"
    )]
    fn new(array: &ArrayD<f64>) -> Self {
        let single = array
            .iter()
            .all(|&value| f64::from(value as f32).to_bits() == value.to_bits());
        let bytes = if single {
            array
                .iter()
                .flat_map(|&value| (value as f32).to_le_bytes())
                .collect()
        } else {
            array.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        Self {
            shape: array.shape().to_vec(),
            dtype: if single { Dtype::F32 } else { Dtype::F64 },
            bytes,
        }
    }
}

impl View for SavedArray {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn numbers(tensor: &safetensors::tensor::TensorView<'_>) -> Option<Vec<f64>> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
                .collect(),
        ),
        Dtype::F64 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes))
                .collect(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use influence_core::durable;
    use ndarray::{Array1, Array2, array};

    use super::*;

    fn file(path: &Path, provenance: &Provenance) -> Result<BTreeMap<String, State>> {
        read(path, provenance, &|path| fs::read(path))
    }

    fn provenance(method: &str) -> Provenance {
        vec![
            ("method", method.to_owned()),
            ("model", "sha256:12".to_owned()),
        ]
    }

    fn states() -> Vec<(String, State)> {
        let single = Array1::from(vec![0.5, -0.0, f64::INFINITY]);
        let double = array![[0.1, 1e-300], [std::f64::consts::PI, -2.0]];
        let first = State::default()
            .with("values", single)
            .with("matrix", double);
        let second = State::default().with("values", Array2::<f64>::zeros((0, 3)));
        vec![("a.b".into(), first), ("c".into(), second)]
    }

    #[test]
    fn states_come_back_to_the_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fitted.safetensors");
        write(&path, &provenance("direct"), &states(), &durable::write).expect("written");
        let read = file(&path, &provenance("direct")).expect("read");
        assert_eq!(read.into_iter().collect::<Vec<_>>(), states());
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing temporary stays");
    }

    #[test]
    fn what_was_made_from_something_else_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fitted.safetensors");
        write(&path, &provenance("direct"), &states(), &durable::write).expect("written");
        let said = |outcome: Result<_>| outcome.err().map(|e| e.to_string()).unwrap_or_default();
        let other = said(file(&path, &provenance("arnoldi")).map(drop));
        assert!(
            other.contains("method direct, now it is arnoldi"),
            "{other}"
        );
        let mut more = provenance("direct");
        more.push(("data", "sha256:34".into()));
        let absent = said(file(&path, &more).map(drop));
        assert!(absent.contains("data absent"), "{absent}");
        let bytes = fs::read(&path).expect("a file");
        for (bytes, problem) in [
            (&bytes[..bytes.len() - 1], "not a fitted state"),
            (b"?", "not a"),
        ] {
            fs::write(&path, bytes).expect("written");
            let broken = said(file(&path, &provenance("direct")).map(drop));
            assert!(broken.contains(problem), "{broken}");
        }
        let missing = said(file(&folder.path().join("no"), &provenance("direct")).map(drop));
        assert!(missing.contains("no:"), "{missing}");
    }
}
