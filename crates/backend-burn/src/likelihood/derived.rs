//! From the recorded loss to its second derivative by the outputs.

use burn::tensor::Tensor;
use influence_core::Precision;
use ndarray::{Array2, Array3, Array4, Axis, s};
use rand::RngExt;

use super::{OutputHessian, blocks::Blocks, closed_form::ClosedForm, formulas, random::stream};
use crate::{
    Batch, Error, OutputLoss, Result,
    engine::Engine,
    tensors::{tensor, values},
    trace::Head,
};

/// The most outputs that interact for which a second derivative is formed.
const MOST: usize = 512;
/// Seed of the points and directions of the comparison.
const SEED: u64 = 0x0D1F;

/// A recorded loss at the outputs of a batch.
pub(crate) struct Derivation<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) head: &'a Head,
    pub(crate) batch: &'a Batch,
    /// `(n, c)`.
    pub(crate) outputs: Tensor<2>,
    pub(crate) precision: Precision,
}

impl Derivation<'_> {
    /// The second derivative: that of the declared loss times weights, if the recorded loss has it.
    pub(crate) fn hessian(&self, declared: OutputLoss) -> Result<OutputHessian> {
        let width = self.outputs.dims()[1];
        let form = formulas::form(declared, width)?;
        if let Some((block, _)) = form
            && let Some(weights) = self.weights(declared, block)?
        {
            let weights = weights
                .iter()
                .any(|weight| (weight - 1.0).abs() > 0.0)
                .then_some(weights);
            return Ok(OutputHessian::Closed(Box::new(ClosedForm {
                loss: declared,
                outputs: self.outputs.clone(),
                weights: weights.map(|weights| self.placed(weights)),
            })));
        }
        let block = form.map_or(1, |(block, _)| block);
        if block < width
            && block <= MOST
            && let Some(blocks) = self.blocks(block)?
        {
            return Ok(OutputHessian::Blocks(blocks));
        }
        if width > MOST {
            return Err(Error::OutputsInteract { width, most: MOST });
        }
        let whole = self.blocks(width)?.ok_or(Error::OutputsNotFinite)?;
        Ok(OutputHessian::Blocks(whole))
    }

    /// Refuses outputs of which the loss is a linear function for every sample.
    pub(crate) fn check_curved(&self) -> Result<()> {
        let direction = self.direction(0);
        for outputs in [self.outputs.clone(), self.made_up(0)] {
            let (first, second) = self.derivatives(&outputs, &direction)?;
            let flat = second.iter().all(|x| *x == 0.0);
            if !flat || first.iter().all(|x| *x == 0.0) {
                return Ok(());
            }
        }
        Err(Error::LinearInOutputs)
    }

    /// The factors `(n, positions)` by which the second derivative differs from that of the
    /// declared loss, if it differs by nothing else.
    fn weights(&self, declared: OutputLoss, block: usize) -> Result<Option<Array2<f64>>> {
        let tolerance = match self.precision {
            Precision::F32 => 1e-3,
            Precision::F64 => 1e-8,
        };
        let compared = |outputs: &Tensor<2>, seed| -> Result<Compared> {
            let direction = self.direction(seed);
            let found = self.derivatives(outputs, &direction)?.1;
            let expected = values(&formulas::along(declared, outputs, &direction)?)?;
            Compared::new(&found, &expected, (self.batch.len(), block))
        };
        let mut weights = compared(&self.made_up(1), 1)?.ratios();
        let again = compared(&self.made_up(2), 2)?;
        let here = compared(&self.outputs, 3)?;
        let width = self.outputs.dims()[1];
        let noise = self.noise() * formulas::scale(declared, width / block.max(1), width);
        if !again.fits(&weights, tolerance, 0.0) || !here.fits(&weights, tolerance, noise) {
            return Ok(None);
        }
        let near_one = |weight: &f64| (weight - 1.0).abs() <= 0.1 * tolerance;
        if weights.iter().all(near_one) {
            weights.fill(1.0);
        }
        Ok(Some(weights))
    }

    /// The second derivative as blocks of outputs side by side, if a random direction shows no
    /// more.
    fn blocks(&self, block: usize) -> Result<Option<Blocks>> {
        let [n, width] = self.outputs.dims();
        let positions = width / block.max(1);
        let mut columns = Array4::zeros((n, positions, block, block));
        for column in 0..block {
            let unit = |entry: usize| f64::from(u8::from(entry % block == column));
            let direction = self.tensor((0..n * width).map(unit));
            let product = self.derivatives(&self.outputs, &direction)?.1;
            columns
                .slice_mut(s![.., .., .., column])
                .assign(&by_position(product, (n, positions, block))?);
        }
        let values = (&columns + &columns.view().permuted_axes([0, 1, 3, 2])) * 0.5;
        if values.iter().any(|x| !x.is_finite()) {
            return Err(Error::OutputsNotFinite);
        }
        let blocks = Blocks {
            values,
            device: self.outputs.device(),
            precision: self.precision,
        };
        let complete = block == width || self.is_complete(&blocks)?;
        Ok(complete.then_some(blocks))
    }

    /// Whether blocks give the product with a random direction.
    fn is_complete(&self, blocks: &Blocks) -> Result<bool> {
        let (n, positions, block, _) = blocks.values.dim();
        let direction = self.direction(4);
        let found = by_position(
            self.derivatives(&self.outputs, &direction)?.1,
            (n, positions, block),
        )?;
        let direction = by_position(values(&direction)?, (n, positions, block))?;
        let mut complete = true;
        for sample in 0..n {
            let matrices = blocks.values.index_axis(Axis(0), sample);
            let largest = matrices.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            let tolerance = 1e2 * self.noise() * largest * block as f64;
            for (position, matrix) in matrices.outer_iter().enumerate() {
                let product = matrix.dot(&direction.slice(s![sample, position, ..]));
                let found = found.slice(s![sample, position, ..]);
                let within = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
                complete &= product.iter().zip(found).all(within);
            }
        }
        Ok(complete)
    }

    /// The rounding of numbers near 1.
    fn noise(&self) -> f64 {
        match self.precision {
            Precision::F32 => 1e-5,
            Precision::F64 => 1e-13,
        }
    }

    /// The derivative of the loss and the product of the second one with a direction, at some
    /// outputs.
    fn derivatives(
        &self,
        outputs: &Tensor<2>,
        direction: &Tensor<2>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let slopes = self
            .engine
            .head_derivatives(self.head, self.batch, outputs, direction)?;
        Ok((values(&slopes.first)?, values(&slopes.product)?))
    }

    /// Outputs at which no softmax and no sigmoid saturates.
    fn made_up(&self, number: u64) -> Tensor<2> {
        let mut random = stream(SEED + number, 0);
        self.tensor(std::iter::repeat_with(|| {
            2.0 * random.random::<f64>() - 1.0
        }))
    }

    /// Numbers of magnitude 1/2 to 3/2 and either sign.
    fn direction(&self, number: u64) -> Tensor<2> {
        let mut random = stream(SEED + number, 1);
        self.tensor(std::iter::repeat_with(|| {
            let number = 2.0 * random.random::<f64>() - 1.0;
            number + 0.5_f64.copysign(number)
        }))
    }

    /// A tensor of the shape of the outputs.
    fn tensor(&self, numbers: impl Iterator<Item = f64>) -> Tensor<2> {
        let shape = self.outputs.dims();
        let numbers = numbers.take(shape[0] * shape[1]);
        tensor(numbers, shape, &self.outputs.device(), self.precision)
    }

    fn placed(&self, weights: Array2<f64>) -> Tensor<2> {
        let (n, positions) = weights.dim();
        let device = self.outputs.device();
        tensor(weights.into_iter(), [n, positions], &device, self.precision)
    }
}

