//! `influence demo`: which training digits helped and harmed, and which of them are mislabelled.

mod digits;
mod findings;
mod train;

use std::{io::Write, num::NonZero, sync::Arc};

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use influence_backend_burn::{Classification, Curvature, Fit, Influence, device};
use influence_calculators::{Calculator, Parallel, ZarrOptions};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::{Map, Value, json};

use crate::{args::DemoArguments, model::Sequential, plan::check_output, progress::Progress, report::Phases};
use digits::{IMAGES, LABELS, Split};
use findings::Findings;

/// λ: below the bulk of the curvature of this network, where flipped labels are found best.
const DAMPING: f64 = 0.02;
const TEST_CHUNK: usize = 64;
const TRAIN_CHUNK: usize = 256;

/// Runs the demonstration and prints what it found.
///
/// # Errors
/// When the output is in the way, or whatever the computation reports.
pub fn run(arguments: &DemoArguments, out: &mut impl Write) -> Result<()> {
    check_output(&arguments.output, arguments.overwrite)?;
    let mut phases = Phases::default();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(arguments.seed);
    let split = Split::new(&mut random)?;
    let [train, test] = [&split.train, &split.test];
    let device = open_device()?;
    writeln!(
        out,
        "{} training digits, {} of them given a wrong label on purpose; {} test digits",
        train.len(),
        train.flipped_count(),
        test.len()
    )?;
    let model = phases.time("train", || train::train(train, &device, &mut random))?;
    let influence = phases.time("fit", || fit(&model, &split, &device))?;
    let threads = arguments.threads.and_then(|threads| NonZero::new(usize::try_from(threads).ok()?));
    let calculator = Parallel::new(influence, threads)?;
    phases.time("influences", || write(&calculator, &split, arguments))?;
    let findings = phases.time("findings", || Findings::collect(&calculator, &split))?;
    findings.print(&split, &train::predict(&model, test, &device)?, out)?;
    writeln!(out, "\n{}", phases.line())?;
    let (k, n, path) = (test.len(), train.len(), arguments.output.display());
    writeln!(out, "wrote {path}: array `influences` of shape ({k}, {n}), test by train")?;
    Ok(())
}

/// The CPU where there is one, else whatever there is.
fn open_device() -> Result<Device> {
    let available = device::available();
    Ok(device::open(available.first().map_or("cpu", String::as_str))?)
}

fn fit(model: &Sequential, split: &Split, device: &Device) -> Result<Influence> {
    let task = Classification::new(|model: &Sequential, x: Tensor<2>| model.forward(x));
    let fit = Fit::new(task).with_curvature(Curvature::GaussNewton).with_damping(DAMPING).with_device(device.clone());
    Ok(fit.fit(model, Arc::new(split.train.dataset()?))?)
}

fn write(calculator: &impl Calculator<Model = Influence>, split: &Split, arguments: &DemoArguments) -> Result<()> {
    let (train, test) = (split.train.dataset()?, split.test.dataset()?);
    let progress = Progress::new("influences");
    let options = ZarrOptions::default().with_attributes(attributes(arguments.seed));
    let options = if arguments.overwrite { options.overwriting() } else { options };
    let influences = calculator.influences(&test, &train).with_chunks(TEST_CHUNK, TRAIN_CHUNK)?;
    influences.with_observer(&progress).to_zarr(&arguments.output, &options)?;
    Ok(())
}

/// The same facts under the same names as those of `influence run`.
fn attributes(seed: u64) -> Map<String, Value> {
    let facts = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "method": "direct",
        "curvature": "gauss-newton",
        "damping": DAMPING,
        "blocks": "full",
        "loss": "cross-entropy",
        "precision": "f32",
        "device": "cpu",
        "seed": seed,
        "digests": { "images": crate::digest::of_bytes(IMAGES), "labels": crate::digest::of_bytes(LABELS) },
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}
