//! Influences and factors against references from automatic differentiation in `PyTorch` and closed
//! forms, in float64.

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use influence::{
    Batch, BlockStructure, ByBlock, Calculator, Classification, Concatenate, ConjugateGradient,
    Curvature, CustomBlocks, Direct, Fit, Influence, InfluenceModel, InverseHarmonicMean, Jacobi,
    Perturbation, Precision, Regression, Sequential, Task,
    backend::Stack,
    foundation::{
        Error,
        solver::{Solver, Status},
    },
};
use ndarray::{Array2, ArrayD};
use serde_json::Value;

use crate::{
    models::{Dense, Mlp},
    reference::{data, difference, fixture, matrix},
};

const CURVATURES: [(Curvature, &str); 3] = [
    (Curvature::Hessian, "hessian_full"),
    (Curvature::GaussNewton, "ggn_full"),
    (Curvature::EmpiricalFisher, "empirical_fisher_full"),
];

type FitCase = dyn Fn(&Value, Settings) -> influence::foundation::Result<Influence>;

/// A fixture with its model, ready to be fitted with any settings.
struct Case {
    values: Value,
    fit: Box<FitCase>,
}

struct Settings {
    curvature: Curvature,
    device: Device,
    precision: Precision,
    blocks: BlockStructure,
    solver: Arc<dyn Solver<Stack>>,
    damping: f64,
}

fn fit<T: Task>(
    task: T,
    module: &T::Module,
    case: &Value,
    settings: Settings,
) -> influence::foundation::Result<Influence>
where
    T::Module: Module,
{
    Fit::new(task)
        .with_curvature(settings.curvature)
        .with_device(settings.device)
        .with_precision(settings.precision)
        .with_blocks(settings.blocks)
        .with_solver(settings.solver)
        .with_damping(settings.damping)
        // Batches of 2: the last one is smaller for five samples.
        .with_batch_size(2)
        .fit(module, Arc::new(data(case, "train")))
}

fn cases() -> [Case; 3] {
    let linear = |case: &Value, settings: Settings| {
        fit(
            Regression::new(|m: &Dense, x: Tensor<2>| m.forward(x)),
            &Dense::from_fixture(case, ""),
            case,
            settings,
        )
    };
    let softmax = |case: &Value, settings: Settings| {
        fit(
            Classification::new(|m: &Dense, x: Tensor<2>| m.forward(x)),
            &Dense::from_fixture(case, ""),
            case,
            settings,
        )
    };
    let mlp = |case: &Value, settings: Settings| {
        fit(
            Regression::new(|m: &Mlp, x: Tensor<2>| m.forward(x)),
            &Mlp::from_fixture(case),
            case,
            settings,
        )
    };
    [
        Case {
            values: fixture("linear_mse"),
            fit: Box::new(linear),
        },
        Case {
            values: fixture("softmax_ce"),
            fit: Box::new(softmax),
        },
        Case {
            values: fixture("mlp_tanh_mse"),
            fit: Box::new(mlp),
        },
    ]
}

impl Case {
    fn name(&self) -> &str {
        self.values["name"].as_str().expect("a name")
    }

    fn damping(&self) -> f64 {
        self.values["lam"].as_f64().expect("a damping")
    }

    fn influence(
        &self,
        curvature: Curvature,
        precision: Precision,
        solver: Arc<dyn Solver<Stack>>,
    ) -> Influence {
        self.influence_on(&Device::flex(), curvature, precision, solver)
    }

    fn influence_on(
        &self,
        device: &Device,
        curvature: Curvature,
        precision: Precision,
        solver: Arc<dyn Solver<Stack>>,
    ) -> Influence {
        let settings = Settings {
            curvature,
            device: device.clone(),
            precision,
            blocks: BlockStructure::Full,
            solver,
            damping: self.damping(),
        };
        (self.fit)(&self.values, settings).expect("the model is fitted")
    }

    fn up<M>(&self, model: &M) -> influence::calculators::Result<ArrayD<f64>>
    where
        M: InfluenceModel<Batch = Batch>,
    {
        let (test, train) = (data(&self.values, "test"), data(&self.values, "train"));
        Sequential::new(model)
            .influences(&test, &train)
            .with_chunks(2, 3)?
            .compute(Concatenate::new())
    }

