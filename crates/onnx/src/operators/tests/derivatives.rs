//! Derivatives by the engine, against central differences of known values, which are computed in 64
//! bits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use burn::tensor::{Tensor, TensorData};
use influence_backend_burn::{ArrayDataset, Curvature, Fit, Task};
use influence_core::{
    Dataset, InfluenceModel, Precision,
    solver::{Direct, Solution},
};

use super::{Case, complaints, evaluate, none, numbers};
use crate::{
    file::File,
    network::{Network, Program},
    settings::NamedTensor,
    value::Value,
};

/// Cases without derivatives at their inputs, or none that differences in 64 bits show: infinite
/// outputs, inputs on jumps, numbers in the thousands.
const EXEMPT: [&str; 4] = [
    "where_16_infinite",
    "round_13",
    "softmax_13_large",
    "logsoftmax_13_large",
];

/// Coefficients that look random and are the same everywhere.
fn wave(count: usize, seed: f64) -> Vec<f64> {
    let entry = |index| (12.9898 * f64::from(index) + 78.233 * seed).sin();
    (1_u32..).take(count).map(entry).collect()
}

/// `Σ a·y + b·y²/2`, a number whose derivatives see every entry of an output.
fn objective(output: &[f64]) -> f64 {
    let (a, b) = (wave(output.len(), 99.0), wave(output.len(), 98.0));
    let terms = output.iter().zip(a.iter().zip(&b));
    terms.map(|(y, (a, b))| a * y + b * y * y / 2.0).sum()
}

/// The objective of one output of a network whose parameters are the inputs of a case.
struct Probe {
    /// Inputs that are no parameters.
    others: Vec<TensorData>,
}

impl Task for Probe {
    type Module = Network;
    type Inputs = (Tensor<2>,);

    fn loss(&self, network: &Network, (zero,): (Tensor<2>,)) -> Tensor<1> {
        let device = zero.device();
        let others = self.others.iter();
        let others = others.map(|data| Value::from_data(data.clone(), false, device.as_dispatch()));
        let others: Vec<Value> = others.collect();
        let output = network
            .forward_past(&others, &device, None)
            .expect("an output");
        let count: usize = output.dims().iter().product();
        let output: Tensor<1> =
            Tensor::from_dispatch(output.reshape(&[count]).expect("a vector").tensor);
        let constant = |seed| {
            let data = TensorData::new(wave(count, seed), [count]);
            Tensor::<1>::from_data(data, &device)
        };
        let half = (output.clone() * constant(98.0)).mul_scalar(0.5);
        (output * (half + constant(99.0))).sum() + zero.squeeze_dim(1)
    }
}

/// Whether all that a case computes is one operator of its arguments, and none of branches.
fn is_single(file: &File) -> bool {
    file.graph.nodes.len() == 1 && file.graph.nodes[0].kind != "If"
}

/// Which inputs of a case become parameters.
fn parameters(file: &File, case: &Case) -> Vec<usize> {
    let single = is_single(file);
    let through = |name: &str| {
        let node = &file.graph.nodes[0];
        let mut places = node.inputs.iter().enumerate();
        let place = places.find(|(_, input)| input.as_deref() == Some(name));
        place.is_some_and(|(place, _)| node.operator.differentiable.is_through(place))
    };
    let fits = |&place: &usize| {
        let (form, data) = (&file.graph.inputs[place], &case.inputs[place]);
        let float = data.dtype().is_float() && (1..=5).contains(&data.shape().len());
        float && (!single || through(&form.name))
    };
    (0..case.inputs.len()).filter(fits).collect()
}

/// The gradient of the objective by the entries of some inputs.
fn slopes(
    file: &File,
    inputs: &[Vec<f64>],
    case: &Case,
    places: &[usize],
    output: usize,
) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut slopes = Vec::new();
    for &place in places {
        for entry in 0..inputs[place].len() {
            let [above, below] = [STEP, -STEP].map(|step| {
                let mut moved = inputs.to_vec();
                moved[place][entry] += step;
                objective_at(file, &moved, case, output)
            });
            slopes.push((above - below) / (2.0 * STEP));
        }
    }
    slopes
}

fn objective_at(file: &File, inputs: &[Vec<f64>], case: &Case, output: usize) -> f64 {
    let data = inputs.iter().zip(&case.inputs).map(|(numbers, like)| {
        if like.dtype().is_float() {
            TensorData::new(numbers.clone(), like.shape().to_vec())
        } else {
            like.clone()
        }
    });
    let data: Vec<TensorData> = data.collect();
    let outputs = evaluate(file, &data, true).expect("outputs");
    objective(&numbers(&outputs[output]))
}

/// The product with the second derivatives by central differences of gradients.
fn curved(
    file: &File,
    inputs: &[Vec<f64>],
    case: &Case,
    places: &[usize],
    output: usize,
    direction: &[f64],
) -> Vec<f64> {
    let length = direction
        .iter()
        .map(|entry| entry * entry)
        .sum::<f64>()
        .sqrt()
        .max(1e-300);
    let step = 2e-4 / length;
    let [above, below] = [step, -step].map(|step| {
        let mut moved = inputs.to_vec();
        let mut direction = direction.iter();
        for &place in places {
            for entry in &mut moved[place] {
                *entry += step * direction.next().expect("as long as the inputs");
            }
        }
        slopes(file, &moved, case, places, output)
    });
    let pairs = above.iter().zip(&below);
    pairs
        .map(|(above, below)| (above - below) / (2.0 * step))
        .collect()
}

const DAMPING: f64 = 5.0;

