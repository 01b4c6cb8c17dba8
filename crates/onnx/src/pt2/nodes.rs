//! The nodes of a program: from PyTorch's names to those of the graph, without changes in place and
//! without graphs in nodes.

use std::collections::{HashMap, HashSet};

use influence_core::FieldKind;

use crate::{
    Error, Result,
    error::malformed,
    graph::{Argument, Attribute, Attributes},
};

use super::schema::{self, OptionalName, Symbol, TensorMeta};

/// How deep graphs are in arguments of nodes.
const DEEPEST: usize = 16;

/// A node whose operator has not been looked up.
#[derive(Debug)]
pub(super) struct RawNode {
    pub(super) name: String,
    /// The operator without `torch.ops.`, such as `aten.add.Tensor`.
    pub(super) target: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Attributes,
}

/// What names of a program stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The values of the graph, by the names of the program.
    now: HashMap<String, String>,
    /// All names of the graph.
    taken: HashSet<String>,
    /// What a value became when it was changed in place.
    became: HashMap<String, String>,
    /// The value whose numbers a value shares, if they are not its own.
    shares: HashMap<String, String>,
    /// The values that share the numbers of one.
    sharers: HashMap<String, Vec<String>>,
    /// Values whose numbers were changed through another one, and the node that did.
    stale: HashMap<String, String>,
}

impl Names {
    /// Gives something of the program a name of the graph that is not taken.
    pub(super) fn define(&mut self, name: &str, wanted: &str) -> String {
        let mut given = wanted.to_owned();
        while !self.taken.insert(given.clone()) {
            given.push('\'');
        }
        self.now.insert(name.to_owned(), given.clone());
        given
    }

    /// Another name for a value.
    pub(super) fn alias(&mut self, name: &str, value: &str) {
        self.now.insert(name.to_owned(), value.to_owned());
    }

    /// The value for which a name stands.
    pub(super) fn get(&mut self, name: &str) -> Result<String> {
        let mut value = self.now.get(name).ok_or_else(|| {
            malformed(format_args!("nothing computes `{name}` before it is read"))
        })?;
        while let Some(next) = self.became.get(value) {
            value = next;
        }
        if let Some(by) = self.stale.get(value) {
            return Err(malformed(format_args!(
                "node `{by}` changes numbers in place that `{name}` shows too, which is read afterwards; save the program without changes in place: torch.export.save(program.run_decompositions({{}}), \"m.pt2\")"
            )));
        }
        let value = value.clone();
        // The next look-up need not follow the same changes.
        self.now.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// One value shows the numbers of another.
    fn share(&mut self, value: &str, of: &str) {
        let root = self.shares.get(of).map_or(of, String::as_str).to_owned();
        self.shares.insert(value.to_owned(), root.clone());
        self.sharers.entry(root).or_default().push(value.to_owned());
    }

    /// A value is changed in place: its names stand for the result from now on.
    fn change(&mut self, value: &str, result: &str, node: &str) {
        let root = self
            .shares
            .get(value)
            .map_or(value, String::as_str)
            .to_owned();
        let family = self.sharers.remove(&root).unwrap_or_default();
        for other in family
            .into_iter()
            .chain([root])
            .filter(|other| other != value)
        {
            self.stale.insert(other, node.to_owned());
        }
        self.became.insert(value.to_owned(), result.to_owned());
    }
}

/// Reads nodes one after another.
pub(super) struct NodeReader<'a> {
    pub(super) names: &'a mut Names,
    pub(super) nodes: Vec<RawNode>,
    depth: usize,
}

impl<'a> NodeReader<'a> {
    pub(super) fn new(names: &'a mut Names) -> Self {
        Self {
            names,
            nodes: Vec::new(),
            depth: 0,
        }
    }

    /// Reads the nodes of a graph.
    pub(super) fn graph(&mut self, graph: schema::GraphSchema) -> Result<()> {
        let kinds = kinds(&graph.tensor_values);
        for node in graph.nodes {
            if Self::is_region(&node) {
                self.region(node)?;
            } else {
                self.node(node, &kinds)?;
            }
        }
        Ok(())
    }

