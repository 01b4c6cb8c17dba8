//! The range of the numbers of inputs.

use influence_core::Values;

/// The largest number of a pixel of 8 bits, and of the digits of the UCI, which have 4 bits.
const WHITE: [f64; 2] = [255.0, 16.0];
/// The least largest number that pixels have.
const DIM: f64 = 15.0;

/// The numbers that inputs have.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) least: f64,
    /// The largest number by its magnitude, and where in a sample it is.
    pub(super) largest: (f64, usize),
    whole: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            largest: (0.0, 0),
            whole: true,
        }
    }
}

impl Extent {
    /// Records the inputs of this many samples.
    pub(super) fn add(&mut self, inputs: &Values, samples: usize) {
        let numbers = (inputs.len() / samples.max(1)).max(1);
        for (index, number) in inputs.floats().enumerate() {
            self.least = self.least.min(number);
            self.whole &= number.fract() == 0.0;
            if number.abs() > self.largest.0 {
                self.largest = (number.abs(), index % numbers);
            }
        }
    }

    /// What pixels that these numbers may be are divided by.
    pub(super) fn white(&self) -> Option<f64> {
        let [byte, digit] = WHITE;
        let (largest, _) = self.largest;
        let pixels = self.whole && self.least >= 0.0 && (DIM..=byte).contains(&largest);
        pixels.then_some(if largest > digit { byte } else { digit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(numbers: &[f64]) -> Extent {
        let mut extent = Extent::default();
        let inputs = Values::new(numbers.to_vec(), &[numbers.len()]);
        extent.add(&inputs.expect("they fit"), 1);
        extent
    }

    #[test]
    fn pixels_are_whole_numbers_up_to_white() {
        for (numbers, white) in [
            (&[0.0, 3.0, 255.0][..], Some(255.0)),
            (&[0.0, 16.0], Some(16.0)),
            (&[0.0, 15.0], Some(16.0)),
            (&[0.0, 17.0], Some(255.0)),
            (&[0.0, 1.0], None),
            (&[0.5, 200.0], None),
            (&[-1.0, 200.0], None),
            (&[0.0, 256.0], None),
        ] {
            assert_eq!(extent(numbers).white(), white, "{numbers:?}");
        }
    }

    #[test]
    fn the_largest_number_is_known_by_its_place_in_a_sample() {
        let mut extent = Extent::default();
        let inputs = Values::new(vec![1.0, 2.0, 3.0, -9.0], &[2, 2]);
        extent.add(&inputs.expect("four"), 2);
        assert_eq!((extent.least, extent.largest), (-9.0, (9.0, 1)));
    }
}
