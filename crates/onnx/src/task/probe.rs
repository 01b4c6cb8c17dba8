//! A network tried on made-up samples.

use burn::tensor::{Device, TensorData};
use influence_core::FieldKind;

use crate::{Error, InputForm, Model, Result, value::Value};

/// The shape of one sample of the output, for inputs of these shapes.
pub(super) fn output_shape(model: &Model, inputs: &[Vec<usize>]) -> Result<Vec<usize>> {
    if inputs.len() != model.inputs.len() {
        return Err(Error::Input(format!(
            "the network has {} inputs, got {}",
            model.inputs.len(),
            inputs.len()
        )));
    }
    let device = Device::flex();
    let network = model.network(&device);
    let mut shape = Vec::new();
    for samples in 1..=3 {
        let fields = model.inputs.iter().zip(inputs);
        let fields: Vec<Value> = fields
            .map(|(input, shape)| made_up(input, shape, samples, &device))
            .collect();
        shape = network.forward(&fields, &device)?.dims();
    }
    Ok(shape.split_off(1.min(shape.len())))
}

/// Samples of an input.
fn made_up(input: &InputForm, shape: &[usize], samples: usize, device: &Device) -> Value {
    let dims = [&[samples], shape].concat();
    let count = dims.iter().product();
    let data = match input.kind {
        FieldKind::Float => {
            let wave = (0..count).map(|place: usize| (place as f32 * 0.7).sin());
            TensorData::new(wave.collect::<Vec<f32>>(), dims)
        }
        FieldKind::Int => TensorData::new(vec![0_i64; count], dims),
        FieldKind::Bool => TensorData::new(vec![true; count], dims),
    };
    Value::from_data(data, false, device.as_dispatch())
}
