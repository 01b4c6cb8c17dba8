//! A task that reads integers and floating-point numbers, configured: against the same model with
//! the same numbers in memory.

use std::{fs, path::Path, sync::Arc};

use burn::{
    module::{Module, Param},
    nn::{Embedding, Linear},
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use influence_backend_burn::{ArrayDataset, Curvature, Fit, OutputLoss, Outputs, Task};
use influence_calculators::{Calculator, Sequential, ZarrField};
use influence_core::{FieldSource, Precision, Values, aggregate::Concatenate, solver::Direct};
use influence_jobs::{
    config::Config,
    fit::Affordable,
    job::Job,
    models::{ConfiguredModels, Models, OwnModel},
    output::Existing,
    run::{Quantity, compute},
    watch::Unattended,
};
use ndarray::ArrayD;
use safetensors::{Dtype, serialize, tensor::TensorView};

const WORDS: usize = 6;
const CLASSES: usize = 3;
const DAMPING: f64 = 0.05;

/// Classes of samples that have words and numbers.
#[derive(Module, Debug)]
struct Mixed {
    table: Embedding,
    head: Linear,
}

struct Classify;

impl Classify {
    fn logits(mixed: &Mixed, words: Tensor<2, Int>, numbers: Tensor<2>) -> Tensor<2> {
        let words = mixed.table.forward(words).mean_dim(1).squeeze_dim(1);
        mixed.head.forward(Tensor::cat(vec![words, numbers], 1))
    }
}

impl Task for Classify {
    type Module = Mixed;
    type Inputs = (Tensor<2, Int>, Tensor<2>, Tensor<1, Int>);

    fn loss(&self, mixed: &Mixed, (words, numbers, classes): Self::Inputs) -> Tensor<1> {
        let logits = Self::logits(mixed, words, numbers);
        let of_class = log_softmax(logits, 1).gather(1, classes.unsqueeze_dim(1));
        of_class.neg().squeeze_dim(1)
    }

    fn outputs(&self, mixed: &Mixed, (words, numbers, _): Self::Inputs) -> Option<Outputs> {
        let logits = Self::logits(mixed, words, numbers);
        Some(Outputs::new(logits, OutputLoss::CrossEntropy))
    }
}

/// Small numbers that differ from each other.
fn wave(count: usize, phase: f32) -> Vec<f32> {
    (0_u8..)
        .take(count)
        .map(|index| (f32::from(index) * 2.3 + phase).sin() * 0.4)
        .collect()
}

fn model(device: &Device) -> Mixed {
    let tensor = |shape: [usize; 2], phase| {
        let values = wave(shape[0] * shape[1], phase);
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
    };
    Mixed {
        table: Embedding {
            weight: tensor([WORDS, 2], 0.1),
        },
        head: Linear {
            weight: tensor([4, CLASSES], 0.7),
            bias: Some(Param::from_tensor(Tensor::zeros([CLASSES], device))),
        },
    }
}

/// Words `(n, 3)`, numbers `(n, 2)` and classes `(n)` of one side.
struct Side {
    words: Vec<i64>,
    numbers: Vec<f32>,
    classes: Vec<i64>,
}

impl Side {
    fn new(len: usize, phase: i64) -> Self {
        let words = (0_i64..).take(3 * len).map(|i| (i * i + phase) % 6);
        Self {
            words: words.collect(),
            numbers: wave(2 * len, phase as f32),
            classes: (0_i64..).take(len).map(|i| (i * 5 + phase) % 3).collect(),
        }
    }

    fn len(&self) -> usize {
        self.classes.len()
    }

    fn in_memory(&self) -> Arc<ArrayDataset> {
        let fields = vec![
            TensorData::new(self.words.clone(), [self.len(), 3]),
            TensorData::new(self.numbers.clone(), [self.len(), 2]),
            TensorData::new(self.classes.clone(), [self.len()]),
        ];
        Arc::new(ArrayDataset::new(fields).expect("equal lengths"))
    }

    fn save(&self, path: &Path) {
        let integers = |values: &[i64]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
        save(
            path,
            &[
                (
                    "words",
                    Dtype::I64,
                    vec![self.len(), 3],
                    integers(&self.words),
                ),
                (
                    "numbers",
                    Dtype::F32,
                    vec![self.len(), 2],
                    bytes(&self.numbers),
                ),
                (
                    "classes",
                    Dtype::I64,
                    vec![self.len()],
                    integers(&self.classes),
                ),
            ],
        );
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn save(path: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes"),
        )
    });
    let file = serialize(views, None).expect("distinct names");
    fs::write(path, file).expect("written");
}

/// The weights in the layout of PyTorch, whose linear layers are transposed.
fn save_weights(path: &Path) {
    let head = wave(4 * CLASSES, 0.7);
    let turned: Vec<f32> = (0..4 * CLASSES)
        .map(|index| head[index % 4 * CLASSES + index / 4])
        .collect();
    save(
        path,
        &[
            (
                "table.weight",
                Dtype::F32,
                vec![WORDS, 2],
                bytes(&wave(2 * WORDS, 0.1)),
            ),
            ("head.weight", Dtype::F32, vec![CLASSES, 4], bytes(&turned)),
            (
                "head.bias",
                Dtype::F32,
                vec![CLASSES],
                bytes(&[0.0; CLASSES]),
            ),
        ],
    );
}