    fn factors(&self, model: &Influence) -> influence::calculators::Result<Array2<f64>> {
        Sequential::new(model)
            .influence_factors(&data(&self.values, "test"))
            .with_chunks(2)?
            .to_array()
    }
}

/// Which curvature and solver make which entries of the fixtures.
fn entries() -> [(Curvature, Arc<dyn Solver<Stack>>, &'static str); 4] {
    [
        (Curvature::Hessian, Arc::new(Direct), "hessian_full"),
        (Curvature::GaussNewton, Arc::new(Direct), "ggn_full"),
        (
            Curvature::EmpiricalFisher,
            Arc::new(Direct),
            "empirical_fisher_full",
        ),
        (
            Curvature::EmpiricalFisher,
            Arc::new(InverseHarmonicMean),
            "inverse_harmonic_mean_full",
        ),
    ]
}

/// Factors, influences and perturbations of every curvature of every fixture.
fn fixtures_are_equalled(device: &Device, precision: Precision, tolerance: f64) {
    println!("| case | entry | precision | factors | up | pert |\n|---|---|---|---|---|---|");
    for case in cases() {
        for (curvature, solver, name) in entries() {
            let model = case.influence_on(device, curvature, precision, solver);
            let reference = &case.values[name];
            let up = case.up(&model).expect("influences");
            let up = difference(&up, &matrix(&reference["up"]));
            let factors = case.factors(&model).expect("factors").into_dyn();
            let factors = difference(&factors, &matrix(&reference["factors"]));
            let pert = case.up(&Perturbation::new(&model)).expect("perturbations");
            let [k, n, d] = [0, 1, 2].map(|axis| pert.shape()[axis]);
            let pert = pert.into_shape_with_order((k, n * d)).expect("a matrix");
            let expected = matrix(&reference["pert"]);
            let pert = difference(&pert.into_dyn(), &expected);
            println!(
                "| {} | {name} | {precision:?} | {factors:.1e} | {up:.1e} | {pert:.1e} |",
                case.name()
            );
            let worst = up.max(factors).max(pert);
            assert!(worst < tolerance, "{} {name} {precision:?}", case.name());
        }
    }
}

#[test]
fn factors_influences_and_perturbations_equal_the_fixtures() {
    fixtures_are_equalled(&Device::flex(), Precision::F64, 1e-10);
    fixtures_are_equalled(&Device::flex(), Precision::F32, 1e-4);
}

#[cfg(feature = "ndarray")]
#[test]
fn fixtures_are_equalled_on_ndarray() {
    let device = influence::device::open("ndarray").expect("the feature is on");
    fixtures_are_equalled(&device, Precision::F64, 1e-10);
    fixtures_are_equalled(&device, Precision::F32, 1e-4);
}

#[cfg(feature = "wgpu")]
#[test]
fn fixtures_are_equalled_on_wgpu() {
    if let Some(device) = crate::devices::there("wgpu") {
        fixtures_are_equalled(&device, Precision::F32, 1e-4);
    }
}

#[test]
fn conjugate_gradient_equals_the_fixtures_where_the_system_is_definite() {
    for case in cases() {
        for (curvature, name) in CURVATURES {
            if case.name() == "mlp_tanh_mse" && curvature == Curvature::Hessian {
                continue;
            }
            for jacobi in [false, true] {
                let mut solver = ConjugateGradient::new()
                    .with_rtol(1e-10)
                    .expect("a tolerance");
                if jacobi {
                    solver =
                        solver.with_preconditioner(Arc::new(Jacobi::new(4, 0).expect("settings")));
                }
                let model = case.influence(curvature, Precision::F64, Arc::new(solver));
                let up = difference(
                    &case.up(&model).expect("influences"),
                    &matrix(&case.values[name]["up"]),
                );
                println!("{} {name} jacobi {jacobi}: {up:.1e}", case.name());
                assert!(up < 1e-10, "{} {name}: {up:e}", case.name());
            }
        }
    }
}

#[test]
fn blocks_equal_the_fixtures() {
    for case in cases() {
        let (blocks, names) = if case.name() == "mlp_tanh_mse" {
            (BlockStructure::LayerWise, ["0", "2"])
        } else {
            (BlockStructure::ParameterWise, ["weight", "bias"])
        };
        let settings = |blocks| Settings {
            curvature: Curvature::Hessian,
            device: Device::flex(),
            precision: Precision::F64,
            blocks,
            solver: Arc::new(Direct),
            damping: case.damping(),
        };
        let model = (case.fit)(&case.values, settings(blocks)).expect("the model is fitted");
        let reference = &case.values["hessian_blockwise"];
        let up = case.up(&model).expect("influences");
        let factors = case.factors(&model).expect("factors").into_dyn();
        let pert = case.up(&Perturbation::new(&model)).expect("perturbations");
        let [k, n, d] = [0, 1, 2].map(|axis| pert.shape()[axis]);
        let pert = pert.into_shape_with_order((k, n * d)).expect("a matrix");
        for (name, values) in [("up", up), ("factors", factors), ("pert", pert.into_dyn())] {
            let error = difference(&values, &matrix(&reference[name]));
            println!("{} hessian_blockwise {name}: {error:.1e}", case.name());
            assert!(error < 1e-10, "{} {name}: {error:e}", case.name());
        }
        let by_block = case.up(&ByBlock::new(model)).expect("influences");
        for (index, name) in names.into_iter().enumerate() {
            let share = by_block.index_axis(ndarray::Axis(2), index).to_owned();
            let error = difference(&share, &matrix(&reference["by_block"][name]["up"]));
            assert!(error < 1e-10, "{} block {name}: {error:e}", case.name());
        }

        // One block alone, the rest ignored, gives that block's share.
        let (name, members) = match case.name() {
            "mlp_tanh_mse" => ("2", vec!["last.weight", "last.bias"]),
            _ => ("bias", vec!["bias"]),
        };
        let custom = CustomBlocks::new([(name, members)]);
        let incomplete = (case.fit)(
            &case.values,
            settings(BlockStructure::Custom(custom.clone())),
        );
        assert!(matches!(incomplete, Err(Error::BlockIncomplete { .. })));
        let model = (case.fit)(
            &case.values,
            settings(BlockStructure::Custom(custom.ignoring_rest())),
        )
        .expect("fitted");
        let up = difference(
            &case.up(&model).expect("influences"),
            &matrix(&reference["by_block"][name]["up"]),
        );
        assert!(up < 1e-10, "{} block {name}: {up:e}", case.name());
    }
}

#[test]
fn an_indefinite_system_is_reported() {
    let [.., case] = cases();
    let direct = case.influence(Curvature::Hessian, Precision::F64, Arc::new(Direct));
    let test = influence::Dataset::batch(&data(&case.values, "test"), 0..3).expect("a batch");
    let solution = direct.factors(&test).expect("factors");
    let negative =
        |status: Status| matches!(status, Status::Indefinite { negative } if negative > 0);
    assert!(
        solution
            .reports
            .iter()
            .all(|report| negative(report.status) && report.residual < 1e-10)
    );

    let iterative = case.influence(
        Curvature::Hessian,
        Precision::F64,
        Arc::new(ConjugateGradient::new()),
    );
    let error = case
        .up(&iterative)
        .expect_err("conjugate gradient needs a definite system");
    let message = crate::reference::chain(&error);
    assert!(
        message.contains("negative curvature") && message.contains("raise the damping"),
        "{message}"
    );
}

#[test]
fn too_few_iterations_name_the_rows_and_what_to_try() {
    let [case, ..] = cases();
    let solver = ConjugateGradient::new()
        .with_rtol(1e-12)
        .and_then(|solver| solver.with_max_iterations(1))
        .expect("settings");
    let model = case.influence(Curvature::Hessian, Precision::F64, Arc::new(solver));
    let message = crate::reference::chain(&case.up(&model).expect_err("one iteration is too few"));
    assert!(
        message.contains("rows 0, 1") && message.contains("max_iterations"),
        "{message}"
    );
}

#[test]
fn without_curvature_nothing_agrees() {
    // The twin of the tests above: with g/λ in place of the factors every comparison fails by far.
    for case in cases() {
        for (_, name) in CURVATURES {
            let (test, train) = (
                matrix(&case.values["grads_test"]),
                matrix(&case.values["grads_train"]),
            );
            let plain = test.dot(&train.t()) / case.damping();
            assert!(
                difference(&plain.into_dyn(), &matrix(&case.values[name]["up"])) > 0.1,
                "{} {name}",
                case.name()
            );
        }
    }
}
