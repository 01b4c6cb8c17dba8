//! The error type of the burn backend.

/// What can go wrong between a burn model and its gradients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model uses an operation that the graph engine does not evaluate.
    ///
    /// Express it through operations that it knows, or open an issue that names it.
    #[error("the model uses the operation `{operation}`, which is not supported")]
    Unsupported {
        /// The operation's name in burn's intermediate representation.
        operation: String,
    },

    /// The captured graph refers to a tensor that has no value.
    #[error("the captured graph reads tensor {tensor}, which has no {kind} value")]
    MissingTensor {
        /// The tensor's id.
        tensor: u64,
        /// Whether a float, int or bool tensor was asked for.
        kind: &'static str,
    },

    /// A forward pass could not be recorded.
    #[error("the model could not be recorded on a batch of {samples}: {message}")]
    Capture {
        /// The number of samples in the batch.
        samples: usize,
        /// What burn says.
        message: String,
    },

    /// The tensor library gave up; class indices or token ids out of range are a common cause.
    #[error("evaluating the model failed: {message}")]
    Engine {
        /// What it says.
        message: String,
    },

    /// A loss or output of the task has the wrong shape.
    #[error("{what} of a batch of {samples} must have shape {expected}, got {got:?}")]
    TaskShape {
        /// Which function of the task.
        what: &'static str,
        /// The number of samples in the batch.
        samples: usize,
        /// The shape it must have.
        expected: String,
        /// The shape that came.
        got: Vec<usize>,
    },

    /// A batch of training samples that the unrolled training did not read at the places where the
    /// batch says that they are.
    #[error(
        "a training that is unrolled has influences of its own {samples} samples alone; the batch holds others, or does not say where it begins"
    )]
    NotOfTheTraining {
        /// The samples of the training.
        samples: usize,
    },

    /// The batch does not have the fields that the task reads.
    #[error("field {field} of the batch must be {expected}, got {got}")]
    Field {
        /// Position of the field in the batch.
        field: usize,
        /// What the task reads.
        expected: String,
        /// What came.
        got: String,
    },

    /// The core refuses a batch or its numbers.
    #[error(transparent)]
    Core(#[from] influence_core::Error),

    /// The curvature needs something that the task does not declare.
    #[error(
        "the curvature {curvature} needs the task to declare its outputs and their loss; implement Task::outputs, or use curvature = \"hessian\" (indefinite away from a minimum: it takes a larger damping) or \"empirical-fisher\""
    )]
    NoOutputs {
        /// The curvature that was asked for.
        curvature: &'static str,
    },

    /// The model does not declare outputs, or not their weights.
    #[error("the task does not declare its outputs and their loss; implement Task::outputs")]
    Undeclared,

    /// The outputs of a task are not computed in its loss.
    ///
    /// The second derivative of the loss by the outputs is taken from the recorded loss, in which
    /// the outputs are found by the operations that compute them. Call one function from
    /// [`Task::loss`](crate::Task::loss) and [`Task::outputs`](crate::Task::outputs); a change of
    /// shape may follow.
    #[error(
        "the outputs that the task declares are not found in its loss: compute them by the same operations in Task::outputs as in Task::loss, best by one function that both call"
    )]
    OutputsOutsideLoss,

    /// The loss depends on a trained parameter by a way that does not lead through the outputs, so
    /// that `Jᵀ H J` would leave something out.
    ///
    /// Declare all outputs of which the loss is taken, side by side; say a penalty on parameters as
    /// damping, or use the Hessian.
    #[error(
        "the loss depends on `{parameter}` not through the outputs alone, so that gauss-newton and fisher would leave that out: declare all outputs of which the loss is taken, side by side; say a penalty on parameters as damping; or use the curvature hessian"
    )]
    LossBesideOutputs {
        /// The first parameter.
        parameter: String,
    },

    /// The loss is a linear function of the outputs for all samples looked at, so that Gauss-Newton
    /// and Fisher matrices are zero.
    ///
    /// Log-probabilities, for example: declare the logits they are computed from. A piecewise
    /// linear loss has no such curvature.
    #[error(
        "the loss is a linear function of the outputs that the task declares, so that gauss-newton and fisher are zero: declare what comes before it, such as logits in place of log-probabilities; for a loss that is piecewise linear use another curvature"
    )]
    LinearInOutputs,

    /// Too many outputs interact for a second derivative that is not known in closed form.
    ///
    /// Declare the loss of which it is a multiple,
    /// [`SequenceCrossEntropy`](crate::OutputLoss::SequenceCrossEntropy) for what acts on each
    /// position.
    #[error(
        "the loss has {width} outputs that interact, and its second derivative is that of no loss known in closed form; it is formed for at most {most}: declare a loss by position (sequence-cross-entropy, whatever it is at each position), or use the curvature hessian or empirical-fisher"
    )]
    OutputsInteract {
        /// Outputs of a sample.
        width: usize,
        /// The most of which it is formed.
        most: usize,
    },

    /// The second derivative of the loss by the outputs has entries that are not finite.
    #[error(
        "the second derivative of the loss by the outputs is not finite: the loss overflows, or is taken where it has no derivative, such as a logarithm or root of zero"
    )]
    OutputsNotFinite,

    /// The loss is not convex in the outputs, so that its second derivative is no covariance.
    #[error(
        "the loss is not convex in the outputs of every sample, so that no labels can be drawn and neither Kronecker factors nor leverages be formed: use the curvature gauss-newton with a solver and without leverage, or hessian or empirical-fisher"
    )]
    NotConvex,

    /// The loss or outputs of a sample depend on the other samples of its batch.
    #[error(
        "the result of a sample changes with the batch it is in (sample {sample}: {alone} alone, {together} in a batch); influence is defined per sample: use batch norm in inference mode and no other mixing across the batch"
    )]
    SamplesInteract {
        /// The sample that differs most.
        sample: usize,
        /// Its loss, or the output that differs, in a batch of one.
        alone: f64,
        /// The same in the batch.
        together: f64,
    },

    /// burn's own autodiff gives another gradient than the recorded graph.
    ///
    /// Recording does not see `detach`, nor code that asks whether its device has autodiff. Remove
    /// it, freeze the parameters concerned, or, if gradients are meant to flow, skip the comparison
    /// with [`Fit::trusting_the_recording`](crate::Fit::trusting_the_recording).
    #[error(
        "the gradient of `{parameter}` differs from the one that burn's autodiff gives; recording does not see `detach`, nor code that depends on the device having autodiff: remove it, freeze the parameters, or, if gradients are meant to flow, skip the comparison (Fit::trusting_the_recording, or compute.check_gradient = false)"
    )]
    GradientMismatch {
        /// The first parameter that differs.
        parameter: String,
    },

    /// A device was asked for that this build does not have.
    #[error("unknown device `{name}`; this build has {}{hint}", available.join(", "))]
    UnknownDevice {
        /// The name that came.
        name: String,
        /// The devices compiled in.
        available: Vec<String>,
        /// What to do about it, if that is known.
        hint: String,
    },

    /// A device was asked for by the number of this process among those on its machine, and
    /// nothing tells that number.
    #[error(
        "device `{name}`: none of OMPI_COMM_WORLD_LOCAL_RANK, MPI_LOCALRANKID and SLURM_LOCALID is set; start the process by mpirun or srun, or name a device, such as cuda:0"
    )]
    NoLocalRank {
        /// The name that came.
        name: String,
    },

    /// There is nothing that the device could compute on.
    #[error(
        "the device wgpu cannot be opened: {problem}; install the driver of the GPU, or a Vulkan that computes on the CPU (mesa-vulkan-drivers on Debian), or use the device cpu"
    )]
    NoAdapter {
        /// What was said when it was opened.
        problem: String,
    },

    /// The device cannot compute in the precision that was asked for.
    #[error("the device {device} does not support {precision}; use f32, or a CPU device")]
    Precision {
        /// The device.
        device: String,
        /// The precision.
        precision: &'static str,
    },

    /// The outputs do not fall into positions.
    #[error("outputs of width {width} do not fall into positions of {classes} classes each")]
    OutputWidth {
        /// Classes of a position.
        classes: usize,
        /// Outputs of a sample.
        width: usize,
    },

    /// A file is no fitted state.
    #[error("{}: not a fitted state: {problem}", path.display())]
    NoFittedState {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A fitted state was made from another model, other data or other settings. Fit again, or go
    /// back to those.
    #[error("{}: the state was fitted with {key} {saved}, now it is {current}; fit again, or go back to that", path.display())]
    FittedOtherwise {
        /// The file.
        path: std::path::PathBuf,
        /// What differs.
        key: String,
        /// As it was when the state was fitted.
        saved: String,
        /// As it is.
        current: String,
    },

    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's account.
        source: std::io::Error,
    },
}

/// A result whose error is the burn backend's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for influence_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            Error::Io { .. }
            | Error::NoFittedState { .. }
            | Error::FittedOtherwise { .. }
            | Error::Field { .. } => Self::dataset(error),
            other => Self::backend("burn backend", other),
        }
    }
}
