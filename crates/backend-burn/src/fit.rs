//! Fitting: from a task, a module and training data to an influence model.

mod digest;
mod ground;
mod observe;

use std::{num::NonZero, path::Path, sync::Arc, thread};

use burn::tensor::{Device, Tensor};
use influence_core::{
    BlockInfluence, Dataset, Error as CoreError, Footprint, Precision, Result as CoreResult,
    block::{Block, BlockStructure, Damping},
    solver::{Direct, Solver},
};

use crate::{
    Batch, Curvature, Gradients, Kronecker, ModelGradients, Stack, Task, curvature::TrainingData,
    engine::float_type, parameters, saved, trace::ModuleTrace,
};
use ground::{Ground, Method};

pub(crate) use observe::Watch;
pub use observe::{FitObserver, FitStep};

/// The influence model of a burn model.
pub type Influence = BlockInfluence<ModelGradients>;

/// How many samples are used to check per-sample gradients against batches of one.
const CHECKED_SAMPLES: usize = 3;
/// Below what Kronecker factors themselves leave out, by orders of magnitude.
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
/// let up = influence.scores_array(&factors, &influence.gradients(&train.batch(0..4)?)?)?;
/// assert_eq!(up.shape(), [2, 4]);
/// assert!(up[[0, 0]] > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fit<T> {
    task: T,
    curvature: Curvature,
    method: Method,
    damping: Damping,
    tolerance: f64,
    blocks: Option<BlockStructure>,
    precision: Precision,
    batch_size: usize,
    memory: usize,
    device: Device,
    threads: Option<NonZero<usize>>,
    watch: Watch,
    compared_with_burn: bool,
}

impl<T: Task> Fit<T> {
    /// The Hessian over all parameters, solved directly with a damping of 0.1, in 32-bit floats on the default device.
    pub fn new(task: T) -> Self {
        Self {
            task,
            curvature: Curvature::default(),
            method: Method::Solver(Arc::new(Direct)),
            damping: Damping::from(0.1),
            tolerance: TOLERANCE,
            blocks: None,
            precision: Precision::default(),
            batch_size: 256,
            memory: 1 << 30,
            device: Device::default(),
            threads: None,
            watch: Watch::default(),
            compared_with_burn: true,
        }
    }

    /// Uses this curvature.
    #[must_use]
    pub fn with_curvature(self, curvature: Curvature) -> Self {
        Self { curvature, ..self }
    }

    /// Inverts the curvature with this solver.
    #[must_use]
    pub fn with_solver(self, solver: impl Solver<Stack> + 'static) -> Self {
        Self {
            method: Method::Solver(Arc::new(solver)),
            ..self
        }
    }

    /// Approximates the curvature of each layer through its Kronecker factors instead of solving with it.
    ///
    /// The curvature must be a Fisher matrix, and the blocks layers, as they are unless others are given.
    #[must_use]
    pub fn with_kronecker(self, kronecker: Kronecker) -> Self {
        Self {
            method: Method::Kronecker(kronecker),
            ..self
        }
    }

    /// Adds λ to the mean curvature, one for all blocks or one for each.
    #[must_use]
    pub fn with_damping(self, damping: impl Into<Damping>) -> Self {
        Self {
            damping: damping.into(),
            ..self
        }
    }

    /// Allows scores this relative error where Kronecker factors are inverted, 1e-4 unless told otherwise; with 0 they are inverted exactly.
    ///
    /// Within it, the inverse of a wide layer is taken as a sum of few Kronecker products: influences of points that meet the layer at a single
    /// position then cost several times less. The reports of factors say how much of the right-hand side is left, as their residual.
    /// Layers, and data, for which that would not pay are inverted exactly.
    #[must_use]
    pub fn with_tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Takes the curvature between these blocks as zero. Unless they are given, solvers have one block, Kronecker factors one per layer.
    #[must_use]
    pub fn with_blocks(self, blocks: BlockStructure) -> Self {
        Self {
            blocks: Some(blocks),
            ..self
        }
    }

    /// Computes in this precision; 64-bit needs a device that has it.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Goes over the training data in batches of this many samples; the last may be smaller, samples count alike.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// Grants this many bytes to per-sample gradients kept between passes over the data; beyond it they are computed anew.
    #[must_use]
    pub fn with_gradient_memory(self, bytes: usize) -> Self {
        Self {
            memory: bytes,
            ..self
        }
    }

