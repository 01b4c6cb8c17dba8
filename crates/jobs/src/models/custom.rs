use std::{
    fmt::{self, Debug},
    path::Path,
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{DType, Device, Tensor},
};
use burn_store::{ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use influence_backend_burn::Task;
use influence_data::{
    InputShape,
    key::{AtKey, KeyError},
};

use super::{Models, TaskModel, bound::Bound};
use crate::{
    config::{Config, Model, missing},
    weights::{Layout, Weights, float_dtype},
};

/// A custom burn module with its task, for `influence_cli::run_with`.
///
/// The configuration then has `model.weights` and none of `model.loss`, `model.layers` and
/// `model.onnx`: the task
/// says what the loss is, the module what the layers are. Weights are found by the names of the
/// module's fields, in files of PyTorch with its layout.
///
/// A task may read any number of inputs before its targets. The configuration then lists their
/// arrays in the order of the task, `inputs = ["a.npy", "b.npy"]`, or by the names of
/// [`with_inputs`](Self::with_inputs).
pub struct OwnModel<T, F> {
    task: Arc<T>,
    init: F,
    inputs: Option<Arc<[String]>>,
}

impl<T, F> Debug for OwnModel<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnModel").finish_non_exhaustive()
    }
}

impl<T: Task, F: Fn(&Device) -> T::Module> OwnModel<T, F> {
    /// A task, and how its module is made on a device; weights are read from a file afterwards, or
    /// trained.
    pub fn new(task: T, init: F) -> Self {
        Self {
            task: Arc::new(task),
            init,
            inputs: None,
        }
    }

    /// With names for the inputs of the task, in its order and without the targets, so that a
    /// configuration can give arrays by name.
    #[must_use]
    pub fn with_inputs(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            inputs: Some(names.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    fn bound(&self, module: T::Module, device: &Device) -> Box<dyn TaskModel> {
        let bound = Bound::new(self.task.clone(), module, device, None);
        Box::new(bound.with_inputs(self.inputs.clone()))
    }
}

impl<T: Task, F: Fn(&Device) -> T::Module> Models for OwnModel<T, F> {
    fn are_configured(&self) -> bool {
        false
    }

    fn open(
        &self,
        config: &Config,
        weights: Option<&Path>,
        _inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        check(&config.model)?;
        let weights = weights.ok_or_else(|| missing("weights"))?;
        let precision = config.precision;
        let key = config.model.state.as_deref();
        let (layout, weights) =
            Weights::as_stored(weights, key, precision).at_key("model.weights")?;
        let mut module = (self.init)(device).map(&mut InType(float_dtype(precision)));
        load(&mut module, layout, weights).at_key("model.weights")?;
        Ok(self.bound(module, device))
    }

    fn initial(
        &self,
        config: &Config,
        seed: u64,
        _inputs: &[InputShape],
        device: &Device,
    ) -> Result<Box<dyn TaskModel>> {
        check(&config.model)?;
        config.model.check_trained()?;
        device.seed(seed);
        Ok(self.bound((self.init)(device), device))
    }
}

fn check(model: &Model) -> Result<()> {
    ensure!(
        model.loss.is_none(),
        KeyError::new(
            "model.loss",
            "the program has a task of its own, which says what the loss is; leave model.loss out"
        )
    );
    ensure!(
        model.layers.is_none(),
        KeyError::new(
            "model.layers",
            "the program has a model of its own; leave them out"
        )
    );
    ensure!(
        model.onnx.is_none(),
        KeyError::new(
            "model.onnx",
            "the program has a model of its own; leave it out, or run `influence` itself"
        )
    );
    Ok(())
}

/// Puts all tensors into a module, which must be exactly those that it has.
fn load<M: Module>(module: &mut M, layout: Layout, weights: Weights) -> Result<()> {
    let source = weights.source().to_owned();
    let unread = weights.unread().clone();
    let tensors = weights.into_tensors().into_iter();
    let tensors = tensors.map(|(name, data)| bridge::from_data(data, name, None));
    let adapter: Option<Box<dyn ModuleAdapter>> = match layout {
        Layout::Pytorch => Some(Box::new(PyTorchToBurnAdapter)),
        Layout::Burn => None,
    };
    let result = module.apply(tensors.collect(), None, adapter, true);
    if let Some(error) = result.errors.first() {
        bail!("{source}: {error}");
    }
    let missing: Vec<&str> = result
        .missing
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    if let Some(reason) = missing.iter().find_map(|name| unread.get(*name)) {
        bail!("{source}: {reason}");
    }
    ensure!(
        missing.is_empty(),
        "{source} lacks tensors of the model: {}; it also has: {}",
        missing.join(", "),
        result.unused.join(", ")
    );
    ensure!(
        result.unused.is_empty(),
        "{source} holds tensors that the model does not have: {}",
        result.unused.join(", ")
    );
    Ok(())
}

/// Casts float parameters.
struct InType(DType);

impl ModuleMapper for InType {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}
