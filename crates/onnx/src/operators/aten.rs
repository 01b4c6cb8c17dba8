//! The operators of PyTorch (`aten`) in terms of those of ONNX.
//!
//! An operator here names the arguments of PyTorch's schema, and says which operators of ONNX
//! compute the same. These run as they do in a file of ONNX, on values: there is one convolution.
//! What only moves numbers is done by the values themselves. Overloads of an operator differ in
//! their arguments only, so one function serves all; so do variants that overwrite their first
//! argument, since nodes give the result a name of its own.

mod activation;
mod arguments;
mod attention;
mod convolution;
mod creation;
mod elementwise;
mod indexing;
mod linear;
mod loss;
mod normalisation;
mod pooling;
mod recurrent;
mod reduction;
mod shape;
mod symbolic;

use super::{Operator, Run};

/// The operator of a name such as `add.Tensor`.
pub(super) fn find(name: &str) -> Option<Operator> {
    let name = arguments::base(name);
    let run = elementwise::find(name)
        .or_else(|| activation::find(name))
        .or_else(|| attention::find(name))
        .or_else(|| convolution::find(name))
        .or_else(|| creation::find(name))
        .or_else(|| indexing::find(name))
        .or_else(|| linear::find(name))
        .or_else(|| loss::find(name))
        .or_else(|| normalisation::find(name))
        .or_else(|| pooling::find(name))
        .or_else(|| recurrent::find(name))
        .or_else(|| reduction::find(name))
        .or_else(|| shape::find(name))
        .or_else(|| symbolic::find_size(name));
    run.map(Operator::smooth)
}

/// The operator of a name with which a program computes sizes from sizes.
pub(super) fn find_symbolic(name: &str) -> Option<Operator> {
    symbolic::find(name).map(Operator::smooth)
}
