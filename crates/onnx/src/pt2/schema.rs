//! What an archive says of the program in it, as PyTorch's `torch/_export/serde/schema.py` has it.
//!
//! Fields that are not needed are skipped. A kind of argument that is not listed here is an error.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

/// The version of the format alone, which says whether the rest can be read.
#[derive(Debug, Deserialize)]
pub(super) struct Versioned {
    pub(super) schema_version: SchemaVersion,
    #[serde(default)]
    pub(super) torch_version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct SchemaVersion {
    pub(super) major: u64,
    pub(super) minor: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExportedProgram {
    pub(super) graph_module: GraphModule,
    /// The dialect of the operators: `TRAINING`, or `ATEN` of a program that was taken apart.
    #[serde(default)]
    pub(super) verifiers: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GraphModule {
    pub(super) graph: GraphSchema,
    pub(super) signature: Signature,
}

#[derive(Debug, Deserialize)]
pub(super) struct GraphSchema {
    pub(super) inputs: Vec<ArgumentSchema>,
    pub(super) outputs: Vec<ArgumentSchema>,
    pub(super) nodes: Vec<NodeSchema>,
    pub(super) tensor_values: BTreeMap<String, TensorMeta>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeSchema {
    pub(super) target: String,
    pub(super) inputs: Vec<NamedArgument>,
    pub(super) outputs: Vec<ArgumentSchema>,
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedArgument {
    pub(super) name: String,
    pub(super) arg: ArgumentSchema,
}

/// An argument of a node, or its result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the names of the format")]
pub(super) enum ArgumentSchema {
    AsNone(IgnoredAny),
    AsTensor(Name),
    AsTensors(Vec<Name>),
    AsOptionalTensor(OptionalName),
    AsOptionalTensors(Vec<OptionalName>),
    AsInt(i64),
    AsInts(Vec<i64>),
    AsFloat(FloatSchema),
    AsFloats(Vec<FloatSchema>),
    AsBool(bool),
    AsBools(Vec<bool>),
    AsString(String),
    AsStrings(Vec<String>),
    AsSymInt(Symbol),
    AsSymInts(Vec<Symbol>),
    AsSymFloat(Symbol),
    AsSymFloats(Vec<Symbol>),
    AsSymBool(Symbol),
    AsSymBools(Vec<Symbol>),
    AsScalarType(i64),
    AsMemoryFormat(IgnoredAny),
    AsLayout(IgnoredAny),
    AsDevice(IgnoredAny),
    AsOperator(IgnoredAny),
    AsGraph(Box<SubGraph>),
}

#[derive(Debug, Deserialize)]
pub(super) struct SubGraph {
    pub(super) graph: GraphSchema,
}

/// The name of a tensor.
#[derive(Debug, Deserialize)]
pub(super) struct Name {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptionalName {
    AsTensor(Name),
    AsNone(IgnoredAny),
}

/// A number that the program computes from shapes, or one that is given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the names of the format")]
pub(super) enum Symbol {
    AsName(String),
    AsInt(i64),
    AsFloat(FloatSchema),
    AsBool(bool),
}

/// A float; what JSON has no number for is written as text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(super) struct FloatSchema(pub(super) f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl TryFrom<NumberOrText> for FloatSchema {
    type Error = String;

    fn try_from(read: NumberOrText) -> Result<Self, String> {
        match read {
            NumberOrText::Number(number) => Ok(Self(number)),
            NumberOrText::Text(text) => match text.as_str() {
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                "NaN" => Ok(Self(f64::NAN)),
                _ => Err(format!("expected a number, got `{text}`")),
            },
        }
    }
}

/// What is known of a tensor.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TensorMeta {
    pub(super) dtype: i64,
    pub(super) sizes: Vec<SizeSchema>,
    pub(super) strides: Vec<SizeSchema>,
    pub(super) storage_offset: SizeSchema,
    pub(super) requires_grad: bool,
}

/// A length: a number, or an expression in symbols.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SizeSchema {
    AsInt(i64),
    AsExpr(Expression),
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Expression {
    pub(super) expr_str: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Signature {
    pub(super) input_specs: Vec<InputSpec>,
    pub(super) output_specs: Vec<OutputSpec>,
}

/// What an input of the graph is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InputSpec {
    UserInput {
        arg: ArgumentSchema,
    },
    Parameter {
        arg: Name,
        parameter_name: String,
    },
    Buffer {
        arg: Name,
        buffer_name: String,
    },
    TensorConstant {
        arg: Name,
        tensor_constant_name: String,
    },
    CustomObj(IgnoredAny),
    Token(IgnoredAny),
    ConstantInput(IgnoredAny),
}

/// What an output of the graph is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputSpec {
    UserOutput { arg: ArgumentSchema },
    LossOutput { arg: Name },
    BufferMutation(IgnoredAny),
    ParameterMutation(IgnoredAny),
    GradientToParameter(IgnoredAny),
    GradientToUserInput(IgnoredAny),
    UserInputMutation(IgnoredAny),
    Token(IgnoredAny),
}

/// Where the numbers of tensors are, by their names.
#[derive(Debug, Deserialize)]
pub(super) struct PayloadConfig {
    pub(super) config: BTreeMap<String, Payload>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    pub(super) path_name: String,
    #[serde(default)]
    pub(super) use_pickle: bool,
    pub(super) tensor_meta: Option<TensorMeta>,
}
