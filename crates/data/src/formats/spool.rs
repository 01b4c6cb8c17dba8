use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};

use super::npy::NpyField;

/// The longest header that is written: shapes are short.
const HEADER: usize = 128;

/// Numbers on their way into a temporary file, which is gone when it is closed, however the process
/// ends.
///
/// They are kept as a numpy array, so that one reader serves them all; the header, with the number
/// of rows, is written last.
pub(super) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    /// A file without numbers.
    pub(super) fn new() -> Result<Self> {
        let mut file = BufWriter::new(temporary()?);
        file.write_all(&[0; HEADER]).with_context(writing)?;
        Ok(Self { file })
    }

    /// Opens the written numbers as an array of this type, such as `<f4` of numpy, and shape;
    /// messages call it `name`.
    pub(super) fn finish(self, kind: &str, shape: &[usize], name: String) -> Result<NpyField> {
        let mut file = self.file.into_inner().with_context(writing)?;
        let sides: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
        let text = format!(
            "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}",
            sides.join(" ")
        );
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        let length = HEADER - header.len() - 2;
        header.extend(u16::try_from(length)?.to_le_bytes());
        header.extend(text.as_bytes());
        header.resize(HEADER - 1, b' ');
        header.push(b'\n');
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header).with_context(writing)?;
        Ok(NpyField::from_file(file, name)?)
    }
}

/// The folder of temporary files.
pub(super) fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

/// A temporary file, which is gone when it is closed.
pub(super) fn temporary() -> Result<File> {
    let folder = temporary_folder();
    tempfile::tempfile_in(&folder).with_context(|| {
        format!(
            "making a temporary file in {}; set TMPDIR to a folder that can be written to",
            folder.display()
        )
    })
}

/// The context of an error when a temporary file cannot be written.
pub(super) fn writing() -> String {
    format!(
        "writing a temporary file in {}; set TMPDIR to a folder with more room",
        temporary_folder().display()
    )
}

/// Integers as an array `(n)`.
pub(crate) fn integers(values: &[i64], name: String) -> Result<NpyField> {
    let mut spool = Spool::new()?;
    for value in values {
        spool.write_all(&value.to_le_bytes())?;
    }
    spool.finish("<i8", &[values.len()], name)
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes);
        written
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", writing())))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