/// `(H + λ)⁻¹ g` of the objective by the engine.
fn engine(case: &Case, places: &[usize], output: usize) -> Result<Vec<f64>, String> {
    let file = case.read().map_err(|error| error.to_string())?;
    let named = places.iter().map(|&place| NamedTensor {
        name: file.graph.inputs[place].name.clone(),
        data: case.inputs[place].clone(),
        trained: true,
        remark: None,
    });
    let named: Vec<NamedTensor> = named.collect();
    let mut graph = file.graph;
    let name = graph.outputs[output].clone();
    let others = (0..case.inputs.len()).filter(|place| !places.contains(place));
    let others: Vec<usize> = others.collect();
    let forms = others
        .iter()
        .map(|&place| graph.inputs[place].clone())
        .collect();
    graph.inputs = forms;
    let program = Program::new(graph, name);
    let device = burn::tensor::Device::flex();
    let network = Network::new(&named, Arc::new(program), &device);
    let task = Probe {
        others: others
            .iter()
            .map(|&place| case.inputs[place].clone())
            .collect(),
    };
    let zero = TensorData::zeros::<f32, _>([1, 1]);
    let train = Arc::new(ArrayDataset::new(vec![zero]).map_err(|error| error.to_string())?);
    let influence = Fit::new(task)
        .with_curvature(Curvature::Hessian)
        .with_solver(Direct)
        .with_damping(DAMPING)
        .with_precision(Precision::F64)
        .fit(&network, train.clone())
        .map_err(|error| error.to_string())?;
    let batch = train.batch(0..1).map_err(|error| error.to_string())?;
    let factors = influence.factors(&batch).and_then(Solution::converged);
    let factors = factors.map_err(|error| error.to_string())?;
    let rows = influence
        .factors_to_array(&factors)
        .map_err(|error| error.to_string())?;
    Ok(rows.into_iter().collect())
}

/// What is wrong with the derivatives of an output of a case: that `(H + λ) (H + λ)⁻¹ g` is not
/// `g`, where the first `H` is that of differences and the inverse that of the engine.
fn wrong(case: &Case, file: &File, places: &[usize], output: usize) -> Option<String> {
    let inputs: Vec<Vec<f64>> = case
        .inputs
        .iter()
        .map(|data| data.iter::<f64>().collect())
        .collect();
    let gradient = slopes(file, &inputs, case, places, output);
    let solution = match engine(case, places, output) {
        Ok(solution) => solution,
        Err(error)
            if error.contains("does not depend on")
                && gradient.iter().all(|slope| slope.abs() < 1e-9) =>
        {
            return None;
        }
        Err(error) => return Some(error),
    };
    let curved = curved(file, &inputs, case, places, output, &solution);
    // What the inverse amplifies, differences of differences do not resolve.
    let length = |numbers: &[f64]| {
        numbers
            .iter()
            .map(|number| number * number)
            .sum::<f64>()
            .sqrt()
    };
    let scale = 1.0 + length(&gradient) + length(&solution);
    let residual = curved.iter().zip(&solution).zip(&gradient);
    let residual = residual.map(|((curved, solution), slope)| curved + DAMPING * solution - slope);
    let worst = residual.fold(0.0_f64, |worst, residual| {
        if residual.is_nan() {
            f64::INFINITY
        } else {
            worst.max(residual.abs())
        }
    });
    (worst > 1e-5 * scale).then(|| {
        format!("(H + λ) times the solution differs from the gradient by {worst:e}: solution {solution:?}, gradient {gradient:?}")
    })
}

#[test]
fn derivatives_agree_with_central_differences() {
    let count = AtomicUsize::new(0);
    let about = |case: &Case| {
        let file = case.read().expect(&case.name);
        let places = parameters(&file, case);
        if places.is_empty() || EXEMPT.contains(&case.name.as_str()) {
            return Vec::new();
        }
        let float = |output: &usize| case.outputs[*output].dtype().is_float();
        let wrong = |output: usize| {
            count.fetch_add(1, Ordering::Relaxed);
            let wrong = wrong(case, &file, &places, output)?;
            Some(format!("{}, output {output}: {wrong}", case.name))
        };
        (0..case.outputs.len())
            .filter(float)
            .filter_map(wrong)
            .collect()
    };
    none(&complaints(about));
    let count = count.into_inner();
    assert!(count > 400, "{count} outputs");
}

/// Arguments through which no derivative is said to flow.
#[test]
fn other_arguments_have_no_derivative() {
    let about = |case: &Case| {
        let file = case.read().expect(&case.name);
        if !is_single(&file) || EXEMPT.contains(&case.name.as_str()) {
            return Vec::new();
        }
        let through = parameters(&file, case);
        let float = |place: &usize| case.inputs[*place].dtype().is_float();
        let others = (0..case.inputs.len())
            .filter(float)
            .filter(|place| !through.contains(place));
        let others: Vec<usize> = others.collect();
        let inputs: Vec<Vec<f64>> = case
            .inputs
            .iter()
            .map(|data| data.iter::<f64>().collect())
            .collect();
        let outputs = 0..case.outputs.len();
        let float = outputs.filter(|&output| case.outputs[output].dtype().is_float());
        let wrong = |output: usize| {
            let slopes = slopes(&file, &inputs, case, &others, output);
            let flat = slopes.iter().all(|slope| slope.abs() < 1e-9);
            (!flat).then(|| format!("{}, output {output}: {slopes:?}", case.name))
        };
        float.filter_map(wrong).collect()
    };
    none(&complaints(about));
}
