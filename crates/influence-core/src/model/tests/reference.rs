//! Residuals against another curvature than the one that is inverted.

use super::*;
use crate::{operator::LinearOperator, solver::Report};

/// `‖b − (H + diag(λ)) x‖ / ‖b‖` of each row, with the whole curvature `H`.
fn expected(rows: &Array2<f64>, lambda: [f64; DIM]) -> Result<Vec<f64>> {
    let (problem, train, test) = problem();
    let whole = problem.curvature(&train)?.to_dense()?;
    let whole = whole + Array2::from_diag(&ndarray::Array1::from(lambda.to_vec()));
    let rhs = problem.gradients(&test)?;
    let left = &rhs - &rows.dot(&whole);
    let length = |row: ndarray::ArrayView1<'_, f64>| row.dot(&row).sqrt();
    let pairs = left.rows().into_iter().zip(rhs.rows());
    Ok(pairs
        .map(|(left, rhs)| length(left) / length(rhs))
        .collect())
}

fn check(model: &BlockInfluence<LeastSquares>, lambda: [f64; DIM]) -> Result<Vec<f64>> {
    let (_, _, test) = problem();
    let solution = model.factors(&test)?;
    let found: Vec<f64> = solution.reports.iter().map(|it| it.residual).collect();
    let expected = expected(&solution.rows, lambda)?;
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    Ok(found)
}

#[test]
fn what_lies_between_blocks_is_seen() -> Result<()> {
    let (problem, train, test) = problem();
    let own = |reports: &[Report]| reports.iter().all(|it| it.residual < 1e-12);
    let blocks = two_blocks(&DAMPING.into())?;
    assert!(own(&blocks.factors(&test)?.reports));

    let reference = Arc::new(problem.curvature(&train)?);
    let blocks = blocks.with_reference(reference.clone())?;
    let found = check(&blocks, [DAMPING; DIM])?;
    assert!(found.iter().all(|&residual| residual > 1e-2), "{found:?}");
    // Another damping keeps the reference.
    check(&blocks.with_damping(&1.5.into())?, [1.5; DIM])?;
    let by_block = [("a".to_owned(), 0.3.into()), ("b".to_owned(), 0.7.into())];
    let by_block = Damping::PerBlock(by_block.into());
    check(
        &blocks.with_damping(&by_block)?,
        [0.3, 0.3, 0.3, 0.3, 0.7, 0.7],
    )?;

    // The whole matrix leaves nothing.
    let whole = problem.fit(&train, DAMPING, &Direct)?;
    let whole = whole.with_reference(reference)?;
    assert!(own(&whole.factors(&test)?.reports));
    Ok(())
}

#[test]
fn a_reference_of_other_parameters_is_refused() -> Result<()> {
    let smaller = Matrix::new(testing::symmetric(&[1.0, 2.0], 1))?;
    let refused = two_blocks(&DAMPING.into())?.with_reference(Arc::new(smaller));
    assert!(matches!(refused, Err(Error::Shape { .. })));
    Ok(())
}
