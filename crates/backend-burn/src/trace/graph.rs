//! Recordings, and the graphs that the engine evaluates.

use std::collections::BTreeMap;

use burn::{
    backend::{
        capture::TensorId,
        ir::{OperationIr, TensorIr},
    },
    tensor::TensorData,
};

use crate::{
    Error, OutputLoss, Result,
    taps::{Tap, Taps},
};

/// Which function of a model is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// The training loss of each sample, `(n)`.
    Loss,
    /// The quantity explained for each test sample, `(n)`; the loss by default.
    Measurement,
    /// The outputs `(n, c)` on which the loss acts.
    Outputs,
    /// The weights of the loss of the outputs, `(n, 1)` or `(n, positions)`.
    OutputWeights,
}

/// The computation of one function on a batch of one form, in burn's intermediate representation.
///
/// Ids are those of this recording only. Floats may be recorded in any type: they are computed in
/// the precision of the fit.
#[derive(Debug, Clone)]
pub struct Recording {
    /// In order of execution. A tensor that is read with the status `ReadWrite` is not read again.
    pub operations: Vec<OperationIr>,
    /// Tensors that are neither parameters nor fields of the batch nor results of operations.
    pub constants: Vec<(TensorId, TensorData)>,
    /// Which tensor is which parameter: an index into [`Trace::values`](super::Trace::values).
    pub parameters: Vec<(TensorId, usize)>,
    /// One tensor for each field of the batch, in order.
    pub inputs: Vec<TensorId>,
    /// The tensor with the result; an operation makes it.
    pub output: TensorId,
    /// The loss that is taken of the outputs, for a recording of [`Function::Outputs`].
    pub declared: Option<DeclaredOutputs>,
}

/// What a model declares about its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredOutputs {
    /// The loss of the outputs of a sample.
    pub loss: OutputLoss,
    /// Whether that loss has [weights](Function::OutputWeights).
    pub weighted: bool,
}

/// A recording whose result has the right shape, with the places where parameters are used.
#[derive(Debug)]
pub(crate) struct Graph {
    /// In order of execution.
    pub(crate) operations: Vec<OperationIr>,
    pub(crate) constants: Vec<(TensorId, TensorData)>,
    /// Which tensor is which parameter (index into the values of the trace).
    pub(crate) parameters: Vec<(TensorId, usize)>,
    /// One tensor for each field of the batch.
    pub(crate) inputs: Vec<TensorId>,
    /// The losses `(n)` or outputs `(n, c)`.
    pub(crate) output: TensorIr,
    pub(crate) declared: Option<DeclaredOutputs>,
    /// Where the trained parameters are used.
    pub(crate) taps: Taps,
}

impl Graph {
    /// The graph of a function recorded on this number of samples; the first `trained` of the
    /// parameters are trained.
    ///
    /// # Errors
    /// [`Error::TaskShape`] when the result is not shaped as that of the function must be,
    /// [`Error::MissingTensor`] when no operation makes it.
    pub(crate) fn new(
        recording: Recording,
        function: Function,
        trained: usize,
        samples: usize,
    ) -> Result<Self> {
        let Recording {
            operations,
            constants,
            parameters,
            inputs,
            output,
            declared,
        } = recording;
        let output = produced(&operations, output).ok_or(Error::MissingTensor {
            tensor: output.value(),
            kind: "output",
        })?;
        check_output(function, samples, &output)?;
        let of_trained = parameters.iter().filter(|&&(_, index)| index < trained);
        let of_trained: BTreeMap<TensorId, usize> = of_trained.copied().collect();
        let taps = Taps::find(&operations, &of_trained, &inputs, samples);
        Ok(Self {
            operations,
            constants,
            parameters,
            inputs,
            output,
            declared,
            taps,
        })
    }

    /// The tap of the operation at an index, if parameters are used there.
    pub(crate) fn tap(&self, operation: usize) -> Option<&Tap> {
        self.taps.at(operation)
    }
}

/// The description of a tensor by the operation that makes it.
fn produced(operations: &[OperationIr], id: TensorId) -> Option<TensorIr> {
    operations
        .iter()
        .flat_map(|operation| operation.outputs().cloned().collect::<Vec<_>>())
        .find(|tensor| tensor.id == id)
}

fn check_output(function: Function, samples: usize, output: &TensorIr) -> Result<()> {
    let shape = output.shape.to_vec();
    let (what, fits, expected) = match function {
        Function::Loss => ("the loss", shape == [samples], format!("[{samples}]")),
        Function::Measurement => (
            "the measurement",
            shape == [samples],
            format!("[{samples}]"),
        ),
        Function::Outputs => (
            "the outputs",
            shape.len() == 2 && shape[0] == samples,
            format!("[{samples}, outputs]"),
        ),
        Function::OutputWeights => (
            "the weights of the outputs",
            shape.len() == 2 && shape[0] == samples,
            format!("[{samples}, 1] or [{samples}, positions]"),
        ),
    };
    if fits {
        Ok(())
    } else {
        Err(Error::TaskShape {
            what,
            samples,
            expected,
            got: shape,
        })
    }
}
