//! Tensors that may be parameters.

use burn::tensor::TensorData;

/// Whether a tensor may be a parameter: floats, more than one unless it has the name of a module's
/// field.
pub(super) fn is_candidate(name: &str, data: &TensorData) -> bool {
    data.dtype().is_float()
        && (data.num_elements() > 1 || (name.contains('.') && !name.starts_with('/')))
}

/// Whether all numbers of a tensor are the same.
pub(super) fn is_uniform(data: &TensorData) -> bool {
    let mut numbers = data.iter::<f64>();
    let first = numbers.next();
    numbers.all(|number| Some(number.to_bits()) == first.map(f64::to_bits))
}
