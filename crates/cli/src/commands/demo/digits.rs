//! The digits that ship with the program, split, with some labels flipped.

use anyhow::{Context, Result, ensure};
use npyz::NpyFile;
use rand::{Rng, RngExt, seq::SliceRandom};

/// 8×8 pixels of 0 to 16.
const IMAGES: &[u8] = include_bytes!("../../../data/digits/images.npy");
/// The digit of each image.
const LABELS: &[u8] = include_bytes!("../../../data/digits/labels.npy");

/// The side of an image.
pub(super) const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const CLASSES: u8 = 10;
/// One image in this many is a test image.
const TEST_SHARE: usize = 5;
/// One training label in this many is flipped.
const FLIPPED_SHARE: usize = 10;

/// Training and test points.
#[derive(Debug)]
pub(super) struct SplitDigits {
    pub(super) train: Digits,
    pub(super) test: Digits,
}

/// Images with the labels that the model is trained on, and the true ones.
#[derive(Debug, Default)]
pub(super) struct Digits {
    pub(super) images: Vec<u8>,
    pub(super) labels: Vec<u8>,
    pub(super) truth: Vec<u8>,
}

impl SplitDigits {
    /// Splits the digits and flips training labels, both at random.
    pub(super) fn new(random: &mut impl Rng) -> Result<Self> {
        let (images, labels) = (bytes(IMAGES)?, bytes(LABELS)?);
        let count = labels.len();
        ensure!(
            images.len() == count * PIXELS,
            "the digits that ship with the program are damaged"
        );
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(random);
        let (test, train) = order.split_at(count / TEST_SHARE);
        let [test, mut train] =
            [test, train].map(|indices| Digits::select(&images, &labels, indices));
        train.flip(random);
        Ok(Self { train, test })
    }
}

impl Digits {
    fn select(images: &[u8], labels: &[u8], indices: &[usize]) -> Self {
        let pixels = |&index: &usize| &images[index * PIXELS..(index + 1) * PIXELS];
        let labels: Vec<u8> = indices.iter().map(|&index| labels[index]).collect();
        Self {
            images: indices.iter().flat_map(pixels).copied().collect(),
            truth: labels.clone(),
            labels,
        }
    }

    /// Gives some points another label, any of the others alike.
    fn flip(&mut self, random: &mut impl Rng) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(random);
        for &point in &order[..self.len() / FLIPPED_SHARE] {
            self.labels[point] = (self.labels[point] + random.random_range(1..CLASSES)) % CLASSES;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn flipped_count(&self) -> usize {
        let labels = self.labels.iter().zip(&self.truth);
        labels.filter(|(label, truth)| label != truth).count()
    }
}

fn bytes(file: &[u8]) -> Result<Vec<u8>> {
    NpyFile::new(file)
        .and_then(NpyFile::into_vec)
        .context("the digits that ship with the program")
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    #[test]
    fn a_tenth_of_the_training_labels_is_flipped_and_no_test_label() -> Result<()> {
        let split = SplitDigits::new(&mut Xoshiro256PlusPlus::seed_from_u64(0))?;
        assert_eq!((split.train.len(), split.test.len()), (1438, 359));
        assert_eq!(
            (split.train.flipped_count(), split.test.flipped_count()),
            (143, 0)
        );
        Ok(())
    }

    #[test]
    fn equal_seeds_give_equal_splits() -> Result<()> {
        let labels = |seed| {
            SplitDigits::new(&mut Xoshiro256PlusPlus::seed_from_u64(seed))
                .map(|split| split.train.labels)
        };
        assert_eq!(labels(3)?, labels(3)?);
        assert_ne!(labels(3)?, labels(4)?);
        Ok(())
    }
}
