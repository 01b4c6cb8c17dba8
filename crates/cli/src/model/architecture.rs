//! From configured layers and the shapes of weights to a checked plan of the model.

use anyhow::{Context, Result, bail, ensure};
use burn::{
    module::Param,
    nn::{
        Linear, PaddingConfig2d,
        conv::Conv2d,
    },
    tensor::{Device, Tensor},
};
use influence_core::block::{Parameter, ParameterLayout};

use super::{
    Layer, Sequential,
    operation::{Fixed, LayerNorm, Operation, Window},
    shape::{image, last_axis, numbers, reshape, shown, slide},
};
use crate::{config, weights::Weights};

/// A sequential model whose layers and weights are known to fit each other and the samples.
#[derive(Debug, Clone)]
pub struct Architecture {
    steps: Vec<Step>,
    outputs: usize,
}

/// A layer that computes something, with the shape in which it takes a sample.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    input: Vec<usize>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Linear { weight: Vec<usize>, bias: bool },
    Conv2d { weight: Vec<usize>, bias: bool, window: Window, dilation: [usize; 2], groups: usize },
    LayerNorm { weight: Vec<usize>, bias: bool, epsilon: f64 },
    Fixed(Fixed),
}

impl Architecture {
    /// Follows the shape of a sample through the layers.
    ///
    /// # Errors
    /// When a layer does not fit its weights or what reaches it, weights are missing or left over, or the model does not end in
    /// a single axis; the message names the layer and the tensor.
    pub fn plan(layers: &[config::Layer], weights: &Weights, input: &[usize]) -> Result<Self> {
        ensure!(!layers.is_empty(), "model.layers is empty");
        check_names(layers)?;
        let (mut shape, mut steps) = (input.to_vec(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            let (kind, output) = step(layer, weights, &shape).with_context(|| label(index, layer))?;
            let name = layer.name().map_or_else(|| index.to_string(), ToOwned::to_owned);
            steps.extend(kind.map(|kind| Step { name, input: shape, kind }));
            shape = output;
        }
        let &[outputs] = shape.as_slice() else {
            bail!("the model gives each sample the shape {}; end it with a flatten", shown(&shape));
        };
        let plan = Self { steps, outputs };
        plan.check_all_used(weights)?;
        Ok(plan)
    }

    /// The number of outputs per sample.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The parameters in the order of the module that [`build`](Self::build) makes.
    pub fn layout(&self) -> ParameterLayout {
        ParameterLayout::new(self.steps.iter().flat_map(Step::parameters).collect())
    }

    /// The module with these weights, in their precision, on a device.
    ///
    /// # Errors
    /// When a tensor is not in the weights.
    pub fn build(&self, weights: &Weights, device: &Device) -> Result<Sequential> {
        let layers = self.steps.iter().map(|step| {
            let operation = step.operation(weights, device)?;
            Ok(Layer { name: step.name.clone(), input: step.input.clone(), operation })
        });
        Ok(Sequential { layers: layers.collect::<Result<_>>()? })
    }

    fn check_all_used(&self, weights: &Weights) -> Result<()> {
        let used: Vec<String> = self.layout().parameters().iter().map(|parameter| parameter.name.clone()).collect();
        let unused: Vec<&str> = weights.names().filter(|name| !used.iter().any(|used| used == name)).collect();
        ensure!(unused.is_empty(), "{} holds tensors that no layer uses: {}", weights.source(), unused.join(", "));
        Ok(())
    }
}

impl Step {
    fn parameters(&self) -> Vec<Parameter> {
        let (weight, bias) = match &self.kind {
            // burn keeps the weight of a linear layer as (in, out).
            Kind::Linear { weight, bias } => (vec![weight[1], weight[0]], *bias),
            Kind::Conv2d { weight, bias, .. } | Kind::LayerNorm { weight, bias, .. } => (weight.clone(), *bias),
            Kind::Fixed(_) => return Vec::new(),
        };
        let outputs = match &self.kind {
            Kind::Linear { weight, .. } | Kind::Conv2d { weight, .. } | Kind::LayerNorm { weight, .. } => weight[0],
            Kind::Fixed(_) => 0,
        };
        let bias = bias.then(|| Parameter { name: format!("{}.bias", self.name), shape: vec![outputs] });
        std::iter::once(Parameter { name: format!("{}.weight", self.name), shape: weight }).chain(bias).collect()
    }

