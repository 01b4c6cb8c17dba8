//! A model that is no burn module: its recordings are written by hand.

use std::sync::Arc;

use burn::{
    backend::{
        capture::TensorId,
        ir::{
            BaseOperationIr, BinaryOpIr, FloatOperationIr, MatmulOpIr, NumericOperationIr,
            OperationIr, ShapeOpIr, TensorIr, TensorStatus,
        },
    },
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{DType, Device, Shape, Tensor, TensorData},
};
use influence_core::{
    Dataset, InfluenceModel, Precision, Rows,
    block::{Parameter, ParameterLayout},
};

use super::floats;
use crate::{
    ArrayDataset, Batch, Curvature, Fit, Influence, OutputLoss, Regression, Result,
    trace::{DeclaredOutputs, Function, Recording, Trace},
};

const INPUTS: usize = 3;

/// Least squares, `(x w − y)²`.
#[derive(Debug)]
struct LeastSquares {
    layout: ParameterLayout,
    values: Vec<TensorData>,
    /// Whether it declares its outputs.
    declares: bool,
}

impl LeastSquares {
    fn new(declares: bool) -> Self {
        let weight = Parameter {
            name: "weight".into(),
            shape: vec![INPUTS, 1],
        };
        Self {
            layout: ParameterLayout::new(vec![weight]),
            values: vec![floats(&[INPUTS, 1], 5.0)],
            declares,
        }
    }
}

fn tensor(id: u64, shape: &[usize]) -> TensorIr {
    TensorIr {
        id: TensorId::new(id),
        shape: Shape::from(shape.to_vec()),
        status: TensorStatus::ReadOnly,
        dtype: DType::F32,
    }
}

impl Trace for LeastSquares {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn values(&self) -> &[TensorData] {
        &self.values
    }

    fn record(&self, function: Function, batch: &Batch) -> Result<Option<Recording>> {
        let n = batch.len();
        let (x, y, w) = (
            tensor(0, &[n, INPUTS]),
            tensor(1, &[n, 1]),
            tensor(2, &[INPUTS, 1]),
        );
        let [prediction, residual, square] = [3, 4, 5].map(|id| tensor(id, &[n, 1]));
        let loss = tensor(6, &[n]);
        let float = |operation| OperationIr::NumericFloat(DType::F32, operation);
        let operations = vec![
            OperationIr::Float(
                DType::F32,
                FloatOperationIr::Matmul(MatmulOpIr {
                    lhs: x.clone(),
                    rhs: w.clone(),
                    out: prediction.clone(),
                }),
            ),
            float(NumericOperationIr::Sub(BinaryOpIr {
                lhs: prediction.clone(),
                rhs: y.clone(),
                out: residual.clone(),
            })),
            float(NumericOperationIr::Mul(BinaryOpIr {
                lhs: residual.clone(),
                rhs: residual,
                out: square.clone(),
            })),
            OperationIr::BaseFloat(BaseOperationIr::Reshape(ShapeOpIr {
                input: square,
                out: loss.clone(),
            })),
        ];
        let (output, count, declared) = match function {
            Function::Loss | Function::Measurement => (loss.id, 4, None),
            Function::Outputs if self.declares => {
                let declared = DeclaredOutputs {
                    loss: OutputLoss::MeanSquaredError,
                    weighted: false,
                };
                (prediction.id, 1, Some(declared))
            }
            Function::Outputs | Function::OutputWeights => return Ok(None),
        };
        Ok(Some(Recording {
            operations: operations.into_iter().take(count).collect(),
            constants: Vec::new(),
            parameters: vec![(w.id, 0)],
            inputs: vec![x.id, y.id],
            output,
            declared,
        }))
    }
}

#[derive(Module, Debug)]
struct Line {
    layer: Linear,
}

fn data() -> Arc<ArrayDataset> {
    let fields = vec![floats(&[9, INPUTS], 1.0), floats(&[9, 1], 2.0)];
    Arc::new(ArrayDataset::new(fields).expect("a data set"))
}

fn factors(influence: &Influence) -> Vec<f64> {
    let batch = data().batch(0..4).expect("a batch");
    let solution = influence.factors(&batch).expect("factors");
    let rows = solution.converged().expect("solved").to_host();
    rows.expect("rows").iter().copied().collect()
}

#[test]
fn what_any_trace_records_gets_the_influences_of_the_same_module() {
    let device = Device::flex();
    let mut line = Line {
        layer: LinearConfig::new(INPUTS, 1).with_bias(false).init(&device),
    };
    let weight = Tensor::<2>::from_data(floats(&[INPUTS, 1], 5.0), (&device, DType::F64));
    line.layer.weight = Param::from_tensor(weight);
    let task = || Regression::new(|line: &Line, x: Tensor<2>| line.layer.forward(x));
    for curvature in [
        Curvature::Hessian,
        Curvature::GaussNewton,
        Curvature::Fisher { draws: 2, seed: 1 },
        Curvature::EmpiricalFisher,
    ] {
        let of_module = Fit::new(task())
            .with_curvature(curvature)
            .with_precision(Precision::F64)
            .fit(&line, data())
            .expect("fitted");
        let of_trace = Fit::of(Arc::new(LeastSquares::new(true)))
            .with_curvature(curvature)
            .with_precision(Precision::F64)
            .on(data())
            .fit()
            .expect("fitted");
        let pairs = factors(&of_trace).into_iter().zip(factors(&of_module));
        let largest = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(largest < 1e-12, "{curvature}: {largest}");
    }
}

#[test]
fn the_curvature_that_needs_outputs_is_named_if_there_are_none() {
    for (curvature, name) in [
        (Curvature::GaussNewton, "gauss-newton"),
        (Curvature::Fisher { draws: 1, seed: 0 }, "fisher"),
    ] {
        let fit = Fit::of(Arc::new(LeastSquares::new(false))).with_curvature(curvature);
        let error = fit.on(data()).fit().expect_err("no outputs").to_string();
        let expected = format!("the curvature {name} needs the task to declare its outputs");
        assert!(error.contains(&expected), "{error}");
    }
}
