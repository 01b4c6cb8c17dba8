//! Per-sample gradients of a task, checked once against batches of one.

mod check;
mod hidden;
mod moved;
mod outputs;
mod passes;
mod recording;
mod recordings;

use std::{
    collections::BTreeSet,
    sync::{Arc, Once},
};

use burn::tensor::{DType, Device, Tensor};
use influence_core::{
    EfficientChunk, Error as CoreError, Footprint, GradientSource, Precision, Result as CoreResult,
    Rows, TensorConverter, ThreadSafe, Values,
    block::{Block, ParameterLayout},
};
use ndarray::{Array1, ArrayD, ArrayView2};

use crate::{
    Batch, Converter, Error, Gradients, Result, Stack,
    dataset::dtype,
    device::piece_sizes,
    engine::{self, Cotangent, Engine, TappedGradient},
    gradient::{GradientForm, ParameterGradient},
    tensors::host,
    trace::{Function, Graph, Trace},
};

use recordings::Recordings;

/// The field of a batch that holds the inputs.
const INPUT: usize = 0;

/// Gradients of a burn model's training loss and measurement.
///
/// Graphs are recorded on demand, one per shape of batch, behind a lock; the parameters never
/// change. Concurrent calls therefore give the answers of sequential ones.
#[derive(Debug, Clone)]
pub struct ModelGradients {
    pub(crate) trace: Arc<Recordings>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    converter: Converter<2>,
    untapped: BTreeSet<usize>,
    /// Whether a wrong declaration of the loss has been reported: once, however many batches there
    /// are.
    reported: Arc<Once>,
}

impl ThreadSafe for ModelGradients {}

impl ModelGradients {
    /// Prepares the engine of a device.
    pub(crate) fn new(
        trace: Arc<dyn Trace>,
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        let device = device.clone().inner();
        let engine = engine::for_device(&device, precision, trace.values(), trace.layout())?;
        let converter = Converter::new(device.clone(), precision);
        Ok(Self {
            trace: Arc::new(Recordings::new(trace)),
            engine,
            device,
            precision,
            converter,
            untapped: BTreeSet::new(),
            reported: Arc::new(Once::new()),
        })
    }

    /// The parameters whose gradients come from batches of one, because no tap covers their use:
    /// correct, but slow.
    pub fn untapped(&self) -> impl Iterator<Item = &str> {
        self.untapped
            .iter()
            .map(|&index| self.layout().parameters()[index].name.as_str())
    }

    /// The trained parameters.
    pub fn layout(&self) -> &ParameterLayout {
        self.trace.layout()
    }

