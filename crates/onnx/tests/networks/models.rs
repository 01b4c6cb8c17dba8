//! Exported networks against PyTorch in 64 bits: names, outputs, gradients of samples by parameter,
//! and influences by the exact Hessian and Gauss-Newton matrices.

use crate::golden::{Golden, difference, largest};
use crate::opened::Opened;
use burn::tensor::Device;
use influence_backend_burn::{Curvature, Evaluator};
use influence_core::{
    InfluenceModel, Precision,
    solver::{Direct, Identity},
};

/// A network with the largest differences that are allowed, relative to the largest number.
struct Case {
    name: &'static str,
    /// Of gradients in 64 bits: rounding, or the constants that the exporter rounded to 32.
    double: f64,
    /// Of influences in 64 bits.
    influence: f64,
}

const EXACT: f64 = 1e-12;

const CASES: [Case; 15] = [
    Case {
        name: "mlp",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "batch_norm",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "residual_cnn",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "mobile_block",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "lstm",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "lstm_bidirectional",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "gru",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "rnn",
        double: EXACT,
        influence: 1e-11,
    },
    Case {
        name: "nano_gpt",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "gpt2",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "bert",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "encoder",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "vision_transformer",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "llama",
        double: 1e-6,
        influence: 1e-6,
    },
    Case {
        name: "two_inputs",
        double: EXACT,
        influence: 1e-11,
    },
];

/// The exports whose parameters are as they were.
const EXPORTS: [&str; 2] = ["old.onnx", "new.onnx"];

#[test]
fn parameters_have_the_names_and_gradients_of_the_module() {
    let mut wrong = Vec::new();
    for case in &CASES {
        let golden = Golden::new(case.name);
        for export in EXPORTS {
            let opened = Opened::new(&golden, export, "reference");
            let expected = opened.reference.gradients();
            for (precision, tolerance) in [(Precision::F32, 2e-6), (Precision::F64, case.double)] {
                let found = opened.gradients(precision);
                assert_eq!(
                    found.keys().collect::<Vec<_>>(),
                    expected.keys().collect::<Vec<_>>(),
                    "{}/{export}",
                    case.name
                );
                // A gradient that is all but zero is rounding.
                let least = 1e-3 * largest(expected.values().flatten());
                let differences = expected
                    .iter()
                    .map(|(name, expected)| (difference(&found[name], expected, least), name));
                let worst = differences
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .expect("parameters");
                println!(
                    "{}/{export} {precision:?}: {:.1e} ({})",
                    case.name, worst.0, worst.1
                );
                if worst.0 > tolerance {
                    wrong.push(format!(
                        "{}/{export} {precision:?}: {:.1e} in {}",
                        case.name, worst.0, worst.1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outputs_are_those_of_another_runtime() {
    for case in &CASES {
        let golden = Golden::new(case.name);
        for export in EXPORTS {
            let opened = Opened::new(&golden, export, "reference");
            let network = opened.model.network(&Device::flex());
            let evaluator = Evaluator::new(opened.task.clone(), &network, &Device::flex());
            let (outputs, _) = evaluator
                .outputs(&opened.batch())
                .expect("outputs")
                .expect("declared");
            let expected = opened.reference.output();
            let difference = difference(&outputs, &expected, 0.0);
            assert!(difference < 1e-5, "{}/{export}: {difference:e}", case.name);
        }
    }
}

#[test]
fn influences_are_those_of_dense_matrices() {
    let mut wrong = Vec::new();
    for case in &CASES {
        let golden = Golden::new(case.name);
        for export in EXPORTS {
            let opened = Opened::new(&golden, export, "reference");
            for (name, curvature) in [
                ("hessian", Curvature::Hessian),
                ("gauss-newton", Curvature::GaussNewton),
            ] {
                let fitted = opened.fit(|fit| {
                    fit.with_precision(Precision::F64)
                        .with_curvature(curvature)
                        .with_solver(Direct)
                        .with_damping(opened.reference.damping())
                });
                let batch = opened.batch();
                let factors = fitted.factors(&batch).expect("factors");
                let gradients = fitted.gradients(&batch).expect("gradients");
                let found = fitted
                    .scores(&factors.rows, &gradients)
                    .expect("scores")
                    .into_dimensionality()
                    .expect("a matrix");
                let expected = opened.reference.influences(name);
                let difference = difference(&found, &expected, 0.0);
                println!("{}/{export} {name}: {difference:.1e}", case.name);
                if difference > case.influence {
                    wrong.push(format!("{}/{export} {name}: {difference:.1e}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_parameters_have_taps() {
    for case in &CASES {
        let golden = Golden::new(case.name);
        for export in EXPORTS {
            let opened = Opened::new(&golden, export, "reference");
            let fitted = opened.fit(|fit| fit.with_solver(Identity).with_damping(1.0));
            let untapped: Vec<&str> = fitted.source().untapped().collect();
            assert!(untapped.is_empty(), "{}/{export}: {untapped:?}", case.name);
        }
    }
}
