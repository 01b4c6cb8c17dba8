//! Curvatures of a burn model as operators.

mod hessian;
mod outer_products;

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use influence_core::{
    Dataset, Error as CoreError, Precision, Result as CoreResult, Rows,
    block::{Block, BlockStructure},
    operator::LinearOperator,
};

use ndarray::Array2;

use crate::{
    ArrayDataset, Batch, ModelGradients, Stack,
    engine::panic_message,
    trace::{Function, Graph},
};

pub(crate) use outer_products::{OuterProducts, SampleVectors, products};

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
            }),
        }
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
    ) -> CoreResult<Vec<Arc<dyn LinearOperator<Rows = Stack>>>> {
        let curvature = match self {
            Self::Hessian if is_gauss_newton(source, data)? => Self::GaussNewton,
            other => other,
        };
        if curvature == Self::Hessian {
            let hessian = |block| Hessian::new(source.clone(), data.clone(), block);
            let operators = blocks.iter().map(|block| Arc::new(hessian(block)) as _);
            return Ok(operators.collect());
        }
        let vectors = SampleVectors::new(curvature, source.clone(), data.clone(), memory);
        let vectors = Arc::new(vectors);
        let products = |block| OuterProducts::new(vectors.clone(), block);
        let operators = blocks.iter().map(|block| Arc::new(products(block)) as _);
        Ok(operators.collect())
    }
}

/// Whether the Hessian of the training loss is its Gauss-Newton matrix, as it is where the outputs are affine in the parameters: in a softmax
/// regression, or in the last layer of a network with the others frozen. Products with the latter cost no differentiation.
///
/// The recorded graph shows the first, for all data; that the loss of the outputs is the one declared shows in a product on a few samples.
pub(crate) fn is_gauss_newton(source: &ModelGradients, data: &TrainingData) -> CoreResult<bool> {
    const SHOWN: usize = 3;
    /// Each output costs a vector per sample.
    const MOST_OUTPUTS: usize = 32;
    let sample = data.head(SHOWN)?;
    let graph = source.trace.graph(Function::Loss, &sample)?;
    let trained = source.layout().parameters().len();
    if !graph.is_of_affine_outputs(trained, sample.len()) || !graph.taps.untapped().is_empty() {
        return Ok(false);
    }
    let declared = source.trace.graph(Function::Outputs, &sample);
    let few = |outputs: &Graph| outputs.output.shape.num_elements() <= MOST_OUTPUTS * sample.len();
    if !declared.is_ok_and(|outputs| outputs.output_loss.is_some() && few(&outputs)) {
        return Ok(false);
    }
    let [block] = &BlockStructure::Full.resolve(source.layout())?[..] else {
        return Ok(false);
    };
    let shown = ArrayDataset::new(sample.fields().to_vec())?;
    let shown = TrainingData::new(Arc::new(shown), SHOWN)?;
    let rows = Array2::from_shape_fn((1, block.dim()), |(_, index)| (index as f64).sin());
    let hessian = Hessian::new(source.clone(), shown.clone(), block);
    let vectors = SampleVectors::new(Curvature::GaussNewton, source.clone(), shown, usize::MAX);
    let products = OuterProducts::new(Arc::new(vectors), block);
    let rows = hessian.rows(rows.view())?;
    let (expected, found) = (hessian.apply(&rows)?, products.apply(&rows)?);
    let difference = found.add_scaled(-1.0, &expected)?.norms()?[0];
    let tolerance = match source.precision {
        Precision::F32 => 1e-4,
        Precision::F64 => 1e-9,
    };
    Ok(difference <= tolerance * expected.norms()?[0])
}

/// The sum over all parts of an operator.
fn sum_of_parts(operator: &dyn LinearOperator<Rows = Stack>, rows: &Stack) -> CoreResult<Stack> {
    let mut sum = operator.apply_part(0, rows)?;
    for part in 1..operator.parts() {
        sum = sum.add_scaled(1.0, &operator.apply_part(part, rows)?)?;
    }
    Ok(sum)
}
