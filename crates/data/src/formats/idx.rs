use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use flate2::bufread::MultiGzDecoder;

use super::{npy::NpyField, spool::Spool};

/// How a gzip file begins.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// No data set has more axes than this.
const MOST_AXES: usize = 8;

/// Opens a file of the IDX format, in which MNIST is distributed, also compressed with gzip.
///
/// # Errors
/// When it is not such a file, or its size is not that of its header.
pub(crate) fn open(path: &Path) -> Result<NpyField> {
    let shown = path.display().to_string();
    let failed = || shown.clone();
    let mut start = [0; 2];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .with_context(failed)?;
    let file = BufReader::new(File::open(path).with_context(failed)?);
    if start == GZIP {
        unpack(MultiGzDecoder::new(file), &shown)
    } else {
        unpack(file, &shown)
    }
}

fn unpack(mut file: impl Read, shown: &str) -> Result<NpyField> {
    let failed = || format!("{shown}: the file is cut short or damaged");
    let mut magic = [0; 4];
    file.read_exact(&mut magic).with_context(failed)?;
    let [0, 0, number, axes] = magic else {
        bail!(
            "{shown} is not an IDX file: it does not begin with two zero bytes; of other files that gzip packs, tables are read, and end in .csv.gz or .tsv.gz"
        );
    };
    let (kind, size) = match number {
        0x08 => ("|u1", 1),
        0x09 => ("|i1", 1),
        0x0b => (">i2", 2),
        0x0c => (">i4", 4),
        0x0d => (">f4", 4),
        0x0e => (">f8", 8),
        other => bail!("{shown} is not an IDX file: there is no type of number {other:#04x}"),
    };
    let axes = usize::from(axes);
    ensure!(
        (1..=MOST_AXES).contains(&axes),
        "{shown}: expected 1 to {MOST_AXES} axes, got {axes}"
    );
    let mut shape = Vec::with_capacity(axes);
    for _ in 0..axes {
        let mut side = [0; 4];
        file.read_exact(&mut side).with_context(failed)?;
        shape.push(u32::from_be_bytes(side) as usize);
    }
    let mut sides = shape.iter().map(|&side| side as u64);
    let bytes = sides
        .try_fold(size, |bytes: u64, side| bytes.checked_mul(side))
        .with_context(|| format!("{shown}: an array of shape {shape:?} is too large"))?;
    let mut spool = Spool::new()?;
    let copied =
        io::copy(&mut file.take(bytes.saturating_add(1)), &mut spool).with_context(failed)?;
    ensure!(
        copied == bytes,
        "{shown}: expected {bytes} bytes of numbers for shape {shape:?}, got {}",
        if copied > bytes {
            "more".to_owned()
        } else {
            copied.to_string()
        }
    );
    spool.finish(kind, &shape, shown.to_owned())
}
