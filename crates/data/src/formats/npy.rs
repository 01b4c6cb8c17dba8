//! Arrays in numpy files.

mod header;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

use influence_core::{FieldSource, Result as CoreResult, Values};
use npyz::NpyFile;

use super::file::FileArray;
use crate::error::{Error, Result};

pub(super) use header::{check_header, check_kind};

/// The array in a numpy file `.npy`, samples along the first axis.
///
/// The file stays open, and a range is read at its position into the buffer that is handed on; only
/// what is asked for is in memory. The file is not mapped into memory: the pages of a map that were
/// read count as memory of the process, so that no bound could be kept, and a file that is cut
/// short meanwhile would end the process instead of giving an error. Floats keep their precision
/// (16-bit ones become 32-bit); integers and bools of every width become 64-bit integers. Samples
/// of an array in Fortran order, which lie scattered in the file, are collected: what is read often
/// is faster in C order.
#[derive(Debug)]
pub struct NpyField(FileArray);

impl NpyField {
    /// Opens a file and checks its header against its size.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, [`Error::Npy`] when it is not a complete
    /// numeric array with a first axis.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_file(file, path.display().to_string())
    }

    /// Takes a file that is open already, such as a temporary one, and checks it from its
    /// beginning; messages call it `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_file(mut file: File, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let path = PathBuf::from(&name);
        let refuse = |message: String| Error::Npy {
            path: path.clone(),
            message,
        };
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        file.rewind().map_err(io)?;
        check_header(&file).map_err(refuse)?;
        file.rewind().map_err(io)?;
        let npy = NpyFile::new(BufReader::new(file))
            .map_err(|error| refuse(format!("not a numpy array: {error}")))?;
        let mut layout = header::layout(&npy).map_err(refuse)?;
        let mut file = npy.into_inner();
        layout.start = file.stream_position().map_err(io)?;
        let got = file.seek(SeekFrom::End(0)).map_err(io)? - layout.start;
        let expected = layout.bytes();
        if expected != Some(got) {
            let expected = expected.map_or("too many".to_owned(), |bytes| bytes.to_string());
            return Err(refuse(format!(
                "expected {expected} bytes of numbers for shape {:?}, got {got}; the file is damaged",
                layout.shape
            )));
        }
        let file = file.into_inner();
        Ok(Self(FileArray::new(&path, name, file, layout)))
    }
}

impl NpyField {
    /// Whether the array is in Fortran order: the numbers of a sample are not side by side.
    pub fn is_fortran(&self) -> bool {
        self.0.layout().fortran
    }

    /// The type of number as numpy writes it, in the byte order of this machine: `<f4`.
    pub fn kind(&self) -> String {
        let number = self.0.layout().number;
        let order = match number.size() {
            1 => '|',
            _ if cfg!(target_endian = "big") => '>',
            _ => '<',
        };
        format!("{order}{}{}", number.letter(), number.size())
    }

    /// The bytes of some samples, in C order and the byte order of this machine.
    ///
    /// # Errors
    /// When the range leaves the array, or the file cannot be read.
    pub fn bytes(&self, range: Range<usize>) -> CoreResult<Vec<u8>> {
        self.0.bytes(range)
    }
}

impl FieldSource for NpyField {
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
