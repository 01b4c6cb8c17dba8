use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use influence_core::Precision;
use ndarray::{Array2, ArrayD};

/// Writes numbers to a file, in this precision, lowest byte first, in C order.
pub(super) fn write(path: &Path, precision: Precision, values: &ArrayD<f64>) -> Result<()> {
    let mut bytes = Vec::with_capacity(values.len() * precision.bytes());
    for value in values {
        match precision {
            Precision::F32 => bytes.extend_from_slice(&single(*value).to_le_bytes()),
            Precision::F64 => bytes.extend_from_slice(&value.to_le_bytes()),
        }
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// Reads what [`write`] wrote, as rows of this many numbers.
pub(super) fn read(path: &Path, precision: Precision, columns: usize) -> Result<Array2<f64>> {
    let shown = || path.display().to_string();
    let bytes = fs::read(path).with_context(shown)?;
    let row = columns * precision.bytes();
    ensure!(
        row > 0 && bytes.len().is_multiple_of(row),
        "{}: {} bytes are no rows of {columns} numbers of {} bytes, as factors of this model are",
        shown(),
        bytes.len(),
        precision.bytes()
    );
    let values: Vec<f64> = match precision {
        Precision::F32 => numbers(&bytes, |bytes| f32::from_le_bytes(bytes).into()),
        Precision::F64 => numbers(&bytes, f64::from_le_bytes),
    };
    Ok(Array2::from_shape_vec(
        (bytes.len() / row, columns),
        values,
    )?)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the model computed in this precision"
)]
fn single(value: f64) -> f32 {
    value as f32
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (whole, _) = bytes.as_chunks();
    whole.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (path, values) = (folder.path().join("x"), array![[1.5, -2.0], [0.25, 1e30]]);
        for precision in [Precision::F32, Precision::F64] {
            write(&path, precision, &values.clone().into_dyn())?;
            let rounded = values.mapv(|value| match precision {
                Precision::F32 => f64::from(single(value)),
                Precision::F64 => value,
            });
            assert_eq!(read(&path, precision, 2)?, rounded);
            let refused = read(&path, precision, 3)
                .expect_err("other rows")
                .to_string();
            assert!(refused.contains("no rows of 3 numbers"), "{refused}");
        }
        Ok(())
    }
}
