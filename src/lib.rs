//! Influence functions for [burn](https://burn.dev) models: *which training points made this model say this?*
//!
//! This crate is the face of the workspace. [`backend`] turns an unmodified burn module into an influence model, [`calculators`] map
//! it over chunks of data, sequentially or in parallel, into memory or into Zarr, [`data`] reads samples
//! from files, and [`foundation`] holds the traits and the numerics on which all of them stand and on
//! which other backends can be built.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through WebGPU; `cuda` NVIDIA GPU.
//! Off by default: `object-store` Zarr at `file://` and `memory://`; `s3`, `gcs`, `azure` and `http` (for reading) at those URLs.

pub use influence_backend_burn as backend;
pub use influence_calculators as calculators;
// Not `core`: a glob import of this crate would hide the language's own from derive macros.
pub use influence_core as foundation;
pub use influence_data as data;

pub use backend::{
    ArrayDataset, BurnDataset, Classification, Curvature, Evaluator, Fit, Influence, Kronecker,
    OutputLoss, Outputs, Regression, Task, batch_of, device,
};
pub use calculators::{
    AssumeThreadSafe, Calculator, Cancellation, Location, Observer, Parallel, Prefetch, Sequential,
    StoredFactors, StoredInfluences, ZarrField, ZarrOptions,
};
pub use data::{FieldDataset, NpyDataset, NpyField, SafetensorsField};
pub use foundation::{
    Batch, ByBlock, Chunk, ChunkGrid, Dataset, ErasedModel, FieldSource, InfluenceModel,
    Perturbation, Precision, Scale, Scaled, Selected, Sweep, TensorConverter, ThreadSafe,
    Trajectory, Values,
    aggregate::{
        self, Aggregator, Along, ArgMax, Concatenate, Counts, GroupSum, Histogram, Max, Mean, Min,
        Order, Quantiles, TopK,
    },
    block::{BlockStructure, CustomBlocks, Damping, Strength},
    erase,
    solver::{
        self, Arnoldi, ConjugateGradient, Direct, Identity, InverseHarmonicMean, Jacobi, Lissa,
        Nystroem,
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
