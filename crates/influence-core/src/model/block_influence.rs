use std::sync::Arc;

use ndarray::{Array2, ArrayD, ArrayView2};

use super::{
    FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, PassFootprint,
    UnitGradients, finite,
};
use crate::{
    Error, Precision, Result, Rows,
    block::{Block, BlockDamping, Damping},
    operator::{Estimate, LinearOperator, Shift},
    report::of_parts,
    solver::{Inverse, Prepared, Report, Solution, Status},
};

/// The influence model of a block-diagonal curvature: one prepared inverse per block.
///
/// Parameters in no block have no influence. Every solver and every curvature comes in here.
#[derive(Debug)]
pub struct BlockInfluence<G: GradientSource> {
    source: G,
    blocks: Vec<FittedBlock<G::Rows>>,
    stacks: usize,
    workspace: PassFootprint,
    reference: Option<Arc<dyn LinearOperator<Rows = G::Rows>>>,
}

/// A block with its prepared curvature, and the inverse for one damping.
#[derive(Debug)]
struct FittedBlock<R: Rows> {
    block: Block,
    prepared: Arc<dyn Prepared<R>>,
    shift: Shift,
    /// Of the curvature, where the damping is relative to it.
    mean: Option<Estimate>,
    inverse: Box<dyn Inverse<R>>,
}

/// A block with its prepared curvature, of which the mean eigenvalue may be known.
struct Undamped<R: Rows> {
    block: Block,
    prepared: Arc<dyn Prepared<R>>,
    mean: Option<Estimate>,
}

/// Blocks, each with its prepared curvature.
type PreparedBlocks<R> = Vec<(Block, Box<dyn Prepared<R>>)>;

/// Stacks of right-hand sides that a solver holds, where nothing better is known.
const STACKS: usize = 8;

impl<G: GradientSource> BlockInfluence<G> {
    /// Joins a source of gradients with the prepared curvature of each block, and damps it.
    ///
    /// # Errors
    /// [`Error::Setting`] without any block or for a damping out of its domain, [`Error::Shape`]
    /// when a curvature does not fit its block, [`Error::OutOfRange`] when a block leaves the
    /// parameters of the source, [`Error::UnknownName`] when the damping does not fit the blocks.
    pub fn new(source: G, blocks: PreparedBlocks<G::Rows>, damping: &Damping) -> Result<Self> {
        if blocks.is_empty() {
            return Err(Error::Setting {
                name: "blocks",
                requirement: "at least one",
                got: "none".into(),
            });
        }
        for (block, prepared) in &blocks {
            Error::check_size("block curvature", "dimension", block.dim(), prepared.dim())?;
            block
                .columns()
                .iter()
                .try_for_each(|range| Error::check_range(range, source.dim()))?;
        }
        let blocks = blocks.into_iter().map(|(block, prepared)| Undamped {
            block,
            prepared: Arc::from(prepared),
            mean: None,
        });
        Ok(Self {
            source,
            blocks: damped(blocks.collect(), damping)?,
            stacks: STACKS,
            workspace: PassFootprint::NONE,
            reference: None,
        })
    }

    /// Reports the residual of each row against this curvature `H` of all parameters, whatever the
    /// inverses approximate: `‖b − (H + λI) x‖ / ‖b‖`, over the parameters in blocks, with the λ of
    /// each block. What is between the blocks counts. Statuses stay those of the inverses.
    ///
    /// A row costs one product with `H` more. Where `H + λI` is at least `λ` along all vectors, as
    /// it is with a Gauss-Newton matrix, `x` is within `residual · ‖b‖ / λ` of the exact solution.
    ///
    /// # Errors
    /// [`Error::Shape`] when the curvature is not one of all parameters.
    pub fn with_reference(
        self,
        curvature: Arc<dyn LinearOperator<Rows = G::Rows>>,
    ) -> Result<Self> {
        Error::check_size(
            "reference curvature",
            "dimension",
            self.source.dim(),
            curvature.dim(),
        )?;
        Ok(Self {
            reference: Some(curvature),
            ..self
        })
    }

    /// Sets how many stacks of right-hand sides the inverses hold while they solve:
    /// [`Solver::stacks`](crate::solver::Solver::stacks).
    #[must_use]
    pub fn with_stacks(self, stacks: usize) -> Self {
        Self { stacks, ..self }
    }

    /// Sets what the inverses hold while they solve besides, for some right-hand sides at a time;
    /// nothing unless it is set.
    #[must_use]
    pub fn with_workspace(self, workspace: PassFootprint) -> Self {
        Self { workspace, ..self }
    }

