//! Every method in every situation: a new method is one more row of [`methods`].

use std::sync::Arc;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence::{
    Arnoldi, ArrayDataset, Batch, BlockStructure, Calculator, Classification, Concatenate,
    ConjugateGradient, Curvature, Damping, Dataset, Diagonal, Direct, ErasedModel, Fit, Identity,
    InverseHarmonicMean, Jacobi, Kronecker, Lissa, Nystroem, Perturbation, Precision, Sequential,
    Task, Values, backend::Stack, erase, foundation::solver::Solver,
};
use ndarray::{ArrayD, Axis};

/// Two hidden layers of the same width.
#[derive(Module, Debug)]
pub(crate) struct Net {
    first: Linear,
    second: Linear,
    last: Linear,
}

const INPUTS: usize = 3;
const WIDTH: usize = 4;
const CLASSES: usize = 3;

pub(crate) fn waves(count: usize, seed: f64) -> Vec<f64> {
    let wave = |index: usize| (12.9898 * (index + 1) as f64 + 78.233 * seed).sin();
    (0..count).map(wave).collect()
}

impl Net {
    pub(crate) fn new(bias: bool) -> Self {
        let device = Device::flex();
        let layer = |from: usize, to: usize, seed| {
            let mut layer = LinearConfig::new(from, to).with_bias(bias).init(&device);
            let weights = TensorData::new(waves(from * to, seed), [from, to]);
            layer.weight = layer.weight.map(|_| Tensor::from_data(weights, &device));
            layer.bias = layer.bias.map(|bias| {
                let values = TensorData::new(waves(to, seed + 0.5), [to]);
                bias.map(|_| Tensor::from_data(values, &device))
            });
            layer
        };
        Self {
            first: layer(INPUTS, WIDTH, 1.0),
            second: layer(WIDTH, WIDTH, 2.0),
            last: layer(WIDTH, CLASSES, 3.0),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.second.forward(self.first.forward(x).tanh()).tanh();
        self.last.forward(x)
    }

    /// The second layer twice.
    fn recurrent(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.second.forward(self.first.forward(x).tanh()).tanh();
        self.last.forward(self.second.forward(x).tanh())
    }
}

pub(crate) fn points(count: usize, seed: f64) -> ArrayDataset {
    let labels: Vec<i64> = (0_i64..).take(count).map(|row| (7 * row + 1) % 3).collect();
    let inputs = TensorData::new(waves(count * INPUTS, seed), [count, INPUTS]);
    ArrayDataset::new(vec![inputs, TensorData::new(labels, [count])]).expect("a data set")
}

pub(crate) type Model = ErasedModel<Batch>;

/// A way to fit, by name.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) curvature: Curvature,
    kind: Kind,
    /// How near it must come to the direct solution of its curvature, if it is to.
    exact: Option<f64>,
}

enum Kind {
    Solver(Arc<dyn Solver<Stack>>),
    Kronecker(Kronecker),
    Cosine,
}

/// All of them. Those that iterate go as far as the precision allows.
pub(crate) fn methods(precision: Precision) -> Vec<Method> {
    use Curvature::{EmpiricalFisher, GaussNewton, Hessian};
    const FISHER: Curvature = Curvature::Fisher { draws: 3, seed: 5 };
    const ALL: usize = 1000;
    let row = |name, curvature, solver, exact| Method {
        name,
        curvature,
        kind: Kind::Solver(solver),
        exact,
    };
    let kronecker = |name, curvature, kronecker| Method {
        name,
        curvature,
        kind: Kind::Kronecker(kronecker),
        exact: None,
    };
    let (rtol, tolerance) = match precision {
        Precision::F32 => (1e-5, 1e-5),
        Precision::F64 => (1e-10, 1e-12),
    };
    let cg = ConjugateGradient::new().with_rtol(rtol).expect("settings");
    let sketch = Nystroem::new(8).expect("settings");
    let sketched = cg.clone().with_preconditioner(Arc::new(sketch));
    let arnoldi = Arnoldi::new(ALL).and_then(|solver| solver.with_tolerance(tolerance));
    let diagonal = Jacobi::new(8, 3).expect("settings");
    let scaled = cg.clone().with_preconditioner(Arc::new(diagonal));
    let lissa = Lissa::new()
        .full_batch()
        .with_depth(1000)
        .expect("settings");
    vec![
        row("direct", Hessian, Arc::new(Direct), Some(1e-12)),
        row("direct", GaussNewton, Arc::new(Direct), Some(1e-12)),
        row("direct", EmpiricalFisher, Arc::new(Direct), Some(1e-12)),
        row("direct", FISHER, Arc::new(Direct), Some(1e-12)),
        row("cg", GaussNewton, Arc::new(cg), Some(1e-8)),
        row("cg, scaled", GaussNewton, Arc::new(scaled), Some(1e-8)),
        row("cg, sketched", GaussNewton, Arc::new(sketched), Some(1e-8)),
        row(
            "arnoldi",
            GaussNewton,
            Arc::new(arnoldi.expect("settings")),
            Some(1e-9),
        ),
        row(
            "arnoldi, rank 4",
            GaussNewton,
            Arc::new(Arnoldi::new(4).expect("settings")),
            None,
        ),
        row(
            "nystroem",
            EmpiricalFisher,
            Arc::new(Nystroem::new(ALL).expect("settings")),
            Some(1e-6),
        ),
        row("lissa", GaussNewton, Arc::new(lissa), Some(1e-4)),
        row(
            "harmonic mean",
            EmpiricalFisher,
            Arc::new(InverseHarmonicMean),
            None,
        ),
        row("diagonal", GaussNewton, Arc::new(Diagonal), None),
        row("identity", EmpiricalFisher, Arc::new(Identity), None),
        kronecker("kfac", GaussNewton, Kronecker::Kfac),
        kronecker("ekfac", GaussNewton, Kronecker::Ekfac),
        kronecker("ekfac", FISHER, Kronecker::Ekfac),
        Method {
            name: "cosine",
            curvature: EmpiricalFisher,
            kind: Kind::Cosine,
            exact: None,
        },
    ]
}

