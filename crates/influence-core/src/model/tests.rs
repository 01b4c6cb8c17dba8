//! The models made of models, on a problem whose influences are known in closed form.

use std::sync::Arc;

use ndarray::{Array2, ArrayD, Axis, s};

use super::*;
use crate::{
    Error,
    block::{BlockStructure, Damping, Parameter, ParameterLayout},
    operator::Matrix,
    solver::{ConjugateGradient, Direct, Identity, Prepared, Solver},
    testing::{self, LeastSquares, Samples},
};

mod damping;
mod erased;
mod finite;
mod groups;
mod reference;
mod relative;
mod segments;

const DIM: usize = 6;
const DAMPING: f64 = 0.02;

fn problem() -> (LeastSquares, Samples, Samples) {
    let train = Samples::random(20, DIM, 1);
    (
        LeastSquares::random(DIM, 3),
        train,
        Samples::random(5, DIM, 2),
    )
}

fn scores<M: InfluenceModel>(model: &M, test: &M::Batch, train: &M::Batch) -> Result<ArrayD<f64>> {
    let factors = model.factors(test)?.converged()?;
    model.scores(&factors, &model.gradients(train)?)
}

/// Two blocks of four and two parameters.
fn two_blocks(damping: &Damping) -> Result<BlockInfluence<LeastSquares>> {
    let (problem, train, _) = problem();
    let parameter = |name: &str, len| Parameter {
        name: name.into(),
        shape: vec![len],
    };
    let layout = ParameterLayout::new(vec![parameter("a.weight", 4), parameter("b.weight", 2)]);
    let curvature = crate::operator::LinearOperator::to_dense(&problem.curvature(&train)?)?;
    let of_block = |block: crate::block::Block| {
        let columns = block.columns()[0].clone();
        let part = curvature.slice(s![columns.clone(), columns]).to_owned();
        let prepared: Box<dyn Prepared<Array2<f64>>> =
            Direct.prepare(Arc::new(Matrix::new(part)?))?;
        Ok((block, prepared))
    };
    let blocks = BlockStructure::LayerWise.resolve(&layout)?;
    let blocks = blocks.into_iter().map(of_block).collect::<Result<_>>()?;
    BlockInfluence::new(problem, blocks, damping)
}

