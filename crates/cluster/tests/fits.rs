//! Fits by shares: each method has the bytes of a fit by one process, whatever happens to the
//! shares.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use burn::{
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence_backend_burn::{ArrayDataset, Classification, Curvature, Fit, Kronecker, Task};
use influence_cluster::{Error, StoredSums};
use influence_core::{
    Dataset, Error as CoreError, Result, Share,
    block::{BlockStructure, Damping},
    solver::{Arnoldi, ConjugateGradient, Direct, Jacobi, Lissa, Nystroem},
    summation::{Alone, DataPass, Summation, Sums},
};

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    norm: LayerNorm,
    last: Linear,
}

impl Network {
    fn new(inputs: usize, hidden: usize) -> Self {
        let device = Device::flex();
        Self {
            first: linear([inputs, hidden], 0.3),
            norm: LayerNormConfig::new(hidden).init(&device),
            last: linear([hidden, 3], 0.7),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(self.first.forward(x).tanh());
        self.last.forward(hidden)
    }
}

fn waves(count: usize, step: f32) -> Vec<f32> {
    let values = (0..count).map(|index| (index as f32 * step + step).sin());
    values.collect()
}

fn linear(shape: [usize; 2], step: f32) -> Linear {
    let device = Device::flex();
    let mut linear = LinearConfig::new(shape[0], shape[1]).init(&device);
    let values = TensorData::new(waves(shape[0] * shape[1], step), shape);
    linear.weight = linear.weight.map(|_| Tensor::from_data(values, &device));
    let values = TensorData::new(waves(shape[1], step + 0.1), [shape[1]]);
    linear.bias = linear
        .bias
        .map(|bias| bias.map(|_| Tensor::from_data(values, &device)));
    linear
}

fn dataset(samples: usize, inputs: usize, step: f32) -> Arc<ArrayDataset> {
    let x = TensorData::new(waves(samples * inputs, step), [samples, inputs]);
    let y: Vec<i64> = (0..).take(samples).map(|i: i64| (i * i) % 3).collect();
    Arc::new(ArrayDataset::new(vec![x, TensorData::new(y, [samples])]).expect("a data set"))
}

/// A method, with the data and the network that it is fitted on.
#[derive(Clone, Copy)]
struct Case {
    method: &'static str,
    samples: usize,
    batch: usize,
    sizes: [usize; 2],
}

/// 99 samples in 50 batches, hence in 7 leaves.
const fn small(method: &'static str) -> Case {
    Case {
        method,
        samples: 99,
        batch: 2,
        sizes: [5, 4],
    }
}

const CASES: [Case; 13] = [
    small("direct gauss-newton"),
    small("direct hessian"),
    small("direct fisher"),
    small("direct empirical-fisher"),
    small("kfac"),
    small("ekfac"),
    small("ekfac fisher"),
    small("nystroem"),
    small("arnoldi"),
    small("lissa"),
    small("jacobi"),
    // The mean eigenvalue of more than 2,048 parameters from random probes.
    Case {
        samples: 20,
        batch: 1,
        sizes: [64, 32],
        ..small("probes")
    },
    // As many samples and batches as they are outside of tests.
    Case {
        samples: 4_700,
        batch: 256,
        ..small("direct gauss-newton")
    },
];

fn fit(case: Case) -> Fit<impl Task<Module = Network>> {
    let rank = |rank: usize| Arnoldi::new(rank).expect("a rank");
    let fit = Fit::new(Classification::new(Network::forward))
        .with_curvature(Curvature::GaussNewton)
        .with_damping(Damping::relative(0.1))
        .with_batch_size(case.batch);
    let fisher = Curvature::Fisher { draws: 2, seed: 7 };
    match case.method {
        "direct hessian" => fit.with_curvature(Curvature::Hessian),
        "direct fisher" => fit.with_curvature(fisher),
        "direct empirical-fisher" => fit.with_curvature(Curvature::EmpiricalFisher),
        "kfac" => fit.with_kronecker(Kronecker::Kfac),
        "ekfac" => fit.with_kronecker(Kronecker::Ekfac),
        "ekfac fisher" => fit.with_kronecker(Kronecker::Ekfac).with_curvature(fisher),
        "nystroem" => fit.with_solver(Nystroem::new(5).expect("a rank")),
        "arnoldi" => fit
            .with_solver(rank(5))
            .with_blocks(BlockStructure::LayerWise),
        "lissa" => fit.with_solver(Lissa::new().full_batch()),
        "jacobi" => {
            let jacobi = Arc::new(Jacobi::new(4, 1).expect("settings"));
            fit.with_solver(ConjugateGradient::new().with_preconditioner(jacobi))
        }
        "probes" => fit
            .with_curvature(Curvature::Hessian)
            .with_solver(Lissa::new().full_batch()),
        _ => fit.with_solver(Direct),
    }
}

/// Fits with a summation, and keeps the fit in a file.
fn keep(case: Case, summation: Arc<dyn Summation>, path: &Path) -> Result<()> {
    let [inputs, hidden] = case.sizes;
    let train = dataset(case.samples, inputs, 0.37);
    let network = Network::new(inputs, hidden);
    let fit = fit(case).with_summation(summation);
    fit.fit_and_save(&network, train, path).map(drop)
}

fn is_waiting(error: &CoreError) -> bool {
    matches!(Error::of(error), Some(Error::Waiting { .. }))
}

/// What one process keeps.
fn alone(case: Case) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fit.safetensors");
    keep(case, Arc::new(Alone), &path).expect("fitted");
    fs::read(path).expect("a file")
}

