//! Influence functions for [burn](https://burn.dev) models: *which training points made this model
//! say this?*
//!
//! ```text
//!  your burn module, your loss ──▶ Task ─┐
//!  training data ──▶ Dataset ────────────┴▶ Fit ──▶ Influence: (H + λI)⁻¹, for any test point
//!                                                      │
//!  test points, training points ──▶ Calculator ◀───────┘
//!                     Sequential | Parallel
//!                            │  lazy: nothing runs yet
//!                            ├──▶ an aggregator: top-k, means, the whole matrix
//!                            └──▶ Zarr, chunk by chunk, from data that do not fit into memory
//! ```
//!
//! `up[i, j] = ⟨(H + λI)⁻¹ g(test_i), g(train_j)⟩`, with `g` the gradient of one sample's loss, `H`
//! the curvature as the mean over training samples, `λ` the damping. Positive is helpful: leaving
//! training point `j` out raises the loss on test point `i` by about `up[i, j] / n`.
//!
//! # Example
//! The training points that helped most, in chunks, on all cores.
//! ```
//! use std::sync::Arc;
//! use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, TensorData}};
//! use influence::{
//!     Along, ArrayDataset, Calculator, Classification, Curvature, Fit, Order, Parallel, TopK,
//! };
//!
//! #[derive(Module, Debug)]
//! struct Mlp { first: Linear, last: Linear }
//!
//! impl Mlp {
//!     fn forward(&self, x: Tensor<2>) -> Tensor<2> {
//!         self.last.forward(self.first.forward(x).tanh())
//!     }
//! }
//!
//! let device = Device::flex();
//! let model = Mlp {
//!     first: LinearConfig::new(2, 8).init(&device),
//!     last: LinearConfig::new(8, 3).init(&device),
//! };
//! let data = |n: usize| {
//!     let x: Vec<f32> = (0..2 * n).map(|i| (i as f32).sin()).collect();
//!     let y: Vec<i64> = (0..n as i64).map(|i| i % 3).collect();
//!     ArrayDataset::new(vec![TensorData::new(x, [n, 2]), TensorData::new(y, [n])])
//! };
//! let (train, test) = (data(60)?, data(4)?);
//!
//! let influence = Fit::new(Classification::new(|model: &Mlp, x: Tensor<2>| model.forward(x)))
//!     .with_curvature(Curvature::GaussNewton)
//!     .with_damping(0.01)
//!     .fit(&model, Arc::new(train.clone()))?;
//!
//! let parallel = Parallel::new(influence, None)?;
//! let lazy = parallel.influences(&test, &train).with_chunks(2, 16)?; // nothing has run yet
//! let helpful = lazy.compute(TopK::new(5, Order::Largest, Along::Train))?;
//! assert_eq!(helpful.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! | module | what it is for |
//! |---|---|
//! | [`backend`] | turns an unmodified burn module into an influence model |
//! | [`calculators`] | maps it over chunks of data, sequentially or in parallel, into memory or Zarr |
//! | [`cluster`] | shares a fit among processes, and keeps how far it is |
//! | [`data`] | reads samples from files |
//! | [`onnx`] | networks in files, `.onnx` and `.pt2`, as burn modules |
//! | [`foundation`] | traits and numerics, on which other backends can be built |
//!
//! # Features
//! `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda`
//! NVIDIA GPU. Off by default: `object-store` Zarr at `file://` and `memory://`; `s3`, `gcs`,
//! `azure` and `http` (for reading) at those URLs.

pub use influence_backend_burn as backend;
pub use influence_calculators as calculators;
pub use influence_cluster as cluster;
// Not `core`: a glob import of this crate would hide the language's own from derive macros.
pub use influence_core as foundation;
pub use influence_data as data;
pub use influence_onnx as onnx;

pub use backend::{
    ArrayDataset, BurnDataset, Classification, Curvature, EvaluatedOutputs, Evaluator, Fit,
    GatherSamples, Influence, Kronecker, LeverageCorrected, OutputLoss, Outputs, ProximalBregman,
    ProximalResponse, Regression, Segmentation, SegmentedTraining, Task, TrainingStep,
    TrainingSteps, Unrolled, UpdateRule, batch_of, device,
};
pub use calculators::{
    AssumeThreadSafe, Calculator, Cancellation, Location, Observer, Parallel, Prefetch,
    SampleSource, Sequential, Share, SideSource, StoredFactors, StoredInfluences, ZarrField,
    ZarrOptions,
};
pub use data::{FieldDataset, NpyDataset, NpyField, SafetensorsField};
pub use foundation::{
    Batch, ByBlock, Chunk, ChunkGrid, Dataset, ErasedModel, FieldSource, GroupBatch, Groups,
    InfluenceModel, Perturbation, Precision, RelativeInfluence, RelativeTo, Scale, Scaled,
    SegmentedUnrolling, Selected, Sweep, TensorConverter, ThreadSafe, TrainingSegment, Trajectory,
    Values,
    aggregate::{
        self, Aggregator, Along, ArgMax, Concatenate, Counts, GroupSum, Histogram, Max, Mean, Min,
        Order, Quantiles, TopK,
    },
    block::{BlockStructure, CustomBlocks, Damping, Strength},
    erase,
    solver::{
        self, Arnoldi, ConjugateGradient, Diagonal, Direct, Identity, InverseHarmonicMean, Jacobi,
        Lissa, Nystroem,
    },
};

/// The README and the guide in `docs/`, whose examples are compiled and run.
#[cfg(doctest)]
mod guide {
    macro_rules! chapters {
        ($($name:ident $path:literal)*) => {
            $(
                #[doc = include_str!($path)]
                struct $name;
            )*
        };
    }

    chapters! {
        Readme "../README.md"
        GettingStarted "../docs/src/getting-started.md"
        Concepts "../docs/src/concepts.md"
        Methods "../docs/src/methods.md"
        Numbers "../docs/src/numbers.md"
        DataAndModels "../docs/src/data-and-models.md"
        ScalingUp "../docs/src/scaling-up.md"
        HowTo "../docs/src/how-to.md"
    }
}
