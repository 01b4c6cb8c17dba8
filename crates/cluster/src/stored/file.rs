//! Sums in files: safetensors with a header that says what they belong to.

use std::{borrow::Cow, collections::HashMap, io};

use influence_core::summation::Sums;
use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors, View};
use serde_json::{Map, Value};

use crate::digest::{bytes, of_arrays};

/// The key of the header in the metadata of the file.
const HEADER: &str = "influence";
/// The key of the digest of all arrays.
const CHECKSUM: &str = "checksum";

/// What a sum belongs to, by name, in the order in which differences are looked for.
pub(super) struct SumHeader(Vec<(&'static str, String)>);

impl SumHeader {
    pub(super) fn new(entries: &[(&'static str, String)]) -> Self {
        let mut all = vec![("format", "1".to_owned())];
        all.extend_from_slice(entries);
        Self(all)
    }

    /// The first entry that a kept header has otherwise: its name, the value kept, and this one.
    pub(super) fn difference(&self, kept: &Value) -> Option<(String, String, String)> {
        difference(&self.0, kept)
    }
}

/// The first entry that is kept otherwise: its name, the value kept, and this one.
pub(super) fn difference(
    entries: &[(&'static str, String)],
    kept: &Value,
) -> Option<(String, String, String)> {
    entries.iter().find_map(|(key, now)| {
        let kept = kept.get(key).and_then(Value::as_str).unwrap_or("absent");
        (kept != now).then(|| ((*key).to_owned(), kept.to_owned(), now.clone()))
    })
}

/// A file with these sums; its bytes depend on nothing else.
pub(super) fn encoded(header: &SumHeader, sums: &Sums) -> io::Result<Vec<u8>> {
    let entries = header.0.iter();
    let entries = entries.map(|(key, value)| ((*key).to_owned(), value.as_str().into()));
    let mut entries: Map<String, Value> = entries.collect();
    entries.insert(CHECKSUM.into(), of_arrays(sums).into());
    // One entry, since a map of several would be written in any order.
    let metadata = HashMap::from([(HEADER.to_owned(), Value::from(entries).to_string())]);
    let arrays = sums.iter().enumerate();
    let arrays = arrays.map(|(index, array)| (name(index), SavedSum::new(array)));
    safetensors::serialize(arrays, Some(metadata)).map_err(io::Error::other)
}

/// The header and the sums of a file, unless it is damaged.
pub(super) fn decoded(bytes: &[u8]) -> Option<(Value, Sums)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let header: Value = serde_json::from_str(metadata.metadata().as_ref()?.get(HEADER)?).ok()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let arrays = (0..tensors.len()).map(|index| {
        let tensor = tensors.tensor(&name(index)).ok()?;
        let (values, rest) = tensor.data().as_chunks();
        let values = values.iter().map(|&bytes| f64::from_le_bytes(bytes));
        let whole = tensor.dtype() == Dtype::F64 && rest.is_empty();
        let values = whole.then(|| values.collect())?;
        ArrayD::from_shape_vec(tensor.shape(), values).ok()
    });
    let sums: Sums = arrays.collect::<Option<_>>()?;
    let whole = header.get(CHECKSUM)?.as_str()? == of_arrays(&sums);
    whole.then_some((header, sums))
}

fn name(index: usize) -> String {
    format!("{index:05}")
}

/// An array as it is written.
struct SavedSum {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl SavedSum {
    fn new(array: &ArrayD<f64>) -> Self {
        Self {
            shape: array.shape().to_vec(),
            bytes: bytes(array),
        }
    }
}

impl View for SavedSum {
    fn dtype(&self) -> Dtype {
        Dtype::F64
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
