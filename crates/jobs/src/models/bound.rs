//! A burn module bound to its task.

use std::{
    cell::OnceCell,
    fmt::{self, Debug},
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result};
use burn::{module::Module, tensor::Device};
use influence_backend_burn::{
    Batch, EvaluatedOutputs, Evaluator, Fit, HostMlp, Influence, MlpShape, OutputLoss,
    SegmentedTraining, Task, TrainingSteps, Unrolled, parameter_values, parameters,
};
use influence_calculators::Prefetch;
use influence_core::{Footprint, block::ParameterLayout};
use influence_data::{ChosenSamples, SampleForm, Samples, Target};

use super::{
    AfterEpoch, Course, Described, Evaluable, FitSource, Fittable, Needs, Savable, TaskModel,
    Trainable,
    descent::{Epoch, descend, draws},
    host,
    save::save,
    unrolling::{check_step, descent, first_step, of_one_step},
};
use crate::{config::Training, fit_place, fit_settings::FitSettings, setup::highest_precision};

/// A module with a task.
pub(super) struct Bound<T: Task> {
    task: Arc<T>,
    module: T::Module,
    layout: ParameterLayout,
    device: Device,
    /// Made on first use: a computation of influences evaluates nothing.
    evaluator: OnceCell<Evaluator<Arc<T>>>,
    /// Found when it is first trained; other weights do not change it.
    shape: Arc<OnceLock<Option<MlpShape>>>,
    target: Option<Target>,
    /// Whether the last field of a batch is that of targets.
    has_targets: bool,
    needs: Needs,
    inputs: Option<Arc<[String]>>,
    remarks: Vec<String>,
}

impl<T: Task> Debug for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl<T: Task> Bound<T> {
    /// Binds them; without a target it is derived from the outputs.
    pub(super) fn new(
        task: Arc<T>,
        module: T::Module,
        device: &Device,
        target: Option<Target>,
    ) -> Self {
        Self {
            layout: parameters(&module),
            device: device.clone(),
            task,
            module,
            evaluator: OnceCell::new(),
            shape: Arc::default(),
            target,
            has_targets: true,
            needs: Needs::default(),
            inputs: None,
            remarks: Vec::new(),
        }
    }

    /// With names for the inputs of the task, if there are some.
    pub(super) fn with_inputs(self, inputs: Option<Arc<[String]>>) -> Self {
        Self { inputs, ..self }
    }

    /// With these needs in place of the default.
    pub(super) fn needing(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    /// Of a task that reads nothing but the inputs of the model.
    pub(super) fn without_targets(self) -> Self {
        Self {
            has_targets: false,
            ..self
        }
    }

    /// With sentences for whoever computes with it.
    pub(super) fn remarking(self, remarks: Vec<String>) -> Self {
        Self { remarks, ..self }
    }

    /// A module that shares nothing with this one: clones share their running statistics.
    fn own_module(&self) -> T::Module {
        self.module.valid()
    }

    /// The same with another module of the same layout.
    fn with_module(&self, module: T::Module) -> Self {
        Self {
            task: self.task.clone(),
            module,
            layout: self.layout.clone(),
            device: self.device.clone(),
            evaluator: OnceCell::new(),
            shape: Arc::clone(&self.shape),
            target: self.target,
            has_targets: self.has_targets,
            needs: self.needs.clone(),
            inputs: self.inputs.clone(),
            remarks: self.remarks.clone(),
        }
    }

    /// The model on the host, if it is small, and of a kind that can be trained there.
    fn on_host(&self, course: &Course<'_>) -> Result<Option<HostMlp>> {
        let samples = course.settings.batch.min(course.points.count());
        if samples == 0 || samples.saturating_mul(self.layout.dim()) > host::WORK {
            return Ok(None);
        }
        let batch = course.points.gather(&(0..samples).collect::<Vec<_>>())?;
        let find = || MlpShape::find(&self.task, &self.module, &batch);
        match self.shape.get_or_init(find) {
            Some(shape) => Ok(shape.host(&*self.task, &self.module, &batch)?),
            None => Ok(None),
        }
    }

    fn evaluator(&self) -> &Evaluator<Arc<T>> {
        let make = || Evaluator::new(self.task.clone(), &self.module, &self.device);
        self.evaluator.get_or_init(make)
    }

    fn fit(&self, settings: &FitSettings) -> Result<Fit<Arc<T>>> {
        settings.apply(Fit::new(self.task.clone()))
    }
}

impl<T: Task> Bound<T> {
    /// Takes a step on the first batch as the trainer takes it and as it is unrolled.
    fn check_step(
        &self,
        settings: &FitSettings,
        training: &Training,
        descent: &TrainingSteps,
        all: &Samples,
    ) -> Result<()> {
        let step = first_step(descent);
        let Some(first) = step.steps.first() else {
            return Ok(());
        };
        let points = &first.batch.clone();
        let course = Course {
            settings: &of_one_step(training, points.len()),
            seed: 0,
            points: &ChosenSamples { all, points },
            weights: None,
        };
        let begun = (&*self.task, self.module.clone());
        let trained = descend(begun, &self.device, &course, &mut |_| Ok(()))?;
        let fit = self.fit(settings)?.trusting_the_recording();
        let recorded = fit.unrolled(&self.module, step)?.trained()?;
        let trained = parameter_values(&trained);
        let steps = [&recorded[..], &trained];
        check_step(settings, &self.layout, &self.parameters(), steps)
    }
}

impl<T: Task> Described for Bound<T> {
    fn form(&self) -> SampleForm {
        let mut inputs = self.task.forms();
        let targets = if self.has_targets { inputs.pop() } else { None };
        SampleForm { inputs, targets }
    }

