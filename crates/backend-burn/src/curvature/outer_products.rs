//! Curvatures that are sums of outer products of vectors of samples.

use std::{ops::Range, sync::Arc};

use burn::tensor::Tensor;
use influence_core::{
    Error as CoreError, Result as CoreResult, Rows,
    block::Block,
    operator::{Estimate, LinearOperator, SampleOuterProducts},
    summation::Sums,
};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Ix0, Ix1, Ix2, arr0};

use super::{
    Curvature,
    gauss_newton::GaussNewton,
    parts::{shared_sum, sum_in_order, sum_of},
    vectors::SampleVectors,
};
use crate::{
    Gradients, Stack,
    product::Product as _,
    tensors::{host, single},
};

/// `Σ v vᵀ / n` over one block.
#[derive(Debug, Clone)]
pub(crate) struct OuterProducts {
    vectors: Arc<SampleVectors>,
    block: Block,
    /// Each vector is divided by the square root of this plus its squared norm, if it is given.
    normalised: Option<f64>,
    /// The same matrix, where products may cost less.
    gauss_newton: Option<Arc<GaussNewton>>,
}

impl OuterProducts {
    pub(crate) fn new(vectors: Arc<SampleVectors>, block: &Block) -> Self {
        Self {
            vectors,
            block: block.clone(),
            normalised: None,
            gauss_newton: None,
        }
    }

    pub(super) fn with_products_by(self, gauss_newton: Option<Arc<GaussNewton>>) -> Self {
        Self {
            gauss_newton,
            ..self
        }
    }

    /// The vectors of a batch in the block, each with its sign.
    fn restricted(&self, part: usize) -> CoreResult<Vec<(f64, Gradients)>> {
        let vectors = self.vectors.part(part)?;
        let restricted = vectors.signed().map(|(sign, vectors)| {
            let restricted = vectors.columns(self.block.columns());
            (sign, self.weighted(restricted))
        });
        Ok(restricted.collect())
    }

    /// Fills the cache of what products with some rows read.
    fn fill(&self, rows: &Stack) -> CoreResult<()> {
        let gauss_newton = self.gauss_newton.as_ref();
        let filled = gauss_newton.map(|products| products.fill(rows.len()));
        if filled.transpose()? != Some(true) {
            self.vectors.fill()?;
        }
        Ok(())
    }

    /// A sum over all data.
    fn sum(
        &self,
        name: &str,
        of: &dyn Fn(Range<usize>) -> CoreResult<ArrayD<f64>>,
    ) -> CoreResult<Sums> {
        let data = &self.vectors.data;
        data.sum(name, &|| Ok(Vec::new()), &|parts| Ok(vec![of(parts)?]))
    }

    /// The outer products of some batches, summed in `f64`, batch by batch.
    fn dense_of(&self, parts: Range<usize>) -> CoreResult<Array2<f64>> {
        let mut dense = Array2::zeros((self.dim(), self.dim()));
        for part in parts {
            let vectors = self.restricted(part)?;
            // All vectors of a sign in one matrix product.
            for sign in [1.0, -1.0] {
                let alike = vectors.iter().filter(|(own, _)| own * sign > 0.0);
                let alike: Vec<&Gradients> = alike.map(|(_, vectors)| vectors).collect();
                if !alike.is_empty() {
                    dense.scaled_add(sign, &products(&alike)?);
                }
            }
        }
        Ok(dense)
    }

    /// The trace of the outer products of some batches.
    fn trace_of(&self, parts: Range<usize>) -> CoreResult<f64> {
        let mut sum = 0.0;
        for part in parts {
            for (sign, vectors) in self.restricted(part)? {
                sum += sign * host(&vectors.squared_norms())?.into_iter().sum::<f64>();
            }
        }
        Ok(sum)
    }

    /// The sum of the squares of the vectors of some batches, entry by entry.
    fn diagonal_of(&self, parts: Range<usize>) -> CoreResult<Array1<f64>> {
        let mut sum = Array1::zeros(self.dim());
        for part in parts {
            for (sign, vectors) in self.restricted(part)? {
                sum.scaled_add(sign, &Array1::from(host(&vectors.sum_of_squares())?));
            }
        }
        Ok(sum)
    }

