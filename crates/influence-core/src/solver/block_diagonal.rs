//! A curvature that is prepared already, block by block.

use std::sync::Arc;

use super::{Inverse, Prepared, Solution, Solver, State};
use crate::{
    Error, Result, Rows,
    block::Block,
    operator::{Estimate, LinearOperator},
    report::of_parts,
};

/// Prepared curvatures of blocks that together are all parameters: a preconditioner for a curvature
/// that they approximate.
///
/// As a [`Solver`] it does not look at the operator it is given.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{
///     block::{BlockStructure, Parameter, ParameterLayout},
///     operator::Matrix,
///     solver::{BlockDiagonal, ConjugateGradient, Direct, Solver},
/// };
/// use ndarray::{Array2, array};
///
/// let weight = |name: &str| Parameter { name: name.into(), shape: vec![1] };
/// let layout = ParameterLayout::new(vec![weight("a.weight"), weight("b.weight")]);
/// let blocks = BlockStructure::LayerWise.resolve(&layout)?;
/// let diagonal = [array![[4.0]], array![[3.0]]];
/// let prepared = diagonal.iter().map(|matrix| Direct::of_matrix::<Array2<f64>>(matrix));
/// let near = BlockDiagonal::new(blocks.into_iter().zip(prepared.collect::<Result<Vec<_>, _>>()?))?;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 1.0], [1.0, 3.0]])?);
/// let cg = ConjugateGradient::new().with_preconditioner(Arc::new(near));
/// let solution = cg.invert(op, 0.0)?.solve(&array![[5.0, 4.0]])?.converged()?;
/// assert!((solution[[0, 0]] - 1.0_f64).abs() < 1e-6);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BlockDiagonal<R: Rows> {
    dim: usize,
    blocks: Vec<(Block, Arc<dyn Prepared<R>>)>,
}

impl<R: Rows> BlockDiagonal<R> {
    /// Joins the prepared curvatures of blocks.
    ///
    /// # Errors
    /// [`Error::Shape`] when a curvature does not fit its block, or the columns of the blocks do
    /// not follow each other from 0 on.
    pub fn new(blocks: impl IntoIterator<Item = (Block, Box<dyn Prepared<R>>)>) -> Result<Self> {
        let blocks = blocks.into_iter();
        let blocks = blocks.map(|(block, prepared)| (block, Arc::from(prepared)));
        let blocks: Vec<(Block, Arc<dyn Prepared<R>>)> = blocks.collect();
        for (block, prepared) in &blocks {
            Error::check_size("block curvature", "dimension", block.dim(), prepared.dim())?;
        }
        let columns = blocks.iter().flat_map(|(block, _)| block.columns());
        let mut columns: Vec<_> = columns.cloned().collect();
        columns.sort_by_key(|range| range.start);
        let mut dim = 0;
        for range in columns {
            Error::check_size("block curvature", "first column", dim, range.start)?;
            dim = range.end;
        }
        Ok(Self { dim, blocks })
    }

    /// The part of a [state](Prepared::state) that belongs to a block.
    pub fn state_of(state: &State, block: &Block) -> State {
        let prefix = prefix(block);
        let arrays = state.arrays().iter();
        let own = arrays.filter_map(|(name, array)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), array.clone()))
        });
        own.collect()
    }
}

/// What names of arrays begin with that belong to a block.
fn prefix(block: &Block) -> String {
    format!("{}/", block.name())
}

impl<R: Rows> Solver<R> for BlockDiagonal<R> {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        Error::check_size("block curvatures", "dimension", op.dim(), self.dim)?;
        Ok(Box::new(self.clone()))
    }

    /// Right-hand sides, solutions, and the pieces that they are joined of.
    fn stacks(&self) -> usize {
        4
    }
}

impl<R: Rows> Prepared<R> for BlockDiagonal<R> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        let blocks = self.blocks.iter();
        let blocks =
            blocks.map(|(block, prepared)| Ok((block.clone(), prepared.inverse(damping)?)));
        Ok(Box::new(BlockDiagonalInverse {
            dim: self.dim,
            blocks: blocks.collect::<Result<_>>()?,
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        let mut sum = Estimate::from(0.0);
        for (block, prepared) in &self.blocks {
            let mean = prepared.mean_eigenvalue()?;
            let dim = block.dim() as f64;
            sum.value += dim * mean.value;
            sum.standard_error = sum.standard_error.hypot(dim * mean.standard_error);
        }
        Ok(sum.over(self.dim as f64))
    }

    /// The states of all blocks, each array under the name of its block.
    fn state(&self) -> Result<State> {
        let mut arrays = Vec::new();
        for (block, prepared) in &self.blocks {
            let prefix = prefix(block);
            let own = prepared.state()?;
            let own = own.arrays().iter();
            arrays.extend(own.map(|(name, array)| (format!("{prefix}{name}"), array.clone())));
        }
        Ok(arrays.into_iter().collect())
    }
}

#[derive(Debug)]
struct BlockDiagonalInverse<R: Rows> {
    dim: usize,
    blocks: Vec<(Block, Box<dyn Inverse<R>>)>,
}

impl<R: Rows> BlockDiagonalInverse<R> {
    /// What `of` makes of the columns of each block, joined.
    fn each(&self, rhs: &R, mut of: impl FnMut(&dyn Inverse<R>, &R) -> Result<R>) -> Result<R> {
        let mut parts = Vec::with_capacity(self.blocks.len());
        for (block, inverse) in &self.blocks {
            let rows = of(&**inverse, &rhs.columns(block.columns())?)?;
            parts.push((block.columns(), rows));
        }
        R::assemble(self.dim, &parts)
    }
}

impl<R: Rows> Inverse<R> for BlockDiagonalInverse<R> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        let mut reports = None;
        let rows = self.each(rhs, |inverse, rhs| {
            let solution = inverse.solve(rhs)?;
            reports = Some(of_parts(reports.take(), solution.reports));
            Ok(solution.rows)
        })?;
        let reports = reports.unwrap_or_default();
        Ok(Solution { rows, reports })
    }

    fn precondition(&self, rhs: &R) -> Result<R> {
        self.each(rhs, |inverse, rhs| inverse.precondition(rhs))
    }
}
