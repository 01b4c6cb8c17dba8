//! Numbers that are not finite are never called solved.

use super::*;
use crate::solver::{Arnoldi, Lissa, Nystroem, Status};

fn spoilt_batch(value: f64) -> Samples {
    let mut test = Samples::random(5, DIM, 2);
    test.inputs[[3, 1]] = value;
    test
}

#[test]
fn a_row_that_is_not_finite_is_unsolved_with_every_solver_and_the_others_are_solved() -> Result<()>
{
    let (problem, train, _) = problem();
    let cg = ConjugateGradient::new();
    let lissa = Lissa::new().full_batch();
    let (arnoldi, nystroem) = (Arnoldi::new(3)?, Nystroem::new(3)?);
    let solvers: [&dyn Solver<Array2<f64>>; 6] =
        [&Direct, &cg, &lissa, &arnoldi, &nystroem, &Identity];
    for solver in solvers {
        let model = problem.clone().fit(&train, DAMPING, solver)?;
        let expected = model.factors(&spoilt_batch(0.0))?;
        for value in [f64::INFINITY, f64::NAN, 1e200] {
            let solution = model.factors(&spoilt_batch(value))?;
            for (row, report) in solution.reports.iter().enumerate() {
                let spoilt = row == 3;
                assert_eq!(
                    report.status == Status::NotFinite,
                    spoilt,
                    "{solver:?}, {value:e}, row {row}: {report}"
                );
                assert_eq!(report.status.is_solved(), !spoilt);
                if !spoilt {
                    let (got, expected) = (solution.rows.row(row), expected.rows.row(row));
                    assert!((&got - &expected).iter().all(|x| x.abs() < 1e-5));
                }
            }
        }
    }
    Ok(())
}
