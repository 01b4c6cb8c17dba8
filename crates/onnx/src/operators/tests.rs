//! Every case of `tests/golden/operators.safetensors`: values against onnxruntime, whether the
//! arguments are known or data; first and second derivatives by the engine against central
//! differences. Attributes, constants and shapes that make no sense are refused and never panic.

mod derivatives;
mod hostile;

use std::{collections::BTreeMap, path::PathBuf};

use burn::tensor::{Device, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::Slot;
use crate::{
    Error, Result,
    file::{self, File},
    graph::NamedValues,
    value::{Devices, Value},
};

/// A model of one operator, or few.
struct Case {
    name: String,
    model: Vec<u8>,
    inputs: Vec<TensorData>,
    outputs: Vec<TensorData>,
}

impl Case {
    /// Whether it is of a version before those that are read.
    fn is_old(&self) -> bool {
        let version = self.name.split('_').nth(1);
        version
            .and_then(|text| text.parse().ok())
            .is_some_and(|version: i64| version < 13)
    }

    fn read(&self) -> Result<File> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, &self.model).expect("written");
        file::read(&path)
    }
}

fn data(view: &TensorView<'_>) -> TensorData {
    let shape = view.shape().to_vec();
    macro_rules! numbers {
        ($type:ty, $bytes:literal) => {
            TensorData::new(
                view.data()
                    .as_chunks::<$bytes>()
                    .0
                    .iter()
                    .map(|bytes| <$type>::from_le_bytes(*bytes))
                    .collect::<Vec<_>>(),
                shape,
            )
        };
    }
    match view.dtype() {
        Dtype::F32 => numbers!(f32, 4),
        Dtype::F64 => numbers!(f64, 8),
        Dtype::I64 => numbers!(i64, 8),
        Dtype::I32 => numbers!(i32, 4),
        Dtype::BOOL => {
            let bools: Vec<bool> = view.data().iter().map(|&byte| byte != 0).collect();
            TensorData::new(bools, shape)
        }
        other => panic!("numbers of type {other:?}"),
    }
}

/// All cases of the file, by name.
fn cases() -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/operators.safetensors");
    let bytes = std::fs::read(path).expect("the golden file");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let views: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
    let list = |name: &str, side: &str| {
        let views = (0..).map_while(|place| views.get(&format!("{name}/{side}/{place}")));
        views.map(data).collect::<Vec<_>>()
    };
    let models = views
        .iter()
        .filter_map(|(name, view)| Some((name.strip_suffix("/model")?, view)));
    let cases = models.map(|(name, view)| Case {
        name: name.to_owned(),
        model: view.data().to_vec(),
        inputs: list(name, "in"),
        outputs: list(name, "out"),
    });
    cases.collect()
}

fn devices() -> Devices {
    let device = Device::flex().as_dispatch().clone();
    Devices {
        home: device.clone(),
        away: device,
    }
}

/// The outputs of a file for these inputs, known or data.
fn evaluate(file: &File, inputs: &[TensorData], known: bool) -> Result<Vec<Value>> {
    let devices = devices();
    let values = file.graph.inputs.iter().zip(inputs).map(|(form, data)| {
        let value = Value::from_data(data.clone(), known, &devices.home);
        (form.name.clone(), value)
    });
    let environment: NamedValues = values.collect();
    let outputs = environment.outputs(&file.graph, &devices)?;
    let outputs = outputs.into_iter().map(|slot| match slot {
        Slot::One(value) => Ok(value),
        Slot::Many(_) => Err(Error::operator("the output is a sequence")),
    });
    outputs.collect()
}

/// The numbers of a value, wherever it is.
fn numbers(value: &Value) -> Vec<f64> {
    let known = Value {
        known: true,
        ..value.clone()
    };
    known.floats().expect("numbers")
}

/// The largest difference between a value and its reference, relative to the larger of 1 and the
/// reference; infinite where the shapes differ.
fn difference(value: &Value, reference: &TensorData) -> f64 {
    // The file has scalars as vectors of one number.
    let dims = value.dims();
    let shape = if dims.is_empty() { vec![1] } else { dims };
    if shape != reference.shape().to_vec() {
        return f64::INFINITY;
    }
    let pairs = numbers(value).into_iter().zip(reference.iter::<f64>());
    let difference = |(value, reference): (f64, f64)| {
        let same = value.total_cmp(&reference).is_eq() || (value.is_nan() && reference.is_nan());
        if same {
            return 0.0;
        }
        let difference = (value - reference).abs() / reference.abs().max(1.0);
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    pairs.map(difference).fold(0.0, f64::max)
}

/// What is wrong with the values of a case, in words.
fn wrong(case: &Case, known: bool) -> Option<String> {
    let outputs = match case
        .read()
        .and_then(|file| evaluate(&file, &case.inputs, known))
    {
        Ok(outputs) => outputs,
        Err(error) => return Some(error.to_string()),
    };
    if outputs.len() != case.outputs.len() {
        return Some(format!("{} outputs", outputs.len()));
    }
    let pairs = outputs.iter().zip(&case.outputs).enumerate();
    let mut wrong = pairs.filter_map(|(place, (value, reference))| {
        let difference = difference(value, reference);
        (difference > 1e-5).then(|| {
            format!(
                "output {place} differs by {difference:e}: shape {:?} for {:?}, {:?} for {reference}",
                value.dims(),
                reference.shape(),
                numbers(value)
            )
        })
    });
    wrong.next()
}

/// The complaints about all cases of versions that are read, by several threads.
fn complaints(about: impl Fn(&Case) -> Vec<String> + Sync) -> Vec<String> {
    let cases = cases();
    let current: Vec<&Case> = cases.iter().filter(|case| !case.is_old()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let about = &about;
    let current = &current;
    std::thread::scope(|scope| {
        let start = |first: usize| {
            let own = current.iter().skip(first).step_by(threads);
            scope.spawn(move || own.flat_map(|case| about(case)).collect::<Vec<_>>())
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        let results = workers
            .into_iter()
            .map(|worker| worker.join().expect("a thread"));
        results.flatten().collect()
    })
}

/// Fails with all complaints.
fn none(complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{} wrong:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn values_agree_with_onnxruntime() {
    let about = |case: &Case| {
        let wrong = |known| {
            Some(format!(
                "{}, known {known}: {}",
                case.name,
                wrong(case, known)?
            ))
        };
        [true, false].into_iter().filter_map(wrong).collect()
    };
    none(&complaints(about));
    let count = cases().iter().filter(|case| !case.is_old()).count();
    assert!(count > 500, "{count} cases");
}

#[test]
fn old_versions_are_refused() {
    for case in cases().iter().filter(|case| case.is_old()) {
        let error = case.read().expect_err(&case.name).to_string();
        assert!(
            error.contains("versions 13 to 23 are read"),
            "{}: {error}",
            case.name
        );
    }
}
