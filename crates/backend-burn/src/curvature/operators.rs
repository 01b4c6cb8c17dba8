//! From a curvature to one operator for each block.

use std::sync::Arc;

use influence_core::{block::Block, operator::LinearOperator};

use super::{
    Curvature, hessian::Hessian, mlp::MlpBatches, outer_products::OuterProducts,
    training::TrainingData, vectors::SampleVectors,
};
use crate::{ModelGradients, Stack};

impl Curvature {
    /// The curvature of each block as an operator.
    pub(crate) fn operators(
        self,
        source: &ModelGradients,
        data: &TrainingData,
        blocks: &[Block],
        memory: usize,
    ) -> Vec<Arc<dyn LinearOperator<Rows = Stack>>> {
        // Gauss-Newton may cache both: linearised batches of a perceptron, vectors of samples
        // elsewhere.
        let memory = if self == Self::GaussNewton {
            memory / 2
        } else {
            memory
        };
        let mlp = || Arc::new(MlpBatches::new(self, source.clone(), data.clone(), memory));
        if self == Self::Hessian {
            let mlp = mlp();
            let hessian = |block| Hessian::new(mlp.clone(), block);
            let operators = blocks.iter().map(|block| Arc::new(hessian(block)) as _);
            return operators.collect();
        }
        let mlp = (self == Self::GaussNewton).then(mlp);
        let vectors = SampleVectors::new(self, source.clone(), data.clone(), memory);
        let vectors = Arc::new(vectors);
        let products = |block| OuterProducts::new(vectors.clone(), block).with_mlp(mlp.clone());
        let operators = blocks.iter().map(|block| Arc::new(products(block)) as _);
        operators.collect()
    }
}
