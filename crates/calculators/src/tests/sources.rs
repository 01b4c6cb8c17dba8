//! Each side of the matrix is computed or read.

use influence_core::{Dataset, InfluenceModel, Perturbation, aggregate::Concatenate};
use ndarray::Array2;

use super::{DIM, model::Watched, problem, whole};
use crate::{Calculator, Error, Sequential, SideSource};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn sides_that_are_read_give_the_same_bits_as_sides_that_are_computed() -> Outcome {
    let problem = problem(5, 11)?;
    let calculator = Sequential::new(&problem.model);
    let expected = whole(&calculator, &problem, [2, 4])?;
    let factors = calculator.influence_factors(&problem.test).with_chunks(2)?;
    let factors = factors.to_array()?;
    let gradients = problem.model.gradients(&problem.train.batch(0..11)?)?;

    let model = Watched::new(super::problem(1, 1)?.model);
    let sides = [
        (
            SideSource::compute(&problem.test),
            SideSource::read(&gradients),
        ),
        (SideSource::read(&factors), SideSource::read(&gradients)),
        (
            SideSource::read(&factors),
            SideSource::compute(&problem.train),
        ),
    ];
    for (test, train) in sides {
        let name = format!("{test:?}, {train:?}");
        let lazy = Sequential::new(&model).into_influences(test, train);
        let got = lazy.with_chunks(2, 4)?.compute(Concatenate::new())?;
        assert_eq!(got, expected, "{name}");
    }
    // Three rows of chunks were solved, for the first pair, and three columns differentiated, for
    // the last.
    assert_eq!(model.counts(), [3, 3]);
    Ok(())
}

#[test]
fn gradients_of_another_length_and_models_that_read_none_are_refused() -> Outcome {
    let problem = problem(5, 11)?;
    let model = Watched::new(super::problem(1, 1)?.model);
    let long = Array2::zeros((11, DIM + 1));
    let lazy = Sequential::new(&model)
        .into_influences(SideSource::compute(&problem.test), SideSource::read(&long));
    assert!(matches!(lazy.plan(), Err(Error::Core { .. })));

    let gradients = Array2::zeros((11, DIM));
    let sides = (
        SideSource::compute(&problem.test),
        SideSource::read(&gradients),
    );
    let model = Perturbation::new(&problem.model);
    let lazy = Sequential::new(model).into_influences(sides.0, sides.1);
    let error = lazy.compute(Concatenate::new()).expect_err("no gradients");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert!(source.is_some_and(|source| source.contains("gradients that are read")));
    Ok(())
}
