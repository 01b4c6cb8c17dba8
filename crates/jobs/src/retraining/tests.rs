mod attributed;
mod bank;

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Result;
use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use influence_backend_burn::Classification;
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

use super::*;
use crate::{
    models::{ConfiguredModels, OwnModel},
    train::Trainer,
    watch::{Host, Unattended},
};

const INPUTS: usize = 5;
const POINTS: usize = 30;

const LAYERS: &str = r#"loss = "cross-entropy"
layers = [{ kind = "linear", name = "first", outputs = 6 }, { kind = "relu" }, { kind = "linear", name = "last", outputs = 3 }]"#;

/// A problem with three classes: its files, and configurations for some of its points.
struct Problem(tempfile::TempDir);

impl Problem {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A configuration whose training points are these.
    fn config(&self, name: &str, model: &str, points: &[usize]) -> Result<Config> {
        self.write(&format!("{name}.train"), points)?;
        self.write("test", &[31, 33, 35, 38])?;
        let text = format!(
            r#"seed = 3
[model]
weights = "{name}.safetensors"
{model}
[data.train]
inputs = "{name}.train.safetensors#x"
targets = "{name}.train.safetensors#y"
[data.test]
inputs = "test.safetensors#x"
targets = "test.safetensors#y"
[train]
optimiser = "sgd"
momentum = 0.9
weight_decay = 0.01
learning_rate = 0.1
epochs = 4
batch = 8
"#
        );
        fs::write(self.path("config.toml"), text)?;
        Config::load_for_training(&self.path("config.toml"), &[])
    }

    fn write(&self, name: &str, points: &[usize]) -> Result<()> {
        let inputs = |&point: &usize| {
            let inputs =
                (0..INPUTS).map(move |input| ((point * INPUTS + input) as f32 * 1.7).sin());
            inputs.flat_map(f32::to_le_bytes)
        };
        let x: Vec<u8> = points.iter().flat_map(inputs).collect();
        let classes = points
            .iter()
            .map(|point| i64::try_from(point * point % 3).unwrap_or(0));
        let y: Vec<u8> = classes.flat_map(i64::to_le_bytes).collect();
        let shape = vec![points.len(), INPUTS];
        let tensors = [
            ("x", TensorView::new(Dtype::F32, shape, &x)?),
            ("y", TensorView::new(Dtype::I64, vec![points.len()], &y)?),
        ];
        fs::write(
            self.path(&format!("{name}.safetensors")),
            serialize(tensors, None)?,
        )?;
        Ok(())
    }

    /// The weights in a file.
    fn weights(&self, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let bytes = fs::read(self.path(&format!("{name}.safetensors")))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let tensors = file
            .iter()
            .map(|(name, view)| (name.to_owned(), view.data().to_vec()));
        Ok(tensors.collect())
    }
}

fn all() -> Vec<usize> {
    (0..POINTS).collect()
}

/// Every other point, and three more.
fn some() -> Vec<usize> {
    let kept = |point: &usize| point.is_multiple_of(2) || [5, 7, 21].contains(point);
    (0..POINTS).filter(kept).collect()
}

/// The losses after the training on a subset without the other points.
fn losses(retraining: &Retraining<'_>, subset: &Subset, seed: u64) -> Result<Vec<f64>> {
    Ok(retraining.outcome(subset, Absence::Removed, seed)?.losses)
}

fn gives_the_bits_of_a_training_on_files_of_the_subset(
    model: &str,
    models: &dyn Models,
) -> Result<()> {
    let problem = Problem::new()?;
    let alone = problem.config("alone", model, &some())?;
    let watch = Unattended::default().watch();
    Trainer::new(&alone, models, false)?.train(&*watch)?;
    let config = problem.config("all", model, &all())?;
    let retraining = Retraining::new(&config, models, &[1, 3])?;
    let subset = Subset::new(some())?;
    let retrained = retraining.model(&subset, Absence::Removed, 3)?;
    retrained.save(&problem.path("retrained.safetensors"))?;
    assert_eq!(problem.weights("retrained")?, problem.weights("alone")?);
    let other = losses(&retraining, &subset, 1)?;
    assert_ne!(other, losses(&retraining, &subset, 3)?);
    assert_ne!(other, losses(&retraining, &Subset::new(all())?, 1)?);
    assert_eq!(other, losses(&retraining, &subset, 1)?);
    Ok(())
}

#[test]
fn a_retraining_is_the_training_on_files_of_its_points() -> Result<()> {
    gives_the_bits_of_a_training_on_files_of_the_subset(LAYERS, &ConfiguredModels)
}