impl Method {
    pub(crate) fn fit<T: Task>(
        &self,
        fit: Fit<T>,
        module: &T::Module,
        train: &ArrayDataset,
    ) -> Model {
        let fit = fit
            .with_curvature(self.curvature)
            .with_damping(Damping::relative(0.5));
        let fit = match &self.kind {
            Kind::Solver(solver) => fit.with_solver(solver.clone()),
            Kind::Kronecker(kronecker) => fit.with_kronecker(*kronecker),
            Kind::Cosine => fit.with_solver(Identity),
        };
        let influence = fit.fit(module, Arc::new(train.clone())).expect(self.name);
        match self.kind {
            Kind::Cosine => erase(influence.with_unit_gradients()),
            _ => erase(influence),
        }
    }
}

pub(crate) fn influences(model: &Model, test: &ArrayDataset, train: &ArrayDataset) -> ArrayD<f64> {
    let calculator = Sequential::new(model);
    let lazy = calculator.influences(test, train).with_chunks(4, 5);
    // A Hessian may be indefinite; that is reported, and no error.
    let scores = lazy.and_then(|lazy| lazy.compute(Concatenate::new()));
    scores.expect("influences")
}

pub(crate) fn difference(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    // NaN counts as the largest number there is.
    let largest = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0_f64, |largest, value| {
            if value.is_nan() {
                f64::INFINITY
            } else {
                largest.max(value)
            }
        })
    };
    let scale = largest(&mut b.iter().map(|value| value.abs()));
    assert!(
        scale > 0.0 && scale.is_finite(),
        "a reference of {scale} tests nothing"
    );
    largest(&mut a.iter().zip(b).map(|(a, b)| (a - b).abs())) / scale
}

