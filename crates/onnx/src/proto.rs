//! The messages of an ONNX file, as far as they are read.
//!
//! Field numbers and types are those of version 3 of the format's schema. Messages are declared
//! here, so that building needs neither the schema nor its compiler. Fields that are not declared
//! are skipped when a file is read.

use prost::Message;

/// A file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(string, tag = "2")]
    pub(crate) producer: String,
    #[prost(string, tag = "3")]
    pub(crate) producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    /// The version of each set of operators.
    #[prost(message, repeated, tag = "8")]
    pub(crate) operators: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata: Vec<EntryProto>,
    #[prost(message, repeated, tag = "25")]
    pub(crate) functions: Vec<FunctionProto>,
}

/// A set of operators, and its version.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

/// A key with its value.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntryProto {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// Nodes and the tensors that they read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) tensors: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) inputs: Vec<ValueProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) outputs: Vec<ValueProto>,
    /// What the exporter says of further values.
    #[prost(message, repeated, tag = "13")]
    pub(crate) values: Vec<ValueProto>,
    #[prost(message, repeated, tag = "15")]
    pub(crate) sparse: Vec<Skipped>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) metadata: Vec<EntryProto>,
}

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(crate) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) operator: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attributes: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
    #[prost(message, repeated, tag = "9")]
    pub(crate) metadata: Vec<EntryProto>,
}

/// An attribute of an operation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(float, tag = "2")]
    pub(crate) float: f32,
    #[prost(int64, tag = "3")]
    pub(crate) int: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) text: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(crate) tensor: Option<TensorProto>,
    #[prost(message, optional, boxed, tag = "6")]
    pub(crate) graph: Option<Box<GraphProto>>,
    #[prost(float, repeated, tag = "7")]
    pub(crate) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(crate) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(crate) texts: Vec<Vec<u8>>,
    /// Which of them it is.
    #[prost(int32, tag = "20")]
    pub(crate) kind: i32,
}

/// Numbers, in the file or beside it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) sides: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) kind: i32,
    #[prost(float, repeated, tag = "4")]
    pub(crate) floats: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(crate) ints: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) longs: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) raw: prost::bytes::Bytes,
    #[prost(double, repeated, tag = "10")]
    pub(crate) doubles: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(crate) unsigned: Vec<u64>,
    /// Where the numbers are, if beside the file.
    #[prost(message, repeated, tag = "13")]
    pub(crate) external: Vec<EntryProto>,
    /// 1 if they are beside the file.
    #[prost(int32, tag = "14")]
    pub(crate) location: i32,
}

/// What is said of a value by its name.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<TypeProto>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metadata: Vec<EntryProto>,
}

/// The type of a value; only tensors are read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<TensorType>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<ShapeProto>,
}

/// The axes of a tensor.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sides: Vec<SideProto>,
}

/// The length of an axis: a number, a name, or nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SideProto {
    #[prost(int64, optional, tag = "1")]
    pub(crate) length: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) name: Option<String>,
}

/// A function of the file: an operator made of others.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FunctionProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "10")]
    pub(crate) domain: String,
}

/// A message whose contents are not read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Skipped {}
