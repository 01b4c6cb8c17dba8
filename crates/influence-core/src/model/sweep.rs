use std::ops::Range;

use ndarray::{Array2, ArrayD, ArrayView2, s};

use super::{
    BlockInfluence, FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, ScoreAxis,
    axes::{joined, side_by_side, stacked},
};
use crate::{Error, Precision, Result, ThreadSafe, block::Damping, solver::Solution};

/// The influences of a model under several dampings, `(k, n, dampings)`.
///
/// Everything that does not depend on damping is done once: the preparations of the solvers, and
/// the gradients of both sides. Iterative solvers start from the factors of the damping before, so
/// neighbours should stand side by side.
#[derive(Debug)]
pub struct Sweep<G: GradientSource> {
    models: Vec<BlockInfluence<G>>,
    labels: Vec<String>,
}

impl<G: GradientSource + Clone> Sweep<G> {
    /// The same fitted model with each of these dampings; labels name them.
    ///
    /// # Errors
    /// [`Error::Setting`] without any damping, otherwise as [`BlockInfluence::with_damping`].
    pub fn new(
        model: &BlockInfluence<G>,
        dampings: impl IntoIterator<Item = (String, Damping)>,
    ) -> Result<Self> {
        let (labels, dampings): (Vec<_>, Vec<_>) = dampings.into_iter().unzip();
        if labels.is_empty() {
            return Err(Error::Setting {
                name: "dampings",
                requirement: "at least one",
                got: "none".into(),
            });
        }
        let damped = dampings.iter().map(|damping| model.with_damping(damping));
        Ok(Self {
            models: damped.collect::<Result<_>>()?,
            labels,
        })
    }
}

impl<G: GradientSource> Sweep<G> {
    /// The model under each damping.
    pub fn models(&self) -> &[BlockInfluence<G>] {
        &self.models
    }

    fn first(&self) -> &BlockInfluence<G> {
        &self.models[0]
    }

    /// Each row under each damping, with the worst of its reports.
    fn solve(&self, rhs: &G::Rows) -> Result<Solution<Vec<G::Rows>>> {
        let mut solutions: Vec<Solution<G::Rows>> = Vec::with_capacity(self.models.len());
        for model in &self.models {
            let before = solutions.last().map(|solution| &solution.rows);
            solutions.push(model.solve_from(rhs, before)?);
        }
        Ok(side_by_side(solutions))
    }

    /// The columns of joined factors that belong to each damping.
    fn places(&self) -> impl Iterator<Item = Range<usize>> + use<G> {
        let len = self.first().factor_len();
        (0..self.models.len()).map(move |index| index * len..(index + 1) * len)
    }
}

impl<G: GradientSource> InfluenceModel for Sweep<G> {
    type Batch = G::Batch;
    type Gradients = G::Gradients;
    /// One stack for each damping.
    type Factors = Vec<G::Rows>;

    fn dim(&self) -> usize {
        self.first().dim()
    }

    /// A factor joins those of all dampings.
    fn factor_len(&self) -> usize {
        self.models.len() * self.first().factor_len()
    }

    fn precision(&self) -> Precision {
        self.first().precision()
    }

    fn gradients(&self, batch: &G::Batch) -> Result<G::Gradients> {
        self.first().gradients(batch)
    }

    fn factors(&self, batch: &G::Batch) -> Result<Solution<Vec<G::Rows>>> {
        self.solve(&self.first().source().measurement_rows(batch)?)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Solution<Vec<G::Rows>>> {
        let source = self.first().source();
        self.solve(&groups.sum(|batch| source.measurement_rows(batch))?)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<G::Gradients> {
        self.first().group_gradients(groups)
    }

    fn scores(&self, factors: &Vec<G::Rows>, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        let source = self.first().source();
        stacked(factors.iter().map(|rows| source.scores(rows, gradients)))
    }

    fn self_scores(&self, factors: &Vec<G::Rows>, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        let source = self.first().source();
        stacked(
            factors
                .iter()
                .map(|rows| source.self_scores(rows, gradients)),
        )
    }

    /// The factors of all dampings side by side, `(k, dampings · dim)`.
    fn factors_to_array(&self, factors: &Vec<G::Rows>) -> Result<Array2<f64>> {
        let arrays = factors
            .iter()
            .map(|rows| self.first().factors_to_array(rows));
        joined(arrays)
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Vec<G::Rows>> {
        Error::check_size("factors", "vector length", self.factor_len(), array.ncols())?;
        self.places()
            .map(|columns| {
                self.first()
                    .factors_from_array(array.slice(s![.., columns]))
            })
            .collect()
    }

    fn gradients_from_array(&self, array: ArrayView2<'_, f64>) -> Result<G::Gradients> {
        self.first().gradients_from_array(array)
    }

    fn axes(&self, _sample: &G::Batch) -> Result<Vec<ScoreAxis>> {
        Ok(vec![ScoreAxis::labelled("damping", self.labels.clone())])
    }

    fn footprint(&self, sample: &G::Batch, form: FactorForm) -> Result<Footprint> {
        let footprint = self.first().footprint(sample, form)?;
        Ok(footprint.of_dampings(self.models.len()))
    }
}

impl<G: GradientSource + ThreadSafe> ThreadSafe for Sweep<G> {}