    fn operation(&self, weights: &Weights, device: &Device) -> Result<Operation> {
        let source = Source { weights, layer: &self.name, device };
        Ok(match &self.kind {
            Kind::Linear { bias, .. } => {
                let weight = Param::from_tensor(source.tensor::<2>("weight")?.transpose());
                Operation::Linear(Linear { weight, bias: source.bias(*bias)? })
            }
            Kind::Conv2d { bias, window: Window { size, stride, padding: [down, across] }, dilation, groups, .. } => {
                Operation::Conv2d(Conv2d {
                    weight: Param::from_tensor(source.tensor("weight")?),
                    bias: source.bias(*bias)?,
                    stride: *stride,
                    kernel_size: *size,
                    dilation: *dilation,
                    groups: *groups,
                    padding: PaddingConfig2d::Explicit(*down, *across, *down, *across),
                })
            }
            Kind::LayerNorm { bias, epsilon, .. } => {
                let weight = Param::from_tensor(source.tensor("weight")?);
                Operation::LayerNorm(LayerNorm { weight, bias: source.bias(*bias)?, epsilon: *epsilon })
            }
            Kind::Fixed(fixed) => Operation::Fixed(*fixed),
        })
    }
}

/// The tensors of one layer, on their way to a device.
struct Source<'a> {
    weights: &'a Weights,
    layer: &'a str,
    device: &'a Device,
}

impl Source<'_> {
    fn tensor<const D: usize>(&self, parameter: &str) -> Result<Tensor<D>> {
        let data = self.weights.tensor(&format!("{}.{parameter}", self.layer))?.clone();
        let dtype = data.dtype();
        Ok(Tensor::from_data(data, (self.device, dtype)))
    }

    fn bias(&self, present: bool) -> Result<Option<Param<Tensor<1>>>> {
        if present { Ok(Some(Param::from_tensor(self.tensor("bias")?))) } else { Ok(None) }
    }
}

fn label(index: usize, layer: &config::Layer) -> String {
    let name = layer.name().map_or_else(String::new, |name| format!(" `{name}`"));
    format!("layer {} ({}{name})", index + 1, layer.kind())
}

fn check_names(layers: &[config::Layer]) -> Result<()> {
    for (index, layer) in layers.iter().enumerate() {
        let Some(name) = layer.name() else { continue };
        ensure!(!name.is_empty(), "layer {} has an empty name", index + 1);
        if let Some(first) = layers[..index].iter().position(|earlier| earlier.name() == Some(name)) {
            bail!("layers {} and {} are both named `{name}`; shared weights are not supported", first + 1, index + 1);
        }
    }
    Ok(())
}

/// What a layer computes, if anything, and the shape of a sample behind it.
fn step(layer: &config::Layer, weights: &Weights, input: &[usize]) -> Result<(Option<Kind>, Vec<usize>)> {
    use config::Layer as L;
    Ok(match layer {
        L::Reshape { shape } => (None, reshape(input, shape)?),
        L::Flatten {} => (None, vec![numbers(input)]),
        L::Dropout { p } => {
            ensure!(p.is_none_or(|p| (0.0..=1.0).contains(&p)), "p must be between 0 and 1, got {}", p.unwrap_or_default());
            (None, input.to_vec())
        }
        L::Relu {} => (Some(Kind::Fixed(Fixed::Relu)), input.to_vec()),
        L::Tanh {} => (Some(Kind::Fixed(Fixed::Tanh)), input.to_vec()),
        L::Sigmoid {} => (Some(Kind::Fixed(Fixed::Sigmoid)), input.to_vec()),
        L::Gelu {} => (Some(Kind::Fixed(Fixed::Gelu)), input.to_vec()),
        L::MaxPool2d { kernel_size, stride, padding } => {
            let (window, output) = pool(input, *kernel_size, *stride, *padding)?;
            (Some(Kind::Fixed(Fixed::MaxPool2d(window))), output)
        }
        L::AvgPool2d { kernel_size, stride, padding } => {
            let (window, output) = pool(input, *kernel_size, *stride, *padding)?;
            (Some(Kind::Fixed(Fixed::AvgPool2d(window))), output)
        }
        L::Linear { name } => linear(name, weights, input)?,
        L::LayerNorm { name, eps } => normalisation(name, *eps, weights, input)?,
        L::Conv2d { name, stride, padding, dilation, groups } => {
            let window = Window { size: [0, 0], stride: stride.0, padding: padding.0 };
            convolution(name, window, dilation.0, *groups, weights, input)?
        }
    })
}

