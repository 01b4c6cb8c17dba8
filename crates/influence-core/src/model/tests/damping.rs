//! λ of single parameters, in a block that stays whole.

use super::*;
use crate::{
    block::{Block, Strength},
    solver::{Arnoldi, InverseHarmonicMean, Jacobi, Lissa, Nystroem},
};

/// One block of three parameters, of 3, 2 and 1 numbers.
fn block() -> Result<Block> {
    let parameter = |name: &str, len| Parameter {
        name: name.into(),
        shape: vec![len],
    };
    let layout = ParameterLayout::new(vec![
        parameter("a.weight", 3),
        parameter("a.bias", 2),
        parameter("b.bias", 1),
    ]);
    let mut blocks = BlockStructure::Full.resolve(&layout)?;
    Ok(blocks.remove(0))
}

fn fitted(
    solver: &dyn Solver<Array2<f64>>,
    damping: &Damping,
) -> Result<BlockInfluence<LeastSquares>> {
    let (problem, train, _) = problem();
    let prepared = solver.prepare(Arc::new(problem.curvature(&train)?))?;
    BlockInfluence::new(problem, vec![(block()?, prepared)], damping)
}

/// `(H + diag(λ))⁻¹ g` by elimination.
fn oracle(diagonal: [f64; DIM]) -> Result<ArrayD<f64>> {
    let (problem, train, test) = problem();
    let dense = crate::operator::LinearOperator::to_dense(&problem.curvature(&train)?)?;
    let dense = dense + Array2::from_diag(&ndarray::Array1::from(diagonal.to_vec()));
    let factors = testing::solve(&dense, &problem.gradients(&test)?);
    Ok(factors.dot(&problem.gradients(&train)?.t()).into_dyn())
}

fn own(name: &str, strength: impl Into<Strength>) -> (String, Strength) {
    (name.to_owned(), strength.into())
}

#[test]
fn each_parameter_has_its_lambda_and_the_block_stays_whole() -> Result<()> {
    let (_, train, test) = problem();
    let exact = ConjugateGradient::new().with_rtol(1e-13)?;
    let near: Arc<dyn Solver<Array2<f64>>> = Arc::new(Nystroem::new(3)?);
    let diagonal: Arc<dyn Solver<Array2<f64>>> = Arc::new(Jacobi::new(8, 1)?);
    let lissa = Lissa::new().with_depth(40_000)?.full_batch();
    let solvers: [&dyn Solver<Array2<f64>>; 5] = [
        &Direct,
        &exact,
        &exact.clone().with_preconditioner(near),
        &exact.clone().with_preconditioner(diagonal),
        &lissa.with_rtol(1e-9)?,
    ];
    let cases = [
        (vec![own("*.bias", 0.0)], [0.02, 0.02, 0.02, 0.0, 0.0, 0.0]),
        (vec![own("a.*", 0.3)], [0.3, 0.3, 0.3, 0.3, 0.3, 0.02]),
        (
            vec![own("*.bias", 0.0), own("b.bias", 0.5)],
            [0.02, 0.02, 0.02, 0.0, 0.0, 0.5],
        ),
    ];
    let uniform = oracle([DAMPING; DIM])?;
    for (parameters, diagonal) in cases {
        let damping = Damping::from(DAMPING).excepting(parameters);
        let expected = oracle(diagonal)?;
        let change = (&expected - &uniform)
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!(change > 1e-2, "the exception must matter: {change:e}");
        for solver in solvers {
            let got = scores(&fitted(solver, &damping)?, &test, &train)?;
            testing::assert_close(&format!("{solver:?}"), &got, &expected, 1e-7);
        }
    }
    Ok(())
}

#[test]
fn exceptions_may_be_relative_and_stay_in_a_sweep() -> Result<()> {
    let (problem, train, test) = problem();
    let mean = crate::operator::LinearOperator::trace(&problem.curvature(&train)?)?.value / 6.0;
    let parameters = || [own("b.*", Strength::Relative(0.5))];
    let damping = Damping::relative(0.1).excepting(parameters());
    let mut diagonal = [0.1 * mean; DIM];
    diagonal[5] = 0.5 * mean;
    let model = fitted(&Direct, &damping)?;
    let got = scores(&model, &test, &train)?;
    testing::assert_close("relative", &got, &oracle(diagonal)?, 1e-12);
    let dampings = [0.01, 1.0].map(|value| {
        let damping = Damping::from(value).excepting(parameters());
        (value.to_string(), damping)
    });
    let got = scores(&Sweep::new(&model, dampings)?, &test, &train)?;
    for (index, value) in [0.01, 1.0].into_iter().enumerate() {
        let mut diagonal = [value; DIM];
        diagonal[5] = 0.5 * mean;
        let of_one = got.index_axis(Axis(2), index).to_owned();
        testing::assert_close("sweep", &of_one, &oracle(diagonal)?, 1e-12);
    }
    Ok(())
}

#[test]
fn methods_that_rest_on_one_lambda_refuse_several_by_name() -> Result<()> {
    let solvers: [&dyn Solver<Array2<f64>>; 3] =
        [&Arnoldi::new(3)?, &Nystroem::new(3)?, &InverseHarmonicMean];
    for solver in solvers {
        let damping = Damping::from(DAMPING).excepting([own("*.bias", 0.0)]);
        let said = fitted(solver, &damping).map_err(|error| error.to_string());
        assert!(
            said.as_ref().is_err_and(|said| said.contains("direct, cg")),
            "{said:?}"
        );
    }
    // An exception that is none.
    let damping = Damping::from(DAMPING).excepting([own("*.bias", DAMPING)]);
    assert!(fitted(&Arnoldi::new(3)?, &damping).is_ok());
    Ok(())
}

#[test]
fn names_that_fit_no_parameter_or_the_same_are_refused() {
    let refused = |parameters: Vec<(String, Strength)>| {
        let damping = Damping::from(DAMPING).excepting(parameters);
        fitted(&Direct, &damping).map_err(|error| error.to_string())
    };
    let unknown = refused(vec![own("*.biass", 0.0)]);
    assert!(unknown.is_err_and(|said| said.contains("*.biass") && said.contains("a.bias")));
    let twice = refused(vec![own("*.bias", 0.0), own("a.*", 0.1)]);
    assert!(twice.is_err_and(|said| said.contains("`a.bias`")));
    let negative = refused(vec![own("a.bias", -1.0)]);
    assert!(negative.is_err_and(|said| said.contains("not negative")));
}
