//! Influence models: factors and scores.

mod delegate;
mod footprint;

use ndarray::{Array2, ArrayD, ArrayView2};

use crate::{
    Error, Precision, Result, Rows, TensorConverter,
    block::Block,
    solver::{Inverse, Report, Solution, Status},
};

pub use footprint::{Footprint, ScoringFootprint};

/// A fitted influence model.
///
/// With `g` the gradient of the training loss of one sample, `H` the curvature as a mean over training samples and `λ` the damping,
/// the influence of train point `j` on test point `i` is
///
/// ```text
/// up[i, j] = ⟨ (H + λI)⁻¹ g(test_i), g(train_j) ⟩
/// ```
///
/// without a minus sign and without `1/n`: a positive value is helpful, leaving train point `j` out raises the loss on
/// test point `i` by about `up[i, j] / n`. The gradient on the test side is that of the *measurement*, which is the training loss
/// unless the task says otherwise. Factors are `(H + λI)⁻¹ g` of the test side, scores the inner products.
///
/// A model is fitted or it does not exist, and never changes.
///
/// # References
/// Koh and Liang, *Understanding black-box predictions via influence functions*, 2017, equation 2.
pub trait InfluenceModel {
    /// A batch of samples.
    type Batch;
    /// Gradients of the training loss, one per sample, in the form in which scores are cheapest.
    type Gradients: Send + Sync;
    /// Solved test gradients.
    type Factors: Send + Sync;
    /// A tensor of the backend.
    type Tensor;
    /// How that tensor reaches the host.
    type Converter: TensorConverter<Tensor = Self::Tensor>;

    /// The number of parameters.
    fn dim(&self) -> usize;

    /// The precision of scores and factors.
    fn precision(&self) -> Precision;

    /// The converter for what [`scores`](Self::scores) returns.
    fn converter(&self) -> &Self::Converter;

    /// The gradients of the training loss, one per sample of the batch.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients>;

    /// The factors of a batch of `k` test points, with a report on each.
    ///
    /// # Errors
    /// Whatever the backend reports; a row that could not be solved is no error, its report says so.
    fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>>;

    /// The scores of `k` factors against `n` gradients, shape `(k, n)`.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<Self::Tensor>;

    /// The factors on the host, `(k, dim)`.
    ///
    /// # Errors
    /// [`Error::Backend`] when the transfer fails.
    fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>>;

    /// Factors from the host, `(k, dim)`: the inverse of [`factors_to_array`](Self::factors_to_array).
    ///
    /// # Errors
    /// [`Error::Shape`] when the array does not have `dim` columns, [`Error::Backend`].
    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors>;

    /// What the model needs per sample, as a few train points show it.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(&self, _sample: &Self::Batch) -> Result<Footprint> {
        Ok(Footprint::dense(self.dim(), self.precision()))
    }

    /// The scores on the host.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    fn scores_array(
        &self,
        factors: &Self::Factors,
        gradients: &Self::Gradients,
    ) -> Result<ArrayD<f64>> {
        self.converter().to_array(&self.scores(factors, gradients)?)
    }
}

/// Per-sample gradients of a task: what a backend supplies so that [`BlockInfluence`] can do the rest.
pub trait GradientSource {
    /// A batch of samples.
    type Batch;
    /// Gradients of the training loss, one per sample, in the backend's own form.
    type Gradients: Send + Sync;
    /// Stacks of parameter-space vectors.
    type Rows: Rows;
    /// A tensor of the backend.
    type Tensor;
    /// How that tensor reaches the host.
    type Converter: TensorConverter<Tensor = Self::Tensor>;

    /// The number of parameters.
    fn dim(&self) -> usize;

    /// The precision of the computations.
    fn precision(&self) -> Precision;

    /// The converter for what [`scores`](Self::scores) returns.
    fn converter(&self) -> &Self::Converter;

    /// The gradients of the training loss.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients>;

    /// The gradients of the measurement as rows `(k, dim)`: the right-hand sides.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn measurement_rows(&self, batch: &Self::Batch) -> Result<Self::Rows>;

    /// The inner products of `k` rows with `n` gradients, shape `(k, n)`.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn scores(&self, rows: &Self::Rows, gradients: &Self::Gradients) -> Result<Self::Tensor>;

    /// Rows with these values.
    ///
    /// # Errors
    /// [`Error::Shape`] when the array does not have `dim` columns, [`Error::Backend`].
    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<Self::Rows>;

    /// What gradients and scores need per sample, as a few train points show it; of solving, what the right-hand sides need.
    ///
    /// # Errors
    /// Whatever the backend reports.
    fn footprint(&self, _sample: &Self::Batch) -> Result<Footprint> {
        Ok(Footprint::dense(self.dim(), self.precision()))
    }
}

/// Blocks, each with the inverse of its curvature.
type PreparedBlocks<R> = Vec<(Block, Box<dyn Inverse<R>>)>;

