//! Tensors in safetensors files.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
};

use influence_core::{FieldSource, Result as CoreResult, Values};
use safetensors::{Dtype, tensor::Metadata};

use super::file::{FileArray, Number, StoredArray};
use crate::error::{Error, Result};

/// The length of the header comes first, in this many bytes.
const LENGTH: u64 = size_of::<u64>() as u64;
/// The bound that the format's own library sets on headers.
const MAX_HEADER: u64 = 100_000_000;

/// One tensor of a safetensors file, samples along the first axis.
///
/// The header is read when the file is opened; the file stays open, and ranges are read as
/// [`NpyField`](crate::NpyField) reads them, for the reasons given there. Floats keep their
/// precision (16-bit ones become 32-bit); integers and bools of every width become 64-bit integers.
#[derive(Debug)]
pub struct SafetensorsField(FileArray);

impl SafetensorsField {
    /// Opens the tensor of this name, or the only one there is.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, [`Error::Safetensors`] when it is not a
    /// complete safetensors file or the tensor is not numeric with a first axis, [`Error::Tensor`]
    /// when there is no tensor of the name, or not exactly one and no name.
    pub fn open(path: impl AsRef<Path>, name: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let refuse = |message: String| Error::Safetensors {
            path: path.to_owned(),
            message,
        };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let (header, start) = header(&mut file, size)
            .map_err(io)?
            .map_err(|problem| refuse(format!("not a complete safetensors file: {problem}")))?;
        let name = choose(path, &header, name)?;
        let layout = layout(&header, &name, start).map_err(refuse)?;
        let name = format!("{}#{name}", path.display());
        Ok(Self(FileArray::new(path, name, file, layout)))
    }
}

/// Reads and checks the header; returns it with the place where the tensors start, or the problem.
fn header(file: &mut File, size: u64) -> io::Result<Result<(Metadata, u64), String>> {
    if size < LENGTH {
        return Ok(Err(format!("expected at least {LENGTH} bytes, got {size}")));
    }
    let mut length = [0; size_of::<u64>()];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let most = MAX_HEADER.min(size - LENGTH);
    if length > most {
        return Ok(Err(format!(
            "expected a header of at most {most} bytes, got {length}"
        )));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    let header: Metadata = match serde_json::from_slice(&text) {
        Ok(header) => header,
        Err(error) => return Ok(Err(format!("the header is damaged: {error}"))),
    };
    let start = LENGTH + length;
    let [expected, got] = [header.data_len() as u64, size - start];
    Ok(if expected == got {
        Ok((header, start))
    } else {
        Err(format!("expected {expected} bytes of tensors, got {got}"))
    })
}

/// The name of the tensor that is meant.
fn choose(path: &Path, header: &Metadata, name: Option<&str>) -> Result<String> {
    let mut known = header.offset_keys();
    known.sort();
    match (name, known.as_slice()) {
        (None, [only]) => Ok(only.clone()),
        (Some(name), known) if known.iter().any(|known| known == name) => Ok(name.to_owned()),
        _ => Err(Error::Tensor {
            path: path.to_owned(),
            name: name.map(str::to_owned),
            known,
        }),
    }
}

fn layout(header: &Metadata, name: &str, start: u64) -> Result<StoredArray, String> {
    let info = header
        .info(name)
        .ok_or_else(|| format!("the header does not describe tensor `{name}`"))?;
    let number = number(info.dtype).ok_or_else(|| {
        format!(
            "tensor `{name}`: expected floats of 2, 4 or 8 bytes, integers or bools, got {:?}",
            info.dtype
        )
    })?;
    if info.shape.is_empty() {
        return Err(format!(
            "tensor `{name}`: expected samples along a first axis, got a single number"
        ));
    }
    // The library has checked that the offsets fit the shape, and tile what follows the header.
    Ok(StoredArray {
        start: start + info.data_offsets.0 as u64,
        shape: info.shape.clone(),
        number,
        big_endian: false,
        fortran: false,
    })
}

fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::BOOL => Number::Bool,
        Dtype::I8 => Number::I8,
        Dtype::I16 => Number::I16,
        Dtype::I32 => Number::I32,
        Dtype::I64 => Number::I64,
        Dtype::U8 => Number::U8,
        Dtype::U16 => Number::U16,
        Dtype::U32 => Number::U32,
        Dtype::U64 => Number::U64,
        _ => return None,
    })
}

impl FieldSource for SafetensorsField {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        self.0.rows(range)
    }
}

#[cfg(test)]
mod tests;
