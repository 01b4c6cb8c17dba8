use influence_core::{
    Error as CoreError, Result as CoreResult, Rows, block::Block, operator::LinearOperator,
};
use ndarray::{Array2, ArrayView2, Axis};

use super::{TrainingData, sum_of_parts};
use crate::{ModelGradients, Stack, trace::Function};

/// How many columns of a dense Hessian are formed at once.
const SLAB: usize = 64;

/// The exact mean Hessian of the training loss over one block.
#[derive(Debug)]
pub(super) struct Hessian {
    source: ModelGradients,
    data: TrainingData,
    parameters: Vec<usize>,
    dim: usize,
}

impl Hessian {
    pub(super) fn new(source: ModelGradients, data: TrainingData, block: &Block) -> Self {
        Self {
            source,
            data,
            parameters: block.parameters().to_vec(),
            dim: block.dim(),
        }
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
            &self.source.device,
            self.source.precision,
        ))
    }

    fn apply(&self, rows: &Stack) -> CoreResult<Stack> {
        sum_of_parts(self, rows)
    }

    /// Added up in `f64`, batch by batch.
    fn to_dense(&self) -> CoreResult<Array2<f64>> {
        let mut dense = Array2::zeros((self.dim, self.dim));
        for (slab, mut columns) in dense.axis_chunks_iter_mut(Axis(0), SLAB).enumerate() {
            let mut identity = Array2::zeros(columns.raw_dim());
            (0..columns.nrows()).for_each(|row| identity[[row, slab * SLAB + row]] = 1.0);
            let identity = self.rows(identity.view())?;
            for part in 0..self.parts() {
                columns += &self.apply_part(part, &identity)?.to_host()?;
            }
        }
        Ok(dense)
    }

    fn parts(&self) -> usize {
        self.data.batches()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sample counts are far below 2^52"
    )]
    fn apply_part(&self, part: usize, rows: &Stack) -> CoreResult<Stack> {
        CoreError::check_size("hessian product", "vector length", self.dim, rows.dim())?;
        if rows.is_empty() {
            return Ok(rows.clone());
        }
        let batch = self.data.batch(part)?;
        let graph = self.source.trace.graph(Function::Loss, &batch)?;
        let sum = self.source.engine.hessian_products(
            &graph,
            &batch,
            &self.parameters,
            &rows.tensor(),
        )?;
        Ok(Stack::new(sum.div_scalar(self.data.samples() as f64)))
    }
}
