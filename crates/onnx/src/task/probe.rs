//! A network tried on made-up samples, so that what would fail on data fails before, and by name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Tensor, TensorData},
};
use influence_core::FieldKind;

use super::{settings::LossKind, targets::of_samples};
use crate::{
    AxisLength, Error, InputForm, Network, NetworkFile, Result,
    graph::GraphNode,
    network::Program,
    value::{FLOAT, Value},
};

/// How to export a network with the number of samples free.
const EXPORT: &str = "export it with the first axis free: dynamic_shapes=({0: torch.export.Dim(\"n\")},) with dynamo=True, dynamic_axes={\"input\": {0: \"n\"}} with dynamo=False";
/// How to bring samples to the first axis.
const FIRST: &str = "samples must be along the first axis of inputs and outputs: build recurrent layers with batch_first=True, or export a module that swaps the axes before and after the network";
/// Numbers of samples that are tried.
const TRIED: [usize; 3] = [1, 2, 3];

/// What was learnt of the output of a network.
#[derive(Debug)]
pub(super) struct Probed {
    /// The shape of one sample.
    pub(super) shape: Vec<usize>,
    /// Its numbers for the first of three samples.
    pub(super) numbers: Vec<f64>,
}

impl Probed {
    /// What a user should know of an output of probabilities, which a node may make.
    pub(super) fn remark(&self, node: Option<&GraphNode>, kind: LossKind) -> Option<String> {
        if let Some(node) = node {
            let logits = node.inputs.first().cloned().flatten().unwrap_or_default();
            return Some(format!(
                "the output is made by {} (node `{}`); loss `{kind}` is taken of `{logits}` before it",
                node.kind, node.name
            ));
        }
        let classes = self.shape.last().copied().filter(|&classes| classes > 1)?;
        let likely = |row: &[f64]| {
            row.iter().all(|p| (0.0..=1.0).contains(p))
                && (row.iter().sum::<f64>() - 1.0).abs() < 1e-4
        };
        let likely = kind.has_classes() && self.numbers.chunks(classes).all(likely);
        likely.then(|| format!(
            "the outputs look like probabilities: they are not negative and their sum is 1, but loss `{kind}` is taken of logits; choose the logits as model.output"
        ))
    }
}

/// Runs the nodes of a network on one, two and three samples of inputs of these shapes.
pub(super) fn probed(
    model: &NetworkFile,
    program: &Program,
    inputs: &[Vec<usize>],
) -> Result<Probed> {
    check_inputs(&model.inputs, inputs)?;
    let device = Device::flex();
    let network = model.network(&device).map(&mut InComputedType);
    let run = |samples, ids| {
        let fields = model.inputs.iter().zip(inputs);
        let fields = fields.map(|(input, shape)| made_up(input, shape, samples, ids, &device));
        evaluated(&network, program, &fields.collect::<Vec<_>>(), &device)
    };
    // A table with a single row has no second one.
    let (ids, alone) = match run(1, 2) {
        Ok(alone) => (2, alone),
        Err(_) => (1, run(1, 1)?),
    };
    let [_, two, three] = TRIED;
    let pair = run(two, ids).map_err(|error| baked(two, &error))?;
    let triple = run(three, ids).map_err(|error| baked(three, &error))?;
    let shape = sample_shape([&alone, &pair, &triple].map(|output| &output.dims))?;
    let outputs = [alone, pair, triple].map(|output| output.first(&shape));
    check_alone(&outputs)?;
    let [_, _, numbers] = outputs;
    Ok(Probed { shape, numbers })
}

/// Casts parameters to the type in which values are computed.
struct InComputedType;

impl ModuleMapper for InComputedType {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| tensor.cast(FLOAT))
    }
}

/// Checks that inputs are there, and samples along the first axis of each, as many as one likes.
fn check_inputs(inputs: &[InputForm], shapes: &[Vec<usize>]) -> Result<()> {
    if inputs.len() != shapes.len() {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(Error::Input(format!(
            "the network has {} inputs ({}), the data have {}",
            inputs.len(),
            names.join(", "),
            shapes.len()
        )));
    }
    for (input, shape) in inputs.iter().zip(shapes) {
        let Some(sides) = &input.sides else { continue };
        let name = &input.name;
        if sides.len() != shape.len() + 1 {
            return Err(Error::Input(format!(
                "input `{name}` has shape {}, that of the data is {}",
                input.shape(),
                of_samples(shape)
            )));
        }
        if let Some(AxisLength::Fixed(samples)) = sides.first() {
            let others = &sides[1..];
            let advice = if others
                .iter()
                .any(|side| matches!(side, AxisLength::Free(_)))
            {
                format!("{EXPORT}; if samples are along another axis: {FIRST}")
            } else {
                EXPORT.to_owned()
            };
            return Err(Error::Samples(format!(
                "input `{name}` {} was exported for exactly {samples} samples; {advice}",
                input.shape()
            )));
        }
    }
    Ok(())
}

