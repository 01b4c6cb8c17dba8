//! Second derivatives by outputs that are taken from a recorded loss, as blocks of outputs that
//! interact.

use burn::tensor::{Device, Tensor};
use influence_core::{
    Precision,
    linalg::{Eigen, eigen},
};
use ndarray::{Array1, Array2, Array4, ArrayView2, s};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{
    factors::{SquareRootFactors, Vectors},
    random::stream,
};
use crate::{Error, Result, product::Product as _, tensors::tensor};

/// The blocks of each sample, `(n, positions, width, width)`.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(super) values: Array4<f64>,
    pub(super) device: Device,
    pub(super) precision: Precision,
}

/// Eigenvectors times the roots of their eigenvalues' magnitudes, `(n, positions, width, width)`,
/// one per column: the largest eigenvalue first among those above zero, the least first among those
/// below.
struct SignedEigenvectors {
    plus: Array4<f64>,
    minus: Array4<f64>,
}

impl Blocks {
    /// The largest magnitude at which a negative eigenvalue may be rounding, relative to the
    /// largest entry of the batch.
    fn noise(&self) -> f64 {
        let largest = self
            .values
            .iter()
            .fold(0.0_f64, |most, x| most.max(x.abs()));
        let relative = match self.precision {
            Precision::F32 => 1e-5,
            Precision::F64 => 1e-12,
        };
        relative * largest
    }

    fn eigenvectors(&self) -> Result<SignedEigenvectors> {
        let noise = self.noise();
        let mut plus = Array4::zeros(self.values.raw_dim());
        let mut minus = plus.clone();
        let (n, positions, width, _) = self.values.dim();
        for (sample, position) in (0..n).flat_map(|i| (0..positions).map(move |j| (i, j))) {
            let block = self.values.slice(s![sample, position, .., ..]);
            let (values, vectors) = decomposed(&block)?;
            // Eigenvalues ascend.
            for (index, value) in values.iter().enumerate() {
                let (kept, column) = if *value > 0.0 {
                    (&mut plus, width - 1 - index)
                } else if *value < -noise {
                    (&mut minus, index)
                } else {
                    continue;
                };
                let scaled = &vectors.column(index) * value.abs().sqrt();
                kept.slice_mut(s![sample, position, .., column])
                    .assign(&scaled);
            }
        }
        Ok(SignedEigenvectors { plus, minus })
    }

    pub(super) fn square_root_factors(&self) -> Result<SquareRootFactors> {
        let SignedEigenvectors { plus, minus } = self.eigenvectors()?;
        let plus = self.columns(&plus);
        // The layers are found in these vectors, so there must be one.
        let plus = if plus.is_empty() {
            vec![Array2::zeros(self.dim())]
        } else {
            plus
        };
        Ok(SquareRootFactors {
            plus: self.tensors(plus),
            minus: self.tensors(self.columns(&minus)),
        })
    }

    /// `(n, c)`.
    fn dim(&self) -> (usize, usize) {
        let (n, positions, width, _) = self.values.dim();
        (n, positions * width)
    }

    /// Each column of each position among zeros, `(n, c)`, unless it is zero for all samples.
    fn columns(&self, factors: &Array4<f64>) -> Vec<Array2<f64>> {
        let (_, positions, width, _) = factors.dim();
        let all = (0..positions).flat_map(|j| (0..width).map(move |r| (j, r)));
        let column = |(position, column)| {
            let values = factors.slice(s![.., position, .., column]);
            let mut among_zeros = Array2::zeros(self.dim());
            among_zeros
                .slice_mut(s![.., position * width..(position + 1) * width])
                .assign(&values);
            values.iter().any(|x| *x != 0.0).then_some(among_zeros)
        };
        all.filter_map(column).collect()
    }

    fn tensors(&self, arrays: Vec<Array2<f64>>) -> Vectors {
        let (device, precision) = (self.device.clone(), self.precision);
        let place = move |array: Array2<f64>| {
            let (n, width) = array.dim();
            tensor(array.into_iter(), [n, width], &device, precision)
        };
        Box::new(arrays.into_iter().map(place))
    }

    pub(super) fn drawn(&self, seed: u64, first_sample: usize) -> Result<Tensor<2>> {
        let SignedEigenvectors { plus, minus } = self.eigenvectors()?;
        if minus.iter().any(|x| *x != 0.0) {
            return Err(Error::NotConvex);
        }
        let (n, positions, width, _) = plus.dim();
        let mut drawn = Array2::zeros((n, positions * width));
        for sample in 0..n {
            let mut random = stream(seed, first_sample + sample);
            for position in 0..positions {
                let normal: Array1<f64> =
                    (0..width).map(|_| random.sample(StandardNormal)).collect();
                let vector = plus.slice(s![sample, position, .., ..]).dot(&normal);
                drawn
                    .slice_mut(s![sample, position * width..(position + 1) * width])
                    .assign(&vector);
            }
        }
        let shape = [n, positions * width];
        let place = (&self.device, self.precision);
        Ok(tensor(drawn.into_iter(), shape, place.0, place.1))
    }

    pub(super) fn along(&self, direction: &Tensor<2>) -> Tensor<2> {
        let (n, positions, width, _) = self.values.dim();
        let shape = [n, positions, width, width];
        let values = self.values.iter().copied();
        let blocks: Tensor<4> = tensor(values, shape, &self.device, self.precision);
        let direction = direction.clone().reshape([n, positions, width, 1]);
        blocks.product(direction).reshape([n, positions * width])
    }

    pub(super) fn scalars(&self) -> usize {
        self.values.len()
    }

    pub(super) fn matrices(&self) -> Tensor<3> {
        let (n, positions, width, _) = self.values.dim();
        let side = positions * width;
        let mut whole = ndarray::Array3::zeros((n, side, side));
        for position in 0..positions {
            let own = position * width..(position + 1) * width;
            whole
                .slice_mut(s![.., own.clone(), own])
                .assign(&self.values.slice(s![.., position, .., ..]));
        }
        tensor(
            whole.into_iter(),
            [n, side, side],
            &self.device,
            self.precision,
        )
    }
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix.
fn decomposed(block: &ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    if block.nrows() == 1 {
        return Ok((block.row(0).to_owned(), Array2::eye(1)));
    }
    let Eigen { values, vectors } = eigen(&block.to_owned()).map_err(|error| Error::Engine {
        message: error.to_string(),
    })?;
    Ok((values, vectors))
}
