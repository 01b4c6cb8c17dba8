//! Networks in ONNX files through the real binary, against torch in float64.

#[path = "../support/difference.rs"]
mod difference;
#[path = "../support/npy.rs"]
mod npy;

mod begin;
mod network;
mod refused;
mod trained;
mod values;
