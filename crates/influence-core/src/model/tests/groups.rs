//! Groups of points in place of points.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::*;
use crate::{
    Dataset, Groups,
    solver::Status,
    testing::{SamplesDataset, assert_close},
};

const POINTS: usize = 9;
const SIZES: [usize; 4] = [4, 1, 2, 2];

fn points() -> SamplesDataset {
    SamplesDataset(Samples::random(POINTS, DIM, 5))
}

/// Uneven groups with weights of all signs.
fn groups() -> Groups {
    let weights = (0..POINTS).map(|point| 1.5 - point as f64 / 3.0).collect();
    Groups::new(SIZES, weights).expect("nine weights")
}

/// The weighted sums of the rows of an array along its first axis.
fn summed(rows: &ArrayD<f64>, groups: &Groups, axis: Axis) -> ArrayD<f64> {
    let mut shape = rows.shape().to_vec();
    shape[axis.index()] = groups.len();
    let mut sums = ArrayD::zeros(shape);
    for (point, &weight) in groups.weights().iter().enumerate() {
        let group = groups.group_of(point);
        let row = rows.index_axis(axis, point);
        sums.index_axis_mut(axis, group).scaled_add(weight, &row);
    }
    sums
}

/// Holds groups of a model on either side against the sums of its rows and columns, whatever the
/// pieces in which the points are read.
pub(super) fn check<M: InfluenceModel<Batch = Samples>>(what: &str, model: &M) -> Result<()> {
    let (data, groups, others) = (points(), groups(), Samples::random(20, DIM, 1));
    let rows = scores(model, &data.0, &others)?;
    let columns = scores(model, &others, &data.0)?;
    for piece in [1, 2, 3, 5, POINTS] {
        let batch = GroupBatch::new(&data, &groups, 0..4, piece)?;
        let factors = model.group_factors(&batch)?.converged()?;
        let got = model.scores(&factors, &model.gradients(&others)?)?;
        assert_close(what, &got, &summed(&rows, &groups, Axis(0)), 1e-12);
        let factors = model.factors(&others)?.converged()?;
        let got = model.scores(&factors, &model.group_gradients(&batch)?)?;
        assert_close(what, &got, &summed(&columns, &groups, Axis(1)), 1e-12);
    }
    Ok(())
}

#[test]
fn groups_are_sums_of_rows_and_columns() -> Result<()> {
    let (problem, train, _) = problem();
    let model = problem.clone().fit(&train, DAMPING, &Direct)?;
    check("blocks", &two_blocks(&Damping::from(DAMPING))?)?;
    check(
        "by block",
        &ByBlock::new(two_blocks(&Damping::from(DAMPING))?),
    )?;
    let dampings = [0.02, 0.1].map(|damping| (damping.to_string(), Damping::from(damping)));
    check("sweep", &Sweep::new(&model, dampings)?)?;
    check("erased", &erase(model))?;
    let other = LeastSquares::random(DIM, 9).fit(&train, 0.3, &Direct)?;
    let model = problem.clone().fit(&train, DAMPING, &Direct)?;
    check(
        "trajectory",
        &Trajectory::new(vec![(0.5, model), (2.0, other)])?,
    )?;
    let cosine = problem.fit(&train, 0.0, &Identity)?.with_unit_gradients();
    check("cosine", &cosine)
}

#[test]
fn perturbations_of_groups_are_sums_of_perturbations() -> Result<()> {
    let (problem, train, _) = problem();
    let model = Perturbation::new(problem.fit(&train, DAMPING, &Direct)?);
    let (data, groups) = (points(), groups());
    let batch = GroupBatch::new(&data, &groups, 0..4, 3)?;
    let got = model.scores(&model.group_factors(&batch)?.converged()?, &train)?;
    let rows = scores(&model, &data.0, &train)?;
    assert_close(
        "perturbation",
        &got,
        &summed(&rows, &groups, Axis(0)),
        1e-12,
    );
    assert!(model.group_gradients(&batch).is_err());
    Ok(())
}

#[test]
fn groups_of_one_are_points_however_many_there_are() -> Result<()> {
    let (problem, train, _) = problem();
    let model = problem.fit(&train, DAMPING, &Direct)?;
    let data = points();
    let (each, more) = (Groups::means([1; POINTS])?, POINTS > DIM);
    let batch = GroupBatch::new(&data, &each, 0..POINTS, 4)?;
    let got = model.group_factors(&batch)?.converged()?;
    assert!(more, "more right-hand sides than parameters");
    assert_close("each", &got, &model.factors(&data.0)?.converged()?, 1e-14);
    Ok(())
}

#[test]
fn a_range_of_groups_reads_its_own_points_once() -> Result<()> {
    struct Counted(SamplesDataset, AtomicUsize);
    impl Dataset for Counted {
        type Batch = Samples;
        fn len(&self) -> usize {
            self.0.len()
        }
        fn batch(&self, range: Range<usize>) -> Result<Samples> {
            self.1.fetch_add(range.len(), Relaxed);
            self.0.batch(range)
        }
    }
    let (problem, train, _) = problem();
    let model = problem.fit(&train, DAMPING, &Direct)?;
    let (data, groups) = (Counted(points(), AtomicUsize::new(0)), groups());
    let whole = GroupBatch::new(&data.0, &groups, 0..4, 2)?;
    let whole = model.group_factors(&whole)?.converged()?;
    let part = GroupBatch::new(&data, &groups, 1..3, 2)?;
    assert_eq!((part.len(), part.is_empty()), (2, false));
    let part = model.group_factors(&part)?.converged()?;
    assert_close("part", &part, &whole.slice(s![1..3, ..]), 1e-14);
    assert_eq!(data.1.load(Relaxed), 3);
    let none = model.group_factors(&GroupBatch::new(&data, &groups, 2..2, 2)?)?;
    assert!(none.rows.is_empty() && none.reports.is_empty());
    Ok(())
}

#[test]
fn a_point_that_is_not_finite_spoils_its_group_alone() -> Result<()> {
    let (problem, train, _) = problem();
    let model = problem.fit(&train, DAMPING, &Direct)?;
    let mut data = points();
    data.0.inputs[[5, 2]] = f64::NAN;
    let (groups, clean) = (groups(), points());
    for piece in [2, POINTS] {
        let solved = model.group_factors(&GroupBatch::new(&data, &groups, 0..4, piece)?)?;
        let finite: Vec<bool> = solved
            .reports
            .iter()
            .map(|report| report.status != Status::NotFinite)
            .collect();
        assert_eq!(finite, [true, true, false, true]);
        let expected = model.group_factors(&GroupBatch::new(&clean, &groups, 0..4, piece)?)?;
        for row in [0, 1, 3] {
            assert_eq!(solved.rows.row(row), expected.rows.row(row));
        }
    }
    Ok(())
}

#[test]
fn groups_that_do_not_fit_are_refused() -> Result<()> {
    let (data, groups) = (points(), groups());
    assert!(GroupBatch::new(&data, &Groups::means([3])?, 0..1, 1).is_err());
    assert!(GroupBatch::new(&data, &groups, 3..5, 1).is_err());
    assert!(GroupBatch::new(&data, &groups, 0..4, 0).is_err());
    Ok(())
}