/// Products of two second derivatives with one direction, `(n, positions, block)`.
struct Compared {
    found: Array3<f64>,
    expected: Array3<f64>,
}

impl Compared {
    fn new(found: &[f64], expected: &[f64], (n, block): (usize, usize)) -> Result<Self> {
        let form = (n, found.len() / (n * block).max(1), block);
        Ok(Self {
            found: by_position(found.to_vec(), form)?,
            expected: by_position(expected.to_vec(), form)?,
        })
    }

    /// The factor of each position that brings what is expected nearest to what was found, 1 where
    /// both are zero.
    fn ratios(&self) -> Array2<f64> {
        let (n, positions, _) = self.found.dim();
        Array2::from_shape_fn((n, positions), |(sample, position)| {
            let expected = self.expected.slice(s![sample, position, ..]);
            let found = self.found.slice(s![sample, position, ..]);
            let squared = expected.dot(&expected);
            if squared > 0.0 {
                expected.dot(&found) / squared
            } else {
                1.0
            }
        })
    }

    /// Whether each position is its expected value times its weight, up to a tolerance relative to
    /// the largest of its entries.
    fn fits(&self, weights: &Array2<f64>, tolerance: f64, noise: f64) -> bool {
        let mut fits = true;
        for ((sample, position), weight) in weights.indexed_iter() {
            let expected = self.expected.slice(s![sample, position, ..]);
            let found = self.found.slice(s![sample, position, ..]);
            let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            let allowed = weight.abs() * (tolerance * largest + noise);
            let within = |(a, b): (&f64, &f64)| (weight * a - b).abs() <= allowed;
            fits &= expected.iter().zip(found).all(within);
        }
        fits
    }
}

fn by_position(values: Vec<f64>, form: (usize, usize, usize)) -> Result<Array3<f64>> {
    Array3::from_shape_vec(form, values).map_err(|error| Error::Engine {
        message: error.to_string(),
    })
}
