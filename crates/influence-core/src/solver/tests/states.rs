//! One preparation serves many dampings, and comes back from its state.

use super::*;
use crate::operator::SampleMean;

fn solvers() -> Result<Vec<Named>> {
    Ok(vec![
        ("direct", Arc::new(Direct)),
        ("cg", Arc::new(ConjugateGradient::new())),
        (
            "jacobi",
            Arc::new(ConjugateGradient::new().with_preconditioner(Arc::new(Jacobi::new(8, 1)?))),
        ),
        (
            "sketched",
            Arc::new(ConjugateGradient::new().with_preconditioner(Arc::new(Nystroem::new(4)?))),
        ),
        ("arnoldi", Arc::new(Arnoldi::new(5)?)),
        ("nystroem", Arc::new(Nystroem::new(5)?)),
        ("lissa", Arc::new(Lissa::new().with_depth(300)?)),
        ("harmonic mean", Arc::new(InverseHarmonicMean)),
        ("identity", Arc::new(Identity)),
    ])
}

#[test]
fn every_state_gives_the_same_bits_under_every_damping() -> Result<()> {
    let op = Arc::new(SampleMean::new(testing::random((30, DIM), 3), 7)?);
    let rhs = testing::random((4, DIM), 6);
    for (name, solver) in solvers()? {
        let prepared = solver.prepare(op.clone())?;
        let restored = solver.restore(op.clone(), &prepared.state()?)?;
        let mean = op.trace()?.value / DIM as f64;
        let identity = name == "identity";
        let expected = if identity { 1.0 } else { mean };
        assert!(
            (prepared.mean_eigenvalue()?.value - expected).abs() < 1e-12,
            "{name}"
        );
        assert!(
            (restored.mean_eigenvalue()?.value - expected).abs() < 1e-12,
            "{name}"
        );
        for damping in [0.01, 0.1, 1.0] {
            let once = prepared.inverse(damping)?.solve(&rhs)?.rows;
            let again = restored.inverse(damping)?.solve(&rhs)?.rows;
            let fresh = solver.invert(op.clone(), damping)?.solve(&rhs)?.rows;
            assert_eq!(once, again, "{name} at {damping}");
            assert_eq!(once, fresh, "{name} at {damping}");
        }
    }
    Ok(())
}

#[test]
fn states_of_another_solver_or_operator_are_refused() -> Result<()> {
    let op = Arc::new(Matrix::new(testing::symmetric(&clustered(), 5))?);
    let empty = State::default();
    for (name, solver) in solvers()? {
        if [
            "direct", "arnoldi", "nystroem", "lissa", "jacobi", "sketched",
        ]
        .contains(&name)
        {
            let refused = solver.restore(op.clone(), &empty);
            assert!(matches!(refused, Err(Error::State { .. })), "{name}");
        }
    }
    let other = Arc::new(Matrix::new(testing::symmetric(&[1.0, 2.0], 1))?);
    for solver in [&Direct as &dyn Solver<Array2<f64>>, &Arnoldi::new(3)?] {
        let state = solver.prepare(op.clone())?.state()?;
        let refused = solver.restore(other.clone(), &state);
        assert!(matches!(refused, Err(Error::Shape { .. })));
    }
    Ok(())
}