/// The influence model of a block-diagonal curvature: one prepared inverse per block.
///
/// Parameters in no block have no influence. This is the one implementation behind every solver and every curvature.
#[derive(Debug)]
pub struct BlockInfluence<G: GradientSource> {
    source: G,
    blocks: PreparedBlocks<G::Rows>,
    stacks: usize,
}

/// Stacks of right-hand sides that a solver holds, where nothing better is known.
const STACKS: usize = 8;

impl<G: GradientSource> BlockInfluence<G> {
    /// Joins a source of gradients with the prepared inverse of each block.
    ///
    /// # Errors
    /// [`Error::Setting`] without any block, [`Error::Shape`] when an inverse does not fit its block,
    /// [`Error::OutOfRange`] when a block leaves the parameters of the source.
    pub fn new(source: G, blocks: PreparedBlocks<G::Rows>) -> Result<Self> {
        if blocks.is_empty() {
            return Err(Error::Setting {
                name: "blocks",
                requirement: "at least one",
                got: "none".into(),
            });
        }
        for (block, inverse) in &blocks {
            Error::check_size("block inverse", "dimension", block.dim(), inverse.dim())?;
            block
                .columns()
                .iter()
                .try_for_each(|range| Error::check_range(range, source.dim()))?;
        }
        Ok(Self {
            source,
            blocks,
            stacks: STACKS,
        })
    }

    /// Says how many stacks of right-hand sides the inverses hold while they solve: [`Solver::stacks`](crate::solver::Solver::stacks).
    #[must_use]
    pub fn with_stacks(self, stacks: usize) -> Self {
        Self { stacks, ..self }
    }

    /// The source of gradients.
    pub fn source(&self) -> &G {
        &self.source
    }

    /// The blocks of the curvature.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(|(block, _)| block)
    }

    /// Solves `(H + λI) x = b` for given rows `(k, dim)`, block by block.
    ///
    /// # Errors
    /// [`Error::Shape`] when the rows do not have length `dim`, otherwise whatever the inverses report.
    pub fn solve(&self, rhs: &G::Rows) -> Result<Solution<G::Rows>> {
        Error::check_size("factors", "vector length", self.source.dim(), rhs.dim())?;
        let mut parts = Vec::with_capacity(self.blocks.len());
        let mut reports: Option<Vec<Report>> = None;
        for (block, inverse) in &self.blocks {
            let solution = inverse.solve(&rhs.columns(block.columns())?)?;
            parts.push((block.columns(), solution.rows));
            reports = Some(match reports {
                None => solution.reports,
                Some(so_far) => so_far
                    .into_iter()
                    .zip(solution.reports)
                    .map(|(a, b)| worse(a, b))
                    .collect(),
            });
        }
        Ok(Solution {
            rows: G::Rows::assemble(self.source.dim(), &parts)?,
            reports: reports.unwrap_or_default(),
        })
    }
}

/// The report of a row whose blocks were solved one by one: the less fortunate status, the larger residual, iterations added.
fn worse(a: Report, b: Report) -> Report {
    let status = match (a.status, b.status) {
        (Status::Indefinite { negative }, Status::Indefinite { negative: more }) => {
            Status::Indefinite {
                negative: negative + more,
            }
        }
        (Status::Converged, other) | (other, Status::Converged) => other,
        (first, second) => {
            if first.is_solved() {
                second
            } else {
                first
            }
        }
    };
    Report {
        iterations: a.iterations + b.iterations,
        residual: a.residual.max(b.residual),
        status,
    }
}

impl<G: GradientSource> InfluenceModel for BlockInfluence<G> {
    type Batch = G::Batch;
    type Gradients = G::Gradients;
    type Factors = G::Rows;
    type Tensor = G::Tensor;
    type Converter = G::Converter;

    fn dim(&self) -> usize {
        self.source.dim()
    }

    fn precision(&self) -> Precision {
        self.source.precision()
    }

    fn converter(&self) -> &Self::Converter {
        self.source.converter()
    }

    fn gradients(&self, batch: &Self::Batch) -> Result<Self::Gradients> {
        self.source.gradients(batch)
    }

    fn factors(&self, batch: &Self::Batch) -> Result<Solution<Self::Factors>> {
        self.solve(&self.source.measurement_rows(batch)?)
    }

    fn scores(&self, factors: &Self::Factors, gradients: &Self::Gradients) -> Result<Self::Tensor> {
        self.source.scores(factors, gradients)
    }

    fn factors_to_array(&self, factors: &Self::Factors) -> Result<Array2<f64>> {
        factors.to_host()
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Self::Factors> {
        self.source.rows(array)
    }

    fn footprint(&self, sample: &Self::Batch) -> Result<Footprint> {
        Ok(self.source.footprint(sample)?.with_solver(self.stacks))
    }
}

impl<G: GradientSource + crate::ThreadSafe> crate::ThreadSafe for BlockInfluence<G> {}