/// Calls the shares in turn until all have come to the end; what they keep must be the same.
fn by_shares(case: Case, of: usize, expected: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |index: usize| folder.path().join(format!("{index}.safetensors"));
    let mut missing: Vec<usize> = (0..of).collect();
    for _ in 0..200 {
        missing.retain(|&index| {
            let share = Share::new(index, of).expect("a share");
            let stored = StoredSums::new(folder.path().join("sums"), share);
            let outcome = keep(case, Arc::new(stored), &file(index));
            outcome.is_err_and(|error| {
                assert!(is_waiting(&error), "{}: {error}", case.method);
                true
            })
        });
        if missing.is_empty() {
            break;
        }
    }
    for index in 0..of {
        let kept = fs::read(file(index)).expect("every share comes to the end");
        assert!(kept == expected, "{}: share {index} of {of}", case.method);
    }
}

#[test]
fn every_method_has_the_bytes_of_one_process() {
    for case in CASES {
        let expected = alone(case);
        // Twenty passes and more, each of them replayed by all shares, take long.
        let many_passes = ["lissa", "probes"].contains(&case.method);
        let counts: &[usize] = if many_passes { &[2, 5] } else { &[1, 2, 3, 5] };
        for &of in counts {
            by_shares(case, of, &expected);
        }
    }
}

/// Sums of which the last leaf is left out, as if a subtree had been dropped.
#[derive(Debug)]
struct Dropping;

impl Summation for Dropping {
    fn begin(&self, _identity: &dyn Fn() -> Result<Vec<(&'static str, String)>>) -> Result<()> {
        Ok(())
    }

    fn sum(&self, pass: &DataPass<'_>) -> Result<Sums> {
        Alone.sum(&DataPass {
            leaves: pass.leaves - 1,
            ..*pass
        })
    }
}

#[test]
fn without_a_leaf_every_fit_is_another() {
    for case in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fit.safetensors");
        keep(case, Arc::new(Dropping), &path).expect("fitted");
        assert!(
            fs::read(path).expect("a file") != alone(case),
            "{}",
            case.method
        );
    }
}

/// Shares that die when they compute the second leaf of a pass.
#[derive(Debug)]
struct Dying {
    stored: StoredSums,
    next: AtomicUsize,
    dies: usize,
}

