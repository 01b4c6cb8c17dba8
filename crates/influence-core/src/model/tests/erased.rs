//! Models whose types are hidden answer as the models within.

use super::*;
use crate::{FactorForm, Footprint};

/// Holds every call of an erased model against the model within; with the same bits.
fn same<M>(name: &str, model: &M) -> Result<()>
where
    M: InfluenceModel<Batch = Samples> + crate::ThreadSafe + Clone + 'static,
{
    let (_, train, test) = problem();
    let erased = erase(model.clone());
    assert_eq!(erased.dim(), model.dim(), "{name}");
    assert_eq!(erased.factor_len(), model.factor_len(), "{name}");
    assert_eq!(erased.precision(), model.precision(), "{name}");
    assert_eq!(erased.axes(&test)?, model.axes(&test)?, "{name}");
    let footprints = |form| -> Result<[Footprint; 2]> {
        Ok([
            erased.footprint(&test, form)?,
            model.footprint(&test, form)?,
        ])
    };
    for form in [FactorForm::Solved, FactorForm::Stored] {
        let [hidden, shown] = footprints(form)?;
        assert_eq!(hidden, shown, "{name}");
    }
    assert_eq!(
        scores(&erased, &test, &train)?,
        scores(model, &test, &train)?,
        "{name}"
    );
    let (hidden, shown) = (erased.factors(&train)?, model.factors(&train)?);
    assert_eq!(hidden.reports, shown.reports, "{name}");
    let array = model.factors_to_array(&shown.rows)?;
    assert_eq!(erased.factors_to_array(&hidden.rows)?, array, "{name}");
    assert_eq!(
        erased.self_scores(&hidden.rows, &erased.gradients(&train)?)?,
        model.self_scores(&shown.rows, &model.gradients(&train)?)?,
        "{name}"
    );
    let back = erased.factors_from_array(array.view())?;
    assert_eq!(erased.factors_to_array(&back)?, array, "{name}");
    if let Ok(expected) = model.perturbations(&shown.rows, &test) {
        assert_eq!(
            erased.perturbations(&hidden.rows, &test)?,
            expected,
            "{name}"
        );
        assert_eq!(
            erased.input_shape(&test)?,
            model.input_shape(&test)?,
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn every_call_reaches_the_model_within() -> Result<()> {
    let (problem, train, _) = problem();
    let model = Arc::new(problem.fit(&train, DAMPING, &Direct)?);
    same("one block", &model)?;
    same("perturbation", &Perturbation::new(model.clone()))?;
    let dampings = [0.1, 1.0].map(|value| (value.to_string(), Damping::from(value)));
    same("sweep", &Arc::new(Sweep::new(&*model, dampings)?))?;
    same(
        "trajectory",
        &Trajectory::new(vec![(0.5, model.clone()), (0.1, model)])?,
    )?;
    let blocks = two_blocks(&Damping::from(DAMPING))?;
    same("by block", &Arc::new(ByBlock::new(blocks)))
}

#[test]
fn an_erased_model_conforms_and_may_be_erased_again() -> Result<()> {
    let (problem, train, test) = problem();
    let model: ErasedModel<Samples> = erase(problem.fit(&train, DAMPING, &Direct)?);
    testing::model(&model, &test, &train, 1e-13);
    let again = erase(model.clone());
    assert_eq!(
        scores(&again, &test, &train)?,
        scores(&model, &test, &train)?
    );
    Ok(())
}

#[test]
fn factors_and_gradients_of_another_type_of_model_are_refused() -> Result<()> {
    let (problem, train, test) = problem();
    let fitted = Arc::new(problem.fit(&train, DAMPING, &Direct)?);
    let model = erase(fitted.clone());
    let other = erase(Trajectory::new(vec![(0.5, fitted)])?);
    let (factors, gradients) = (model.factors(&test)?.rows, model.gradients(&train)?);
    let (others, other_gradients) = (other.factors(&test)?.rows, other.gradients(&train)?);
    let refused = [
        model.scores(&others, &gradients).err(),
        model.scores(&factors, &other_gradients).err(),
        model.self_scores(&others, &gradients).err(),
        model.perturbations(&others, &train).err(),
        model.factors_to_array(&others).err(),
    ];
    for error in refused {
        assert!(
            matches!(error, Some(Error::Unsupported { .. })),
            "{error:?}"
        );
    }
    Ok(())
}