    fn node(
        &mut self,
        node: schema::NodeSchema,
        kinds: &HashMap<String, Option<FieldKind>>,
    ) -> Result<()> {
        let results = results(&node)?;
        let name = node.name.or_else(|| results.first().cloned());
        let name = name.unwrap_or_else(|| node.target.clone());
        let target = node.target.trim_start_matches("torch.ops.").to_owned();
        let (mut inputs, mut attributes) = (Vec::new(), Attributes::default());
        for argument in node.inputs {
            if let Some(value) = self.argument(argument.arg, &mut inputs, &target)? {
                attributes.0.insert(argument.name, value);
            }
        }
        let kinds = results
            .iter()
            .map(|result| kinds.get(result).copied().flatten());
        let kinds = kinds.map(|kind| kind.unwrap_or(FieldKind::Int)).collect();
        attributes
            .0
            .insert(Attribute::RESULTS.to_owned(), Attribute::Kinds(kinds));
        let define = |result: &String| match result.as_str() {
            "" => String::new(),
            result => self.names.define(result, result),
        };
        let outputs: Vec<String> = results.iter().map(define).collect();
        if let Some(first) = inputs.first() {
            if changes_in_place(&target) {
                if let Some(output) = outputs.first() {
                    self.names.change(first, output, &name);
                }
            } else if shares_numbers(&target) {
                for output in &outputs {
                    self.names.share(output, first);
                }
            }
        }
        self.nodes.push(RawNode {
            name,
            target,
            inputs,
            outputs,
            attributes,
        });
        Ok(())
    }

    /// The value of an argument; tensors and symbols are added to the inputs.
    fn argument(
        &mut self,
        argument: schema::ArgumentSchema,
        inputs: &mut Vec<String>,
        target: &str,
    ) -> Result<Option<Attribute>> {
        use schema::ArgumentSchema as From;
        let mut read = |name: &str| {
            inputs.push(self.names.get(name)?);
            Ok::<_, Error>(Argument::Input(inputs.len() - 1))
        };
        let mut symbol = |symbol: Symbol| match symbol {
            Symbol::AsName(name) => read(&name),
            Symbol::AsInt(number) => Ok(Argument::Number(number as f64)),
            Symbol::AsFloat(number) => Ok(Argument::Number(number.0)),
            Symbol::AsBool(flag) => Ok(Argument::Number(f64::from(u8::from(flag)))),
        };
        Ok(Some(match argument {
            From::AsNone(_)
            | From::AsMemoryFormat(_)
            | From::AsLayout(_)
            | From::AsDevice(_)
            | From::AsOperator(_)
            | From::AsOptionalTensor(OptionalName::AsNone(_)) => return Ok(None),
            From::AsTensor(tensor) => Attribute::Arguments(vec![read(&tensor.name)?]),
            From::AsTensors(tensors) => Attribute::Arguments(
                tensors
                    .iter()
                    .map(|tensor| read(&tensor.name))
                    .collect::<Result<_>>()?,
            ),
            From::AsOptionalTensor(OptionalName::AsTensor(tensor)) => {
                Attribute::Arguments(vec![read(&tensor.name)?])
            }
            From::AsOptionalTensors(tensors) => {
                let each = tensors.iter().map(|tensor| match tensor {
                    OptionalName::AsTensor(tensor) => read(&tensor.name),
                    OptionalName::AsNone(_) => Ok(Argument::None),
                });
                Attribute::Arguments(each.collect::<Result<_>>()?)
            }
            From::AsInt(number) | From::AsScalarType(number) => Attribute::Int(number),
            From::AsInts(numbers) => Attribute::Ints(numbers),
            From::AsFloat(number) => Attribute::Float(number.0),
            From::AsFloats(numbers) => {
                Attribute::Floats(numbers.into_iter().map(|number| number.0).collect())
            }
            From::AsBool(flag) => Attribute::Int(i64::from(flag)),
            From::AsBools(flags) => Attribute::Ints(flags.into_iter().map(i64::from).collect()),
            From::AsString(text) => Attribute::Text(text),
            From::AsStrings(texts) => Attribute::Texts(texts),
            From::AsSymInt(one) | From::AsSymFloat(one) | From::AsSymBool(one) => {
                Attribute::Arguments(vec![symbol(one)?])
            }
            From::AsSymInts(all) | From::AsSymFloats(all) | From::AsSymBools(all) => {
                Attribute::Arguments(all.into_iter().map(symbol).collect::<Result<_>>()?)
            }
            From::AsGraph(_) => {
                return Err(Error::UnknownOperators(format!(
                    "{target} computes with a graph that depends on its arguments, which is not supported; export the network without control flow"
                )));
            }
        }))
    }

    /// Whether a node is a part of the program in which derivatives are switched on or off.
    fn is_region(node: &schema::NodeSchema) -> bool {
        node.target.contains("wrap_with_set_grad_enabled")
            || node.target.contains("wrap_with_autocast")
    }