    /// The gradients of one function of the task, each with respect to all parameters.
    pub(crate) fn gradients_of(
        &self,
        function: Function,
        batch: &Batch,
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Gradients> {
        let mut forms = Vec::new();
        if !batch.is_empty() {
            let graph = self.trace.graph(function, batch)?;
            let slow = self.one_by_one_in(&graph);
            forms = self
                .engine
                .tapped_gradients(&graph, batch, cotangent.into())?;
            // A parameter may have a tap at one place and none at another: then all of its gradient
            // comes from batches of one.
            forms.retain(|tapped| !slow.contains(&tapped.parameter));
            forms.extend(self.one_by_one(function, batch, &slow, cotangent)?);
        }
        Ok(self.joined(batch.len(), forms))
    }

    /// The gradients of the outputs, weighted by what `cotangent` makes of them: one forward pass
    /// in place of one for the outputs and one for the gradients.
    pub(crate) fn gradients_of_outputs(
        &self,
        batch: &Batch,
        cotangent: &dyn Fn(Tensor<2>) -> Result<Tensor<2>>,
    ) -> Result<Gradients> {
        let graph = self.trace.graph(Function::Outputs, batch)?;
        if batch.is_empty() || !self.one_by_one_in(&graph).is_empty() {
            let cotangent = cotangent(self.engine.output(&graph, batch)?)?;
            return self.gradients_of(Function::Outputs, batch, Some(&cotangent));
        }
        let cotangent = Cotangent::OfOutputs(cotangent);
        let forms = self.engine.tapped_gradients(&graph, batch, cotangent)?;
        Ok(self.joined(batch.len(), forms))
    }

    /// The parameters whose gradients come from batches of one.
    fn one_by_one_in(&self, graph: &Graph) -> Vec<usize> {
        let untapped = self.untapped.union(graph.taps.untapped());
        untapped.copied().collect()
    }

    /// Gradients with respect to all parameters, of those with respect to each.
    fn joined(&self, samples: usize, found: Vec<TappedGradient>) -> Gradients {
        let part = |tapped: TappedGradient| {
            let mut columns = self.layout().columns(tapped.parameter);
            if let Some(entries) = tapped.entries {
                columns = columns.start + entries.start..columns.start + entries.end;
            }
            ParameterGradient::new(columns, tapped.form)
        };
        let parts = found.into_iter().map(part).collect();
        let dim = self.layout().dim();
        Gradients::new(samples, dim, self.kind(), parts).without_overlaps()
    }

    /// What gradients and scores take per sample, as a few samples show it.
    pub(crate) fn footprint_of(&self, sample: &Batch, factors: &Gradients) -> Result<Footprint> {
        let gradients = self
            .gradients_of(Function::Loss, sample, None)?
            .for_scores()
            .with_products_of(factors);
        self.log_scoring(&gradients, factors);
        let mut footprint = gradients.footprint(factors, self.precision);
        footprint.differentiating = footprint.gradient;
        // Right-hand sides, and what is solved of them.
        footprint.solving = footprint.gradient + footprint.factor;
        footprint.pass = self.pass(sample)?;
        if !piece_sizes(&self.device).on_host {
            footprint.chunk = EfficientChunk::GPU;
        }
        Ok(footprint)
    }

    /// Says by which way each parameter will be scored.
    fn log_scoring(&self, gradients: &Gradients, factors: &Gradients) {
        for (columns, scoring) in gradients.scoring(factors) {
            let all = self.layout().parameters().iter().enumerate();
            let mut named = all.filter(|(index, _)| {
                let whole = self.layout().columns(*index);
                whole.start <= columns.start && columns.end <= whole.end
            });
            let parameter = named.next().map_or("", |(_, parameter)| &parameter.name);
            let of_factors = scoring.of_factors;
            tracing::debug!(
                parameter,
                of_factors,
                flops = scoring.flops,
                "way to a score"
            );
        }
    }

    /// What tells models apart that share their parameters: how long the gradients of a few samples
    /// are, coarsely enough for any device.
    pub(crate) fn fingerprint(&self, sample: &Batch) -> CoreResult<String> {
        let gradients = self.gradients_of(Function::Loss, sample, None)?;
        let norms = Stack::new(gradients.to_rows()).norms()?;
        let norms = norms.iter().map(|norm| format!("{norm:.2e}"));
        Ok(format!(
            "gradients of norm {}",
            norms.collect::<Vec<_>>().join(", ")
        ))
    }

    fn kind(&self) -> (Device, DType) {
        (self.device.clone(), engine::float_type(self.precision))
    }

    /// Gradients with respect to some parameters, sample by sample.
    fn one_by_one(
        &self,
        function: Function,
        batch: &Batch,
        parameters: &[usize],
        cotangent: Option<&Tensor<2>>,
    ) -> Result<Vec<TappedGradient>> {
        if parameters.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows: Vec<Vec<Tensor<2>>> = vec![Vec::with_capacity(batch.len()); parameters.len()];
        for sample in 0..batch.len() {
            let (alone, graph) = self.alone(function, batch, sample)?;
            let cotangent = cotangent.map(|whole| {
                whole
                    .clone()
                    .slice([sample..sample + 1, 0..whole.dims()[1]])
            });
            let gradients =
                self.engine
                    .summed_gradient(&graph, &alone, parameters, cotangent.as_ref())?;
            rows.iter_mut()
                .zip(gradients)
                .for_each(|(rows, gradient)| rows.push(gradient.unsqueeze()));
        }
        let form = |(&parameter, rows)| TappedGradient {
            parameter,
            entries: None,
            form: GradientForm::Rows(Tensor::cat(rows, 0)),
        };
        Ok(parameters.iter().zip(rows).map(form).collect())
    }

    fn alone(
        &self,
        function: Function,
        batch: &Batch,
        sample: usize,
    ) -> Result<(Batch, Arc<Graph>)> {
        let alone = batch.one(sample);
        let graph = self.trace.graph(function, &alone)?;
        Ok((alone, graph))
    }
}

impl GradientSource for ModelGradients {
    type Batch = Batch;
    type Gradients = Gradients;
    type Rows = Stack;

