//! From a curvature to one operator for each block.

use std::sync::Arc;

use influence_core::{block::Block, operator::LinearOperator};

use super::{
    Curvature, gauss_newton::GaussNewton, hessian::Hessian, mlp::MlpBatches,
    outer_products::OuterProducts, training::TrainingData, vectors::SampleVectors,
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
        if self == Self::Hessian {
            let mlp = Arc::new(MlpBatches::new(self, source.clone(), data.clone(), memory));
            let hessian = |block| Hessian::new(mlp.clone(), block);
            let operators = blocks.iter().map(|block| Arc::new(hessian(block)) as _);
            return operators.collect();
        }
        // Gauss-Newton may cache both: what products read, and vectors for its trace and diagonal.
        let exact = self == Self::GaussNewton;
        let memory = if exact { memory / 2 } else { memory };
        let gauss_newton = exact.then(|| Arc::new(GaussNewton::new(source, data, memory)));
        let vectors = SampleVectors::new(self, source.clone(), data.clone(), memory);
        let vectors = Arc::new(vectors);
        let products = |block| {
            OuterProducts::new(vectors.clone(), block).with_products_by(gauss_newton.clone())
        };
        let operators = blocks.iter().map(|block| Arc::new(products(block)) as _);
        operators.collect()
    }
}
