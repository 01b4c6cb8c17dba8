//! The graphs of a trace, recorded once per function and form of batch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use burn::tensor::{DType, TensorData};
use influence_core::block::ParameterLayout;

use crate::{
    Batch, Error, Result,
    dataset::dtype,
    trace::{Function, Graph, Head, Trace},
};

/// The types and shapes of the fields of a batch.
type BatchForm = Vec<(DType, Vec<usize>)>;

fn form(batch: &Batch) -> BatchForm {
    let fields = batch.fields().iter();
    fields
        .map(|field| (dtype(field), field.shape().to_vec()))
        .collect()
}

/// A trace, and what has been recorded of it.
#[derive(Debug)]
pub(crate) struct Recordings {
    trace: Arc<dyn Trace>,
    graphs: Mutex<HashMap<(Function, BatchForm), Arc<Graph>>>,
    heads: Mutex<HashMap<BatchForm, Arc<Head>>>,
}

impl Recordings {
    pub(super) fn new(trace: Arc<dyn Trace>) -> Self {
        Self {
            trace,
            graphs: Mutex::default(),
            heads: Mutex::default(),
        }
    }

    /// The trained parameters.
    pub(crate) fn layout(&self) -> &ParameterLayout {
        self.trace.layout()
    }

    /// The values of all parameters, those that are trained first.
    pub(crate) fn values(&self) -> &[TensorData] {
        self.trace.values()
    }

    /// The graph of a function on batches of the form of this one.
    ///
    /// # Errors
    /// [`Error::Undeclared`] for outputs, or weights of outputs, that the model does not declare.
    pub(crate) fn graph(&self, function: Function, batch: &Batch) -> Result<Arc<Graph>> {
        let key = (function, form(batch));
        // The lock is held while recording, so that nothing is recorded twice.
        let mut graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(graph) = graphs.get(&key) {
            return Ok(Arc::clone(graph));
        }
        let recording = self.trace.record(function, batch)?;
        let recording = recording.ok_or(Error::Undeclared)?;
        let trained = self.layout().parameters().len();
        let graph = Arc::new(Graph::new(recording, function, trained, batch.len())?);
        graphs.insert(key, Arc::clone(&graph));
        Ok(graph)
    }

    /// What the loss makes of the outputs, on batches of the form of this one.
    pub(crate) fn head(&self, batch: &Batch) -> Result<Arc<Head>> {
        let loss = self.graph(Function::Loss, batch)?;
        let outputs = self.graph(Function::Outputs, batch)?;
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = heads.get(&form(batch)) {
            return Ok(Arc::clone(head));
        }
        let head = Arc::new(Head::find(&loss, &outputs, self.layout())?);
        heads.insert(form(batch), Arc::clone(&head));
        Ok(head)
    }

    /// See [`Trace::independent_gradient`].
    pub(super) fn independent_gradient(
        &self,
        batch: &Batch,
        values: &[TensorData],
        weights: &[f64],
    ) -> Option<Vec<Vec<f64>>> {
        self.trace.independent_gradient(batch, values, weights)
    }
}
