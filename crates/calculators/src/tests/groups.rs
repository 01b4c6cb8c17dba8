//! Groups of points on either side: sums of rows and columns, the same bytes by every kind of run.

use std::{num::NonZero, sync::atomic::Ordering::Relaxed};

use influence_core::{Footprint, Groups, aggregate::Concatenate};
use ndarray::{ArrayD, Axis};

use super::{
    Problem,
    job::{Home, Outcome},
    largest_difference,
    model::Watched,
    problem, whole,
};
use crate::{
    Calculator, LazyInfluences, Parallel, Sequential, Share, Side, SideSource, ZarrOptions,
};

/// Eleven points in five uneven groups.
const SIZES: [usize; 5] = [4, 1, 3, 1, 2];

fn groups() -> Groups {
    let weights = (0..11).map(|point| 1.5 - f64::from(point) / 3.0).collect();
    Groups::new(SIZES, weights).expect("eleven weights")
}

/// The weighted sums of the rows or columns of a matrix.
fn summed(matrix: &ArrayD<f64>, axis: Axis) -> ArrayD<f64> {
    let (groups, mut shape) = (groups(), matrix.shape().to_vec());
    shape[axis.index()] = groups.len();
    let mut sums = ArrayD::zeros(shape);
    for (point, &weight) in groups.weights().iter().enumerate() {
        let mut sum = sums.index_axis_mut(axis, groups.group_of(point));
        sum.scaled_add(weight, &matrix.index_axis(axis, point));
    }
    sums
}

/// A model whose gradients are said to be large and slow, so that they are held in panels and
/// factors kept in a scratch array.
fn slow() -> influence_core::Result<Watched> {
    let mut model = Watched::new(problem(1, 1)?.model);
    model.footprint = Footprint {
        gradient: 20_000,
        factor: 20_000,
        gradient_flops: 1e8,
        ..model.footprint
    };
    Ok(model)
}

/// Groups of test points, in chunks of two groups by three training points.
fn of_groups<'a, C: Calculator>(
    calculator: &'a C,
    problem: &'a Problem,
) -> crate::Result<LazyInfluences<'a, C::Model>>
where
    C::Model: influence_core::InfluenceModel<Batch = influence_core::testing::Samples>,
{
    let test = SideSource::groups(&problem.test, groups());
    let lazy = calculator.into_influences(test, SideSource::compute(&problem.train));
    Ok(lazy.with_chunks(2, 3)?.with_memory(200_000))
}

#[test]
fn groups_of_either_side_are_sums_of_rows_and_columns() -> Outcome {
    let problem = problem(11, 11)?;
    let calculator = Sequential::new(&problem.model);
    let each = whole(&calculator, &problem, [3, 4])?;
    let side = |grouped: bool, data| {
        if grouped {
            SideSource::groups(data, groups())
        } else {
            SideSource::compute(data)
        }
    };
    for [test, train] in [[true, false], [false, true], [true, true]] {
        let rows = if test {
            summed(&each, Axis(0))
        } else {
            each.clone()
        };
        let expected = if train { summed(&rows, Axis(1)) } else { rows };
        for chunks in [[1, 1], [2, 3], [11, 11]] {
            let sides = (side(test, &problem.test), side(train, &problem.train));
            let lazy = (&calculator).into_influences(sides.0, sides.1);
            let got = lazy.with_chunks(chunks[0], chunks[1])?;
            let got = got.compute(Concatenate::new())?;
            let scale = expected.iter().fold(0.0_f64, |most, it| most.max(it.abs()));
            assert!(largest_difference(&got, &expected) < 1e-13 * scale);
        }
    }
    let samples = crate::SampleSource::groups(&problem.test, groups());
    let factors = (&calculator).into_factors(samples).with_chunks(2)?;
    let factors = factors.to_array()?;
    assert_eq!(factors.nrows(), 5);
    let lazy = calculator.influences_from_factors(&factors, &problem.train);
    let got = lazy.with_chunks(2, 3)?.compute(Concatenate::new())?;
    assert_eq!(
        got,
        of_groups(&calculator, &problem)?.compute(Concatenate::new())?
    );
    Ok(())
}

#[test]
fn the_bytes_are_the_same_in_parallel_in_shares_and_resumed() -> Outcome {
    let (problem, options) = (problem(11, 30)?, ZarrOptions::default());
    let sequential = Sequential::new(slow()?);
    let plan = of_groups(&sequential, &problem)?.plan()?;
    assert_eq!(plan.grid().shape(), [5, 30]);
    assert_eq!(plan.held(), Side::Train);
    assert!(plan.panels().len() > 1 && plan.scratch_bytes() > 0);
    let home = Home::memory();
    of_groups(&sequential, &problem)?.to_zarr(home.location(), &options)?;
    let expected = home.contents();

    let parallel = Parallel::new(slow()?, NonZero::new(3))?;
    let home = Home::memory();
    of_groups(&parallel, &problem)?.to_zarr(home.location(), &options)?;
    assert!(home.contents() == expected, "in parallel");

    let home = Home::memory();
    of_groups(&sequential, &problem)?.declare(home.location(), &options)?;
    let share = of_groups(&sequential, &problem)?.with_share(Share::new(1, 2)?);
    share.to_zarr(home.location(), &options.clone().joining())?;
    of_groups(&sequential, &problem)?.to_zarr(home.location(), &options.clone().resuming())?;
    assert!(home.contents() == expected, "in shares");

    let failing = slow()?;
    failing.lasts.store(7, Relaxed);
    let failing = Sequential::new(failing);
    let home = Home::memory();
    let run = of_groups(&failing, &problem)?.to_zarr(home.location(), &options);
    assert!(run.is_err());
    of_groups(&sequential, &problem)?.to_zarr(home.location(), &options.resuming())?;
    assert!(home.contents() == expected, "resumed");
    Ok(())
}

#[test]
fn the_points_of_a_piece_are_in_the_plan() -> Outcome {
    let problem = problem(11, 30)?;
    let calculator = Sequential::new(Watched::new(super::problem(1, 1)?.model));
    let plain = calculator.influences(&problem.test, &problem.train);
    let plain = plain.with_chunks(2, 3)?.plan()?;
    let grouped = of_groups(&calculator, &problem)?.plan()?;
    // 256 samples, each a vector of four numbers and twice that while it is solved for.
    let piece = 256 * 8 * (4 + 2 * 4);
    assert!(plain.peak_bytes() < 2000, "{}", plain.peak_bytes());
    assert!(grouped.peak_bytes() > piece);
    let little = of_groups(&calculator, &problem)?.with_memory(piece);
    assert!(matches!(little.plan(), Err(crate::Error::Memory { .. })));
    Ok(())
}

#[test]
fn groups_of_other_points_are_refused() -> Outcome {
    let problem = problem(10, 11)?;
    let calculator = Sequential::new(&problem.model);
    let refused = of_groups(&calculator, &problem)?.plan();
    assert!(matches!(refused, Err(crate::Error::Core { .. })));
    Ok(())
}
