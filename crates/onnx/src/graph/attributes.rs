//! Attributes by name.

use burn::tensor::TensorData;
use influence_core::FieldKind;

use super::{Attribute, Attributes, NetworkGraph};
use crate::{Error, Result};

/// Reads attributes of one type.
macro_rules! attribute {
    ($name:ident, $variant:ident, $type:ty, $words:literal, |$value:ident| $read:expr) => {
        #[doc = concat!("An attribute that is ", $words, ", if it is there.")]
        pub(crate) fn $name(&self, name: &str) -> Result<Option<$type>> {
            match self.0.get(name) {
                None => Ok(None),
                Some(Attribute::$variant($value)) => Ok(Some($read)),
                Some(_) => Err(Error::Operator(format!(
                    concat!("expected attribute `{}` to be ", $words),
                    name
                ))),
            }
        }
    };
}

impl Attributes {
    attribute!(int, Int, i64, "an integer", |value| *value);
    attribute!(float, Float, f64, "a number", |value| *value);
    attribute!(text, Text, &str, "text", |value| value);
    attribute!(ints, Ints, &[i64], "a list of integers", |value| value);
    attribute!(floats, Floats, &[f64], "a list of numbers", |value| value);
    attribute!(texts, Texts, &[String], "a list of texts", |value| value);
    attribute!(tensor, Tensor, &TensorData, "a tensor", |value| value);
    attribute!(graph, Graph, &NetworkGraph, "a graph", |value| value);
    attribute!(kinds, Kinds, &[FieldKind], "kinds", |value| value);

    /// Whether an integer attribute is there and not 0.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    /// Tensors around the node that graphs among the attributes read.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        let graphs = self.0.values().filter_map(|attribute| match attribute {
            Attribute::Graph(graph) => Some(graph),
            _ => None,
        });
        // A name that the inner graph makes itself is nowhere else: names are unique.
        graphs.flat_map(|graph| {
            let reads = graph
                .nodes
                .iter()
                .flat_map(|node| Box::new(node.reads()) as Box<dyn Iterator<Item = &str>>);
            reads.chain(graph.outputs.iter().map(String::as_str))
        })
    }
}
