//! Fitting: from a task, a module and training data to an influence model.

mod digest;
mod kinks;
mod problem;
mod segmented;
mod traced;
mod unrolled;

use std::{io, num::NonZero, path::Path, sync::Arc};

use burn::tensor::Device;
use influence_core::{
    Dataset, Footprint, Precision, Result as CoreResult,
    block::{BlockStructure, Damping, Strength},
    solver::{Direct, PreconditionedSolver, Solver},
    summation::{Alone, Summation},
};

use crate::{
    Batch, Curvature, FitObserver, Kronecker, Stack, Task,
    observe::FitProgress,
    trace::{ModuleTrace, Trace},
};
pub use problem::Influence;
use problem::InversionMethod;
pub use segmented::SegmentedTraining;
pub use traced::TracedFit;

/// Well below what Kronecker factors themselves leave out.
const TOLERANCE: f64 = 1e-4;

/// Settings of an influence model, ready to be fitted.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, TensorData}};
/// use influence_backend_burn::{ArrayDataset, Classification, Curvature, Fit};
/// use influence_core::{Dataset, InfluenceModel};
///
/// #[derive(Module, Debug)]
/// struct Softmax { layer: Linear }
///
/// let model = Softmax { layer: LinearConfig::new(2, 3).init(&Device::flex()) };
/// let inputs = TensorData::new(vec![0.1_f32, 0.9, 0.8, 0.2, 0.5, 0.4, 0.3, 0.3], [4, 2]);
/// let train = ArrayDataset::new(vec![inputs, TensorData::new(vec![0_i64, 1, 2, 0], [4])])?;
///
/// let influence = Fit::new(Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x)))
///     .with_curvature(Curvature::GaussNewton)
///     .with_damping(0.01)
///     .fit(&model, Arc::new(train.clone()))?;
/// let factors = influence.factors(&train.batch(0..2)?)?.converged()?;
/// let up = influence.scores(&factors, &influence.gradients(&train.batch(0..4)?)?)?;
/// assert_eq!(up.shape(), [2, 4]);
/// assert!(up[[0, 0]] > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fit<T> {
    subject: T,
    settings: Settings,
}

/// A model behind a [`Trace`], see [`Fit::of`].
#[derive(Debug)]
pub struct Traced(Arc<dyn Trace>);

/// All settings of a fit.
#[derive(Debug)]
struct Settings {
    curvature: Curvature,
    method: InversionMethod,
    damping: Damping,
    cut_off: Option<Strength>,
    tolerance: f64,
    blocks: Option<BlockStructure>,
    precision: Precision,
    batch_size: usize,
    memory: usize,
    device: Device,
    threads: Option<NonZero<usize>>,
    summation: Arc<dyn Summation>,
    watch: FitProgress,
    compared_with_burn: bool,
    exact_residuals: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            curvature: Curvature::default(),
            method: InversionMethod::Solver(Arc::new(Direct)),
            damping: Damping::from(0.1),
            cut_off: None,
            tolerance: TOLERANCE,
            blocks: None,
            precision: Precision::default(),
            batch_size: 256,
            memory: 1 << 30,
            device: Device::default(),
            threads: None,
            summation: Arc::new(Alone),
            watch: FitProgress::default(),
            compared_with_burn: true,
            exact_residuals: false,
        }
    }
}

impl<T> Fit<T> {
    /// Uses this curvature.
    #[must_use]
    pub fn with_curvature(mut self, curvature: Curvature) -> Self {
        self.settings.curvature = curvature;
        self
    }

    /// Inverts the curvature with this solver.
    #[must_use]
    pub fn with_solver(mut self, solver: impl Solver<Stack> + 'static) -> Self {
        self.settings.method = InversionMethod::Solver(Arc::new(solver));
        self
    }

    /// Approximates the curvature of each layer through its Kronecker factors instead of solving
    /// with it.
    ///
    /// The curvature must be a Fisher matrix, and each block a layer, which is the default.
    #[must_use]
    pub fn with_kronecker(mut self, kronecker: Kronecker) -> Self {
        self.settings.method = InversionMethod::Kronecker(kronecker);
        self
    }