/// Samples of an input, different ones; integers are below `ids`, and masks are true.
fn made_up(
    input: &InputForm,
    shape: &[usize],
    samples: usize,
    ids: usize,
    device: &Device,
) -> Value {
    let dims = [&[samples], shape].concat();
    let length: usize = shape.iter().product();
    let places = 0..samples * length;
    let mask = input.name.contains("mask");
    let data = match input.kind {
        FieldKind::Float if mask => TensorData::new(vec![1.0_f32; places.len()], dims),
        FieldKind::Float => {
            let wave = places.map(|place| (0.7 * place as f32 + 0.3).sin());
            TensorData::new(wave.collect::<Vec<_>>(), dims)
        }
        FieldKind::Int if mask => TensorData::new(vec![1_i64; places.len()], dims),
        FieldKind::Int => {
            let id = |place: usize| (place + place / length.max(1)) % ids;
            let ids = places.map(|place| i64::try_from(id(place)).unwrap_or(0));
            TensorData::new(ids.collect::<Vec<_>>(), dims)
        }
        FieldKind::Bool => TensorData::new(vec![true; places.len()], dims),
    };
    Value::from_data(data, false, device.as_dispatch())
}

/// The output for some samples.
struct ProbeOutput {
    dims: Vec<usize>,
    numbers: Vec<f64>,
}

impl ProbeOutput {
    /// The numbers of the first sample.
    fn first(self, shape: &[usize]) -> Vec<f64> {
        let mut numbers = self.numbers;
        numbers.truncate(shape.iter().product());
        numbers
    }
}

fn evaluated(
    network: &Network,
    program: &Program,
    fields: &[Value],
    device: &Device,
) -> Result<ProbeOutput> {
    // Nothing that a panic leaves half done is looked at again.
    let run = catch_unwind(AssertUnwindSafe(|| {
        let output = network.computed(program, fields, device, None)?;
        if output.kind != FieldKind::Float {
            return Err(Error::Setting(format!(
                "the output of the network holds {:?} numbers, and losses are taken of floats; choose another tensor of the file as model.output, such as the logits",
                output.kind
            )));
        }
        let dims = output.dims();
        let numbers = Tensor::<1>::from_dispatch(output.tensor).into_data();
        let numbers = numbers.iter::<f64>().collect();
        Ok(ProbeOutput { dims, numbers })
    }));
    run.unwrap_or_else(|panic| {
        Err(Error::Input(format!(
            "the network cannot be computed on samples of these shapes: {}",
            message(&*panic)
        )))
    })
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The error of a network that runs on one sample and not on several.
fn baked(samples: usize, error: &Error) -> Error {
    Error::Samples(format!(
        "the network runs on 1 sample and not on {samples} ({error}): the number of samples was written into the file; {EXPORT}, and compute no shape from len(x) or int(x.shape[0])"
    ))
}

/// The shape of one sample, from those of the outputs of one, two and three.
fn sample_shape(dims: [&Vec<usize>; 3]) -> Result<Vec<usize>> {
    let [one, _, three] = dims;
    let refuse = |what: String| Err(Error::Samples(what));
    let along = |axis: usize, each: usize| {
        let lengths = dims.iter().zip(TRIED);
        let mut lengths = lengths.map(|(dims, samples)| dims.get(axis) == Some(&(samples * each)));
        lengths.all(|fits| fits)
    };
    let sample = one.iter().skip(1).copied().collect::<Vec<_>>();
    if along(0, 1) && dims.iter().all(|dims| dims[1..] == sample) {
        return Ok(sample);
    }
    if dims.iter().all(|dims| *dims == one) && one.iter().product::<usize>() == 1 {
        return refuse(
            "the output is one number for all samples together, and the loss of each sample is needed; export a loss with reduction=\"none\", or the outputs before it".into(),
        );
    }
    if let Some(axis) = (1..one.len()).find(|&axis| along(axis, 1)) {
        return refuse(format!(
            "samples are along axis {axis} of the output, which has shape {three:?} for 3 samples; {FIRST}"
        ));
    }
    if let Some(rows) = one.first().filter(|&&rows| rows > 1 && along(0, rows)) {
        return refuse(format!(
            "the output has {rows} rows for each sample, its shape is {three:?} for 3 samples; export it before samples and positions are joined in one axis, as (n, {rows}, …)"
        ));
    }
    refuse(format!(
        "the shape of the output is {one:?} for 1 sample and {three:?} for 3, expected a first axis with as many entries as samples, and others that stay; {EXPORT}, and {FIRST}"
    ))
}

/// Checks that the output of the first sample is the same beside others.
fn check_alone([alone, others @ ..]: &[Vec<f64>; 3]) -> Result<()> {
    /// The relative rounding of sums in 32 bits in another order.
    const TOLERANCE: f64 = 1e-3;
    let largest = alone.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    for other in others {
        let mut pairs = alone.iter().zip(other);
        let differ = |(a, b): &(&f64, &f64)| (*a - *b).abs() > TOLERANCE * largest;
        if let Some((a, b)) = pairs.find(differ) {
            return Err(Error::Samples(format!(
                "the output of a sample changes with the other samples of its batch ({a} alone, {b} among others); export the network in evaluation mode (model.eval()); {FIRST}"
            )));
        }
    }
    Ok(())
}
