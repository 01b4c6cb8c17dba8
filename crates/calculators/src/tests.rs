mod axes;
mod bank;
mod crash;
mod damage;
mod durable;
mod failing;
mod failure;
mod field;
mod formats;
mod groups;
mod job;
mod location;
mod locking;
mod model;
mod overwrite;
mod prefetch;
mod program;
mod replicas;
mod resume;
mod settings;
mod shares;
mod sources;
#[cfg(feature = "object-store")]
mod stores;
mod thread_safety;
mod verification;
#[cfg(feature = "http")]
mod web;
mod zarr;

use std::{fs, path::PathBuf, sync::Arc};

use influence_core::{
    BlockInfluence,
    aggregate::Concatenate,
    solver::Direct,
    testing::{LeastSquares, Samples, SamplesDataset},
};
use ndarray::ArrayD;
use zarrs::storage::{ReadableWritableListableStorage, store::MemoryStore};

use crate::{Calculator, Result};

const DIM: usize = 4;
const DAMPING: f64 = 0.1;

/// A model, test points and train points; the model is fitted to `fitted`, which is the same for
/// all numbers of points.
struct Problem {
    model: BlockInfluence<LeastSquares>,
    fitted: Samples,
    test: SamplesDataset,
    train: SamplesDataset,
}

fn problem(k: usize, n: usize) -> influence_core::Result<Problem> {
    let fitted = Samples::random(30, DIM, 1);
    let model = LeastSquares::random(DIM, 2).fit(&fitted, DAMPING, &Direct)?;
    let [test, train] =
        [(k, 3), (n, 4)].map(|(len, seed)| SamplesDataset(Samples::random(len, DIM, seed)));
    Ok(Problem {
        model,
        fitted,
        test,
        train,
    })
}

type Model = BlockInfluence<LeastSquares>;

fn whole<C>(calculator: &C, problem: &Problem, chunks: [usize; 2]) -> Result<ArrayD<f64>>
where
    C: Calculator,
    C::Model: influence_core::InfluenceModel<Batch = Samples>,
{
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(chunks[0], chunks[1])?;
    lazy.compute(Concatenate::new())
}

fn largest_difference(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.iter()
        .zip(b)
        .fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// A separate folder for each test, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("influence-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn memory() -> ReadableWritableListableStorage {
    Arc::new(MemoryStore::new())
}
