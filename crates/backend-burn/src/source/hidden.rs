//! What a network makes of its samples before its last layer.

use influence_core::Result as CoreResult;
use ndarray::Array2;

use super::ModelGradients;
use crate::{Batch, engine::Cotangent, tensors::array2, trace::Function};

impl ModelGradients {
    /// The inputs of the trained linear map that is applied last, `(n, width)`: the last hidden
    /// layer; their mean where the map is applied at several positions. None where no linear map is
    /// trained.
    ///
    /// # Errors
    /// Whatever the backend reports.
    pub fn last_hidden(&self, batch: &Batch) -> CoreResult<Option<Array2<f64>>> {
        let graph = self.trace.graph(Function::Loss, batch)?;
        let found = self
            .engine
            .tapped_gradients(&graph, batch, Cotangent::Ones)?;
        // Gradients come in the order in which their parameters are used.
        let inputs = found.iter().rev().find_map(|tapped| tapped.form.inputs());
        let flat = inputs.map(|inputs| {
            let [n, groups, _, width] = inputs.dims();
            array2(&inputs.mean_dim(2).reshape([n, groups * width]))
        });
        flat.transpose()
    }
}
