//! The parameters of a module, found by visiting it.

use std::collections::HashMap;

use burn::{
    backend::capture::{CaptureBackend, TensorId},
    module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{DType, Gradients, Tensor, TensorData},
};
use influence_core::block::{Parameter, ParameterLayout};

use crate::tensors::numbers;

/// The trained parameters of a module, in the order in which gradients have them.
///
/// # Examples
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
///
/// let layout = influence_backend_burn::parameters(&LinearConfig::new(3, 2).init(&Device::flex()));
/// assert_eq!(layout.dim(), 8);
/// assert_eq!(layout.parameters()[0].name, "weight");
/// ```
pub fn parameters<M: Module>(module: &M) -> ParameterLayout {
    ModuleParameters::of(module).layout
}

/// The values of the trained parameters of a module side by side, in the order of
/// [`parameters`].
pub fn parameter_values<M: Module>(module: &M) -> Vec<f64> {
    let ModuleParameters { layout, values, .. } = ModuleParameters::of(module);
    let trained = values.iter().take(layout.parameters().len());
    trained.flat_map(numbers).collect()
}

/// The id of a tensor on the recording device.
pub(super) fn captured_id<const D: usize>(tensor: Tensor<D>) -> Option<TensorId> {
    Some(tensor.try_into_primitive::<CaptureBackend>().ok()?.id())
}

/// The float parameters of a module.
pub(crate) struct ModuleParameters {
    /// Those that are trained.
    pub(crate) layout: ParameterLayout,
    /// The values of all, the trained ones first.
    pub(crate) values: Vec<TensorData>,
    /// The place of each value.
    pub(crate) indices: HashMap<ParamId, usize>,
}

impl ModuleParameters {
    pub(crate) fn of<M: Module>(module: &M) -> Self {
        let mut visitor = ParameterVisitor::default();
        // In training mode a parameter requires gradients exactly if it is trained, whatever the
        // device.
        module.valid().train().visit(&mut visitor);
        visitor.in_order()
    }
}

/// Collects the float parameters of a module, by identity: a parameter used under two names is one
/// parameter.
#[derive(Default)]
struct ParameterVisitor {
    path: Vec<String>,
    found: Vec<(ParamId, Parameter, TensorData, bool)>,
}

impl ParameterVisitor {
    /// Trained parameters first.
    fn in_order(self) -> ModuleParameters {
        let (trained, frozen): (Vec<_>, Vec<_>) =
            self.found.into_iter().partition(|(.., trained)| *trained);
        let parameters = trained.iter().map(|(_, parameter, ..)| parameter.clone());
        let layout = ParameterLayout::new(parameters.collect());
        let all = trained.into_iter().chain(frozen).enumerate();
        let (indices, values) = all
            .map(|(index, (id, _, value, _))| ((id, index), value))
            .unzip();
        ModuleParameters {
            layout,
            values,
            indices,
        }
    }
}

impl ModuleVisitor for ParameterVisitor {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.iter().all(|(id, ..)| *id != param.id) {
            let parameter = Parameter {
                name: self.path.join("."),
                shape: param.shape().to_vec(),
            };
            self.found.push((
                param.id,
                parameter,
                param.val().into_data(),
                param.is_require_grad(),
            ));
        }
    }
}

/// Casts float parameters and buffers to the one float type in which models are recorded.
pub(crate) struct InRecordedType;

impl ModuleMapper for InRecordedType {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::F32))
    }
}

/// Gives the trained parameters other values.
pub(crate) struct WithValues<'a> {
    pub(crate) indices: &'a HashMap<ParamId, usize>,
    pub(crate) values: &'a [TensorData],
}

impl ModuleMapper for WithValues<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.indices.get(&param.id);
        match index.and_then(|index| self.values.get(*index)) {
            Some(values) => param.map(|tensor| {
                let place = (&tensor.device(), tensor.dtype());
                Tensor::from_data(values.clone(), place)
            }),
            None => param,
        }
    }
}

/// Finds the parameters of a module on the recording device.
pub(super) struct CapturedParameters<'a> {
    pub(super) indices: &'a HashMap<ParamId, usize>,
    pub(super) found: Vec<(TensorId, usize)>,
}

impl ModuleVisitor for CapturedParameters<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let (Some(id), Some(&index)) = (captured_id(param.val()), self.indices.get(&param.id)) {
            self.found.push((id, index));
        }
    }
}

/// Switches dropout off and batch norm to its running statistics, on devices with autodiff too.
pub(super) struct InInferenceMode;

impl ModuleMapper for InInferenceMode {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }
}

/// Collects the gradients of the trained parameters; those of a parameter with two names add up.
pub(crate) struct GradientVisitor<'a> {
    indices: &'a HashMap<ParamId, usize>,
    gradients: &'a Gradients,
    values: Vec<Vec<f64>>,
}

impl<'a> GradientVisitor<'a> {
    pub(crate) fn new(
        layout: &ParameterLayout,
        indices: &'a HashMap<ParamId, usize>,
        gradients: &'a Gradients,
    ) -> Self {
        let zeros = |index| vec![0.0; layout.columns(index).len()];
        let values = (0..layout.parameters().len()).map(zeros).collect();
        Self {
            indices,
            gradients,
            values,
        }
    }

    pub(crate) fn into_values(self) -> Vec<Vec<f64>> {
        self.values
    }
}

impl ModuleVisitor for GradientVisitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let place = self
            .indices
            .get(&param.id)
            .and_then(|&index| self.values.get_mut(index));
        if let (Some(place), Some(gradient)) = (place, param.val().grad(self.gradients)) {
            let gradient = numbers(&gradient.into_data());
            place
                .iter_mut()
                .zip(gradient)
                .for_each(|(sum, value)| *sum += value);
        }
    }
}
