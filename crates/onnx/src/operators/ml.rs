//! Operators of `ai.onnx.ml`: linear models and what is around them.
//!
//! The coefficients of linear models are attributes. Such a node is [expanded](expand) when a file
//! is read: into plain nodes, and tensors that are parameters like any other. What only prepares
//! the data, such as a scaler, keeps its numbers.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};
use influence_core::FieldKind;

use super::{Call, Operator, Slot, comparison::Relation, one, reduction::Reduction, standard};
use crate::{
    Error, Result,
    graph::{Attribute, GraphNode},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "Scaler" => Operator::smooth(scaler),
        "Normalizer" => Operator::smooth(normalizer),
        "ArrayFeatureExtractor" => Operator::through(extractor, &[0]),
        // A map for each sample has the numbers of a row.
        "ZipMap" => Operator::smooth(|call| Ok(one(call.value(0)?))),
        "LinearClassifier" | "LinearRegressor" => Operator::smooth(|_| {
            Err(Error::operator(
                "it is expanded when a file is read, and never run",
            ))
        }),
        _ => return None,
    })
}

/// Numbers of an attribute, one for each feature or one for all, along the last axis.
fn by_feature(call: &Call<'_>, name: &str, default: f64, known: bool) -> Result<Value> {
    let numbers = match call.node.attributes.floats(name)? {
        Some(numbers) => numbers.to_vec(),
        None => vec![default],
    };
    let count = numbers.len();
    let numbers = Value::known(TensorData::new(numbers, [count]), call.devices);
    if known {
        Ok(numbers)
    } else {
        numbers.away(call.devices)
    }
}

/// `(x − offset) · scale`.
fn scaler(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.value(0)?.cast(FieldKind::Float, call.devices);
    let offset = by_feature(call, "offset", 0.0, x.known)?;
    let scale = by_feature(call, "scale", 1.0, x.known)?;
    Ok(one(x.minus(offset)?.times(scale)?))
}

/// Rows divided by their norm; a row of zeros stays.
fn normalizer(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let x = call.value(0)?.cast(FieldKind::Float, call.devices);
    let axis = [x.axis(-1)?];
    let norm = match call.text("norm", "MAX")? {
        "MAX" => Reduction::Max,
        "L1" => Reduction::Absolute,
        "L2" => Reduction::Norm,
        other => return Err(Error::Operator(format!("the norm `{other}`"))),
    };
    let norm = norm.over(x.clone(), &axis, true)?;
    let nothing = Relation::Equal.with_number(norm.clone(), 0.0, call.devices);
    Ok(one(x.over(norm.fill(nothing, 1.0.into())?)?))
}

/// Entries of the last axis.
fn extractor(call: &mut Call<'_>) -> Result<Vec<Slot>> {
    let (value, places) = (call.value(0)?, call.value(1)?);
    let axis = value.axis(-1)?;
    let mut dims = value.dims();
    let count = places.dims().iter().product();
    let places = places.reshape(&[count])?.places(dims[axis])?;
    let [value, places] = Value::together([value, places], call.devices)?;
    let taken = value.select(axis, places.tensor);
    dims[axis] = count;
    if dims.len() == 1 {
        dims.insert(0, 1);
    }
    Ok(one(taken.reshape(&dims)?))
}

/// What stands for a node with coefficients among its attributes.
#[derive(Debug)]
pub(crate) struct Expansion {
    pub(crate) nodes: Vec<GraphNode>,
    /// Tensors by name.
    pub(crate) tensors: BTreeMap<String, TensorData>,
}

/// Takes a linear model of `ai.onnx.ml` apart: a product with `NODE.weight (outputs, features)`, to
/// which `NODE.bias` is added, then the transformation of the scores and the label of the highest.
/// Any other node stays.
///
/// # Errors
/// When its attributes contradict each other, or ask for a transformation that is not computed.
pub(crate) fn expand(node: GraphNode) -> Result<Expansion> {
    let outputs = match node.kind.as_str() {
        "LinearClassifier" => classes(&node)?,
        "LinearRegressor" => node.attributes.int("targets")?.unwrap_or(1),
        _ => {
            return Ok(Expansion {
                nodes: vec![node],
                tensors: BTreeMap::new(),
            });
        }
    };
    let outputs = usize::try_from(outputs).unwrap_or(0);
    let mut made = Made::new(&node);
    let result = |place: usize| node.outputs.get(place).filter(|name| !name.is_empty());
    let regression = node.kind == "LinearRegressor";
    let scores = made.linear(&node, outputs)?;
    let transformed = result(usize::from(!regression)).cloned();
    made.transformation(&node, &scores, transformed)?;
    if let Some(label) = result(0).filter(|_| !regression) {
        made.label(&node, &scores, label)?;
    }
    Ok(made.expansion)
}

