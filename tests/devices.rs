//! Devices other than the default one: every method on networks of every kind, against the default
//! device in 64 bits.

mod networks;

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use influence::{
    ArrayDataset, Classification, Curvature, Dataset, Fit, Kronecker, LeverageCorrected,
    Perturbation, Precision, Segmentation, TrainingStep, TrainingSteps, UpdateRule, Values,
    backend::Field, device, erase,
};
use ndarray::ArrayD;

use crate::methods::{Method, Model, Net, difference, influences, methods, points};
use networks::{Cnn, Transformer, images, sentences};

const TRAIN: usize = 12;

/// Where something is computed.
struct Place {
    device: Device,
    precision: Precision,
}

/// What is computed of a network.
enum Way {
    Method(Method),
    /// The curvature of a training point leaves with its gradient.
    Leverage,
    /// A training, undone step by step.
    Magic(UpdateRule),
    /// A training in segments.
    Source,
    /// How influences change with the numbers of the training points.
    Perturbation,
}

impl Way {
    fn all(precision: Precision) -> Vec<(String, Self)> {
        let named = |method: Method| {
            let name = format!("{}, {:?}", method.name, method.curvature);
            (name, Self::Method(method))
        };
        let mut all: Vec<_> = methods(precision).into_iter().map(named).collect();
        let momentum = UpdateRule::Sgd { momentum: 0.9 };
        all.push(("leverage".into(), Self::Leverage));
        all.push(("magic".into(), Self::Magic(momentum)));
        all.push(("source".into(), Self::Source));
        all.push(("perturbation".into(), Self::Perturbation));
        all
    }

    fn model<M, I>(&self, network: &Network<M, I>, place: &Place) -> Model
    where
        M: Module + Clone + 'static,
        I: Field + 'static,
    {
        let fit = Fit::new(Classification::new(network.forward))
            .with_device(place.device.clone())
            .with_precision(place.precision)
            .with_batch_size(5);
        let (module, train) = (&network.module, &network.train);
        match self {
            Self::Method(method) => method.fit(fit, module, train),
            Self::Leverage | Self::Perturbation => {
                let fit = fit.with_curvature(Curvature::GaussNewton);
                let influence = fit.fit(module, Arc::new(train.clone())).expect("fitted");
                match self {
                    Self::Perturbation => erase(Perturbation::new(influence)),
                    _ => erase(LeverageCorrected::new(influence, TRAIN)),
                }
            }
            Self::Magic(rule) => {
                let unrolled = fit.unrolled(module, descent(train, *rule));
                erase(unrolled.expect("a training"))
            }
            Self::Source => {
                let descent = descent(train, UpdateRule::Sgd { momentum: 0.0 });
                let segments = Segmentation {
                    segments: 1,
                    checkpoints: 2,
                };
                let fit = fit
                    .with_curvature(Curvature::GaussNewton)
                    .with_kronecker(Kronecker::Ekfac);
                let segmented = fit.segmented(module, descent, segments, Arc::new(train.clone()));
                erase(segmented.expect("a training").influence)
            }
        }
    }
}

/// Two epochs of batches of four.
fn descent(train: &ArrayDataset, rule: UpdateRule) -> TrainingSteps {
    let samples = train.clone();
    let step = |index: usize| TrainingStep {
        batch: (0..4)
            .map(|place| (5 * (4 * index + place) + 1) % TRAIN)
            .collect(),
        learning_rate: 0.1,
    };
    TrainingSteps {
        samples: TRAIN,
        gather: Arc::new(move |positions| Ok(samples.batch(0..TRAIN)?.select(positions))),
        steps: (0..6).map(step).collect(),
        rule,
        weight_decay: 0.01,
    }
}

/// A network with points.
struct Network<M, I> {
    name: &'static str,
    module: M,
    forward: fn(&M, I) -> Tensor<2>,
    train: ArrayDataset,
    test: ArrayDataset,
}

