//! Attributes and constants that make no sense.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::TensorData;

use super::{Case, cases, evaluate, none};
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
                Attribute::Tensor(_) | Attribute::Graph(_) => {}
            }
        }
    }
    if let Some(tensor) = file.graph.tensors.get_mut(name) {
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

/// The changes of a case at which it panics.
fn panics(case: &Case) -> Vec<String> {
    let changes = changes(&case.read().expect(&case.name));
    let panics = |(name, change): &(String, usize)| {
        let mut file = case.read().expect(&case.name);
        changed(&mut file, name, *change);
        let run = || [true, false].map(|known| evaluate(&file, &case.inputs, known).is_ok());
        catch_unwind(AssertUnwindSafe(run)).is_err()
    };
    let panics = changes.iter().filter(|change| panics(change));
    panics
        .map(|(name, change)| format!("{}: `{name}`, change {change}", case.name))
        .collect()
}

#[test]
fn no_attribute_or_constant_makes_an_operator_panic() {
    let cases = cases();
    let current = cases.iter().filter(|case| !case.is_old());
    let complaints: Vec<String> = current.flat_map(panics).collect();
    none(&complaints);
}

/// Inputs with other axes than an operator expects.
#[test]
fn no_shape_makes_an_operator_panic() {
    let mut complaints = Vec::new();
    for case in cases().iter().filter(|case| !case.is_old()) {
        let file = case.read().expect(&case.name);
        for place in 0..case.inputs.len() {
            for shape in [
                vec![],
                vec![0],
                vec![1],
                vec![3],
                vec![5, 1],
                vec![2, 0, 3],
                vec![1; 6],
            ] {
                let mut inputs = case.inputs.clone();
                let count: usize = shape.iter().product();
                let there: Vec<f64> = case.inputs[place].iter::<f64>().collect();
                let numbers: Vec<f64> = there.iter().copied().cycle().take(count).collect();
                let dtype = case.inputs[place].dtype();
                let numbers = match numbers.len() == count {
                    true => TensorData::new(numbers, shape.clone()).convert_dtype(dtype),
                    false => continue,
                };
                inputs[place] = numbers;
                let run = || [true, false].map(|known| evaluate(&file, &inputs, known).is_ok());
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    complaints.push(format!("{}: input {place} of shape {shape:?}", case.name));
                }
            }
        }
    }
    none(&complaints);
}
