//! Handwritten digits from the files that ship with the project, for several examples.

use std::{error::Error, ops::Range, path::Path};

use burn::tensor::TensorData;
use influence::{ArrayDataset, FieldSource, NpyField, Values};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Pixels between 0 and 1, 64 per image, and the digit of each image.
pub(crate) struct Digits {
    pub(crate) pixels: Vec<f32>,
    pub(crate) labels: Vec<i64>,
}

impl Digits {
    /// Reads some of the 1,797 images.
    pub(crate) fn read(rows: Range<usize>) -> Outcome<Self> {
        // Pixels count up to 16; the division is exact.
        let pixels = integers("images.npy", rows.clone())?
            .into_iter()
            .map(|pixel| pixel as f32 / 16.0);
        Ok(Self {
            pixels: pixels.collect(),
            labels: integers("labels.npy", rows)?,
        })
    }

    /// The digits as a data set for the calculators.
    pub(crate) fn dataset(&self) -> Outcome<ArrayDataset> {
        let n = self.labels.len();
        Ok(ArrayDataset::new(vec![
            TensorData::new(self.pixels.clone(), [n, 64]),
            TensorData::new(self.labels.clone(), [n]),
        ])?)
    }
}

fn integers(name: &str, rows: Range<usize>) -> Outcome<Vec<i64>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cli/data/digits");
    match NpyField::open(folder.join(name))?.rows(rows)? {
        Values::I64(numbers) => Ok(numbers.into_iter().collect()),
        _ => Err(format!("{name}: expected integers").into()),
    }
}
