//! Curvatures of a burn model as operators.

mod chains;
mod hessian;
mod kept;
mod linearised;
mod outer_products;

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use influence_core::{
    Dataset, Error as CoreError, Result as CoreResult, Rows, block::Block, operator::LinearOperator,
};

use crate::{Batch, FitStep, ModelGradients, Stack, engine::panic_message, fit::Watch};

pub(crate) use linearised::{Linear, Linearised, LossSlopes, Slopes};
pub(crate) use outer_products::{OuterProducts, SampleVectors, products};

use chains::Chains;
use hessian::Hessian;

/// Which matrix stands for the curvature of the training loss; each is the **mean** over the training samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Curvature {
    /// The exact Hessian; indefinite away from a minimum.
    #[default]
    Hessian,
    /// `Jᵀ H_out J`, with `J` the Jacobian of the outputs and `H_out` the second derivative of the loss with respect to them: exact,
    /// positive semi-definite, and the Hessian where the model is linear in its parameters. Costs a forward and a
    /// backward pass per output.
    ///
    /// Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*, 2002.
    GaussNewton,
    /// `g gᵀ` with labels drawn from the outputs of the model, the Fisher matrix as it is estimated where there are many outputs: its mean over draws
    /// is the Gauss-Newton matrix. Costs a forward and a backward pass per draw.
    ///
    /// Martens, *New insights and perspectives on the natural gradient method*, 2020, section 5.
    Fisher {
        /// Labels drawn for each sample, at least 1.
        draws: usize,
        /// What they are drawn from; each sample has its own random numbers, whatever the batches.
        seed: u64,
    },
    /// `g gᵀ` with the true labels; not the Gauss-Newton matrix, for which it is often mistaken.
    ///
    /// Kunstner, Hennig and Balles, *Limitations of the empirical Fisher approximation*, 2019.
    EmpiricalFisher,
}

impl Curvature {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss-newton",
            Self::Fisher { .. } => "fisher",
            Self::EmpiricalFisher => "empirical-fisher",
        }
    }
}

impl fmt::Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Training data, in the batches over which curvatures are summed; the partition depends on nothing but the settings.
#[derive(Clone)]
pub(crate) struct TrainingData {
    dataset: Arc<dyn Dataset<Batch = Batch>>,
    batch_size: usize,
    pub(crate) watch: Watch,
}

impl fmt::Debug for TrainingData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingData")
            .field("samples", &self.samples())
            .field("batch_size", &self.batch_size)
            .finish_non_exhaustive()
    }
}

impl TrainingData {
    pub(crate) fn new(
        dataset: Arc<dyn Dataset<Batch = Batch>>,
        batch_size: usize,
    ) -> CoreResult<Self> {
        let bad = |name, requirement, got: usize| {
            Err(CoreError::Setting {
                name,
                requirement,
                got: got.to_string(),
            })
        };
        match (dataset.len(), batch_size) {
            (0, _) => bad("training data", "at least one sample", 0),
            (_, 0) => bad("batch size", "at least 1", 0),
            _ => Ok(Self {
                dataset,
                batch_size,
                watch: Watch::default(),
            }),
        }
    }

    pub(crate) fn watched(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    /// Says that a batch is begun, be it read or kept.
    fn begun(&self, index: usize) {
        self.watch.fitting(FitStep::Batches, index, self.batches());
    }

    pub(crate) fn samples(&self) -> usize {
        self.dataset.len()
    }

    pub(crate) fn batches(&self) -> usize {
        self.samples().div_ceil(self.batch_size)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = (index * self.batch_size).min(self.samples());
        start..(start + self.batch_size).min(self.samples())
    }

    /// The number of the first sample of a batch.
    pub(crate) fn first(&self, index: usize) -> usize {
        self.range(index).start
    }

    pub(crate) fn batch(&self, index: usize) -> CoreResult<Batch> {
        self.begun(index);
        self.read(self.range(index))
    }

    /// A batch that is looked at before the fit begins.
    pub(crate) fn glimpse(&self, index: usize) -> CoreResult<Batch> {
        self.read(self.range(index))
    }

    /// A few samples from the start.
    pub(crate) fn head(&self, samples: usize) -> CoreResult<Batch> {
        self.read(0..samples.min(self.samples()))
    }

    /// Readers are the user's code: what they panic on is an error, and so is another number of samples than was asked for.
    fn read(&self, range: Range<usize>) -> CoreResult<Batch> {
        let samples = range.len();
        let batch = catch_unwind(AssertUnwindSafe(|| self.dataset.batch(range)));
        let batch =
            batch.unwrap_or_else(|panic| Err(CoreError::dataset(panic_message(&*panic))))?;
        CoreError::check_size("reading a batch", "samples", samples, batch.len())?;
        Ok(batch)
    }
}

impl Curvature {
    /// The curvature of each block as an operator.
    pub(crate) fn operators(
        self,
        source: &ModelGradients,
        data: &TrainingData,
        blocks: &[Block],
        memory: usize,
    ) -> Vec<Arc<dyn LinearOperator<Rows = Stack>>> {
        // Gauss-Newton may keep two things.
        let memory = if self == Self::GaussNewton {
            memory / 2
        } else {
            memory
        };
        let chains = || Arc::new(Chains::new(self, source.clone(), data.clone(), memory));
        if self == Self::Hessian {
            let chains = chains();
            let hessian = |block| Hessian::new(chains.clone(), block);
            let operators = blocks.iter().map(|block| Arc::new(hessian(block)) as _);
            return operators.collect();
        }
        let chains = (self == Self::GaussNewton).then(chains);
        let vectors = SampleVectors::new(self, source.clone(), data.clone(), memory);
        let vectors = Arc::new(vectors);
        let products =
            |block| OuterProducts::new(vectors.clone(), block).with_chains(chains.clone());
        let operators = blocks.iter().map(|block| Arc::new(products(block)) as _);
        operators.collect()
    }
}

/// The sum over all parts of an operator.
fn sum_of_parts(operator: &dyn LinearOperator<Rows = Stack>, rows: &Stack) -> CoreResult<Stack> {
    let mut sum = operator.apply_part(0, rows)?;
    for part in 1..operator.parts() {
        sum = sum.add_scaled(1.0, &operator.apply_part(part, rows)?)?;
    }
    Ok(sum)
}
