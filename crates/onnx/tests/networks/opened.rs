//! Exported networks with the data of their references.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::Device;
use influence_backend_burn::{ArrayDataset, Batch, Fit, Influence};
use influence_core::{Dataset, InfluenceModel, Precision, solver::Identity};
use influence_onnx::{Measurement, NetworkFile, NetworkTask, ReadSettings};
use ndarray::{Array2, s};

use crate::golden::{Golden, Reference};

/// A network with the data of a reference.
pub(crate) struct Opened {
    pub(crate) model: NetworkFile,
    pub(crate) task: Arc<NetworkTask>,
    pub(crate) data: ArrayDataset,
    pub(crate) reference: Reference,
}

impl Opened {
    pub(crate) fn new(golden: &Golden, file: &str, reference: &str) -> Self {
        Self::with(golden, file, reference, &ReadSettings::default())
    }

    pub(crate) fn with(
        golden: &Golden,
        file: &str,
        reference: &str,
        settings: &ReadSettings,
    ) -> Self {
        let reference = golden.reference(reference);
        let model = NetworkFile::read(&golden.path(file), settings);
        let model = model.unwrap_or_else(|error| panic!("{}/{file}: {error}", golden.name));
        let shapes: Vec<Vec<usize>> = model
            .inputs
            .iter()
            .map(|input| reference.input(&input.name).shape()[1..].to_vec())
            .collect();
        let task = NetworkTask::new(&model, reference.loss(), Measurement::Loss, &shapes);
        let task = task.unwrap_or_else(|error| panic!("{}/{file}: {error}", golden.name));
        let inputs = model
            .inputs
            .iter()
            .map(|input| reference.input(&input.name));
        let fields = inputs.chain(reference.target(&task)).collect();
        Self {
            data: ArrayDataset::new(fields).expect("a data set"),
            task: Arc::new(task),
            model,
            reference,
        }
    }

    pub(crate) fn batch(&self) -> Batch {
        self.data.batch(0..self.data.len()).expect("a batch")
    }

    pub(crate) fn fit(
        &self,
        change: impl FnOnce(Fit<Arc<NetworkTask>>) -> Fit<Arc<NetworkTask>>,
    ) -> Influence {
        let network = self.model.network(&Device::flex());
        let fit = change(Fit::new(self.task.clone()));
        fit.fit(&network, Arc::new(self.data.clone()))
            .expect("a fit")
    }

    /// The influences of all samples on all.
    pub(crate) fn influences(
        &self,
        change: impl FnOnce(Fit<Arc<NetworkTask>>) -> Fit<Arc<NetworkTask>>,
    ) -> Array2<f64> {
        let (fitted, batch) = (self.fit(change), self.batch());
        let factors = fitted.factors(&batch).expect("factors");
        let gradients = fitted.gradients(&batch).expect("gradients");
        let scores = fitted.scores(&factors.rows, &gradients).expect("scores");
        scores.into_dimensionality().expect("a matrix")
    }

    /// The gradients of all samples, by parameter.
    pub(crate) fn gradients(&self, precision: Precision) -> BTreeMap<String, Array2<f64>> {
        let fitted = self.fit(|fit| {
            fit.with_precision(precision)
                .with_solver(Identity)
                .with_damping(1.0)
        });
        let factors = fitted.factors(&self.batch()).expect("factors");
        let rows = fitted.factors_to_array(&factors.rows).expect("an array");
        let layout = fitted.source().layout().clone();
        let parameters = layout.parameters().iter().enumerate();
        let columns = parameters.map(|(index, parameter)| {
            let columns = rows.slice(s![.., layout.columns(index)]).to_owned();
            (parameter.name.clone(), columns)
        });
        columns.collect()
    }
}