#[test]
fn running_statistics_do_not_pass_from_one_retraining_to_the_next() -> Result<()> {
    let between = r#"outputs = 6 }, { kind = "batch_norm", name = "norm" }, { kind = "relu" }"#;
    let model = LAYERS.replace(r#"outputs = 6 }, { kind = "relu" }"#, between);
    assert_ne!(model, LAYERS);
    gives_the_bits_of_a_training_on_files_of_the_subset(&model, &ConfiguredModels)
}

#[derive(Module, Debug)]
struct Softmax {
    layer: Linear,
}

#[derive(Module, Debug)]
struct Dropped {
    layer: Linear,
    dropout: Dropout,
}

#[test]
fn a_model_that_draws_numbers_while_it_is_trained_is_refused() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.config("all", "", &all())?;
    let task = Classification::new(|model: &Dropped, x: Tensor<2>| {
        model.layer.forward(model.dropout.forward(x))
    });
    let init = |device: &Device| Dropped {
        layer: LinearConfig::new(INPUTS, 3).init(device),
        dropout: DropoutConfig::new(0.5).init(),
    };
    let refused = Retraining::new(&config, &OwnModel::new(task, init), &[0]).expect_err("refused");
    assert!(refused.to_string().contains("as with dropout"), "{refused}");
    Ok(())
}

#[test]
fn models_of_programs_are_retrained_from_the_weights_of_their_seeds() -> Result<()> {
    let task = Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x));
    let init = |device: &Device| Softmax {
        layer: LinearConfig::new(INPUTS, 3).init(device),
    };
    gives_the_bits_of_a_training_on_files_of_the_subset("", &OwnModel::new(task, init))
}

#[test]
fn losses_and_classes_are_those_of_the_outputs() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.config("all", LAYERS, &all())?;
    let retraining = Retraining::new(&config, &ConfiguredModels, &[0])?;
    let model = retraining.model(&Subset::new(all())?, Absence::Removed, 0)?;
    let Outcome { losses, classes } = retraining.outcome_of(&*model)?;
    let outputs = model.outputs(&retraining.test)?.expect("declared").values;
    let classes = classes.expect("one class for each point");
    for (point, row) in outputs.rows().into_iter().enumerate() {
        let class = [31, 33, 35, 38].map(|point: usize| point * point % 3)[point];
        let sum: f64 = row.iter().map(|output| output.exp()).sum();
        assert!((losses[point] - (sum.ln() - row[class])).abs() < 1e-6);
        assert!(row.iter().all(|&output| output <= row[classes[point]]));
    }
    Ok(())
}

#[test]
fn points_of_weight_0_count_among_the_samples_and_add_nothing() -> Result<()> {
    let problem = Problem::new()?;
    let mut config = problem.config("all", LAYERS, &all())?;
    // One step along the mean gradient: batches of all points, without decay.
    (config.train.epochs, config.train.batch) = (1, POINTS);
    (config.train.weight_decay, config.train.momentum) = (0.0, 0.0);
    let retraining = Retraining::new(&config, &ConfiguredModels, &[0])?;
    let kept = Subset::new(some())?;
    let weights: Vec<f32> = (0..POINTS)
        .map(|point| f32::from(u8::from(kept.points().contains(&point))))
        .collect();
    let whole = Subset::new(all())?;
    let weighted = retraining.weighted_model(&whole, Some(&weights), 0)?;
    let in_place = retraining.outcome(&kept, Absence::Weightless, 0)?;
    assert_eq!(in_place, retraining.outcome_of(&*weighted)?);
    let share = kept.points().len() as f64 / POINTS as f64;
    let mut shorter = config.clone();
    shorter.train.learning_rate *= share;
    let shorter = Retraining::new(&shorter, &ConfiguredModels, &[0])?;
    let expected = losses(&shorter, &kept, 0)?;
    let got = retraining.outcome_of(&*weighted)?.losses;
    let plain = losses(&retraining, &whole, 0)?;
    for point in 0..got.len() {
        assert!(
            (got[point] - expected[point]).abs() < 1e-5,
            "{got:?} {expected:?}"
        );
        assert!(
            (got[point] - plain[point]).abs() > 1e-3,
            "{got:?} {plain:?}"
        );
    }
    let ones = retraining.weighted_model(&whole, Some(&[1.0; POINTS]), 0)?;
    for (got, plain) in retraining.outcome_of(&*ones)?.losses.iter().zip(plain) {
        assert!((got - plain).abs() < 1e-6);
    }
    assert!(retraining.weighted_model(&kept, Some(&weights), 0).is_err());
    Ok(())
}

#[test]
fn seeds_and_points_that_there_are_not_are_refused() -> Result<()> {
    let problem = Problem::new()?;
    let config = problem.config("all", LAYERS, &all())?;
    let retraining = Retraining::new(&config, &ConfiguredModels, &[0])?;
    let refusal = |points: Vec<usize>, seed| {
        let error = losses(&retraining, &Subset::new(points)?, seed).expect_err("refused");
        Ok::<_, anyhow::Error>(error.to_string())
    };
    assert_eq!(
        refusal(vec![0], 9)?,
        "there is no model before training for the seed 9"
    );
    assert_eq!(
        refusal(vec![0, 30], 0)?,
        "a subset has point 30, but there are 30 training points, counted from 0"
    );
    Ok(())
}