impl<M, I> Network<M, I>
where
    M: Module + Clone + 'static,
    I: Field + 'static,
{
    fn new(
        name: &'static str,
        module: M,
        forward: fn(&M, I) -> Tensor<2>,
        points: fn(usize, f64) -> ArrayDataset,
    ) -> Self {
        Self {
            name,
            module,
            forward,
            train: points(TRAIN, 5.0),
            test: points(4, 4.0),
        }
    }

    fn influences(&self, way: &Way, place: &Place) -> ArrayD<f64> {
        influences(&way.model(self, place), &self.test, &self.train)
    }

    /// Every method in a place against the same in 64 bits on the default device.
    fn agrees(&self, place: &Place, tolerance: f64) {
        let cpu = |precision| Place {
            device: Device::flex(),
            precision,
        };
        let (same, exact) = (cpu(place.precision), cpu(Precision::F64));
        // Tokens are not numbers that could change a little.
        let first = self.test.batch(0..1).expect("a batch");
        let floats = !matches!(first.fields()[0], Values::I64(_));
        let all = Way::all(place.precision).into_iter();
        for (name, way) in all.filter(|(_, way)| floats || !matches!(way, Way::Perturbation)) {
            // A series that is cut off before it converges, as it is on the other networks, differs
            // by what is cut off.
            if name.starts_with("lissa") && self.name != "perceptron" {
                continue;
            }
            let reference = self.influences(&way, &exact);
            let error = difference(&self.influences(&way, place), &reference);
            let rounding = difference(&self.influences(&way, &same), &reference);
            println!("| {} | {name} | {error:.1e} | {rounding:.1e} |", self.name);
            // The root of a sketch of all columns keeps half of the digits. Where the problem
            // itself magnifies rounding, the CPU in the same precision says by how much; a GPU's
            // error function of 32 bits is off by a few times that.
            let tolerance = if name.starts_with("nystroem") {
                tolerance.sqrt()
            } else {
                tolerance
            };
            let tolerance = tolerance.max(64.0 * rounding);
            assert!(error < tolerance, "{}, {name}: {error:e}", self.name);
        }
    }
}

fn every_method_agrees<M, I>(
    network: &Network<M, I>,
    name: &str,
    precision: Precision,
    tolerance: f64,
) where
    M: Module + Clone + 'static,
    I: Field + 'static,
{
    let Some(device) = there(name) else {
        return;
    };
    println!("| network | method | {name} | cpu |\n|---|---|---|---|");
    network.agrees(&Place { device, precision }, tolerance);
}

/// A test for each network of every method on a device: they run side by side.
macro_rules! every_method_agrees {
    ($(#[$attribute:meta])* $device:literal, $precision:expr, $tolerance:literal) => {
        $(#[$attribute])*
        #[test]
        fn every_method_on_a_perceptron_is_that_of_the_default_device() {
            let network = Network::new("perceptron", Net::new(true), Net::forward, points);
            every_method_agrees(&network, $device, $precision, $tolerance);
        }

        $(#[$attribute])*
        #[test]
        fn every_method_on_convolutions_is_that_of_the_default_device() {
            let network = Network::new("convolutions", Cnn::new(), Cnn::forward, images);
            every_method_agrees(&network, $device, $precision, $tolerance);
        }

        $(#[$attribute])*
        #[test]
        fn every_method_on_attention_is_that_of_the_default_device() {
            let (module, forward) = (Transformer::new(), Transformer::forward);
            let network = Network::new("attention", module, forward, sentences);
            every_method_agrees(&network, $device, $precision, $tolerance);
        }
    };
}

/// A device, or nothing and a message where the machine has none.
pub(crate) fn there(name: &str) -> Option<Device> {
    use std::io::Write;
    match device::open(name) {
        Ok(device) => {
            let adapter = device::adapter(&device);
            println!("{name}: {}", adapter.as_deref().unwrap_or("the processor"));
            Some(device)
        }
        Err(error) => {
            writeln!(std::io::stderr(), "SKIPPED: {error}").expect("stderr is open");
            None
        }
    }
}

#[cfg(feature = "ndarray")]
mod ndarray_device {
    use super::*;

    every_method_agrees!("ndarray", Precision::F64, 1e-9);
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::*;

    every_method_agrees!(
        #[ignore = "needs an NVIDIA GPU"]
        "cuda",
        Precision::F32,
        3e-5
    );

    mod in_64_bits {
        use super::*;

        every_method_agrees!(
            #[ignore = "needs an NVIDIA GPU"]
            "cuda",
            Precision::F64,
            1e-9
        );
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use super::*;

    every_method_agrees!(
        #[ignore = "half an hour where the driver computes on two busy cores; run it with --ignored"]
        "wgpu",
        Precision::F32,
        3e-5
    );

    #[test]
    fn wgpu_has_no_64_bit_floats() {
        let Some(device) = there("wgpu") else {
            return;
        };
        assert!(!device::supports(&device, Precision::F64));
        let network = Network::new("perceptron", Net::new(true), Net::forward, points);
        let fit = Fit::new(Classification::new(network.forward))
            .with_device(device)
            .with_precision(Precision::F64);
        let error = fit.fit(&network.module, Arc::new(network.train));
        let message = crate::reference::chain(&error.expect_err("no f64"));
        assert!(
            message.contains("does not support f64; use f32, or a CPU device"),
            "{message}"
        );
    }
}
