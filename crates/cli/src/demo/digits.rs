//! The digits that ship with the program, split, with some labels flipped.

use anyhow::{Context, Result, ensure};
use burn::tensor::TensorData;
use influence_backend_burn::ArrayDataset;
use npyz::NpyFile;
use rand::{Rng, RngExt, seq::SliceRandom};

/// 8×8 pixels of 0 to 16.
pub(super) const IMAGES: &[u8] = include_bytes!("../../../../data/digits/images.npy");
/// The digit of each image.
pub(super) const LABELS: &[u8] = include_bytes!("../../../../data/digits/labels.npy");

pub(super) const PIXELS: usize = 64;
pub(super) const CLASSES: usize = 10;
const DARKEST: f32 = 16.0;
/// One in so many images is a test image.
const TEST_SHARE: usize = 5;
/// One in so many training labels is flipped.
const FLIPPED_SHARE: usize = 10;

/// Training and test points.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) train: Points,
    pub(super) test: Points,
}

/// Images with the labels that the model is told, and the true ones.
#[derive(Debug, Default)]
pub(super) struct Points {
    images: Vec<f32>,
    pub(super) labels: Vec<usize>,
    pub(super) truth: Vec<usize>,
}

impl Split {
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
            [test, train].map(|indices| Points::select(&images, &labels, indices));
        train.flip(random);
        Ok(Self { train, test })
    }
}

impl Points {
    fn select(images: &[u8], labels: &[u8], indices: &[usize]) -> Self {
        let pixels = |&index: &usize| {
            images[index * PIXELS..(index + 1) * PIXELS]
                .iter()
                .map(|&pixel| f32::from(pixel) / DARKEST)
        };
        let labels: Vec<usize> = indices
            .iter()
            .map(|&index| usize::from(labels[index]))
            .collect();
        Self {
            images: indices.iter().flat_map(pixels).collect(),
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

    pub(super) fn is_flipped(&self, point: usize) -> bool {
        self.labels[point] != self.truth[point]
    }

    pub(super) fn flipped_count(&self) -> usize {
        (0..self.len())
            .filter(|&point| self.is_flipped(point))
            .count()
    }

    /// Some of the points, as the task takes them: images `(n, 64)` and labels `(n)`.
    pub(super) fn tensors(&self, points: &[usize]) -> (TensorData, TensorData) {
        let image = |&point: &usize| {
            self.images[point * PIXELS..(point + 1) * PIXELS]
                .iter()
                .copied()
        };
        let images: Vec<f32> = points.iter().flat_map(image).collect();
        // A class fits any integer.
        let labels: Vec<i64> = points
            .iter()
            .map(|&point| i64::try_from(self.labels[point]).unwrap_or_default())
            .collect();
        (
            TensorData::new(images, [points.len(), PIXELS]),
            TensorData::new(labels, [points.len()]),
        )
    }

    pub(super) fn dataset(&self) -> Result<ArrayDataset> {
        let (images, labels) = self.tensors(&(0..self.len()).collect::<Vec<_>>());
        Ok(ArrayDataset::new(vec![images, labels])?)
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
        let split = Split::new(&mut Xoshiro256PlusPlus::seed_from_u64(0))?;
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
            Split::new(&mut Xoshiro256PlusPlus::seed_from_u64(seed)).map(|split| split.train.labels)
        };
        assert_eq!(labels(3)?, labels(3)?);
        assert_ne!(labels(3)?, labels(4)?);
        Ok(())
    }
}