    /// Inverts the curvature with a solver that iterates, and Kronecker factors as its
    /// preconditioner, which take the place of another one.
    ///
    /// The factors are those of the curvature if it is a Fisher matrix; for the Hessian and the
    /// Gauss-Newton matrix, those of the Fisher matrix with a label drawn for each sample, which
    /// needs the [outputs](Task::outputs) of the task. There is one block, of all parameters.
    #[must_use]
    pub fn with_preconditioned_solver(
        mut self,
        solver: impl PreconditionedSolver<Stack> + 'static,
        kronecker: Kronecker,
    ) -> Self {
        self.settings.method = InversionMethod::Preconditioned(Arc::new(solver), kronecker);
        self
    }

    /// Adds λ to the mean curvature, one for all blocks or one for each.
    #[must_use]
    pub fn with_damping(mut self, damping: impl Into<Damping>) -> Self {
        self.settings.damping = damping.into();
        self
    }

    /// Inverts the curvature of each block along the eigenvectors of its larger eigenvalues alone:
    /// those above this, or above this times the mean eigenvalue, see
    /// [`CutOff`](influence_core::solver::CutOff). For [`Direct`],
    /// [`Diagonal`](influence_core::solver::Diagonal) and Kronecker factors, which are then
    /// inverted exactly.
    #[must_use]
    pub fn with_cut_off(mut self, cut_off: Strength) -> Self {
        self.settings.cut_off = Some(cut_off);
        self
    }

    /// Allows scores this relative error where Kronecker factors are inverted, 1e-4 by default;
    /// with 0 they are inverted exactly.
    ///
    /// Within this error, the inverse of a wide layer is a sum of few Kronecker products:
    /// influences of points that meet the layer at a single position then cost several times less.
    /// The report of each factor has the true residual. Layers, and data, for which that is not
    /// cheaper are inverted exactly.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.settings.tolerance = tolerance;
        self
    }

    /// Takes the curvature between these blocks as zero. Unless they are given, solvers have one
    /// block, Kronecker factors one per layer.
    #[must_use]
    pub fn with_blocks(mut self, blocks: BlockStructure) -> Self {
        self.settings.blocks = Some(blocks);
        self
    }

    /// Computes in this precision; 64-bit needs a device that has it.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.settings.precision = precision;
        self
    }

    /// Goes over the training data in batches of this many samples; the last may be smaller, and
    /// all samples have the same weight. Kronecker factors are fitted in smaller batches where the
    /// activations of a sample are large.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.settings.batch_size = batch_size;
        self
    }

    /// Reports the residual of each row against the exact matrix that the curvature is or stands
    /// for, over all parameters: the Hessian, or else the Gauss-Newton matrix. Kronecker factors,
    /// low ranks and blocks then show what they leave out, for a pass over the training data per
    /// stack of rows; see [`with_reference`](influence_core::BlockInfluence::with_reference).
    #[must_use]
    pub fn with_exact_residuals(mut self) -> Self {
        self.settings.exact_residuals = true;
        self
    }

    /// Keeps up to this many bytes of per-sample gradients between passes over the data; the others
    /// are computed again in each pass.
    #[must_use]
    pub fn with_gradient_memory(mut self, bytes: usize) -> Self {
        self.settings.memory = bytes;
        self
    }

    /// Computes on this device, wherever the model and the data are.
    #[must_use]
    pub fn with_device(mut self, device: Device) -> Self {
        self.settings.device = device;
        self
    }

    /// The number of Kronecker factors that are decomposed side by side; as many as the thread pool
    /// of the caller has threads where this is not given.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.settings.threads = Some(threads);
        self
    }

    /// Adds up the sums over the training data with this, and so perhaps with other processes; by
    /// default [`Alone`]. No bit of the fit depends on it.
    #[must_use]
    pub fn with_summation(mut self, summation: Arc<dyn Summation>) -> Self {
        self.settings.summation = summation;
        self
    }

    /// Reports the progress of the fit to `observer`, and later that of solvers that iterate over
    /// the training data.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn FitObserver>) -> Self {
        self.settings.watch = FitProgress(Some(observer));
        self
    }

    /// Skips the comparison of the recorded gradient with one computed without the recording: by
    /// burn's autodiff of the module itself.
    ///
    /// Recording does not see `detach`, nor code that asks whether its device has autodiff; the
    /// comparison, on a few samples, finds both.
    #[must_use]
    pub fn trusting_the_recording(mut self) -> Self {
        self.settings.compared_with_burn = false;
        self
    }
}