    /// Writes the nodes of a region in place of it. Where derivatives are off, its results have
    /// none.
    fn region(&mut self, node: schema::NodeSchema) -> Result<()> {
        if self.depth == DEEPEST {
            return Err(malformed(
                "graphs are nested too deep in arguments of nodes",
            ));
        }
        let results = results(&node)?;
        let cuts = node.target.contains("set_grad")
            && matches!(node.inputs.first(), Some(first) if matches!(first.arg, schema::ArgumentSchema::AsBool(false)));
        let (mut graph, mut operands) = (None, Vec::new());
        for argument in node.inputs {
            match argument.arg {
                schema::ArgumentSchema::AsGraph(body) => graph = Some(body.graph),
                schema::ArgumentSchema::AsTensor(tensor) if graph.is_some() => {
                    operands.push(tensor.name);
                }
                schema::ArgumentSchema::AsSymInt(Symbol::AsName(name)) if graph.is_some() => {
                    operands.push(name);
                }
                _ => {}
            }
        }
        let mut graph = graph.ok_or_else(|| malformed("a region without nodes"))?;
        let operands: Vec<String> = operands
            .iter()
            .map(|name| self.names.get(name))
            .collect::<Result<_>>()?;
        // Names in the region are its own.
        let outside = self.names.now.clone();
        for (input, operand) in graph.inputs.iter().flat_map(named).zip(&operands) {
            self.names.alias(&input, operand);
        }
        let inner: Vec<String> = graph.outputs.iter().flat_map(named).collect();
        graph.outputs.clear();
        self.depth += 1;
        self.graph(graph)?;
        self.depth -= 1;
        let inner: Vec<String> = inner
            .iter()
            .map(|name| self.names.get(name))
            .collect::<Result<_>>()?;
        self.names.now = outside;
        for (result, value) in results.iter().zip(inner) {
            if cuts {
                let output = self.names.define(result, result);
                self.nodes.push(detaching(value, output));
            } else {
                self.names.alias(result, &value);
            }
        }
        Ok(())
    }
}

/// A node whose result has no derivative.
fn detaching(value: String, output: String) -> RawNode {
    let own = Attribute::Arguments(vec![Argument::Input(0)]);
    RawNode {
        name: output.clone(),
        target: "aten.detach.default".to_owned(),
        inputs: vec![value],
        outputs: vec![output],
        attributes: Attributes([("self".to_owned(), own)].into()),
    }
}

/// The names of the results of a node, lists of them one after the other.
fn results(node: &schema::NodeSchema) -> Result<Vec<String>> {
    let results = node.outputs.iter().map(|output| match output {
        schema::ArgumentSchema::AsNone(_) => Ok(vec![String::new()]),
        other => {
            let names = named(other);
            if names.is_empty() {
                return Err(malformed(format_args!(
                    "{} has a result that is no tensor",
                    node.target
                )));
            }
            Ok(names)
        }
    });
    Ok(results.collect::<Result<Vec<_>>>()?.concat())
}

/// The names of tensors and symbols in an argument.
pub(super) fn named(argument: &schema::ArgumentSchema) -> Vec<String> {
    use schema::ArgumentSchema as From;
    match argument {
        From::AsTensor(tensor) => vec![tensor.name.clone()],
        From::AsTensors(tensors) => tensors.iter().map(|tensor| tensor.name.clone()).collect(),
        From::AsSymInt(Symbol::AsName(name))
        | From::AsSymFloat(Symbol::AsName(name))
        | From::AsSymBool(Symbol::AsName(name)) => vec![name.clone()],
        _ => Vec::new(),
    }
}

fn kinds(
    values: &std::collections::BTreeMap<String, TensorMeta>,
) -> HashMap<String, Option<FieldKind>> {
    let kind = |(name, meta): (&String, &TensorMeta)| (name.clone(), kind_of(meta.dtype));
    values.iter().map(kind).collect()
}

/// The kind of a type in PyTorch's numbering.
pub(crate) fn kind_of(dtype: i64) -> Option<FieldKind> {
    Some(match dtype {
        6 | 7 | 8 | 13 => FieldKind::Float,
        1..=5 | 28 | 34 | 35 => FieldKind::Int,
        12 => FieldKind::Bool,
        _ => return None,
    })
}

/// The name of an operator of the set `aten`, without its overload.
fn base(target: &str) -> &str {
    target.split('.').nth(1).unwrap_or(target)
}

/// Whether an operator overwrites its first argument, by PyTorch's rule for names.
fn changes_in_place(target: &str) -> bool {
    let base = base(target);
    base.ends_with('_') && !base.starts_with("__")
}

/// Whether the result of an operator may be the numbers of its first argument, in another shape.
fn shares_numbers(target: &str) -> bool {
    matches!(
        base(target),
        "alias"
            | "chunk"
            | "contiguous"
            | "detach"
            | "diagonal"
            | "dropout"
            | "expand"
            | "expand_as"
            | "feature_dropout"
            | "flatten"
            | "lift_fresh"
            | "mT"
            | "matrix_H"
            | "movedim"
            | "narrow"
            | "numpy_T"
            | "permute"
            | "reshape"
            | "reshape_as"
            | "select"
            | "slice"
            | "split"
            | "split_with_sizes"
            | "squeeze"
            | "swapaxes"
            | "swapdims"
            | "t"
            | "tensor_split"
            | "to"
            | "transpose"
            | "type_as"
            | "unbind"
            | "unflatten"
            | "unfold"
            | "unsqueeze"
            | "view"
            | "view_as"
    )
}