    /// The same inverses with every gradient scaled to unit length: [`UnitGradients`].
    #[must_use]
    pub fn with_unit_gradients(self) -> BlockInfluence<UnitGradients<G>> {
        BlockInfluence {
            source: UnitGradients::new(self.source),
            blocks: self.blocks,
            stacks: self.stacks,
            workspace: self.workspace,
            reference: self.reference,
        }
    }

    /// The same curvature with another damping; nothing that was prepared is prepared again.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the damping.
    pub fn with_damping(&self, damping: &Damping) -> Result<Self>
    where
        G: Clone,
    {
        let prepared = self.blocks.iter();
        let prepared = prepared.map(|fitted| Undamped {
            block: fitted.block.clone(),
            prepared: Arc::clone(&fitted.prepared),
            mean: fitted.mean,
        });
        Ok(Self {
            source: self.source.clone(),
            blocks: damped(prepared.collect(), damping)?,
            stacks: self.stacks,
            workspace: self.workspace,
            reference: self.reference.clone(),
        })
    }

    /// The source of gradients.
    pub fn source(&self) -> &G {
        &self.source
    }

    /// The blocks of the curvature.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(|fitted| &fitted.block)
    }

    /// The prepared curvature of each block.
    pub fn prepared(&self) -> impl Iterator<Item = (&Block, &dyn Prepared<G::Rows>)> {
        self.blocks
            .iter()
            .map(|fitted| (&fitted.block, &*fitted.prepared))
    }

    /// λ of each block, in order.
    pub fn dampings(&self) -> impl Iterator<Item = &Shift> {
        self.blocks.iter().map(|fitted| &fitted.shift)
    }

    /// The mean eigenvalue of the curvature of each block, where its damping is relative to it.
    pub fn mean_eigenvalues(&self) -> impl Iterator<Item = (&Block, Option<Estimate>)> {
        self.blocks
            .iter()
            .map(|fitted| (&fitted.block, fitted.mean))
    }

    /// Solves `(H + λI) x = b` for given rows `(k, dim)`, block by block.
    ///
    /// # Errors
    /// [`Error::Shape`] when the rows do not have length `dim`, otherwise whatever the inverses
    /// report.
    pub fn solve(&self, rhs: &G::Rows) -> Result<Solution<G::Rows>> {
        self.solve_from(rhs, None)
    }

    /// As [`solve`](Self::solve), from a guess if there is one.
    pub(super) fn solve_from(
        &self,
        rhs: &G::Rows,
        start: Option<&G::Rows>,
    ) -> Result<Solution<G::Rows>> {
        self.solve_against(self.reference.as_deref(), rhs, start)
    }

    /// As [`solve`](Self::solve), without a product with the reference: for solutions whose reports
    /// nobody reads.
    pub(super) fn solve_unreported(&self, rhs: &G::Rows) -> Result<Solution<G::Rows>> {
        self.solve_against(None, rhs, None)
    }

    fn solve_against(
        &self,
        reference: Option<&dyn LinearOperator<Rows = G::Rows>>,
        rhs: &G::Rows,
        start: Option<&G::Rows>,
    ) -> Result<Solution<G::Rows>> {
        Error::check_size("factors", "vector length", self.source.dim(), rhs.dim())?;
        let spoilt = finite::spoilt(rhs)?;
        let rhs = &finite::cleared(rhs, &spoilt)?;
        let start = start.map(|start| finite::cleared(start, &finite::spoilt(start)?));
        let start = start.transpose()?;
        let mut parts = Vec::with_capacity(self.blocks.len());
        let mut reports: Option<Vec<Report>> = None;
        for FittedBlock { block, inverse, .. } in &self.blocks {
            let rhs = rhs.columns(block.columns())?;
            let solution = match &start {
                None => inverse.solve(&rhs)?,
                Some(start) => inverse.solve_from(&rhs, &start.columns(block.columns())?)?,
            };
            parts.push((block.columns(), solution.rows));
            reports = Some(of_parts(reports, solution.reports));
        }
        let rows = G::Rows::assemble(self.source.dim(), &parts)?;
        let mut reports = reports.unwrap_or_default();
        if let Some(reference) = reference {
            let residuals = self.residuals(reference, &rows, rhs)?;
            for (report, residual) in reports.iter_mut().zip(residuals) {
                report.residual = residual;
            }
        }
        for row in spoilt.into_iter().chain(finite::spoilt(&rows)?) {
            reports[row].status = Status::NotFinite;
        }
        Ok(Solution { rows, reports })
    }

    /// `‖b − (H + λI) x‖ / ‖b‖` of each row over the parameters in blocks; 0 where `b = 0`.
    fn residuals(
        &self,
        curvature: &dyn LinearOperator<Rows = G::Rows>,
        rows: &G::Rows,
        rhs: &G::Rows,
    ) -> Result<Vec<f64>> {
        let product = curvature.apply(rows)?;
        let mut squares = vec![[0.0; 2]; rows.len()];
        for FittedBlock { block, shift, .. } in &self.blocks {
            let [product, rows, rhs] =
                [&product, rows, rhs].map(|all| all.columns(block.columns()));
            let rhs = rhs?;
            let left = rhs.add_scaled(-1.0, &shift.add_product(&product?, 1.0, &rows?)?)?;
            let norms = left.norms()?.into_iter().zip(rhs.norms()?);
            for ([left, whole], norms) in squares.iter_mut().zip(norms) {
                *left += norms.0.powi(2);
                *whole += norms.1.powi(2);
            }
        }
        let relative = |[left, whole]: [f64; 2]| {
            if whole > 0.0 {
                (left / whole).sqrt()
            } else {
                0.0
            }
        };
        Ok(squares.into_iter().map(relative).collect())
    }
}