fn linear(name: &str, weights: &Weights, input: &[usize]) -> Result<(Option<Kind>, Vec<usize>)> {
    let (weight, bias) = shapes(name, weights, 2, "(out, in)")?;
    last_axis(input, weight[1])?;
    let mut output = input.to_vec();
    output.splice(input.len() - 1.., [weight[0]]);
    Ok((Some(Kind::Linear { weight, bias }), output))
}

fn normalisation(name: &str, epsilon: f64, weights: &Weights, input: &[usize]) -> Result<(Option<Kind>, Vec<usize>)> {
    ensure!(epsilon.is_finite() && epsilon > 0.0, "eps must be positive and finite, got {epsilon}");
    let (weight, bias) = shapes(name, weights, 1, "(features), for normalisation along the last axis")?;
    last_axis(input, weight[0])?;
    Ok((Some(Kind::LayerNorm { weight, bias, epsilon }), input.to_vec()))
}

fn convolution(
    name: &str,
    window: Window,
    dilation: [usize; 2],
    groups: usize,
    weights: &Weights,
    input: &[usize],
) -> Result<(Option<Kind>, Vec<usize>)> {
    let (weight, bias) = shapes(name, weights, 4, "(out, in, height, width)")?;
    let [channels, height, width] = image(input)?;
    ensure!(groups > 0, "groups must be at least 1, got 0");
    ensure!(weight[0].is_multiple_of(groups), "{} output channels do not divide into {groups} groups", weight[0]);
    let taken = weight[1].saturating_mul(groups);
    ensure!(taken == channels, "its weights take {taken} channels, but the samples reach it in shape {}, with {channels}", shown(input));
    let size = [weight[2], weight[3]];
    ensure!(!dilation.contains(&0), "dilation must be at least 1, got {}", shown(&dilation));
    let reach = [0, 1].map(|axis| size[axis].saturating_sub(1).saturating_mul(dilation[axis]).saturating_add(1));
    let window = Window { size, ..window };
    let output = slide(weight[0], [height, width], reach, window)?;
    Ok((Some(Kind::Conv2d { weight, bias, window, dilation, groups }), output))
}

fn pool(
    input: &[usize],
    size: config::Pair,
    stride: Option<config::Pair>,
    padding: config::Pair,
) -> Result<(Window, Vec<usize>)> {
    let [channels, height, width] = image(input)?;
    let window = Window { size: size.0, stride: stride.unwrap_or(size).0, padding: padding.0 };
    let too_wide = (0..2).any(|axis| window.padding[axis] > window.size[axis] / 2);
    ensure!(!too_wide, "padding {} must be at most half of kernel_size {}", shown(&window.padding), shown(&window.size));
    Ok((window, slide(channels, [height, width], window.size, window)?))
}

/// The shape of the weight, and whether there is a bias, of as many numbers as the weight has outputs.
fn shapes(name: &str, weights: &Weights, rank: usize, layout: &str) -> Result<(Vec<usize>, bool)> {
    let tensor = format!("{name}.weight");
    let weight = weights.tensor(&tensor)?.shape().to_vec();
    ensure!(weight.len() == rank, "tensor `{tensor}` has shape {}, expected {layout}", shown(&weight));
    ensure!(!weight.contains(&0), "tensor `{tensor}` has shape {}, which is empty", shown(&weight));
    let tensor = format!("{name}.bias");
    let Some(bias) = weights.shape(&tensor) else { return Ok((weight, false)) };
    ensure!(bias == [weight[0]], "tensor `{tensor}` has shape {}, expected ({})", shown(bias), weight[0]);
    Ok((weight, true))
}