    fn input_names(&self) -> Option<&[String]> {
        self.inputs.as_deref()
    }

    fn target(&self, batch: &Batch) -> Result<Target> {
        if let Some(target) = self.target {
            return Ok(target);
        }
        Ok(match self.outputs(batch)? {
            Some(EvaluatedOutputs {
                values,
                loss: OutputLoss::CrossEntropy,
                ..
            }) => Target::Class {
                classes: values.ncols(),
            },
            Some(EvaluatedOutputs {
                values,
                loss: OutputLoss::MeanSquaredError,
                ..
            }) => Target::Values {
                outputs: values.ncols(),
            },
            _ => Target::Any,
        })
    }

    fn needs(&self) -> Needs {
        self.needs.clone()
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn parameters(&self) -> Vec<f64> {
        parameter_values(&self.module)
    }
}

impl<T: Task> Fittable for Bound<T> {
    fn influence(
        &self,
        settings: &FitSettings,
        train: &Arc<Prefetch<Samples>>,
        source: FitSource<'_>,
    ) -> Result<Influence> {
        let fit = self.fit(settings)?;
        let (module, train) = (&self.module, train.clone());
        match source {
            FitSource::Fit => fit
                .fit(module, train)
                .context("fitting the influence model"),
            FitSource::FitAndSave(path) => fit
                .fit_and_save_by(module, train, path, &fit_place::write)
                .context("fitting the influence model"),
            FitSource::Load(path) => fit
                .load_by(module, train, path, &fit_place::read)
                .context("--fitted"),
        }
    }

    fn unrolled(
        &self,
        settings: &FitSettings,
        (training, seed): (&Training, u64),
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<Unrolled> {
        let descent = descent(training, seed, train);
        self.check_step(settings, training, &descent, train.inner())?;
        let fit = self.fit(settings)?;
        fit.unrolled(&self.module, descent)
            .context("unrolling the training")
    }

    fn segmented(
        &self,
        settings: &FitSettings,
        (training, seed): (&Training, u64),
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<SegmentedTraining> {
        let descent = descent(training, seed, train);
        self.check_step(settings, training, &descent, train.inner())?;
        let segmentation = settings.segmentation(descent.steps.len())?;
        let fit = self.fit(settings)?;
        fit.segmented(&self.module, descent, segmentation, train.clone())
            .context("following the training in segments")
    }

    fn footprint(
        &self,
        settings: &FitSettings,
        train: &Arc<Prefetch<Samples>>,
    ) -> Result<Footprint> {
        let fit = self.fit(settings)?;
        Ok(fit.footprint(&self.module, train.clone())?)
    }

    fn fit_bytes(&self, settings: &FitSettings, train: &Arc<Prefetch<Samples>>) -> Result<usize> {
        let fit = self.fit(settings)?;
        Ok(fit.fit_bytes(&self.module, train.clone(), settings.dampings())?)
    }
}

impl<T: Task> Evaluable for Bound<T> {
    fn losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        Ok(self.evaluator().losses(batch)?)
    }

    fn measurements(&self, batch: &Batch) -> Result<Vec<f64>> {
        let fit = Fit::new(self.task.clone()).with_device(self.device.clone());
        let fit = fit.with_precision(highest_precision(&self.device));
        Ok(fit.measurements(&self.module, batch)?)
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<EvaluatedOutputs>> {
        Ok(self.evaluator().outputs(batch)?)
    }
}

impl<T: Task> Trainable for Bound<T> {
    fn trained(
        &self,
        course: &Course<'_>,
        after: &mut AfterEpoch<'_>,
    ) -> Result<Box<dyn TaskModel>> {
        if let Some(mut network) = self.on_host(course)? {
            host::descend(&mut network, course, &mut |number, loss, network| {
                let save = |path: &Path| save(&network.module(&self.module), path);
                after(number, loss, &save)
            })?;
            return Ok(Box::new(self.with_module(network.module(&self.module))));
        }
        let begun = (&*self.task, self.own_module());
        let after = &mut |epoch: Epoch<'_, T::Module>| {
            after(epoch.number, epoch.loss, &|path| save(epoch.module, path))
        };
        let module = descend(begun, &self.device, course, after)?;
        Ok(Box::new(self.with_module(module)))
    }

    fn duplicate(&self) -> Box<dyn TaskModel> {
        Box::new(self.with_module(self.own_module()))
    }

    fn draws(&self, batch: &Batch) -> Result<bool> {
        draws((&*self.task, self.own_module()), &self.device, batch)
    }
}

impl<T: Task> Savable for Bound<T> {
    fn save(&self, path: &Path) -> Result<()> {
        save(&self.module, path)
    }
}
