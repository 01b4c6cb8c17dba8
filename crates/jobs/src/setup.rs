//! A model and the points on both sides, opened and held against each other.

use std::num::NonZero;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use influence_backend_burn::device;
use influence_calculators::share_threads;
use influence_core::{Dataset, Precision};
use influence_data::{
    InputShape, Samples, Target,
    key::{AtKey, KeyError},
};

use crate::{
    config::Config,
    models::{Models, TaskModel},
    readers::readers,
};

/// A model and the points on both sides, which fit each other.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) device: Device,
    pub(crate) model: Box<dyn TaskModel>,
    /// The shape of one sample, of all its inputs.
    pub(crate) shape: Vec<usize>,
    pub(crate) inputs: Vec<InputShape>,
    pub(crate) target: Target,
    pub(crate) train: Samples,
    pub(crate) test: Samples,
    pub(crate) remarks: Vec<String>,
}

impl Setup {
    /// With a model that is not trained.
    pub(crate) fn untrained(config: &Config, models: &dyn Models) -> Result<Self> {
        Self::new(config, |inputs, device| {
            models.initial(config, config.seed, inputs, device)
        })
    }

    /// With a model made for inputs of a shape on a device.
    pub(crate) fn new(
        config: &Config,
        open: impl FnOnce(&[InputShape], &Device) -> Result<Box<dyn TaskModel>>,
    ) -> Result<Self> {
        if let Some(threads) = config.compute.threads.and_then(NonZero::new) {
            share_threads(threads);
        }
        let precision = config.precision;
        let device = open_device(&config.device, precision)?;
        let [train, test] = influence_data::open(&config.data, readers())?;
        let mut remarks = [train.remarks(), test.remarks()].concat();
        remarks.dedup();
        let (shape, inputs) = (train.sample_shape(), train.input_shapes());
        let model = open(&inputs, &device)?;
        remarks.extend_from_slice(model.remarks());
        let (form, names) = (model.form(), model.input_names());
        let [train_key, test_key] = config.data.keys();
        let train = train.in_form(&form, names, precision).at_key(train_key)?;
        let test = test.in_form(&form, names, precision).at_key(test_key)?;
        for (input, entries) in model.needs().entries {
            train.check_entries(input, entries).at_key(train_key)?;
            test.check_entries(input, entries).at_key(test_key)?;
        }
        let target = model.target(&train.batch(0..1)?)?;
        train.check(target).at_key(train_key)?;
        test.check(target).at_key(test_key)?;
        Ok(Self {
            device,
            model,
            shape,
            inputs,
            target,
            train,
            test,
            remarks,
        })
    }
}

/// The highest precision that a device has.
pub(crate) fn highest_precision(device: &Device) -> Precision {
    if device::supports(device, Precision::F64) {
        Precision::F64
    } else {
        Precision::F32
    }
}

fn open_device(name: &str, precision: Precision) -> Result<Device> {
    let device = device::open(name).at_key("device")?;
    let fits = precision == Precision::F32 || highest_precision(&device) == Precision::F64;
    ensure!(
        fits,
        KeyError::new(
            "precision",
            format_args!("the device {name} has no f64; use f32, or the device cpu")
        )
    );
    Ok(device)
}
