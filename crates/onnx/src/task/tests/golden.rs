//! The golden file, and the network of it.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use influence_core::FieldKind;
use safetensors::{Dtype, SafeTensors};

use crate::{
    AxisLength, InputForm, NamedTensor, NetworkFile,
    graph::{Attributes, GraphNode, NetworkGraph},
    network::Program,
    operators,
};

/// References made by `tests/golden/losses.py`.
pub(super) struct Golden(BTreeMap<String, TensorData>);

impl Golden {
    pub(super) fn read() -> Self {
        let bytes = include_bytes!("../../../tests/golden/losses.safetensors");
        let tensors = SafeTensors::deserialize(bytes).expect("safetensors");
        let tensors = tensors.iter().map(|(name, view)| {
            let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("eight bytes");
            let words = view.data().chunks_exact(8).map(eight);
            let shape = view.shape().to_vec();
            let data = match view.dtype() {
                Dtype::F64 => TensorData::new(words.map(f64::from_le_bytes).collect(), shape),
                _ => TensorData::new(words.map(i64::from_le_bytes).collect(), shape),
            };
            (name.to_owned(), data)
        });
        Self(tensors.collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn data(&self, name: &str) -> TensorData {
        self.0[name].clone()
    }

    pub(super) fn numbers(&self, name: &str) -> Vec<f64> {
        self.0[name].iter::<f64>().collect()
    }
}

/// Some of the samples of a field.
pub(super) fn field(data: &TensorData, first: usize, count: usize) -> TensorData {
    let mut shape = data.shape().to_vec();
    let width = shape[1..].iter().product::<usize>();
    shape[0] = count;
    let (skip, take) = (first * width, count * width);
    if data.dtype().is_float() {
        let numbers: Vec<f64> = data.iter::<f64>().skip(skip).take(take).collect();
        return TensorData::new(numbers, shape);
    }
    let numbers: Vec<i64> = data.iter::<i64>().skip(skip).take(take).collect();
    TensorData::new(numbers, shape)
}

/// `relu(x W1 + b1) W2 + b2` of inputs of this rank.
pub(super) fn network(golden: &Golden, rank: usize) -> NetworkFile {
    let nodes = [
        node("MatMul", &["x", "first.weight"], "h0"),
        node("Add", &["h0", "first.bias"], "h1"),
        node("Relu", &["h1"], "h2"),
        node("MatMul", &["h2", "last.weight"], "h3"),
        node("Add", &["h3", "last.bias"], "y"),
    ];
    let names = ["first.weight", "first.bias", "last.weight", "last.bias"];
    let parameters = names.map(|name| (name, golden.data(name)));
    model(
        &[input("x", FieldKind::Float, rank)],
        &parameters,
        nodes.into(),
        "y",
    )
}

/// An input of this rank, every side of it free.
pub(super) fn input(name: &str, kind: FieldKind, rank: usize) -> InputForm {
    InputForm {
        name: name.into(),
        kind,
        sides: Some(vec![AxisLength::Free(None); rank]),
    }
}

pub(super) fn node(kind: &str, inputs: &[&str], output: &str) -> GraphNode {
    GraphNode {
        name: format!("make {output}"),
        kind: kind.into(),
        operator: operators::find("", kind).expect("a known operator"),
        version: 17,
        inputs: inputs.iter().map(|name| Some((*name).to_owned())).collect(),
        outputs: vec![output.into()],
        attributes: Attributes::default(),
    }
}

pub(super) fn model(
    inputs: &[InputForm],
    parameters: &[(&str, TensorData)],
    nodes: Vec<GraphNode>,
    output: &str,
) -> NetworkFile {
    let parameters = parameters.iter().map(|(name, data)| NamedTensor {
        name: (*name).into(),
        data: data.clone(),
        trained: true,
        remark: None,
    });
    let graph = NetworkGraph {
        inputs: inputs.to_vec(),
        nodes,
        ..NetworkGraph::default()
    };
    let program = Program::new(graph, output.into());
    NetworkFile::of(parameters.collect(), program)
}
