//! Files that are not what they should be.

use std::path::PathBuf;

use prost::{Message, bytes::Bytes};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tempfile::TempDir;

use super::{File, read, read_bytes};
use crate::{
    Error, Result,
    proto::{
        AttributeProto, EntryProto, GraphProto, ModelProto, NodeProto, OperatorSet, ShapeProto,
        SideProto, TensorProto, TensorType, TypeProto, ValueProto,
    },
};

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        inputs: inputs.iter().map(ToString::to_string).collect(),
        outputs: vec![output.to_owned()],
        name: format!("node of {output}"),
        operator: operator.to_owned(),
        ..NodeProto::default()
    }
}

fn floats(name: &str, sides: &[i64], numbers: &[f32]) -> TensorProto {
    TensorProto {
        sides: sides.to_vec(),
        kind: 1,
        floats: numbers.to_vec(),
        name: name.to_owned(),
        ..TensorProto::default()
    }
}

fn value(name: &str, kind: i32, lengths: &[Option<i64>]) -> ValueProto {
    let side = |&length: &Option<i64>| SideProto {
        length,
        name: length.is_none().then(|| "n".to_owned()),
    };
    ValueProto {
        name: name.to_owned(),
        kind: Some(TypeProto {
            tensor: Some(TensorType {
                kind,
                shape: Some(ShapeProto {
                    sides: lengths.iter().map(side).collect(),
                }),
            }),
        }),
        ..ValueProto::default()
    }
}

