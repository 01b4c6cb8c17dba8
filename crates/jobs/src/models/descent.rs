use anyhow::{Error, Result, ensure};
use burn::{
    module::Module,
    optim::{
        AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig, decay::WeightDecayConfig,
        momentum::MomentumConfig,
    },
    tensor::{Device, Tensor, TensorData},
};
use influence_backend_burn::{Batch, Inputs, Task};

use super::course::Course;
use crate::config::{Optimiser, Training};

/// How far a training is after an epoch.
#[derive(Debug)]
pub struct Epoch<'a, M> {
    /// The epoch, counted from 1.
    pub number: usize,
    /// The mean over its training points of `weight · loss`, each at the time of its step.
    pub loss: f64,
    /// The module as it is now, in inference mode.
    pub module: &'a M,
}

/// Minimises the mean loss of a task by steps along gradients of batches drawn without replacement.
///
/// # Errors
/// When points cannot be read or do not have one weight each, the loss is no longer finite, or
/// whatever `after` reports after an epoch.
pub fn descend<T: Task>(
    (task, module): (&T, T::Module),
    device: &Device,
    course: &Course<'_>,
    after: &mut dyn FnMut(Epoch<'_, T::Module>) -> Result<()>,
) -> Result<T::Module> {
    course.check()?;
    let settings = course.settings;
    let device = device.clone().autodiff();
    let mut module = module.fork(&device).train();
    let mut optimiser = optimiser(settings);
    let (mut orders, mut step) = (course.orders(), 0);
    for number in 1..=settings.epochs {
        let order = orders.next();
        let mut sum = 0.0;
        for chosen in order.chunks(settings.batch) {
            let loss = batch_loss(task, &module, course, chosen, &device)?;
            sum += loss.clone().into_scalar::<f64>() * chosen.len() as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &module);
            module = optimiser.step(settings.rate(step, course.steps()), module, gradients);
            step += 1;
        }
        let loss = sum / order.len() as f64;
        check_finite(loss, number, settings)?;
        after(Epoch {
            number,
            loss,
            module: &module.valid(),
        })?;
    }
    Ok(module.valid())
}

/// Whether losses of the same samples differ in training mode.
pub(super) fn draws<T: Task>(
    (task, module): (&T, T::Module),
    device: &Device,
    batch: &Batch,
) -> Result<bool> {
    let module = module.fork(&device.clone().autodiff()).train();
    let losses = || {
        let inputs = T::Inputs::read(batch.fields(), &device.clone().autodiff())?;
        Ok::<_, Error>(task.loss(&module, inputs).into_data())
    };
    Ok(losses()? != losses()?)
}

/// Refuses to go on after an epoch whose loss is not finite.
pub(super) fn check_finite(loss: f64, number: usize, settings: &Training) -> Result<()> {
    ensure!(
        loss.is_finite(),
        "the loss is no longer finite after {number} epochs; lower train.learning_rate, now {}",
        settings.learning_rate
    );
    Ok(())
}

/// The mean of `weight · loss` over the chosen points.
fn batch_loss<T: Task>(
    task: &T,
    module: &T::Module,
    course: &Course<'_>,
    chosen: &[usize],
    device: &Device,
) -> Result<Tensor<1>> {
    let batch = course.points.gather(chosen)?;
    let inputs = T::Inputs::read(batch.fields(), device)?;
    let losses = task.loss(module, inputs);
    Ok(match course.weights_of(chosen) {
        None => losses.mean(),
        Some(weights) => {
            let weights = TensorData::new(weights, [chosen.len()]);
            (losses * Tensor::from_data(weights, device)).mean()
        }
    })
}

fn optimiser(settings: &Training) -> ModuleOptimizer {
    let decay = Some(settings.weight_decay).filter(|&decay| decay > 0.0);
    let decay = decay.map(WeightDecayConfig::new);
    match settings.optimiser {
        Optimiser::Adam => AdamConfig::new().with_weight_decay(decay).init(),
        Optimiser::Sgd => {
            let momentum = Some(settings.momentum).filter(|&momentum| momentum > 0.0);
            let momentum = momentum.map(|momentum| {
                let config = MomentumConfig::new().with_momentum(momentum);
                config.with_dampening(0.0)
            });
            let sgd = SgdConfig::new().with_weight_decay(decay);
            sgd.with_momentum(momentum).init()
        }
    }
}
