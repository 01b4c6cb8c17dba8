//! The Hessian, exactly.

use std::{ops::Range, sync::Arc};

use burn::tensor::Tensor;
use influence_core::{
    Error as CoreError, Result as CoreResult, Rows, block::Block, operator::LinearOperator,
};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

use super::{
    mlp::MlpBatches,
    pairs::in_pairs,
    parts::{places, shared_sum, sum_in_order, sum_of},
};
use crate::{FitStep, Stack, tensors::single, trace::Function};

/// How many columns of a dense Hessian are formed at once.
const SLAB: usize = 64;

/// The exact mean Hessian of the training loss over one block.
#[derive(Debug)]
pub(super) struct Hessian {
    mlp: Arc<MlpBatches>,
    parameters: Vec<usize>,
    places: Vec<Option<Range<usize>>>,
    dim: usize,
}

impl Hessian {
    pub(super) fn new(mlp: Arc<MlpBatches>, block: &Block) -> Self {
        Self {
            parameters: block.parameters().to_vec(),
            places: places(block, mlp.source.layout()),
            dim: block.dim(),
            mlp,
        }
    }

    /// The contribution of some parts, summed in `f64`, batch by batch.
    fn dense_of(&self, parts: Range<usize>) -> CoreResult<Array2<f64>> {
        let mut dense = Array2::zeros((self.dim, self.dim));
        for part in parts {
            let scale = 1.0 / self.samples();
            // A single layer gives its matrix at once; any other network gives it column by column.
            let whole = match self.mlp.part(part)? {
                Some(linearised) => linearised.add_to(&mut dense, scale, &self.places)?,
                None => false,
            };
            if !whole {
                self.add_columns(part, &mut dense)?;
            }
        }
        Ok(dense)
    }

    /// Adds the contribution of one part, from products with unit vectors.
    fn add_columns(&self, part: usize, dense: &mut Array2<f64>) -> CoreResult<()> {
        let slabs = dense.axis_chunks_iter_mut(Axis(0), SLAB).enumerate();
        let add = |(slab, mut columns): (usize, ArrayViewMut2<'_, f64>)| {
            let watch = &self.mlp.data.watch;
            watch.fitting(FitStep::Columns, slab * SLAB, self.dim);
            let mut identity = Array2::zeros(columns.raw_dim());
            (0..columns.nrows()).for_each(|row| identity[[row, slab * SLAB + row]] = 1.0);
            let identity = self.rows(identity.view())?;
            columns += &self.product(part, &identity)?.to_host()?;
            Ok(())
        };
        in_pairs(slabs, add, Ok)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sample counts are far below 2^52"
    )]
    fn samples(&self) -> f64 {
        self.mlp.data.samples() as f64
    }

    /// By differentiating twice, once for each vector.
    fn differentiated(&self, part: usize, rows: &Stack) -> CoreResult<Tensor<2>> {
        let MlpBatches { source, data, .. } = &*self.mlp;
        let batch = data.batch(part)?;
        let graph = source.trace.graph(Function::Loss, &batch)?;
        let engine = &source.engine;
        Ok(engine.hessian_products(&graph, &batch, &self.parameters, &rows.tensor())?)
    }

    /// The contribution of a batch to the product with rows.
    fn product(&self, batch: usize, rows: &Stack) -> CoreResult<Stack> {
        CoreError::check_size("hessian product", "vector length", self.dim, rows.dim())?;
        if rows.is_empty() {
            return Ok(rows.clone());
        }
        let sum = match self.mlp.part(batch)? {
            Some(linearised) => linearised.products(&rows.tensor(), &self.places),
            None => self.differentiated(batch, rows)?,
        };
        Ok(Stack::new(sum.div_scalar(self.samples())))
    }
}

impl LinearOperator for Hessian {
    type Rows = Stack;

    fn dim(&self) -> usize {
        self.dim
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> CoreResult<Stack> {
        CoreError::check_size("hessian rows", "vector length", self.dim, values.ncols())?;
        Ok(Stack::from_host(
            &values,
            &self.mlp.source.device,
            self.mlp.source.precision,
        ))
    }

    fn apply(&self, rows: &Stack) -> CoreResult<Stack> {
        self.mlp.fill()?;
        sum_in_order(&self.mlp.data, rows, |batch| self.product(batch, rows))
    }

    fn apply_shared(&self, rows: &Stack) -> CoreResult<Stack> {
        self.mlp.fill()?;
        shared_sum(&self.mlp.data, rows, |batch| self.product(batch, rows))
    }

    fn to_dense(&self) -> CoreResult<Array2<f64>> {
        let data = &self.mlp.data;
        single(data.sum("hessian", &|| Ok(Vec::new()), &|parts| {
            Ok(vec![self.dense_of(parts)?.into_dyn()])
        })?)
    }

    fn parts(&self) -> usize {
        self.mlp.data.uncut()
    }

    fn apply_part(&self, part: usize, rows: &Stack) -> CoreResult<Stack> {
        let pieces = self.mlp.data.pieces_of(part);
        sum_of(pieces, rows, |batch| self.product(batch, rows))
    }
}