/// The scores after each input of one train point was moved a little, as derivatives:
/// `(k, n, dim)`.
fn differences<M: InfluenceModel<Batch = Samples>>(
    model: &M,
    test: &Samples,
    train: &Samples,
) -> Result<ArrayD<f64>> {
    const STEP: f64 = 1e-5;
    let mut slopes = ndarray::Array3::zeros((test.targets.len(), train.targets.len(), DIM));
    for d in 0..DIM {
        let moved = |step: f64| {
            let mut train = train.clone();
            train.inputs.column_mut(d).mapv_inplace(|x| x + step);
            scores(model, test, &train)
        };
        let slope = (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
        slopes.index_axis_mut(Axis(2), d).assign(&slope);
    }
    Ok(slopes.into_dyn())
}

#[test]
fn perturbations_are_the_derivatives_of_influences_by_inputs() -> Result<()> {
    let (problem, train, test) = problem();
    let model = problem.fit(&train, DAMPING, &Direct)?;
    // Uneven, and fewer train than test points.
    for train in [train.clone(), Samples::random(3, DIM, 8)] {
        let expected = differences(&model, &test, &train)?;
        let perturbation = Perturbation::new(&model);
        let got = scores(&perturbation, &test, &train)?;
        testing::assert_close("perturbation", &got, &expected, 1e-8);
        let axes = perturbation.axes(&train)?;
        assert_eq!(axes, [ScoreAxis::plain("input_0", DIM)]);
    }
    Ok(())
}

#[test]
fn perturbations_of_cosines_take_the_change_of_the_norm_into_account() -> Result<()> {
    let (problem, train, test) = problem();
    let model = problem.fit(&train, 0.0, &Identity)?.with_unit_gradients();
    let got = scores(&Perturbation::new(&model), &test, &train)?;
    testing::assert_close("cosine", &got, &differences(&model, &test, &train)?, 1e-8);
    Ok(())
}

#[test]
fn unit_gradients_under_the_identity_give_cosines() -> Result<()> {
    let (problem, train, test) = problem();
    let (of_test, of_train) = (problem.gradients(&test)?, problem.gradients(&train)?);
    let mut expected = of_test.dot(&of_train.t());
    for ((i, j), cosine) in expected.indexed_iter_mut() {
        let length = |row: ndarray::ArrayView1<'_, f64>| row.dot(&row).sqrt();
        *cosine /= length(of_test.row(i)) * length(of_train.row(j));
    }
    let model = problem.fit(&train, 0.0, &Identity)?.with_unit_gradients();
    let got = scores(&model, &test, &train)?;
    testing::assert_close("cosine", &got, &expected.into_dyn(), 1e-14);
    let factors = model.factors(&train)?.converged()?;
    let own = model.self_scores(&factors, &model.gradients(&train)?)?;
    testing::assert_close("own", &own, &ArrayD::ones(vec![20]), 1e-14);
    Ok(())
}

#[test]
fn a_gradient_of_zero_has_cosine_zero() -> Result<()> {
    let (problem, mut train, test) = problem();
    train.inputs.row_mut(4).fill(0.0);
    let model = problem.fit(&train, 0.0, &Identity)?.with_unit_gradients();
    let got = scores(&model, &test, &train)?;
    assert!(got.iter().all(|score| score.is_finite()));
    assert!(
        got.index_axis(Axis(1), 4)
            .iter()
            .all(|score| score.abs() <= 0.0)
    );
    Ok(())
}

#[test]
fn the_influences_of_blocks_add_up() -> Result<()> {
    let (_, train, test) = problem();
    let whole = scores(&two_blocks(&DAMPING.into())?, &test, &train)?;
    let by_block = ByBlock::new(two_blocks(&DAMPING.into())?);
    let parts = scores(&by_block, &test, &train)?;
    assert_eq!(parts.shape(), [5, 20, 2]);
    testing::assert_close("sum", &parts.sum_axis(Axis(2)), &whole, 1e-13);
    let labels = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(
        by_block.axes(&train)?,
        [ScoreAxis::labelled("block", labels)]
    );
    assert!(
        parts
            .index_axis(Axis(2), 0)
            .iter()
            .any(|part| part.abs() > 1e-3)
    );
    let factors = by_block.factors(&train)?.converged()?;
    let own = by_block.self_scores(&factors, &by_block.gradients(&train)?)?;
    let all = scores(&by_block, &train, &train)?;
    for (j, own) in own.outer_iter().enumerate() {
        let expected = all.index_axis(Axis(0), j);
        testing::assert_close("own", &own, &expected.index_axis(Axis(0), j), 1e-13);
    }
    Ok(())
}

#[test]
fn a_sweep_gives_the_influences_of_each_damping() -> Result<()> {
    let (problem, train, test) = problem();
    let dampings = [1e-3, 0.02, 0.5];
    let solvers: [Box<dyn Solver<Array2<f64>>>; 2] = [
        Box::new(Direct),
        Box::new(ConjugateGradient::new().with_rtol(1e-12)?),
    ];
    for solver in solvers {
        let model = problem.clone().fit(&train, 1.0, &*solver)?;
        let named = dampings.map(|damping| (damping.to_string(), Damping::from(damping)));
        let sweep = Sweep::new(&model, named)?;
        let got = scores(&sweep, &test, &train)?;
        for (index, damping) in dampings.into_iter().enumerate() {
            let expected = problem.influences(&train, damping, &test, &train);
            let got = got.index_axis(Axis(2), index);
            testing::assert_close("sweep", &got, &expected.into_dyn(), 1e-9);
        }
        let factors = sweep.factors(&test)?.converged()?;
        let back = sweep.factors_from_array(sweep.factors_to_array(&factors)?.view())?;
        assert_eq!(back, factors);
    }
    let model = problem.fit(&train, 1.0, &Direct)?;
    assert!(matches!(Sweep::new(&model, []), Err(Error::Setting { .. })));
    Ok(())
}

#[test]
fn a_relative_damping_is_a_fraction_of_the_mean_eigenvalue() -> Result<()> {
    let (problem, train, _) = problem();
    let trace = |columns: std::ops::Range<usize>| {
        let inputs = train.inputs.slice(s![.., columns]);
        inputs.mapv(|x| x * x).sum() / 20.0
    };
    let expected = [0.1 * trace(0..4) / 4.0, 0.1 * trace(4..6) / 2.0];
    let model = two_blocks(&Damping::relative(0.1))?;
    for (shift, expected) in model.dampings().zip(expected) {
        let damping = shift.uniform().expect("one λ for each block");
        assert!((damping - expected).abs() < 1e-15, "{damping} {expected}");
    }
    let model = problem.fit(&train, 1.0, &Direct)?;
    let again = model.with_damping(&Damping::relative(0.3))?;
    let expected = 0.3 * trace(0..6) / 6.0;
    assert!(
        again
            .dampings()
            .all(|shift| (shift.mean(6) - expected).abs() < 1e-14)
    );
    Ok(())
}

#[test]
fn a_trajectory_is_the_weighted_sum_over_its_checkpoints() -> Result<()> {
    let (_, train, test) = problem();
    let checkpoint = |seed| LeastSquares::random(DIM, seed).fit(&train, 0.0, &Identity);
    let rates = [0.5, 0.1];
    let trajectory = Trajectory::new(vec![(rates[0], checkpoint(3)?), (rates[1], checkpoint(4)?)])?;
    let mut expected = ArrayD::zeros(vec![5, 20]);
    for (rate, seed) in rates.into_iter().zip([3, 4]) {
        let source = LeastSquares::random(DIM, seed);
        let products = source.gradients(&test)?.dot(&source.gradients(&train)?.t());
        expected = expected + (products * rate).into_dyn();
    }
    let got = scores(&trajectory, &test, &train)?;
    testing::assert_close("trajectory", &got, &expected, 1e-14);
    testing::model(&trajectory, &test, &train, 1e-13);
    let slopes = differences(&trajectory, &test, &train)?;
    let got = scores(&Perturbation::new(&trajectory), &test, &train)?;
    testing::assert_close("perturbation", &got, &slopes, 1e-8);
    let empty: Vec<(f64, BlockInfluence<LeastSquares>)> = Vec::new();
    assert!(matches!(Trajectory::new(empty), Err(Error::Setting { .. })));
    Ok(())
}

#[test]
fn self_scores_are_the_diagonal_of_scores() -> Result<()> {
    let (problem, train, _) = problem();
    let model = problem.fit(&train, DAMPING, &Direct)?;
    let factors = model.factors(&train)?.converged()?;
    let all = scores(&model, &train, &train)?;
    let own = model.self_scores(&factors, &model.gradients(&train)?)?;
    let diagonal: Vec<f64> = (0..20).map(|j| all[[j, j]]).collect();
    testing::assert_close(
        "own",
        &own,
        &ndarray::Array1::from(diagonal).into_dyn(),
        1e-14,
    );
    let perturbation = Perturbation::new(&model);
    let (own, all) = (
        perturbation.self_scores(&factors, &train)?,
        scores(&perturbation, &train, &train)?,
    );
    for (j, own) in own.outer_iter().enumerate() {
        let expected = all.index_axis(Axis(0), j);
        testing::assert_close("own", &own, &expected.index_axis(Axis(0), j), 1e-14);
    }
    Ok(())
}
