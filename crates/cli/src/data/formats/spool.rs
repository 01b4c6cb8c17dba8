use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
};

use anyhow::{Context, Result};
use influence_backend_burn::NpyField;

/// The longest header that is written: shapes are short.
const HEADER: usize = 128;

/// Numbers on their way into a temporary file, which is gone when it is closed, however the process ends.
///
/// They are kept as a numpy array, so that one reader serves them all; the header, with the number of rows, is written last.
pub(super) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    /// A file without numbers.
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile().context("making a temporary file")?;
        let mut file = BufWriter::new(file);
        file.write_all(&[0; HEADER])
            .context("writing a temporary file")?;
        Ok(Self { file })
    }

    /// Opens what was written as an array of this type of number, as numpy writes it (`<f4`), and shape; `name` is what messages call it.
    pub(super) fn finish(self, kind: &str, shape: &[usize], name: String) -> Result<NpyField> {
        let mut file = self.file.into_inner().context("writing a temporary file")?;
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
        file.write_all(&header)
            .context("writing a temporary file")?;
        Ok(NpyField::from_file(file, name)?)
    }
}

/// Integers as an array `(n)`.
pub(in crate::data) fn integers(values: &[i64], name: String) -> Result<NpyField> {
    let mut spool = Spool::new()?;
    for value in values {
        spool.write_all(&value.to_le_bytes())?;
    }
    spool.finish("<i8", &[values.len()], name)
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
