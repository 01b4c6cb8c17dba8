//! Gauss-Newton products that need no vectors of samples.
//!
//! The matrix is the mean of `J_iᵀ H_i J_i` over samples `i`, with `J_i` the Jacobian of the
//! outputs `(c, dim)` and `H_i` the second derivative of the loss by them, `(c, c)`. A product with
//! `v` takes three steps, none of which forms a Jacobian: the derivative `J_i v` of the outputs
//! along `v`, a product with `H_i`, and the gradient of the outputs with that for weights. They
//! cost about as much as three gradients, whatever `c` is. For a multilayer perceptron the three
//! are written out, for all vectors at once ([`Linearised`](super::linearised::Linearised)).
//!
//! The other way is to make the `c` vectors of which the matrix is a sum of outer products
//! ([`SampleVectors`](super::SampleVectors)). They cost `c` gradients and the memory of as many,
//! and then little for each of `k` vectors `v`: in forward passes, of which a gradient takes three,
//! some `3c + 2c` against `8k`. So vectors are made where they serve many rows, and for somewhat
//! fewer where all of them fit into the memory granted and are made once.
//!
//! Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*, 2002.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use influence_core::{Result as CoreResult, Rows as _, block::Block};

use super::{
    Curvature, TrainingData,
    batches::{BatchValue, CurvatureBatches},
    mlp::MlpBatches,
    parts::places,
};
use crate::{ModelGradients, Stack, likelihood::OutputHessian, trace::Function};

/// Bytes that the vectors of a batch may take, whatever the memory granted to a cache.
const BATCH_BYTES: usize = 256 << 20;

/// The second derivatives of the loss by the outputs, batch by batch.
type OutputHessians = CurvatureBatches<Arc<OutputHessian>>;

impl BatchValue for Arc<OutputHessian> {
    fn compute(batches: &OutputHessians, part: usize) -> CoreResult<Self> {
        let batch = batches.data.batch(part)?;
        Ok(Self::new(batches.source.output_hessian(&batch)?))
    }

    fn bytes(&self, batches: &OutputHessians) -> usize {
        self.scalars() * batches.source.precision.bytes()
    }
}

/// Products by the way that pays for a network.
#[derive(Debug)]
pub(crate) struct GaussNewton {
    mlp: MlpBatches,
    outputs: OutputHessians,
    memory: usize,
    vectors: OnceLock<VectorsSize>,
}

/// The size of the vectors of which the matrix is a sum of outer products.
#[derive(Debug, Clone, Copy)]
struct VectorsSize {
    /// How many a sample has.
    each: usize,
    /// Bytes of those of a sample.
    bytes: usize,
}

impl GaussNewton {
    /// Only one of the two ways is taken, and caches what `memory` has room for.
    pub(crate) fn new(source: &ModelGradients, data: &TrainingData, memory: usize) -> Self {
        let curvature = Curvature::GaussNewton;
        Self {
            mlp: MlpBatches::new(curvature, source.clone(), data.clone(), memory),
            outputs: OutputHessians::new(curvature, source.clone(), data.clone(), memory),
            memory,
            vectors: OnceLock::new(),
        }
    }

    /// Fills the cache of what products with `k` rows read, unless they come from vectors; returns
    /// whether they do not.
    pub(crate) fn fill(&self, k: usize) -> CoreResult<bool> {
        let perceptron = self.mlp.fill()?.flatten().is_some();
        let differentiated = !perceptron && self.differentiates(k)?;
        if differentiated {
            self.outputs.fill()?;
        }
        Ok(perceptron || differentiated)
    }

    /// Whether a network that is no perceptron is differentiated for products with `k` rows.
    fn differentiates(&self, k: usize) -> CoreResult<bool> {
        let vectors = self.size_of_vectors()?;
        let bytes_of = |samples| vectors.bytes.saturating_mul(samples);
        let data = &self.outputs.data;
        if bytes_of(data.batch_size().min(data.samples())) > BATCH_BYTES.max(self.memory) {
            return Ok(true);
        }
        // Of all data, so that processes that share them take the same way as one alone.
        let cached = bytes_of(data.samples()) <= self.memory;
        // Found by measuring a convolutional network and a transformer of ten outputs.
        let rows = if cached { 4 * k } else { 2 * k };
        Ok(vectors.each > rows)
    }

    fn size_of_vectors(&self) -> CoreResult<VectorsSize> {
        if let Some(size) = self.vectors.get() {
            return Ok(*size);
        }
        let OutputHessians { source, data, .. } = &self.outputs;
        let sample = data.head(1)?;
        let graph = source.trace.graph(Function::Outputs, &sample)?;
        let each = graph.output.shape.num_elements();
        let gradient = source.gradients_of(Function::Loss, &sample, None)?;
        let bytes = gradient.bytes().saturating_mul(each);
        Ok(*self.vectors.get_or_init(|| VectorsSize { each, bytes }))
    }

    /// The products of the sum over the samples of a batch with rows over a block; none where they
    /// come from vectors.
    pub(super) fn products(
        &self,
        part: usize,
        block: &Block,
        rows: &Stack,
    ) -> CoreResult<Option<Tensor<2>>> {
        if let Some(linearised) = self.mlp.part(part)? {
            let places = places(block, self.mlp.source.layout());
            return Ok(Some(linearised.products(&rows.tensor(), &places)));
        }
        if !self.differentiates(rows.len())? {
            return Ok(None);
        }
        let OutputHessians { source, data, .. } = &self.outputs;
        let hessian = self.outputs.part(part)?;
        let batch = data.batch(part)?;
        let graph = source.trace.graph(Function::Outputs, &batch)?;
        let curved = |direction: &Tensor<2>| hessian.along(direction);
        let (engine, parameters) = (&source.engine, block.parameters());
        let rows = rows.tensor();
        let products = engine.gauss_newton_products(&graph, &batch, parameters, &rows, &curved)?;
        Ok(Some(products))
    }
}