impl Summation for Dying {
    fn begin(&self, identity: &dyn Fn() -> Result<Vec<(&'static str, String)>>) -> Result<()> {
        self.stored.begin(identity)
    }

    fn sum(&self, pass: &DataPass<'_>) -> Result<Sums> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let computed = AtomicUsize::new(0);
        let leaf = |index| {
            let second = computed.fetch_add(1, Ordering::Relaxed) == 1;
            if number == self.dies && second {
                return Err(CoreError::dataset("killed"));
            }
            (pass.leaf)(index)
        };
        self.stored.sum(&DataPass {
            leaf: &leaf,
            ..*pass
        })
    }

    fn own(&self, leaves: usize) -> std::ops::Range<usize> {
        self.stored.own(leaves)
    }
}

/// Whether a share that dies in this pass died.
fn dies(case: Case, share: Share, pass: usize, folder: &Path, file: &Path) -> bool {
    let dying = Dying {
        stored: StoredSums::new(folder, share),
        next: AtomicUsize::new(0),
        dies: pass,
    };
    let outcome = keep(case, Arc::new(dying), file);
    outcome.is_err_and(|error| error.to_string() == "killed")
}

#[test]
fn a_fit_that_is_killed_in_any_pass_goes_on_from_there() {
    for case in [small("ekfac"), small("nystroem"), small("arnoldi")] {
        let expected = alone(case);
        let folder = tempfile::tempdir().expect("a folder");
        let (sums, file) = (folder.path().join("sums"), folder.path().join("fit"));
        let mut passes = 0;
        while dies(case, Share::WHOLE, passes, &sums, &file) {
            passes += 1;
        }
        assert!(passes >= 2, "{}: {passes}", case.method);
        assert!(
            fs::read(file).expect("a file") == expected,
            "{}",
            case.method
        );
    }
}

#[test]
fn shares_that_are_killed_go_on_from_there() {
    let case = small("ekfac");
    let expected = alone(case);
    let folder = tempfile::tempdir().expect("a folder");
    let (sums, file) = (folder.path().join("sums"), folder.path().join("fit"));
    let shares = [0, 1].map(|index| Share::new(index, 2).expect("a share"));
    for pass in 0..2 {
        // The second share may have done its part of the pass already.
        let died = shares.map(|share| dies(case, share, pass, &sums, &file));
        assert!(died[0], "pass {pass}");
        for share in shares {
            let outcome = keep(case, Arc::new(StoredSums::new(&sums, share)), &file);
            assert!(outcome.map_or_else(|error| is_waiting(&error), |()| true));
        }
    }
    keep(case, Arc::new(StoredSums::new(&sums, shares[0])), &file).expect("fitted");
    assert!(fs::read(file).expect("a file") == expected);
}

#[test]
fn the_same_share_may_run_twice_at_once() {
    let case = small("arnoldi");
    let expected = alone(case);
    let folder = tempfile::tempdir().expect("a folder");
    let one = |twin: usize| {
        let share = Share::new(twin / 2, 2).expect("a share");
        let file = folder.path().join(format!("{twin}.safetensors"));
        loop {
            let stored = StoredSums::new(folder.path().join("sums"), share);
            match keep(case, Arc::new(stored), &file) {
                Ok(()) => return fs::read(file).expect("a file"),
                Err(error) => assert!(is_waiting(&error), "{error}"),
            }
        }
    };
    let one = &one;
    thread::scope(|scope| {
        let twins = [0, 1, 2, 3].map(|twin| scope.spawn(move || one(twin)));
        for twin in twins {
            assert!(twin.join().expect("no panic") == expected);
        }
    });
}

#[test]
fn shares_of_something_else_are_refused_by_name() {
    let case = small("nystroem");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fit");
    let keep_in = |case: Case, train: Arc<dyn Dataset<Batch = influence_core::Batch>>| {
        let share = Share::new(0, 2).expect("a share");
        let stored = Arc::new(StoredSums::new(folder.path().join("sums"), share));
        let fit = fit(case).with_summation(stored);
        let outcome = fit.fit_and_save(&Network::new(5, 4), train, &file);
        outcome.expect_err("not the whole").to_string()
    };
    let waiting = keep_in(case, dataset(99, 5, 0.37));
    assert!(waiting.contains("waits for other shares"), "{waiting}");
    for (method, key) in [
        ("arnoldi", "method Nystroem"),
        ("direct hessian", "method "),
    ] {
        let refused = keep_in(small(method), dataset(99, 5, 0.37));
        let expected = format!("is of a fit with {key}");
        assert!(refused.contains(&expected), "{refused}");
    }
    let refused = keep_in(case, dataset(99, 5, 0.38));
    assert!(
        refused.contains("with training data 99 samples"),
        "{refused}"
    );
}