/// `relu(x W + b)`.
fn model() -> ModelProto {
    ModelProto {
        producer: "pytorch".into(),
        operators: vec![OperatorSet {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(GraphProto {
            nodes: vec![
                node("MatMul", &["x", "fc.weight"], "product"),
                node("Add", &["product", "fc.bias"], "sum"),
                node("Relu", &["sum"], "out"),
            ],
            tensors: vec![
                floats("fc.weight", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
                floats("fc.bias", &[3], &[0.5, -0.5, 0.25]),
            ],
            inputs: vec![value("x", 1, &[None, Some(2)])],
            outputs: vec![value("out", 1, &[None, Some(3)])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn changed(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = model();
    change(model.graph.as_mut().expect("a graph"));
    model
}

fn read_model(model: &ModelProto) -> Result<File> {
    let folder = TempDir::new().expect("a folder");
    read_bytes(
        Bytes::from(model.encode_to_vec()),
        folder.path(),
        &PathBuf::from("m.onnx"),
    )
}

#[track_caller]
fn refused(model: &ModelProto, words: &[&str]) {
    let error = read_model(model).expect_err("refused").to_string();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_file_is_read_as_it_is() {
    let file = read_model(&model()).expect("a good file");
    assert_eq!(file.graph.nodes.len(), 3);
    assert_eq!(file.graph.inputs[0].shape(), "(n, 2)");
    assert_eq!(file.graph.outputs, ["out"]);
    let weight: Vec<f32> = file.graph.tensors["fc.weight"].iter::<f32>().collect();
    assert_eq!(weight, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(file.exported.is_none());
}

#[test]
fn tensors_among_the_inputs_are_no_inputs() {
    let model = changed(|graph| {
        graph
            .inputs
            .push(value("fc.weight", 1, &[Some(2), Some(3)]));
    });
    let file = read_model(&model).expect("a file of an old version");
    assert_eq!(file.graph.inputs.len(), 1);
}

#[test]
fn numbers_of_all_types_are_read() {
    /// A tensor whose bytes are numbers of a type.
    fn raw(kind: i32, raw: &[u8], count: i64) -> TensorProto {
        TensorProto {
            sides: vec![count],
            kind,
            raw: Bytes::copy_from_slice(raw),
            name: "t".into(),
            ..TensorProto::default()
        }
    }
    let cases: [(i32, Vec<u8>, f64); 12] = [
        (1, (-1.5_f32).to_le_bytes().into(), -1.5),
        (11, 0.1_f64.to_le_bytes().into(), 0.1),
        (10, half::f16::from_f32(0.25).to_le_bytes().into(), 0.25),
        (16, half::bf16::from_f32(-2.0).to_le_bytes().into(), -2.0),
        (
            7,
            (-(1_i64 << 40)).to_le_bytes().into(),
            -1_099_511_627_776.0,
        ),
        (6, (-7_i32).to_le_bytes().into(), -7.0),
        (5, (-300_i16).to_le_bytes().into(), -300.0),
        (3, (-5_i8).to_le_bytes().into(), -5.0),
        (13, (1_u64 << 41).to_le_bytes().into(), 2_199_023_255_552.0),
        (12, (u32::MAX).to_le_bytes().into(), 4_294_967_295.0),
        (4, (60_000_u16).to_le_bytes().into(), 60_000.0),
        (2, vec![250], 250.0),
    ];
    for (kind, bytes, expected) in cases {
        let model = changed(|graph| graph.tensors.push(raw(kind, &bytes, 1)));
        let file = read_model(&model).expect("a type that is read");
        let numbers: Vec<f64> = file.graph.tensors["t"].iter::<f64>().collect();
        assert_eq!(numbers, [expected], "type {kind}");
    }
    let too_large = changed(|graph| graph.tensors.push(raw(13, &u64::MAX.to_le_bytes(), 1)));
    refused(&too_large, &["`t`", "63 bits"]);
    let text = changed(|graph| graph.tensors.push(raw(8, &[], 1)));
    refused(&text, &["`t`", "type 8"]);
}

#[test]
fn shapes_and_numbers_must_fit() {
    let cases: [(&[i64], &str); 6] = [
        (&[2, 2], "6 numbers, its shape [2, 2] takes 4"),
        (&[-2, 3], "an axis of length -2"),
        (&[1 << 31, 1 << 31, 8], "too large"),
        (
            &[4_294_967_295, 4_294_967_295, 4_294_967_295, 0],
            "too large",
        ),
        (&[i64::MAX, 0], "an axis of length"),
        (&[1; 17], "17 axes"),
    ];
    for (sides, message) in cases {
        let model = changed(|graph| graph.tensors[0].sides = sides.to_vec());
        refused(&model, &["`fc.weight`", message]);
    }
    let bytes = changed(|graph| graph.tensors[0].raw = Bytes::from_static(&[0; 23]));
    refused(&bytes, &["23 bytes of numbers, its shape [2, 3] takes 24"]);
}

#[test]
fn names_are_defined_once_and_before_they_are_used() {
    let cycle = changed(|graph| graph.nodes[0].inputs[0] = "out".into());
    refused(
        &cycle,
        &[
            "node of product",
            "MatMul",
            "`out`, which nothing before it computes",
        ],
    );
    let twice = changed(|graph| graph.nodes[2].outputs[0] = "sum".into());
    refused(&twice, &["`sum` is defined twice"]);
    let nowhere = changed(|graph| graph.outputs[0].name = "elsewhere".into());
    refused(&nowhere, &["nothing computes the output `elsewhere`"]);
    let none = changed(|graph| graph.outputs.clear());
    refused(&none, &["no output"]);
}

#[test]
fn all_unknown_operators_are_named_at_once() {
    let model = changed(|graph| {
        graph.nodes[0].operator = "Frobnicate".into();
        graph.nodes[1].operator = "Frobnicate".into();
        graph.nodes[2].domain = "com.microsoft".into();
        // Graphs of operators that are not known are not read.
        graph.nodes[0].attributes.push(AttributeProto {
            name: "body".into(),
            kind: 5,
            graph: Some(Box::default()),
            ..AttributeProto::default()
        });
    });
    refused(
        &model,
        &[
            "Frobnicate in `node of product`, `node of sum`",
            "com.microsoft::Relu in `node of out`",
        ],
    );
}

#[test]
fn versions_of_operators_are_checked() {
    let mut model = model();
    model.operators[0].version = 11;
    refused(&model, &["version 11", "13 to 23", "opset_version=18"]);
    model.operators.clear();
    refused(&model, &["does not say which version"]);
}

#[test]
fn graphs_are_not_nested_without_end() {
    let mut inner = model().graph.expect("a graph");
    for depth in 0..40 {
        let mut outer = node("Relu", &["x"], &format!("out of {depth}"));
        outer.attributes.push(AttributeProto {
            name: "body".into(),
            kind: 5,
            graph: Some(Box::new(inner)),
            ..AttributeProto::default()
        });
        inner = GraphProto {
            nodes: vec![outer],
            outputs: vec![value(&format!("out of {depth}"), 1, &[])],
            inputs: vec![value("x", 1, &[])],
            ..GraphProto::default()
        };
    }
    let mut model = model();
    model.graph = Some(inner);
    assert!(read_model(&model).is_err());
}

/// A file with a tensor beside it, and what reading it gives.
fn external(entries: &[(&str, &str)], prepare: impl FnOnce(&std::path::Path)) -> Result<File> {
    let outer = TempDir::new().expect("a folder");
    let folder = outer.path().join("inner");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(outer.path().join("secret"), [1; 64]).expect("a file");
    let numbers: Vec<u8> = (1..=8_u8)
        .flat_map(|number| f32::from(number).to_le_bytes())
        .collect();
    std::fs::write(folder.join("m.data"), numbers).expect("a file");
    prepare(&folder);
    let model = changed(|graph| {
        graph.tensors[0].floats.clear();
        graph.tensors[0].location = 1;
        let entry = |&(key, value): &(&str, &str)| EntryProto {
            key: key.into(),
            value: value.into(),
        };
        graph.tensors[0].external = entries.iter().map(entry).collect();
    });
    let path = folder.join("m.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("a file");
    read(&path)
}

#[test]
fn numbers_beside_the_file_are_read_at_their_position() {
    let file = external(
        &[("location", "m.data"), ("offset", "8"), ("length", "24")],
        |_| (),
    );
    let numbers: Vec<f32> = file.expect("a good file").graph.tensors["fc.weight"]
        .iter::<f32>()
        .collect();
    assert_eq!(numbers, [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
}

#[test]
fn numbers_outside_the_folder_are_not_read() {
    for location in ["../secret", "/etc/hostname", "a/../../secret"] {
        let error = external(&[("location", location)], |_| ()).expect_err("refused");
        assert!(error.to_string().contains("outside the folder"), "{error}");
    }
    #[cfg(unix)]
    {
        let link = |folder: &std::path::Path| {
            std::os::unix::fs::symlink("../secret", folder.join("link")).expect("a link");
        };
        let error = external(&[("location", "link")], link).expect_err("refused");
        assert!(error.to_string().contains("outside the folder"), "{error}");
    }
}

#[test]
fn numbers_beside_the_file_must_be_there() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "does not say where"),
        (&[("location", "gone.data")], "keep the two files together"),
        (&[("location", "m.data"), ("offset", "16")], "which has 32"),
        (
            &[("location", "m.data"), ("offset", "18446744073709551615")],
            "which has 32",
        ),
        (&[("location", "m.data"), ("length", "12")], "12 bytes in"),
        (&[("location", "m.data"), ("offset", "-8")], "no number"),
    ];
    for (entries, message) in cases {
        let error = external(entries, |_| ()).expect_err("refused").to_string();
        assert!(
            error.contains(message) && error.contains("`fc.weight`"),
            "{error}"
        );
    }
}

#[test]
fn any_bytes_give_an_error_or_a_graph() {
    let bytes = model().encode_to_vec();
    let folder = TempDir::new().expect("a folder");
    let path = PathBuf::from("m.onnx");
    let attempt = |bytes: Vec<u8>| read_bytes(Bytes::from(bytes), folder.path(), &path);
    for length in 0..bytes.len() {
        if let Err(error) = attempt(bytes[..length].to_vec()) {
            assert!(!matches!(error, Error::Io { .. }), "{error}");
        }
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut good = 0;
    for _ in 0..20_000 {
        let mut mutated = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..mutated.len());
            match random.random_range(0..3) {
                0 => mutated[place] = random.random(),
                1 => mutated[place] ^= 1 << random.random_range(0..8),
                _ => {
                    let end = random.random_range(place..mutated.len());
                    mutated.drain(place..end);
                }
            }
            if mutated.is_empty() {
                break;
            }
        }
        good += usize::from(attempt(mutated).is_ok());
    }
    // Some mutations change a number or a name only: otherwise nothing but headers would be tried.
    assert!(good > 100, "{good}");
}