/// A folder with weights, both sides, and a configuration of these inputs.
fn folder(inputs: &str) -> (tempfile::TempDir, [Side; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let sides = [Side::new(23, 1), Side::new(5, 4)];
    for (side, name) in sides.iter().zip(["train", "test"]) {
        side.save(&folder.path().join(format!("{name}.safetensors")));
    }
    save_weights(&folder.path().join("model.safetensors"));
    let of = |side: &str| inputs.replace("SIDE", &format!("{side}.safetensors"));
    let text = format!(
        "precision = \"f64\"\n\
         [model]\nweights = \"model.safetensors\"\n\
         [data]\n\
         train = {{ inputs = {}, targets = \"train.safetensors#classes\" }}\n\
         test = {{ inputs = {}, targets = \"test.safetensors#classes\" }}\n\
         [method]\nname = \"direct\"\ncurvature = \"gauss-newton\"\ndamping = {DAMPING}\n\
         [output]\npath = \"influences.zarr\"\n",
        of("train"),
        of("test")
    );
    fs::write(folder.path().join("influence.toml"), text).expect("written");
    (folder, sides)
}

fn job(folder: &Path, models: &dyn Models, set: &[&str]) -> anyhow::Result<Job> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    let config = Config::load(&folder.join("influence.toml"), &set)?;
    Job::new(config, Existing::Refuse, models, &Unattended::default())
}

fn configured(folder: &Path, models: &dyn Models) -> ArrayD<f64> {
    let job = job(folder, models, &[]).expect("the inputs fit the task");
    let fit = Affordable::new(&job).expect("there is memory");
    compute(Quantity::Influences, &fit, None, &Unattended::default()).expect("computed");
    let field = ZarrField::open(folder.join("influences.zarr"), "influences").expect("an array");
    match field.rows(0..field.shape()[0]).expect("read") {
        Values::F64(values) => values,
        _ => panic!("the precision is f64"),
    }
}

fn from_memory([train, test]: &[Side; 2]) -> ArrayD<f64> {
    let influence = Fit::new(Classify)
        .with_curvature(Curvature::GaussNewton)
        .with_solver(Direct)
        .with_precision(Precision::F64)
        .with_damping(DAMPING)
        .fit(&model(&Device::flex()), train.in_memory())
        .expect("a fitted model");
    let (train, test) = (train.in_memory(), test.in_memory());
    let calculator = Sequential::new(influence);
    let influences = calculator.influences(&test, &train);
    influences.compute(Concatenate::new()).expect("influences")
}

fn named() -> OwnModel<Classify, fn(&Device) -> Mixed> {
    OwnModel::new(Classify, model as fn(&Device) -> Mixed).with_inputs(["words", "numbers"])
}

#[test]
fn inputs_by_name_or_in_order_give_the_influences_of_arrays_in_memory() {
    let by_name = "{ numbers = \"SIDE#numbers\", words = \"SIDE#words\" }";
    let in_order = "[\"SIDE#words\", \"SIDE#numbers\"]";
    for inputs in [by_name, in_order] {
        let (folder, sides) = folder(inputs);
        let found = configured(folder.path(), &named());
        let expected = from_memory(&sides);
        assert_eq!(found.shape(), [5, 23]);
        let size = expected
            .iter()
            .fold(0.0_f64, |size, value| size.max(value.abs()));
        let error = (&found - &expected)
            .iter()
            .fold(0.0_f64, |error, x| error.max(x.abs()));
        assert!(
            size > 1e-3 && error < 1e-9 * size,
            "{inputs}: {error} of {size}"
        );
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let by_name = "{ numbers = \"SIDE#numbers\", words = \"SIDE#words\" }";
    let unnamed = || OwnModel::new(Classify, model as fn(&Device) -> Mixed);
    let (there, _) = folder(by_name);
    let layers = [
        "model.loss=mse",
        "model.layers=[{ kind = \"linear\", name = \"head\" }]",
    ];
    let missing = "data.test.inputs.words=none.npy";
    let swapped = [
        "data.train.inputs.words=train.safetensors#numbers",
        "data.test.inputs.words=test.safetensors#numbers",
    ];
    let other = "data.train.inputs={ word = \"train.safetensors#words\", numbers = \"train.safetensors#numbers\" }";
    let single = "data.train.inputs=train.safetensors#words";
    let cases: [(&dyn Models, &[&str], &[&str]); 6] = [
        (
            &ConfiguredModels,
            &layers,
            &["data.train.inputs", "reads one input, got 2", "words"],
        ),
        (
            &unnamed(),
            &[],
            &[
                "data.train",
                "inputs of the model have no names",
                "numbers, words",
            ],
        ),
        (
            &named(),
            &[missing],
            &["data.test", "inputs.words", "none.npy does not exist"],
        ),
        (&named(), &swapped, &["inputs.words", "must be integers"]),
        (
            &named(),
            &[other],
            &["data.test", "inputs of data.train", "inputs.word"],
        ),
        (&named(), &[single], &["data.test", "inputs of data.train"]),
    ];
    for (models, set, expected) in cases {
        let error = format!("{:#}", job(there.path(), models, set).expect_err("refused"));
        for part in expected {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }
}

#[test]
fn digests_of_inputs_are_kept_by_name() {
    let (folder, _) = folder("{ numbers = \"SIDE#numbers\", words = \"SIDE#words\" }");
    let job = job(folder.path(), &named(), &[]).expect("the inputs fit the task");
    let attributes = job.attributes().expect("readable files");
    let inputs = &attributes["digests"]["train"]["inputs"];
    assert!(
        inputs["words"].is_string() && inputs["words"] == inputs["numbers"],
        "{inputs}"
    );
}
