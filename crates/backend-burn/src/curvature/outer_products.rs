use std::{borrow::Cow, ops::Range, sync::Arc};

use burn::tensor::Tensor;
use influence_core::{
    Error as CoreError, Result as CoreResult, Rows, block::Block, operator::LinearOperator,
};
use ndarray::{Array2, ArrayView2};

use super::{Curvature, TrainingData, sum_of_parts};
use crate::{Gradients, ModelGradients, Stack, trace::Function};

/// The vectors `v` of which a curvature is the sum of outer products `Σ v vᵀ / n`: gradients for the empirical Fisher, weighted
/// output gradients, one per output and sample, for Gauss-Newton.
///
/// They are kept in their thin form while they fit the memory granted, else computed anew in every pass over the data.
#[derive(Debug)]
pub(crate) struct SampleVectors {
    curvature: Curvature,
    source: ModelGradients,
    data: TrainingData,
    kept: Option<Vec<Vec<Gradients>>>,
}

impl SampleVectors {
    pub(super) fn new(
        curvature: Curvature,
        source: ModelGradients,
        data: TrainingData,
        memory: usize,
    ) -> CoreResult<Self> {
        let mut vectors = Self {
            curvature,
            source,
            data,
            kept: None,
        };
        let mut kept = Vec::with_capacity(vectors.data.batches());
        let mut bytes = 0;
        for part in 0..vectors.data.batches() {
            let computed = vectors.compute(part)?;
            bytes += computed.iter().map(Gradients::bytes).sum::<usize>();
            if bytes > memory {
                return Ok(vectors);
            }
            kept.push(computed);
        }
        vectors.kept = Some(kept);
        Ok(vectors)
    }

    fn compute(&self, part: usize) -> CoreResult<Vec<Gradients>> {
        let batch = self.data.batch(part)?;
        match self.curvature {
            Curvature::GaussNewton => Ok(self.source.gauss_newton_gradients(&batch)?),
            Curvature::Hessian | Curvature::EmpiricalFisher => Ok(vec![self.source.gradients_of(
                Function::Loss,
                &batch,
                None,
            )?]),
        }
    }

    /// The vectors of one batch of samples.
    fn part(&self, part: usize) -> CoreResult<Cow<'_, [Gradients]>> {
        match &self.kept {
            Some(kept) => Ok(Cow::Borrowed(&kept[part])),
            None => self.compute(part).map(Cow::Owned),
        }
    }
}

/// `Σ v vᵀ / n` over one block.
#[derive(Debug)]
pub(super) struct OuterProducts {
    vectors: Arc<SampleVectors>,
    /// Where each parameter of the block lies in it.
    places: Vec<(usize, Range<usize>)>,
    dim: usize,
}

impl OuterProducts {
    pub(super) fn new(vectors: Arc<SampleVectors>, block: &Block) -> Self {
        let mut from = 0;
        let place = |&parameter: &usize| {
            let columns = from..from + vectors.source.layout().columns(parameter).len();
            from = columns.end;
            (parameter, columns)
        };
        let places = block.parameters().iter().map(place).collect();
        Self {
            vectors,
            places,
            dim: block.dim(),
        }
    }

    fn restricted(&self, part: usize) -> CoreResult<Vec<Gradients>> {
        let place = |parameter: usize| {
            self.places
                .iter()
                .find(|(index, _)| *index == parameter)
                .map(|(_, columns)| columns.clone())
        };
        Ok(self
            .vectors
            .part(part)?
            .iter()
            .map(|vectors| vectors.restrict(self.dim, place))
            .collect())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sample counts are far below 2^52"
    )]
    fn samples(&self) -> f64 {
        self.vectors.data.samples() as f64
    }
}

impl LinearOperator for OuterProducts {
    type Rows = Stack;

    fn dim(&self) -> usize {
        self.dim
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> CoreResult<Stack> {
        CoreError::check_size("curvature rows", "vector length", self.dim, values.ncols())?;
        Ok(Stack::from_host(
            &values,
            &self.vectors.source.device,
            self.vectors.source.precision,
        ))
    }

    fn apply(&self, rows: &Stack) -> CoreResult<Stack> {
        sum_of_parts(self, rows)
    }

    /// Added up in `f64`, batch by batch.
    fn to_dense(&self) -> CoreResult<Array2<f64>> {
        let mut dense = Array2::zeros((self.dim, self.dim));
        for part in 0..self.parts() {
            let rows = Tensor::cat(
                self.restricted(part)?
                    .iter()
                    .map(Gradients::to_rows)
                    .collect(),
                0,
            );
            dense += &Stack::new(rows.clone().transpose().matmul(rows)).to_host()?;
        }
        Ok(dense / self.samples())
    }

    fn parts(&self) -> usize {
        self.vectors.data.batches()
    }

    fn apply_part(&self, part: usize, rows: &Stack) -> CoreResult<Stack> {
        CoreError::check_size("curvature product", "vector length", self.dim, rows.dim())?;
        if rows.is_empty() {
            return Ok(rows.clone());
        }
        let products = self
            .restricted(part)?
            .into_iter()
            .map(|vectors| vectors.combine(&vectors.scores(rows.tensor())));
        let sum = products.reduce(|sum, product| sum + product);
        let sum = sum.unwrap_or_else(|| rows.tensor().zeros_like());
        Ok(Stack::new(sum.div_scalar(self.samples())))
    }
}
