//! Numpy arrays in the order in which samples are read.

use std::{io::Write, path::Path};

use anyhow::{Context, Result};
use influence_core::FieldSource;

use super::{npy::NpyField, spool::Spool};

/// How many bytes are in memory while an array is put in C order.
const BLOCK_BYTES: usize = 32 << 20;

/// Opens a numpy file.
///
/// # Errors
/// When it is not an array of numbers, or there is no room to put it in C order.
pub(crate) fn open(path: &Path) -> Result<NpyField> {
    by_sample(NpyField::open(path)?)
}

/// The array in C order, in which a sample is read at once: one in Fortran order, as pandas writes
/// it, is put in this order in a temporary file.
pub(super) fn by_sample(field: NpyField) -> Result<NpyField> {
    if !field.is_fortran() {
        return Ok(field);
    }
    let name = field.name().to_owned();
    let shape = field.shape().to_vec();
    let sample: usize = shape[1..].iter().product();
    // No number is longer than 8 bytes.
    let step = (BLOCK_BYTES / 8 / sample.max(1)).max(1);
    let turn = || {
        let mut spool = Spool::new()?;
        for start in (0..shape[0]).step_by(step) {
            spool.write_all(&field.bytes(start..(start + step).min(shape[0]))?)?;
        }
        spool.finish(&field.kind(), &shape, name.clone())
    };
    turn().with_context(|| format!("{name}: putting an array in Fortran order in C order"))
}