    fn weighted(&self, vectors: Gradients) -> Gradients {
        let Some(damping) = self.normalised else {
            return vectors;
        };
        let weights = (vectors.squared_norms() + damping).sqrt().recip();
        vectors.scaled(&weights.unsqueeze_dim(1))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sample counts are far below 2^52"
    )]
    fn samples(&self) -> f64 {
        self.vectors.data.samples() as f64
    }

    /// The contribution of a batch to the product with rows.
    fn product(&self, batch: usize, rows: &Stack) -> CoreResult<Stack> {
        CoreError::check_size("curvature product", "vector length", self.dim(), rows.dim())?;
        if rows.is_empty() {
            return Ok(rows.clone());
        }
        let gauss_newton = self.gauss_newton.as_ref();
        let sum = gauss_newton.map(|products| products.products(batch, &self.block, rows));
        if let Some(sum) = sum.transpose()?.flatten() {
            return Ok(Stack::new(sum.div_scalar(self.samples())));
        }
        let products = self
            .restricted(batch)?
            .into_iter()
            .map(|(sign, vectors)| vectors.combine(&(vectors.scores(rows.vectors()) * sign)));
        let sum = products.reduce(|sum, product| sum + product);
        let sum = sum.unwrap_or_else(|| rows.tensor().zeros_like());
        Ok(Stack::new(sum.div_scalar(self.samples())))
    }
}

impl LinearOperator for OuterProducts {
    type Rows = Stack;

    fn dim(&self) -> usize {
        self.block.dim()
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> CoreResult<Stack> {
        CoreError::check_size(
            "curvature rows",
            "vector length",
            self.dim(),
            values.ncols(),
        )?;
        Ok(Stack::from_host(
            &values,
            &self.vectors.source.device,
            self.vectors.source.precision,
        ))
    }

    fn apply(&self, rows: &Stack) -> CoreResult<Stack> {
        self.fill(rows)?;
        sum_in_order(&self.vectors.data, rows, |batch| self.product(batch, rows))
    }

    fn apply_shared(&self, rows: &Stack) -> CoreResult<Stack> {
        self.fill(rows)?;
        shared_sum(&self.vectors.data, rows, |batch| self.product(batch, rows))
    }

    fn to_dense(&self) -> CoreResult<Array2<f64>> {
        let sum = self.sum("outer products", &|parts| {
            Ok(self.dense_of(parts)?.into_dyn())
        })?;
        Ok(single::<Ix2>(sum)? / self.samples())
    }

    fn trace(&self) -> CoreResult<Estimate> {
        let sum = self.sum("trace", &|parts| Ok(arr0(self.trace_of(parts)?).into_dyn()))?;
        Ok((single::<Ix0>(sum)?.into_scalar() / self.samples()).into())
    }

    fn diagonal(&self) -> CoreResult<Array1<f64>> {
        let sum = self.sum("diagonal", &|parts| Ok(self.diagonal_of(parts)?.into_dyn()))?;
        Ok(single::<Ix1>(sum)? / self.samples())
    }

    /// Only with the empirical Fisher do samples have one vector each.
    fn as_sample_outer_products(&self) -> Option<&dyn SampleOuterProducts<Rows = Stack>> {
        let single = self.vectors.curvature == Curvature::EmpiricalFisher;
        single.then_some(self as _)
    }

    fn parts(&self) -> usize {
        self.vectors.data.uncut()
    }

    fn apply_part(&self, part: usize, rows: &Stack) -> CoreResult<Stack> {
        let pieces = self.vectors.data.pieces_of(part);
        sum_of(pieces, rows, |batch| self.product(batch, rows))
    }
}

impl SampleOuterProducts for OuterProducts {
    fn normalised(&self, damping: f64) -> CoreResult<Arc<dyn LinearOperator<Rows = Stack>>> {
        Ok(Arc::new(Self {
            normalised: Some(damping),
            ..self.clone()
        }))
    }
}

/// `Σ v vᵀ` on the host.
pub(crate) fn products(vectors: &[&Gradients]) -> CoreResult<Array2<f64>> {
    let rows = vectors.iter().map(|vectors| vectors.to_rows());
    let rows = Tensor::cat(rows.collect(), 0);
    Stack::new(rows.clone().transpose().product(rows)).to_host()
}