/// How many classes a classifier has.
fn classes(node: &GraphNode) -> Result<i64> {
    let attributes = &node.attributes;
    let ints = attributes.ints("classlabels_ints")?.map(<[i64]>::len);
    let texts = attributes
        .texts("classlabels_strings")?
        .map(<[String]>::len);
    let labels = ints.filter(|&count| count > 0).or(texts).unwrap_or(0);
    let rows = attributes
        .floats("intercepts")?
        .map_or(labels, <[f64]>::len);
    if rows != labels || labels == 0 {
        return Err(node.error(format_args!(
            "{rows} intercepts and {labels} labels, expected one for each class"
        )));
    }
    i64::try_from(labels).map_err(|error| node.error(error))
}

/// The version of the nodes of an expansion: axes of reductions are attributes.
const VERSION: i64 = 17;

/// An expansion in the making.
struct Made {
    expansion: Expansion,
    name: String,
}

impl Made {
    fn new(node: &GraphNode) -> Self {
        Self {
            expansion: Expansion {
                nodes: Vec::new(),
                tensors: BTreeMap::new(),
            },
            name: node.name.clone(),
        }
    }

    fn node(
        &mut self,
        kind: &str,
        inputs: &[String],
        output: &str,
        attributes: Vec<(&str, Attribute)>,
    ) -> Result<()> {
        let inputs = inputs.iter().cloned().map(Some).collect();
        let node = standard::node(&self.name, (kind, VERSION), inputs, output, attributes)?;
        self.expansion.nodes.push(node);
        Ok(())
    }

    fn tensor(&mut self, part: &str, data: TensorData) -> String {
        let name = format!("{}.{part}", self.name);
        self.expansion.tensors.insert(name.clone(), data);
        name
    }

    /// The scores, by their name.
    fn linear(&mut self, node: &GraphNode, outputs: usize) -> Result<String> {
        let coefficients = node.attributes.floats("coefficients")?.unwrap_or_default();
        let features = coefficients.len().checked_div(outputs).unwrap_or(0);
        if features == 0 || features * outputs != coefficients.len() {
            return Err(node.error(format_args!(
                "{} coefficients of {outputs} outputs",
                coefficients.len()
            )));
        }
        let input = node.inputs.first().cloned().flatten();
        let input = input.ok_or_else(|| node.error("the input is missing"))?;
        let weight = TensorData::new(coefficients.to_vec(), [outputs, features]);
        let mut inputs = vec![input, self.tensor("weight", single(weight))];
        if let Some(intercepts) = node
            .attributes
            .floats("intercepts")?
            .filter(|all| !all.is_empty())
        {
            if intercepts.len() != outputs {
                return Err(node.error(format_args!(
                    "{} intercepts of {outputs} outputs",
                    intercepts.len()
                )));
            }
            let bias = TensorData::new(intercepts.to_vec(), [outputs]);
            inputs.push(self.tensor("bias", single(bias)));
        }
        let scores = format!("{}.scores", self.name);
        self.node(
            "Gemm",
            &inputs,
            &scores,
            vec![("transB", Attribute::Int(1))],
        )?;
        Ok(scores)
    }

    /// The scores as the model gives them.
    fn transformation(
        &mut self,
        node: &GraphNode,
        scores: &str,
        output: Option<String>,
    ) -> Result<()> {
        let kind = match node.attributes.text("post_transform")?.unwrap_or("NONE") {
            "NONE" => "Identity",
            "SOFTMAX" => "Softmax",
            "LOGISTIC" => "Sigmoid",
            other => {
                return Err(node.error(format_args!("post_transform `{other}` is not computed")));
            }
        };
        match output {
            Some(output) => self.node(kind, &[scores.to_owned()], &output, Vec::new()),
            None => Ok(()),
        }
    }

    /// The label of the highest score: its number, where labels are texts.
    fn label(&mut self, node: &GraphNode, scores: &str, output: &str) -> Result<()> {
        let along = vec![("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
        let labels = node
            .attributes
            .ints("classlabels_ints")?
            .filter(|all| !all.is_empty());
        let Some(labels) = labels else {
            return self.node("ArgMax", &[scores.to_owned()], output, along);
        };
        let place = format!("{}.place", self.name);
        self.node("ArgMax", &[scores.to_owned()], &place, along)?;
        let labels = TensorData::new(labels.to_vec(), [labels.len()]);
        let labels = self.tensor("labels", labels);
        self.node("Gather", &[labels, place], output, Vec::new())
    }
}

/// Numbers in 32 bits, as those of attributes are.
fn single(data: TensorData) -> TensorData {
    data.convert_dtype(DType::F32)
}