/// A model with a forward pass, to be fitted in batches of some size.
type Situation = (&'static str, Net, fn(&Net, Tensor<2>) -> Tensor<2>);

fn situations() -> [Situation; 4] {
    let frozen = Net {
        second: Net::new(true).second.no_grad(),
        ..Net::new(true)
    };
    [
        ("biases", Net::new(true), Net::forward),
        ("no biases", Net::new(false), Net::forward),
        ("a frozen layer", frozen, Net::forward),
        ("a layer used twice", Net::new(true), Net::recurrent),
    ]
}

fn fitted(method: &Method, situation: &Situation, train: &ArrayDataset, batch: usize) -> Model {
    let (_, net, forward) = situation;
    let forward = *forward;
    let task = Classification::new(move |net: &Net, x: Tensor<2>| forward(net, x));
    let fit = Fit::new(task).with_precision(Precision::F64);
    method.fit(fit.with_batch_size(batch), net, train)
}

fn direct(method: &Method, situation: &Situation, train: &ArrayDataset) -> Model {
    let direct = Method {
        kind: Kind::Solver(Arc::new(Direct)),
        ..*method
    };
    fitted(&direct, situation, train, train.len())
}

/// Test and train points: few, one of each, and more test points than the model has parameters.
const COUNTS: [[usize; 2]; 4] = [[3, 11], [1, 11], [3, 1], [60, 7]];

#[test]
fn every_method_is_right_in_every_situation() {
    for situation in situations() {
        for method in methods(Precision::F64) {
            for [k, n] in COUNTS {
                let (test, train) = (points(k, 4.0), points(n, 5.0));
                let label = format!("{} with {}, {k} x {n}", method.name, situation.0);
                let whole = influences(&fitted(&method, &situation, &train, n), &test, &train);
                assert_eq!(whole.shape(), [k, n]);
                // Batches of 4, the last one smaller.
                let batches = fitted(&method, &situation, &train, 4);
                let error = difference(&influences(&batches, &test, &train), &whole);
                // Sketches and drawn directions see rounding in the order of sums.
                assert!(error < 1e-7, "{label}: batches change it by {error:e}");
                if let Some(tolerance) = method.exact {
                    let exact = direct(&method, &situation, &train);
                    let exact = influences(&exact, &test, &train);
                    let error = difference(&whole, &exact);
                    assert!(
                        error < tolerance,
                        "{label}: {error:e} from the direct solution"
                    );
                }
            }
        }
    }
}

#[test]
fn every_method_has_perturbations_and_self_influences() {
    const STEP: f64 = 1e-4;
    let situation = &situations()[0];
    let (test, train) = (points(7, 4.0), points(5, 5.0));
    for method in methods(Precision::F64) {
        let model = fitted(&method, situation, &train, 2);
        let own = Sequential::new(&model).self_influences(&train).compute();
        let all = influences(&model, &train, &train);
        let diagonal: Vec<f64> = (0..5).map(|j| all[[j, j]]).collect();
        let diagonal = ndarray::Array1::from(diagonal).into_dyn();
        assert!(
            difference(&own.expect("self-influences"), &diagonal) < 1e-7,
            "{}",
            method.name
        );
        // The factors are held fixed while an input of the train points moves.
        let calculator = Sequential::new(&model);
        let factors = calculator
            .influence_factors(&test)
            .to_array()
            .expect("factors");
        let moved = |input: usize, step: f64| {
            let mut values = waves(5 * INPUTS, 5.0);
            values
                .iter_mut()
                .skip(input)
                .step_by(INPUTS)
                .for_each(|value| *value += step);
            let inputs = Values::new(values, &[5, INPUTS]).expect("five samples");
            let labels = train.batch(0..5).expect("a batch").fields()[1].clone();
            let moved = Batch::new(vec![inputs, labels]).expect("five samples");
            let moved = ArrayDataset::from(moved);
            let lazy = calculator.influences_from_factors(&factors, &moved);
            lazy.compute(Concatenate::new()).expect("influences")
        };
        let perturbation = Perturbation::new(&model);
        let slopes = Sequential::new(&perturbation);
        let slopes = slopes
            .influences(&test, &train)
            .with_chunks(3, 2)
            .expect("chunks");
        let slopes = slopes.compute(Concatenate::new()).expect("perturbations");
        assert_eq!(slopes.shape(), [7, 5, INPUTS]);
        for input in 0..INPUTS {
            let expected = (moved(input, STEP) - moved(input, -STEP)) / (2.0 * STEP);
            let got = slopes.index_axis(Axis(2), input).to_owned();
            let error = difference(&got, &expected);
            assert!(error < 1e-6, "{}, input {input}: {error:e}", method.name);
        }
    }
}

#[test]
fn blocks_of_every_solver_are_those_of_the_direct_one() {
    let situation = &situations()[0];
    let (test, train) = (points(5, 4.0), points(11, 5.0));
    let (_, net, forward) = situation;
    for structure in [BlockStructure::LayerWise, BlockStructure::ParameterWise] {
        for method in methods(Precision::F64) {
            let Some(tolerance) = method.exact else {
                continue;
            };
            let fit = || {
                let forward = *forward;
                let task = Classification::new(move |net: &Net, x: Tensor<2>| forward(net, x));
                Fit::new(task)
                    .with_precision(Precision::F64)
                    .with_blocks(structure.clone())
                    .with_batch_size(4)
            };
            let got = influences(&method.fit(fit(), net, &train), &test, &train);
            let direct = Method {
                kind: Kind::Solver(Arc::new(Direct)),
                ..method
            };
            let exact = influences(&direct.fit(fit(), net, &train), &test, &train);
            let error = difference(&got, &exact);
            assert!(
                error < 10.0 * tolerance,
                "{} {structure:?}: {error:e}",
                direct.name
            );
        }
    }
}