    /// Computes on this device, wherever the model and the data are.
    #[must_use]
    pub fn with_device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The number of Kronecker factors that are decomposed side by side; one for each core where this is not given.
    #[must_use]
    pub fn with_threads(self, threads: NonZero<usize>) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// Lets `observer` watch the fit, and what iterates over the training data later.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn FitObserver>) -> Self {
        Self {
            watch: Watch(Some(observer)),
            ..self
        }
    }

    /// Skips the comparison of the recorded gradient with the one that burn's autodiff gives for the module itself.
    ///
    /// Recording does not see `detach`, nor code that asks whether its device has autodiff; the comparison, on a few samples, is
    /// what finds that out.
    #[must_use]
    pub fn trusting_the_recording(self) -> Self {
        Self {
            compared_with_burn: false,
            ..self
        }
    }

    /// Fits the influence model.
    ///
    /// The model is recorded in inference mode (no dropout, batch norm with its running statistics) with its parameters as
    /// they are now; parameters set to require no gradients are frozen.
    /// Iterative solvers keep the handle on the training data and read it when they solve; direct ones do not.
    ///
    /// # Errors
    /// [`Setting`](influence_core::Error::Setting) and the block errors for settings that do not fit the model,
    /// [`Backend`](influence_core::Error::Backend) with a [`crate::Error`] as its source when the model cannot be recorded or its samples
    /// interact, [`Dataset`](influence_core::Error::Dataset) when the data cannot be read or do not fit the task.
    pub fn fit(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<Influence> {
        self.ground(module, train)?.fit()
    }

    /// Fits the influence model, and keeps in a file what was expensive to find out, whatever the damping.
    ///
    /// The file is safetensors, written whole or not at all; its header says what the fit was made from, the model and the data as digests.
    /// What a method computes anew each time it solves (conjugate gradients, for one) is not kept.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Dataset`](influence_core::Error::Dataset) with [`Error::Io`](crate::Error::Io) when the file cannot be written.
    pub fn fit_and_save(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
    ) -> CoreResult<Influence> {
        let ground = self.ground(module, train)?;
        let provenance = ground.provenance()?;
        let influence = ground.fit()?;
        let states = influence.prepared();
        let states =
            states.map(|(block, prepared)| Ok((block.name().to_owned(), prepared.state()?)));
        saved::write(
            path.as_ref(),
            &provenance,
            &states.collect::<CoreResult<Vec<_>>>()?,
        )?;
        Ok(influence)
    }

    /// The influence model that [`fit_and_save`](Self::fit_and_save) kept, to the bit, under the damping of these settings.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Dataset`](influence_core::Error::Dataset) with [`Error::FittedOtherwise`](crate::Error::FittedOtherwise), which
    /// names what differs, when the file was made with other settings, from another model or from other data.
    pub fn load(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        path: impl AsRef<Path>,
    ) -> CoreResult<Influence> {
        let ground = self.ground(module, train)?;
        let states = saved::read(path.as_ref(), &ground.provenance()?)?;
        ground.restore(&states)
    }

    /// What fitting and loading start from: gradients that are checked, and the curvature of each block.
    fn ground(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<Ground> {
        if let Curvature::Fisher { draws: 0, .. } = self.curvature {
            return Err(CoreError::Setting {
                name: "draws",
                requirement: "at least 1",
                got: "0".into(),
            });
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(CoreError::Setting {
                name: "tolerance",
                requirement: "at least 0 and below 1",
                got: self.tolerance.to_string(),
            });
        }
        let data = TrainingData::new(train, self.batch_size)?.watched(self.watch);
        let trace = Arc::new(ModuleTrace::new(self.task, module));
        let sample = data.head(CHECKED_SAMPLES)?;
        let source = ModelGradients::new(trace, &self.device, self.precision)?;
        let mut source = source.checked(self.curvature, &sample)?;
        if matches!(
            self.curvature,
            Curvature::GaussNewton | Curvature::Fisher { .. }
        ) {
            source = source.with_curved_outputs(&data.glimpse(0)?)?;
        }
        if self.compared_with_burn {
            source = source.compared_with_burn(&sample)?;
        }
        source.look_for_kinks(&data)?;
        let blocks = self.blocks.unwrap_or(match self.method {
            Method::Solver(_) => BlockStructure::Full,
            Method::Kronecker(_) => BlockStructure::LayerWise,
        });
        Ok(Ground {
            curvature: self.curvature,
            method: self.method,
            damping: self.damping,
            tolerance: self.tolerance,
            threads: threads(self.threads),
            blocks: blocks.resolve(source.layout())?,
            memory: self.memory,
            source,
            data,
        })
    }

    /// What the fitted model will take per sample; records the model and computes a few gradients, but fits nothing.
    ///
    /// Factors are counted as plain numbers, from above: a fitted model [knows](influence_core::InfluenceModel::footprint) when they are compact.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), for what is found out by recording.
    pub fn footprint(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
    ) -> CoreResult<Footprint> {
        let sample = TrainingData::new(train, self.batch_size)?.head(CHECKED_SAMPLES)?;
        let trace = Arc::new(ModuleTrace::new(self.task, module));
        let source = ModelGradients::new(trace, &self.device, self.precision)?;
        let factors = Gradients::dense(Tensor::zeros(
            [1, source.layout().dim()],
            (&source.device, float_type(self.precision)),
        ));
        Ok(source
            .footprint_of(&sample, &factors)?
            .with_solver(self.method.stacks()))
    }

    /// Bytes that the fit takes, an estimate from above; records the model and computes a few gradients, but fits nothing.
    /// `dampings` is the number of inverses that are made of the fit.
    ///
    /// These are the matrices, bases and factors of the method; per-sample gradients that are kept come [on top](Self::with_gradient_memory).
    ///
    /// # Errors
    /// As [`fit`](Self::fit), for what is found out by recording.
    pub fn fit_bytes(
        self,
        module: &T::Module,
        train: Arc<dyn Dataset<Batch = Batch>>,
        dampings: usize,
    ) -> CoreResult<usize> {
        let Method::Solver(solver) = &self.method else {
            let trusting = self.trusting_the_recording();
            return trusting.ground(module, train)?.kronecker_bytes(dampings);
        };
        let blocks = self.blocks.unwrap_or(BlockStructure::Full);
        let blocks = blocks.resolve(&parameters(module))?;
        let of_block = |block: &Block| solver.fit_bytes(block.dim(), self.precision, dampings);
        Ok(blocks.iter().map(of_block).fold(0, usize::saturating_add))
    }
}

/// As many as are given, else as there are cores.
fn threads(given: Option<NonZero<usize>>) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    given.map_or_else(cores, NonZero::get)
}