    fn dim(&self) -> usize {
        self.layout().dim()
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn gradients(&self, batch: &Batch) -> CoreResult<Gradients> {
        Ok(self.in_passes(Function::Loss, batch)?)
    }

    fn measurement_rows(&self, batch: &Batch) -> CoreResult<Stack> {
        let gradients = self.in_passes(Function::Measurement, batch)?;
        Ok(Stack::from(gradients))
    }

    fn scores(&self, rows: &Stack, gradients: &Gradients) -> CoreResult<ArrayD<f64>> {
        CoreError::check_size("scores", "vector length", gradients.dim(), rows.dim())?;
        self.converter.to_array(&gradients.scores(rows.vectors()))
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> CoreResult<Stack> {
        CoreError::check_size("rows", "vector length", self.dim(), values.ncols())?;
        Ok(Stack::from_host(&values, &self.device, self.precision))
    }

    fn to_rows(&self, gradients: &Gradients) -> CoreResult<Stack> {
        Ok(Stack::from(gradients.clone()))
    }

    fn gradients_of_rows(&self, rows: Stack) -> CoreResult<Gradients> {
        Ok(rows.into_vectors())
    }

    fn scaled(&self, gradients: Gradients, factors: &[f64]) -> CoreResult<Gradients> {
        Ok(Stack::from(gradients).scaled(factors)?.into_vectors())
    }

    fn norms(&self, gradients: &Gradients) -> CoreResult<Vec<f64>> {
        Stack::from(gradients.clone()).norms()
    }

    fn block_scores(
        &self,
        rows: &Stack,
        gradients: &Gradients,
        block: &Block,
    ) -> CoreResult<ArrayD<f64>> {
        self.scores(rows, &gradients.within(block.columns()))
    }

    fn self_scores(&self, rows: &Stack, gradients: &Gradients) -> CoreResult<ArrayD<f64>> {
        CoreError::check_size("self scores", "rows", gradients.len(), rows.len())?;
        CoreError::check_size("self scores", "vector length", gradients.dim(), rows.dim())?;
        let scores = host(&gradients.self_scores(rows.vectors()))?;
        Ok(Array1::from(scores).into_dyn())
    }

    /// The inputs are the first field of a batch.
    fn mixed_products(&self, rows: &Stack, batch: &Batch) -> CoreResult<ArrayD<f64>> {
        CoreError::check_size("mixed products", "vector length", self.dim(), rows.dim())?;
        let shape = [&[rows.len(), batch.len()], &self.input_shape(batch)?[..]].concat();
        let mut values = Vec::with_capacity(shape.iter().product());
        if !batch.is_empty() {
            let graph = self.trace.graph(Function::Loss, batch)?;
            let all: Vec<usize> = (0..self.layout().parameters().len()).collect();
            for row in 0..rows.len() {
                let row = rows.select(&[row])?.tensor();
                let products = self
                    .engine
                    .mixed_products(&graph, batch, INPUT, &all, &row)?;
                for product in products {
                    values.extend(host(&product)?);
                }
            }
        }
        ArrayD::from_shape_vec(shape, values)
            .map_err(|error| CoreError::backend("mixed products", error))
    }

    fn input_shape(&self, sample: &Batch) -> CoreResult<Vec<usize>> {
        let shown = |values: &Values| format!("{:?}", dtype(values));
        let input = sample.fields().get(INPUT);
        let Some(input) = input.filter(|values| dtype(values).is_float()) else {
            return Err(CoreError::from(Error::Field {
                field: INPUT,
                expected: "a float array, by which losses can be differentiated".into(),
                got: input.map_or_else(|| "nothing".into(), shown),
            }));
        };
        Ok(input.shape()[1..].to_vec())
    }

    fn footprint(&self, sample: &Batch, factors: &Stack) -> CoreResult<Footprint> {
        Ok(self.footprint_of(sample, factors.vectors())?)
    }
}
