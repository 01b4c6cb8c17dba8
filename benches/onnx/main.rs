//! Networks read from files beside the same networks written by hand: how long loading takes, and
//! the gradients of samples.
//!
//! ```sh
//! python benches/onnx/export.py FOLDER
//! cargo bench --bench onnx -- FOLDER
//! ```

mod models;

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use influence::onnx::{LossKind, Measurement, NetworkFile, NetworkLoss, NetworkTask, ReadSettings};
use influence::{
    ArrayDataset, Batch, Classification, Dataset, Fit, Identity, Influence, InfluenceModel,
    OutputLoss, Outputs, Task,
};
use models::{Gpt, ResNet};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often each is timed, after a first time that is not counted.
const TIMES: usize = 7;

fn main() -> Outcome<()> {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench");
    let folder = folder.ok_or("usage: FOLDER, with resnet18.onnx and gpt2.onnx")?;
    let folder = Path::new(&folder);
    residual(folder)?;
    transformer(folder)
}

fn residual(folder: &Path) -> Outcome<()> {
    const SAMPLES: usize = 8;
    let pixels = (0..SAMPLES * 3 * 64 * 64).map(|place| (0.37 * place as f32).sin());
    let images = TensorData::new(pixels.collect::<Vec<f32>>(), [SAMPLES, 3, 64, 64]);
    let classes = TensorData::new((0_i64..8).collect::<Vec<i64>>(), [SAMPLES]);
    let data = ArrayDataset::new(vec![images, classes])?;
    let read = opened(
        &folder.join("resnet18.onnx"),
        LossKind::CrossEntropy,
        vec![3, 64, 64],
        &data,
    )?;
    let module = ResNet::new(&Device::flex());
    let task = Classification::new(|module: &ResNet, images: Tensor<4>| module.forward(images));
    let written = Fit::new(task)
        .with_solver(Identity)
        .with_damping(1.0)
        .fit(&module, Arc::new(data.clone()))?;
    compare(
        "ResNet-18, 8 images of 64 x 64",
        &read,
        &written,
        &data.batch(0..SAMPLES)?,
    )
}

fn transformer(folder: &Path) -> Outcome<()> {
    const SAMPLES: usize = 8;
    let tokens = (0_i64..8 * 64).map(|place| place * 7919 % 1000);
    let tokens = TensorData::new(tokens.collect::<Vec<i64>>(), [SAMPLES, 64]);
    let data = ArrayDataset::new(vec![tokens])?;
    let read = opened(
        &folder.join("gpt2.onnx"),
        LossKind::NextToken,
        vec![64],
        &data,
    )?;
    let module = Gpt::new(&Device::flex());
    let written = Fit::new(NextToken)
        .with_solver(Identity)
        .with_damping(1.0)
        .fit(&module, Arc::new(data.clone()))?;
    compare(
        "GPT-2 of two layers, 8 sequences of 64 tokens",
        &read,
        &written,
        &data.batch(0..SAMPLES)?,
    )
}

/// A model of a file, fitted; says how long loading took.
fn opened(
    path: &Path,
    loss: LossKind,
    sample: Vec<usize>,
    data: &ArrayDataset,
) -> Outcome<Influence> {
    let start = Instant::now();
    let model = NetworkFile::read(path, &ReadSettings::default())?;
    let read = start.elapsed();
    let task = NetworkTask::new(&model, NetworkLoss::new(loss), Measurement::Loss, &[sample])?;
    println!(
        "{}: read in {read:.2?}, with a trial on samples {:.2?}",
        path.display(),
        start.elapsed()
    );
    let network = model.network(&Device::flex());
    let fit = Fit::new(task).with_solver(Identity).with_damping(1.0);
    Ok(fit.fit(&network, Arc::new(data.clone()))?)
}

/// Times the gradients of both, in turns.
fn compare(name: &str, read: &Influence, written: &Influence, batch: &Batch) -> Outcome<()> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=TIMES {
        for (model, times) in [read, written].into_iter().zip(&mut times) {
            let start = Instant::now();
            let gradients = model.gradients(batch)?;
            let took = start.elapsed().as_secs_f64();
            drop(gradients);
            if round > 0 {
                times.push(took);
            }
        }
    }
    let [read, written] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[TIMES / 2]
    });
    println!(
        "{name}: gradients of the file {:.0} ms, of the module {:.0} ms, ratio {:.2}",
        1e3 * read,
        1e3 * written,
        read / written
    );
    Ok(())
}

/// Cross-entropy of each token given those before it.
struct NextToken;

impl Task for NextToken {
    type Module = Gpt;
    type Inputs = (Tensor<2, Int>,);

    fn loss(&self, module: &Gpt, (tokens,): Self::Inputs) -> Tensor<1> {
        let [_, positions] = tokens.dims();
        let logits = module.forward(tokens.clone()).narrow(1, 0, positions - 1);
        let targets = tokens.narrow(1, 1, positions - 1);
        let chosen: Tensor<2> = log_softmax(logits, 2)
            .gather(2, targets.unsqueeze_dim(2))
            .squeeze_dim(2);
        chosen.neg().mean_dim(1).squeeze_dim(1)
    }

    fn outputs(&self, module: &Gpt, (tokens,): Self::Inputs) -> Option<Outputs> {
        let [_, positions] = tokens.dims();
        let logits = module.forward(tokens).narrow(1, 0, positions - 1);
        let classes = logits.dims()[2];
        Some(Outputs::new(
            logits.flatten(1, 2),
            OutputLoss::SequenceCrossEntropy { classes },
        ))
    }
}
