//! More data than memory: files read by range, a bound on memory, Zarr output. A run that is
//! interrupted and resumed ends with the same bytes.
//!
//! ```sh
//! cargo run --release --example out_of_core
//! ```

#[path = "support/digits.rs"]
mod digits;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use influence::{
    Along, Calculator, Cancellation, Chunk, Classification, Curvature, Fit, NpyDataset, Observer,
    Order, Parallel, StoredInfluences, TopK, ZarrOptions,
    calculators::{Error, zarr::verify},
};
use npyz::{WriteOptions, WriterBuilder};

use digits::{Digits, Outcome};

const DIGITS: usize = 1500;
/// The number of copies of the digits, each a little fainter.
const COPIES: u8 = 40;
const MEMORY: usize = 4 << 20;

#[derive(Module, Debug)]
struct Softmax {
    layer: Linear,
}

/// Ends a computation after this many chunks, like a signal.
struct StopAfter(AtomicUsize, Cancellation);

impl Observer for StopAfter {
    fn chunk_done(&self, _chunk: &Chunk) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.1.cancel();
        }
    }
}

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    write(&at("x.npy"), &at("y.npy"))?;
    let train = NpyDataset::open([at("x.npy"), at("y.npy")])?;
    let test = Digits::read(DIGITS..DIGITS + 50)?.dataset()?;

    Device::flex().seed(0);
    let model = Softmax {
        layer: LinearConfig::new(64, 10).init(&Device::flex()),
    };
    let influence = Fit::new(Classification::new(|model: &Softmax, x: Tensor<2>| {
        model.layer.forward(x)
    }))
    .with_curvature(Curvature::GaussNewton)
    .with_damping(0.01)
    .with_gradient_memory(MEMORY)
    .fit(&model, Arc::new(train.clone()))?;
    let parallel = Parallel::new(influence, None)?;
    // With this little memory the default would be many small chunks.
    let lazy = || {
        let lazy = parallel.influences(&test, &train).with_memory(MEMORY);
        lazy.with_chunks(50, 500)
    };

    let (plan, input) = (lazy()?.plan()?, fs::metadata(at("x.npy"))?.len());
    println!(
        "inputs of {} MiB, a plan of {} KiB: {} panels of the {:?} side, {} chunks",
        input >> 20,
        plan.peak_bytes() >> 10,
        plan.panels().len(),
        plan.held(),
        plan.grid().len()
    );
    assert!(plan.peak_bytes() <= MEMORY && input > 3 * MEMORY as u64);

    lazy()?.to_zarr(at("whole.zarr"), &ZarrOptions::default())?;

    let cancellation = Cancellation::new();
    let stop = StopAfter(
        AtomicUsize::new(plan.grid().len() / 3),
        cancellation.clone(),
    );
    let interrupted = lazy()?
        .with_observer(&stop)
        .with_cancellation(&cancellation);
    let outcome = interrupted.to_zarr(at("taken_up.zarr"), &ZarrOptions::default());
    assert!(matches!(outcome, Err(Error::Cancelled)));
    let missing = verify(at("taken_up.zarr"))?.missing.len();
    println!(
        "interrupted: {missing} of {} chunks are missing",
        plan.grid().len()
    );
    assert!(missing > 0 && missing < plan.grid().len());

    lazy()?.to_zarr(at("taken_up.zarr"), &ZarrOptions::default().resuming())?;
    assert!(verify(at("taken_up.zarr"))?.is_sound());
    let (whole, taken_up) = (files(&at("whole.zarr"))?, files(&at("taken_up.zarr"))?);
    assert_eq!(
        whole, taken_up,
        "the bytes of the run that was not interrupted"
    );
    println!(
        "taken up: {} files, the same bytes as without the interruption",
        whole.len()
    );

    // The output is reduced chunk by chunk, just as during the computation.
    let top = StoredInfluences::open(at("taken_up.zarr"))?.compute(TopK::new(
        3,
        Order::Largest,
        Along::Train,
    ))?;
    println!(
        "most helpful for the first test digit: {:?}",
        top[0].indices
    );
    Ok(())
}

/// Writes many copies of the digits, one part at a time.
fn write(inputs: &Path, targets: &Path) -> Outcome<()> {
    let digits = Digits::read(0..DIGITS)?;
    let n = (DIGITS * usize::from(COPIES)) as u64;
    let (x, y) = (
        WriteOptions::new().default_dtype(),
        WriteOptions::new().default_dtype(),
    );
    let mut x = x.shape(&[n, 64]).writer(File::create(inputs)?).begin_nd()?;
    let mut y = y.shape(&[n]).writer(File::create(targets)?).begin_nd()?;
    for copy in 0..COPIES {
        let fainter = 1.0 - f32::from(copy) / 100.0;
        x.extend(digits.pixels.iter().map(|pixel| pixel * fainter))?;
        y.extend(digits.labels.iter().copied())?;
    }
    x.finish()?;
    Ok(y.finish()?)
}

/// Every file of a folder, with its bytes.
fn files(folder: &Path) -> Outcome<BTreeMap<PathBuf, Vec<u8>>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(below)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}