fn damped<R: Rows>(blocks: Vec<Undamped<R>>, damping: &Damping) -> Result<Vec<FittedBlock<R>>> {
    let names: Vec<&Block> = blocks.iter().map(|undamped| &undamped.block).collect();
    let dampings = damping.resolve(&names)?;
    let of_block = |(undamped, damping): (Undamped<R>, BlockDamping)| {
        let Undamped {
            block,
            prepared,
            mut mean,
        } = undamped;
        let shift = damping.shift(&block, || {
            let found = mean.map_or_else(|| prepared.mean_eigenvalue(), Ok)?;
            Ok(mean.insert(found).value)
        })?;
        Ok(FittedBlock {
            mean,
            block,
            inverse: prepared.inverse_shifted(&shift)?,
            prepared,
            shift,
        })
    };
    blocks.into_iter().zip(dampings).map(of_block).collect()
}

impl<G: GradientSource> InfluenceModel for BlockInfluence<G> {
    type Batch = G::Batch;
    type Gradients = G::Gradients;
    type Factors = G::Rows;

    fn dim(&self) -> usize {
        self.source.dim()
    }

    fn precision(&self) -> Precision {
        self.source.precision()
    }

    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients> {
        self.source.gradients(batch)
    }

    fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>> {
        self.solve(&self.source.measurement_rows(batch)?)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Solution<G::Rows>> {
        self.solve(&groups.sum(|batch| self.source.measurement_rows(batch))?)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<G::Gradients> {
        self.source.group_gradients(groups)
    }

    fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<ArrayD<f64>> {
        self.source.scores(factors, gradients)
    }

    fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>> {
        factors.to_host()
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors> {
        self.source.rows(array)
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Gradients> {
        self.source.gradients_of_rows(self.source.rows(array)?)
    }

    fn footprint(&self, sample: &Self::Batch, form: FactorForm) -> Result<Footprint> {
        let blocks = self.blocks.iter();
        let immediate = blocks
            .map(|block| &block.inverse)
            .all(|inverse| inverse.is_immediate());
        let factors = if form == FactorForm::Solved && immediate {
            self.solve(&self.source.measurement_rows(sample)?)?.rows
        } else {
            self.source.rows(Array2::zeros((1, self.dim())).view())?
        };
        let footprint = self.source.footprint(sample, &factors)?;
        let footprint = footprint
            .with_solver(self.stacks)
            .with_workspace(self.workspace);
        let footprint = Footprint {
            immediate,
            ..footprint
        };
        if self.reference.is_none() {
            return Ok(footprint);
        }
        let vector = self.dim().saturating_mul(self.precision().bytes());
        Ok(footprint.with_reference(vector))
    }

    fn self_scores(
        &self,
        factors: &Self::Factors,
        gradients: &Self::Gradients,
    ) -> Result<ArrayD<f64>> {
        self.source.self_scores(factors, gradients)
    }

    fn perturbations(&self, factors: &Self::Factors, train: &Self::Batch) -> Result<ArrayD<f64>> {
        self.source.mixed_products(factors, train)
    }

    fn input_shape(&self, sample: &Self::Batch) -> Result<Vec<usize>> {
        self.source.input_shape(sample)
    }
}

impl<G: GradientSource + crate::ThreadSafe> crate::ThreadSafe for BlockInfluence<G> {}
