//! The same bits, whatever the strategy and the number of threads.

use std::{num::NonZero, sync::Arc};

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use influence::{
    ArrayDataset, AssumeThreadSafe, Batch, Calculator, Classification, Concatenate,
    ConjugateGradient, Curvature, Direct, Fit, Influence, InfluenceModel, Parallel, Sequential,
    backend::Stack, solver::Solver,
};

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    last: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x).tanh())
    }
}

fn data(samples: usize, phase: f64) -> ArrayDataset {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "small counts"
    )]
    let inputs: Vec<f32> = (0..samples * 20)
        .map(|index| (index as f64 * 1.7 + phase).sin() as f32)
        .collect();
    let labels: Vec<i64> = (0..samples)
        .map(|index| i64::try_from(index * 7 % 5).unwrap_or(0))
        .collect();
    let fields = vec![
        TensorData::new(inputs, [samples, 20]),
        TensorData::new(labels, [samples]),
    ];
    ArrayDataset::new(fields).expect("as many labels as inputs")
}

/// A layer whose weights are the same in every call, from any thread.
fn layer(inputs: usize, outputs: usize) -> Linear {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "small counts"
    )]
    let wave = |count: usize| {
        (0..count)
            .map(|index| (index as f64 * 2.3).sin() as f32 * 0.4)
            .collect::<Vec<_>>()
    };
    let device = Device::flex();
    Linear {
        weight: Param::from_data(
            TensorData::new(wave(inputs * outputs), [inputs, outputs]),
            &device,
        ),
        bias: Some(Param::from_data(
            TensorData::new(wave(outputs), [outputs]),
            &device,
        )),
    }
}

fn model(curvature: Curvature, solver: impl Solver<Stack> + 'static) -> Influence {
    let mlp = Mlp {
        first: layer(20, 12),
        last: layer(12, 5),
    };
    Fit::new(Classification::new(|m: &Mlp, x: Tensor<2>| m.forward(x)))
        .with_curvature(curvature)
        .with_solver(solver)
        .with_damping(0.05)
        .with_batch_size(32)
        .fit(&mlp, Arc::new(data(90, 0.3)))
        .expect("the model is fitted")
}

fn bits<C: Calculator>(calculator: &C) -> Vec<u64>
where
    C::Model: InfluenceModel<Batch = Batch>,
{
    let (test, train) = (data(37, 0.9), data(90, 0.3));
    let lazy = calculator
        .influences(&test, &train)
        .with_chunks(8, 17)
        .expect("chunks");
    lazy.compute(Concatenate::new())
        .expect("influences")
        .iter()
        .map(|value| value.to_bits())
        .collect()
}

#[test]
fn sequential_and_parallel_give_the_same_bits() {
    let cg = || {
        ConjugateGradient::new()
            .with_rtol(1e-4)
            .expect("a tolerance")
    };
    let models = [
        model(Curvature::GaussNewton, Direct),
        model(Curvature::EmpiricalFisher, cg()),
        model(Curvature::GaussNewton, cg()),
    ];
    for model in models {
        let sequential = bits(&Sequential::new(&model));
        for threads in [1, 2, 3] {
            let parallel = Parallel::new(&model, NonZero::new(threads)).expect("threads");
            assert!(bits(&parallel) == sequential, "{threads} threads");
        }
    }
}

#[test]
fn a_model_that_differentiates_twice_while_solving_is_thread_safe() {
    let cg = ConjugateGradient::new()
        .with_rtol(1e-3)
        .and_then(|cg| cg.with_max_iterations(40))
        .expect("settings");
    let model = model(Curvature::Hessian, cg);
    let run = |calculator: Box<dyn Calculator<Model = &Influence> + '_>| {
        let (test, train) = (data(6, 0.9), data(20, 0.3));
        let lazy = calculator
            .influences(&test, &train)
            .accepting_unsolved()
            .with_chunks(2, 5)
            .expect("chunks");
        let values = lazy.compute(Concatenate::new()).expect("influences");
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    let sequential = run(Box::new(Sequential::new(&model)));
    for _ in 0..5 {
        let parallel = Parallel::new(&model, NonZero::new(2)).expect("threads");
        assert!(run(Box::new(parallel)) == sequential, "2 threads");
    }
}

#[test]
fn replicas_and_the_knowing_skip_give_the_same_bits() {
    let shared = model(Curvature::GaussNewton, Direct);
    let sequential = bits(&Sequential::new(&shared));
    let replicas = Parallel::with_replicas(
        || Ok(model(Curvature::GaussNewton, Direct)),
        NonZero::new(2),
    )
    .expect("threads");
    assert!(bits(&replicas) == sequential, "replicas");
    let skipped = Parallel::new(AssumeThreadSafe(shared), NonZero::new(2)).expect("threads");
    assert!(bits(&skipped) == sequential, "the knowing skip");
}