impl<T: Task> Fit<T> {
    /// The Hessian over all parameters, solved directly with a damping of 0.1, in 32-bit floats on
    /// the default device.
    pub fn new(task: T) -> Self {
        Self {
            subject: task,
            settings: Settings::default(),
        }
    }

    /// The same settings for the trace of a module.
    fn traced(self, module: &T::Module) -> Fit<Traced> {
        Fit {
            subject: Traced(Arc::new(ModuleTrace::new(self.subject, module))),
            settings: self.settings,
        }
    }

    /// Fits the influence model.
    ///
    /// The model is recorded in inference mode (no dropout, batch norm with its running statistics)
    /// with its parameters as they are now; parameters set to require no gradients are frozen.
    /// Iterative solvers keep the handle on the training data and read them when they solve; direct
    /// ones do not.
    ///
    /// # Errors
    /// [`Setting`](influence_core::Error::Setting) and the block errors for settings that do not
    /// fit the model, [`Backend`](influence_core::Error::Backend) with a [`crate::Error`] as its
    /// source when the model cannot be recorded or its samples interact,
    /// [`Dataset`](influence_core::Error::Dataset) when the data cannot be read or do not fit the
    /// task.
    pub fn fit(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<Influence> {
        self.traced(module).on(train).fit()
    }

    /// Fits the influence model, and keeps the expensive part, which does not depend on the
    /// damping, in a file.
    ///
    /// The file is safetensors, written whole or not at all; its header has the settings of the fit
    /// and digests of the model and the data. Methods that compute everything when they solve, such
    /// as conjugate gradients, keep nothing.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit); [`Dataset`](influence_core::Error::Dataset) with
    /// [`Error::Io`](crate::Error::Io) when the file cannot be written.
    pub fn fit_and_save(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
    ) -> CoreResult<Influence> {
        self.traced(module).on(train).fit_and_save(path)
    }

    /// As [`fit_and_save`](Self::fit_and_save), for a fit that is kept elsewhere than in a file,
    /// such as in an object store: `write` is given the path and the bytes.
    ///
    /// # Errors
    /// Those of [`fit_and_save`](Self::fit_and_save).
    pub fn fit_and_save_by(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
        write: &dyn Fn(&Path, &[u8]) -> io::Result<()>,
    ) -> CoreResult<Influence> {
        self.traced(module).on(train).fit_and_save_by(path, write)
    }

    /// The influence model that [`fit_and_save`](Self::fit_and_save) kept, to the bit, under the
    /// damping of these settings.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit); [`Dataset`](influence_core::Error::Dataset) with
    /// [`Error::FittedOtherwise`](crate::Error::FittedOtherwise), which names what differs, when
    /// the file was made with other settings, from another model or from other data.
    pub fn load(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
    ) -> CoreResult<Influence> {
        self.traced(module).on(train).load(path)
    }

    /// As [`load`](Self::load), of a fit that is kept elsewhere than in a file: `read` is given the
    /// path.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn load_by(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> CoreResult<Influence> {
        self.traced(module).on(train).load_by(path, read)
    }

    /// What the fitted model will take per sample; records the model and computes a few gradients,
    /// but fits nothing.
    ///
    /// Factors are counted as dense vectors, an upper bound: a fitted model
    /// [knows](influence_core::InfluenceModel::footprint) when they are compact.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit) that recording finds.
    pub fn footprint(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<Footprint> {
        self.traced(module).on(train).footprint()
    }

    /// Bytes that the fit takes, an upper bound; records the model and computes a few gradients,
    /// but fits nothing. `dampings` is the number of inverses that are made of the fit.
    ///
    /// These are the matrices, bases and factors of the method; per-sample gradients that are kept
    /// are [added](Self::with_gradient_memory).
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit) that recording finds.
    pub fn fit_bytes(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        dampings: usize,
    ) -> CoreResult<usize> {
        self.traced(module).on(train).fit_bytes(dampings)
    }
}
