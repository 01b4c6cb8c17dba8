//! Attributes and constants that make no sense.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::TensorData;

use super::{Case, complaints, evaluate, none};
use crate::{file::File, graph::Attribute};

/// Integers that no attribute expects.
const INTEGERS: [i64; 8] = [
    i64::MIN,
    -1_000_000_007,
    -9,
    -1,
    0,
    3,
    1_000_000_007,
    i64::MAX,
];

/// A change of a file, that of the constant with a number or of an attribute of the first node.
fn changes(file: &File) -> Vec<(String, usize)> {
    let attributes = file
        .graph
        .nodes
        .iter()
        .flat_map(|node| node.attributes.0.keys());
    let names = attributes.chain(file.graph.tensors.keys()).cloned();
    let all =
        names.flat_map(|name| (0..=2 * INTEGERS.len()).map(move |change| (name.clone(), change)));
    all.collect()
}

/// A list with its first entry replaced, with all of them, or empty.
fn list(ints: &[i64], change: usize) -> Vec<i64> {
    let Some(&number) = INTEGERS
        .get(change % INTEGERS.len())
        .filter(|_| change < 2 * INTEGERS.len())
    else {
        return Vec::new();
    };
    let all = change >= INTEGERS.len();
    let entry = |(place, &int)| if all || place == 0 { number } else { int };
    ints.iter().enumerate().map(entry).collect()
}

fn changed(file: &mut File, name: &str, change: usize) {
    let number = INTEGERS[change % INTEGERS.len()];
    for node in &mut file.graph.nodes {
        if let Some(attribute) = node.attributes.0.get_mut(name) {
            match attribute {
                Attribute::Int(int) => *int = number,
                Attribute::Float(float) => *float = number as f64,
                Attribute::Ints(ints) => *ints = list(ints, change),
                Attribute::Floats(floats) => floats.truncate(change),
                Attribute::Text(text) => text.push('x'),
                Attribute::Texts(texts) => texts.truncate(change % 3),
                _ => {}
            }
        }
    }
    let tensor = file.graph.tensors.get_mut(name);
    if let Some(tensor) = tensor.filter(|tensor| tensor.dtype().is_int()) {
        let ints: Vec<i64> = tensor.iter::<i64>().collect();
        let ints = list(&ints, change);
        *tensor = match ints.len() {
            1 if tensor.shape().is_empty() => TensorData::new(ints, Vec::<usize>::new()),
            count if count == tensor.num_elements() => {
                TensorData::new(ints, tensor.shape().to_vec())
            }
            count => TensorData::new(ints, [count]),
        };
    }
}

/// Whether a run panics, be the inputs known or data. Indices that are data and lie beyond their
/// tensor are no matter of a file: whoever runs a recording turns the panic of burn into an error.
fn panics(file: &File, inputs: &[TensorData]) -> bool {
    let panics = |known: bool| {
        let run = || evaluate(file, inputs, known).is_ok();
        let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else {
            return false;
        };
        let message = panic.downcast_ref::<String>();
        known || !message.is_some_and(|message| message.contains("out of bounds for dimension"))
    };
    panics(true) || panics(false)
}

#[test]
fn no_attribute_or_constant_makes_an_operator_panic() {
    let about = |case: &Case| {
        let changes = changes(&case.read().expect(&case.name));
        let panics = |(name, change): &(String, usize)| {
            let mut file = case.read().expect(&case.name);
            changed(&mut file, name, *change);
            self::panics(&file, &case.inputs)
        };
        let panics = changes.iter().filter(|change| panics(change));
        let complaint = |(name, change)| format!("{}: `{name}`, change {change}", case.name);
        panics
            .map(|(name, change)| complaint((name, change)))
            .collect()
    };
    none(&complaints(about));
}

/// Shapes that no case has.
const SHAPES: [&[usize]; 7] = [&[], &[0], &[1], &[3], &[5, 1], &[2, 0, 3], &[1; 6]];

/// The inputs with one of another shape, if there are numbers to fill it.
fn reshaped(case: &Case, place: usize, shape: &[usize]) -> Option<Vec<TensorData>> {
    let mut inputs = case.inputs.clone();
    let there: Vec<f64> = inputs[place].iter::<f64>().collect();
    let count = shape.iter().product();
    let numbers: Vec<f64> = there.iter().copied().cycle().take(count).collect();
    let dtype = inputs[place].dtype();
    let fits = numbers.len() == count;
    inputs[place] = fits.then(|| TensorData::new(numbers, shape.to_vec()).convert_dtype(dtype))?;
    Some(inputs)
}

#[test]
fn no_shape_makes_an_operator_panic() {
    let about = |case: &Case| {
        let file = case.read().expect(&case.name);
        let all = (0..case.inputs.len()).flat_map(|place| SHAPES.map(|shape| (place, shape)));
        let panics = |&(place, shape): &(usize, &[usize])| {
            let inputs = reshaped(case, place, shape);
            inputs.is_some_and(|inputs| self::panics(&file, &inputs))
        };
        let panics = all.filter(panics);
        panics
            .map(|(place, shape)| format!("{}: input {place} of shape {shape:?}", case.name))
            .collect()
    };
    none(&complaints(about));
}
