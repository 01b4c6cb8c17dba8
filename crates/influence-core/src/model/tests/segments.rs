//! Trainings in segments against series of matrices, and against a training step by step.

use ndarray::Array1;

use super::*;
use crate::{block::Block, operator::LinearOperator};

const DECAY: f64 = 0.05;
const TIMES: [f64; 2] = [1.5, 0.7];

/// The only block of a problem, with its curvature on some points.
fn block(problem: &LeastSquares, train: &Samples) -> Result<PreparedBlock> {
    let parameter = Parameter {
        name: "weights".into(),
        shape: vec![DIM],
    };
    let blocks = BlockStructure::Full.resolve(&ParameterLayout::new(vec![parameter]))?;
    let prepared = Direct.prepare(Arc::new(problem.curvature(train)?))?;
    Ok((blocks[0].clone(), prepared))
}

type PreparedBlock = (Block, Box<dyn Prepared<Array2<f64>>>);

/// Points whose curvature the segments have, one set for each.
fn seen() -> [Samples; 2] {
    [Samples::random(20, DIM, 5), Samples::random(20, DIM, 6)]
}

/// Two checkpoints in the first segment, one in the second.
fn checkpoints() -> [Vec<LeastSquares>; 2] {
    let at = |seed| LeastSquares::random(DIM, seed);
    [vec![at(11), at(12)], vec![at(13)]]
}

fn segmented() -> Result<SegmentedUnrolling<LeastSquares>> {
    let each = seen().into_iter().zip(TIMES).zip(checkpoints());
    let segments = each.map(|((seen, time), checkpoints)| {
        Ok(TrainingSegment {
            time,
            curvature: vec![block(&checkpoints[0], &seen)?],
            checkpoints,
        })
    });
    let end = LeastSquares::random(DIM, 3);
    SegmentedUnrolling::new(end, segments.collect::<Result<_>>()?, DECAY)
}

/// `exp(−T M)` and `∫ exp(−t M) dt` from 0 to `T`, by their series.
fn exponential(matrix: &Array2<f64>, time: f64) -> [Array2<f64>; 2] {
    let mut term = Array2::<f64>::eye(matrix.nrows());
    let mut sums = [term.clone(), &term * time];
    for k in 1..80 {
        term = term.dot(matrix) * (-time / f64::from(k));
        sums[0] += &term;
        sums[1].scaled_add(time / f64::from(k + 1), &term);
    }
    sums
}

#[test]
fn a_training_in_segments_is_the_sum_over_them() -> Result<()> {
    let (_, train, test) = problem();
    let mut expected = Array2::<f64>::zeros((5, 20));
    let mut rows = LeastSquares::random(DIM, 3).gradients(&test)?;
    for ((seen, time), checkpoints) in seen().iter().zip(TIMES).zip(checkpoints()).rev() {
        let curvature = checkpoints[0].curvature(seen)?.to_dense()?;
        let [decay, response] = exponential(&(curvature + Array2::<f64>::eye(DIM) * DECAY), time);
        let mut mean = Array2::<f64>::zeros((20, DIM));
        for checkpoint in &checkpoints {
            mean += &(checkpoint.gradients(&train)? / checkpoints.len() as f64);
        }
        expected += &rows.dot(&response).dot(&mean.t());
        rows = rows.dot(&decay);
    }
    let model = segmented()?;
    let got = scores(&model, &test, &train)?;
    testing::assert_close("segments", &got, &expected.into_dyn(), 1e-12);
    testing::model(&model, &test, &train, 1e-13);
    groups::check("groups", &model)?;
    let slopes = differences(&model, &test, &train)?;
    let got = scores(&Perturbation::new(&model), &test, &train)?;
    testing::assert_close("perturbation", &got, &slopes, 1e-7);
    Ok(())
}

/// The gradients stay where they are; the steps are Euler's.
#[test]
fn short_steps_of_constant_gradients_end_where_a_segment_ends() -> Result<()> {
    const STEPS: i32 = 200_000;
    let (problem, train, test) = problem();
    let time = 3.0;
    let segment = TrainingSegment {
        time,
        curvature: vec![block(&problem, &train)?],
        checkpoints: vec![problem.clone()],
    };
    let model = SegmentedUnrolling::new(problem.clone(), vec![segment], DECAY)?;
    let curvature = problem.curvature(&train)?.to_dense()?;
    let step = time / f64::from(STEPS);
    let gradient = problem.gradients(&train)?.row(0).to_owned();
    let mut derivative = Array1::<f64>::zeros(DIM);
    for _ in 0..STEPS {
        let change = curvature.dot(&derivative) + &derivative * DECAY + &gradient;
        derivative.scaled_add(-step, &change);
    }
    let expected = -problem.gradients(&test)?.dot(&derivative);
    let got = scores(&model, &test, &train)?;
    let got = got.index_axis(Axis(1), 0).to_owned();
    testing::assert_close("steps", &got, &expected.into_dyn(), 1e-4);
    Ok(())
}

#[test]
fn directions_without_curvature_have_the_time_and_long_trainings_the_inverse() -> Result<()> {
    let (problem, train, test) = problem();
    let of = |time: f64, curvature: &Samples| {
        let segment = TrainingSegment {
            time,
            curvature: vec![block(&problem, curvature)?],
            checkpoints: vec![problem.clone()],
        };
        let model = SegmentedUnrolling::new(problem.clone(), vec![segment], 0.0)?;
        scores(&model, &test, &train)
    };
    let flat = Samples {
        inputs: Array2::zeros((20, DIM)),
        targets: Array1::zeros(20),
    };
    let products = problem
        .gradients(&test)?
        .dot(&problem.gradients(&train)?.t());
    let expected = (products * 2.5).into_dyn();
    testing::assert_close("flat", &of(2.5, &flat)?, &expected, 1e-14);
    let expected = problem.influences(&train, 0.0, &test, &train).into_dyn();
    testing::assert_close("long", &of(1e5, &train)?, &expected, 1e-9);
    Ok(())
}

#[test]
fn segments_that_do_not_fit_are_refused() -> Result<()> {
    let (problem, train, _) = problem();
    let refused = |time, checkpoints: Vec<LeastSquares>| {
        let segment = TrainingSegment {
            time,
            curvature: vec![block(&problem, &train)?],
            checkpoints,
        };
        SegmentedUnrolling::new(problem.clone(), vec![segment], 0.0).map(drop)
    };
    let own = || vec![problem.clone()];
    assert!(refused(1.0, own()).is_ok());
    assert!(matches!(refused(-1.0, own()), Err(Error::Setting { .. })));
    assert!(matches!(
        refused(1.0, Vec::new()),
        Err(Error::Setting { .. })
    ));
    let other = vec![LeastSquares::random(DIM + 1, 1)];
    assert!(matches!(refused(1.0, other), Err(Error::Shape { .. })));
    let none = SegmentedUnrolling::new(problem.clone(), Vec::new(), 0.0);
    assert!(matches!(none, Err(Error::Setting { .. })));
    let spoilt = Samples {
        inputs: Array2::from_elem((1, DIM), f64::NAN),
        targets: Array1::zeros(1),
    };
    assert!(segmented()?.factors(&spoilt)?.converged().is_err());
    Ok(())
}
