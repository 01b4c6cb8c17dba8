//! Relative influences against their formulas, with matrices written out.

use super::*;
use crate::{Groups, operator::LinearOperator, testing::SamplesDataset};

/// The influences by elimination, `A⁻¹ g` of each training point, and its gradient.
fn written_out(damping: f64) -> Result<(ArrayD<f64>, Array2<f64>, Array2<f64>)> {
    let (problem, train, test) = problem();
    let mut matrix = problem.curvature(&train)?.to_dense()?;
    matrix.diag_mut().mapv_inplace(|value| value + damping);
    let gradients = problem.gradients(&train)?;
    let solved = testing::solve(&matrix, &gradients);
    let scores = problem.gradients(&test)?.dot(&solved.t());
    Ok((scores.into_dyn(), solved, gradients))
}

fn relative(to: RelativeTo, damping: f64) -> Result<RelativeInfluence<LeastSquares>> {
    let (problem, train, _) = problem();
    Ok(RelativeInfluence::new(
        problem.fit(&train, damping, &Direct)?,
        to,
    ))
}

#[test]
fn each_column_is_divided_by_what_its_point_changes() -> Result<()> {
    let (_, train, test) = problem();
    for damping in [DAMPING, 0.7] {
        let (plain, solved, gradients) = written_out(damping)?;
        for to in [RelativeTo::Parameters, RelativeTo::Losses] {
            let length = |point: usize| {
                let solved = solved.row(point);
                match to {
                    RelativeTo::Parameters => solved.dot(&solved).sqrt(),
                    _ => solved.dot(&gradients.row(point)).sqrt(),
                }
            };
            let mut expected = plain.clone();
            for (point, mut column) in expected.axis_iter_mut(Axis(1)).enumerate() {
                column /= length(point);
            }
            let found = scores(&relative(to, damping)?, &test, &train)?;
            testing::assert_close("relative", &found, &expected, 1e-11);
        }
    }
    Ok(())
}

#[test]
fn cosines_are_divided_by_the_lengths_of_both_points() -> Result<()> {
    let (problem, train, test) = problem();
    for damping in [DAMPING, 0.7] {
        let model = relative(RelativeTo::Cosine, damping)?;
        // Each of all points stands in a row and in a column.
        let (matrix, _, gradients) = written_out(damping)?;
        let all = problem.gradients(&test)?;
        let own = |solved: Array2<f64>, gradients: &Array2<f64>| {
            let each = solved.outer_iter().zip(gradients.outer_iter());
            each.map(|(solved, gradient)| solved.dot(&gradient).sqrt())
                .collect::<Vec<_>>()
        };
        let inner = wrapper::ModelWrapper::inner(&model);
        let of_test = own(inner.solve(&all)?.converged()?, &all);
        let of_train = own(inner.solve(&gradients)?.converged()?, &gradients);
        let mut expected = matrix;
        for (index, value) in expected.indexed_iter_mut() {
            *value /= of_test[index[0]] * of_train[index[1]];
        }
        let found = scores(&model, &test, &train)?;
        testing::assert_close("cosines", &found, &expected, 1e-11);
        let own = scores(&model, &train, &train)?;
        let is_same = |point| (own[[point, point]] - 1.0).abs() < 1e-11;
        assert!((0..own.shape()[0]).all(is_same));
        assert!(own.iter().all(|cosine| cosine.abs() < 1.0 + 1e-11));
    }
    Ok(())
}

#[test]
fn a_point_has_the_length_one_in_the_geometry_of_losses() -> Result<()> {
    let (_, train, _) = problem();
    let model = relative(RelativeTo::Losses, DAMPING)?;
    let gradients = InfluenceModel::gradients(&model, &train)?;
    let solved = model.inner_solution(&gradients)?;
    let own = InfluenceModel::self_scores(&model, &solved, &gradients)?;
    assert!(own.iter().all(|own| (own - 1.0).abs() < 1e-11), "{own}");
    Ok(())
}

impl RelativeInfluence<LeastSquares> {
    fn inner_solution(&self, rows: &Array2<f64>) -> Result<Array2<f64>> {
        wrapper::ModelWrapper::inner(self).solve(rows)?.converged()
    }
}

/// A matrix with which no product can be made.
#[derive(Debug)]
struct Sealed;

impl LinearOperator for Sealed {
    type Rows = Array2<f64>;

    fn dim(&self) -> usize {
        DIM
    }

    fn apply(&self, _: &Array2<f64>) -> Result<Array2<f64>> {
        Err(Error::Unsupported {
            what: "a product",
            by: "a sealed matrix",
        })
    }

    fn rows(&self, values: ndarray::ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Ok(values.to_owned())
    }

    fn to_dense(&self) -> Result<Array2<f64>> {
        self.apply(&Array2::zeros((0, DIM)))
    }
}

#[test]
fn only_what_is_reported_is_held_against_a_reference() -> Result<()> {
    let (problem, train, test) = problem();
    let influence = problem.fit(&train, DAMPING, &Direct)?;
    let influence = influence.with_reference(Arc::new(Sealed))?;
    let model = RelativeInfluence::new(influence, RelativeTo::Losses);
    assert!(InfluenceModel::factors(&model, &test).is_err());
    let plain = relative(RelativeTo::Losses, DAMPING)?;
    let gradients = InfluenceModel::gradients(&model, &train)?;
    assert_eq!(gradients, InfluenceModel::gradients(&plain, &train)?);
    Ok(())
}

#[test]
fn a_matrix_that_is_negative_along_a_gradient_has_no_such_geometry() -> Result<()> {
    let (problem, train, _) = problem();
    let negative = Matrix::new(Array2::eye(DIM) * -1.0)?;
    let prepared = Direct.prepare(Arc::new(negative))?;
    let parameter = Parameter {
        name: "weight".into(),
        shape: vec![DIM],
    };
    let blocks = BlockStructure::Full.resolve(&ParameterLayout::new(vec![parameter]))?;
    let blocks = blocks.into_iter().zip([prepared]).collect();
    let influence = BlockInfluence::new(problem, blocks, &DAMPING.into())?;
    let model = RelativeInfluence::new(influence, RelativeTo::Losses);
    let refused = InfluenceModel::gradients(&model, &train);
    assert!(matches!(refused, Err(Error::Setting { .. })), "{refused:?}");
    Ok(())
}

#[test]
fn a_source_has_the_sum_of_the_divided_influences_of_its_points() -> Result<()> {
    let (_, train, test) = problem();
    let data = SamplesDataset(train.clone());
    let groups = Groups::sums([7, 13])?;
    for to in [
        RelativeTo::Parameters,
        RelativeTo::Losses,
        RelativeTo::Cosine,
    ] {
        let model = relative(to, DAMPING)?;
        let points = scores(&model, &test, &train)?;
        let batch = GroupBatch::new(&data, &groups, 0..2, 3)?;
        let factors = InfluenceModel::factors(&model, &test)?.converged()?;
        let sources = InfluenceModel::group_gradients(&model, &batch)?;
        let found = InfluenceModel::scores(&model, &factors, &sources)?;
        for (source, range) in [0..7, 7..20].into_iter().enumerate() {
            let sum = points.slice_axis(Axis(1), range.into()).sum_axis(Axis(1));
            let column = found.index_axis(Axis(1), source).to_owned();
            testing::assert_close("source", &column, &sum, 1e-11);
        }
    }
    Ok(())
}
