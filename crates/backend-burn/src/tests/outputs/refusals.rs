//! Outputs that cannot be trusted are refused by name.

use burn::tensor::Tensor;
use influence_core::{Error as CoreError, Precision};

use super::{Line, Own, SAMPLES, class_weighted, cross_entropy, sharp_focal, targets};
use crate::{
    ArrayDataset, Curvature, Error, Fit, Influence, Kronecker, OutputLoss, Outputs, Task,
    tests::floats,
};
use std::{error::Error as _, sync::Arc};

/// Outputs that are declared otherwise than the loss takes them.
struct Elsewhere {
    outputs: fn(Tensor<2>) -> Tensor<2>,
    penalty: bool,
}

impl Task for Elsewhere {
    type Module = Line;
    type Inputs = (Tensor<2>, Tensor<2>);

    fn loss(&self, line: &Line, (x, targets): Self::Inputs) -> Tensor<1> {
        let loss = cross_entropy(line.layer.forward(x), targets);
        if self.penalty {
            return loss + line.layer.weight.val().square().sum() * 0.1;
        }
        loss
    }

    fn outputs(&self, line: &Line, (x, _): Self::Inputs) -> Option<Outputs> {
        let outputs = (self.outputs)(line.layer.forward(x));
        Some(Outputs::new(outputs, OutputLoss::CrossEntropy))
    }
}

fn fitted<T: Task<Module = Line>>(task: T, kronecker: bool) -> Result<Influence, CoreError> {
    let fields = vec![floats(&[SAMPLES, 4], 1.0), targets(4)];
    let train = Arc::new(ArrayDataset::new(fields).expect("a data set"));
    let fit = Fit::new(task)
        .with_curvature(Curvature::GaussNewton)
        .with_precision(Precision::F64);
    let fit = if kronecker {
        fit.with_kronecker(Kronecker::Ekfac)
    } else {
        fit
    };
    fit.fit(&Line::single(4), train)
}

fn reason(result: Result<Influence, CoreError>) -> String {
    let error = result.expect_err("refused");
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<Error>());
    format!("{:?}", source.expect("an error of this crate"))
}

#[test]
fn outputs_that_are_not_those_of_the_loss_are_refused() {
    let elsewhere = |outputs: fn(Tensor<2>) -> Tensor<2>, penalty| {
        reason(fitted(Elsewhere { outputs, penalty }, false))
    };
    assert!(elsewhere(|logits| logits * 2.0, false).starts_with("OutputsOutsideLoss"));
    let beside = elsewhere(|logits| logits, true);
    assert!(beside.contains("LossBesideOutputs") && beside.contains("layer.weight"));
    let linear = elsewhere(
        |logits| burn::tensor::activation::log_softmax(logits, 1),
        false,
    );
    assert!(linear.starts_with("LinearInOutputs"), "{linear}");
    assert!(
        fitted(
            Elsewhere {
                outputs: |logits| logits,
                penalty: false
            },
            false
        )
        .is_ok()
    );
}

#[test]
fn kronecker_factors_and_draws_need_a_convex_loss() {
    let focal = || Own::new(sharp_focal, OutputLoss::Derived);
    assert!(reason(fitted(focal(), true)).starts_with("NotConvex"));
    assert!(fitted(focal(), false).is_ok());
    assert!(fitted(Own::new(class_weighted, OutputLoss::CrossEntropy), true).is_ok());
}
