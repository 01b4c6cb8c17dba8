//! Influences relative to what a training point changes.
//!
//! Influences are largest for the training points with the largest gradients: outliers and wrong
//! labels, whatever the test point. Barshan, Brunet and Dziugaite, *`RelatIF`: identifying
//! explanatory training samples via relative influence*, 2020, ask instead which point changes a
//! measurement most for what else it changes:
//!
//! ```text
//! by parameters:  ⟨A⁻¹ g(test), g(train)⟩ / ‖A⁻¹ g(train)‖                    A = H + λI
//! by losses:      ⟨A⁻¹ g(test), g(train)⟩ / √⟨g(train), A⁻¹ g(train)⟩
//! cosine:         the same, divided by √⟨g(test), A⁻¹ g(test)⟩ as well
//! ```
//!
//! The first divides by the length by which the parameters move, the second by a length in the
//! geometry of the losses: the root of the influence of the point on itself. The third has that
//! length of both points, and is the cosine of their gradients in that geometry, from −1 to 1, so
//! that rows can be compared, too. All scale the gradient of a training point, so that scores cost
//! what they always do, and a training point one solution more.

use ndarray::{Array1, Ix1};

use super::{
    BlockInfluence, FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, finite,
    wrapper,
};
use crate::{Error, Result, Rows, ThreadSafe, solver::Solution};

/// By what influences are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelativeTo {
    /// The length of `(H + λI)⁻¹ g` of the training point: by how far it moves the parameters.
    Parameters,
    /// The root of the influence of the training point on itself: by how much it moves the losses.
    Losses,
    /// The same, and of the test point, too: influences are cosines.
    Cosine,
}

/// Influences relative to what each training point changes (`RelatIF`).
///
/// A point without a gradient has no influence. All else is as in the model within.
///
/// # References
/// Barshan, Brunet and Dziugaite, *`RelatIF`: identifying explanatory training samples via relative
/// influence*, 2020.
#[derive(Debug)]
pub struct RelativeInfluence<G: GradientSource> {
    influence: BlockInfluence<G>,
    to: RelativeTo,
}

impl<G: GradientSource> RelativeInfluence<G> {
    /// Divides the influences of a model.
    pub fn new(influence: BlockInfluence<G>, to: RelativeTo) -> Self {
        Self { influence, to }
    }

    /// One over what each gradient is divided by; zero for a gradient of zero.
    fn scales(&self, gradients: &G::Gradients) -> Result<Vec<f64>> {
        let source = self.influence.source();
        let rows = source.to_rows(gradients)?;
        let solved = self.influence.solve_unreported(&rows)?.converged()?;
        let lengths = match self.to {
            RelativeTo::Parameters => finite::lengths(solved.norms()?, || Ok(solved))?,
            RelativeTo::Losses | RelativeTo::Cosine => self.own_roots(&solved, gradients)?,
        };
        Ok(finite::inverses(&lengths))
    }

    /// The roots of the influences on themselves of points with these solutions and gradients.
    fn own_roots(&self, solved: &G::Rows, gradients: &G::Gradients) -> Result<Vec<f64>> {
        let own = self.influence.source().self_scores(solved, gradients)?;
        let own = own.into_dimensionality::<Ix1>();
        roots(&own.map_err(|error| Error::backend("relative influences", error))?)
    }

    /// The factors of the gradients of measurements.
    fn solved(&self, rows: G::Rows) -> Result<Solution<G::Rows>> {
        let solution = self.influence.solve(&rows)?;
        if self.to != RelativeTo::Cosine {
            return Ok(solution);
        }
        let gradients = self.influence.source().gradients_of_rows(rows)?;
        let lengths = self.own_roots(&solution.rows, &gradients)?;
        Ok(Solution {
            rows: solution.rows.scaled(&finite::inverses(&lengths))?,
            reports: solution.reports,
        })
    }
}

/// The roots of influences of points on themselves.
fn roots(own: &Array1<f64>) -> Result<Vec<f64>> {
    match own.iter().find(|value| **value < 0.0) {
        None => Ok(own.iter().map(|value| value.sqrt()).collect()),
        Some(value) => Err(Error::Setting {
            name: "the curvature of influences relative to losses",
            requirement: "positive along every gradient; take the Gauss-Newton matrix, or a larger damping",
            got: format!("an influence of {value:.1e} of a point on itself"),
        }),
    }
}

impl<G: GradientSource> wrapper::ModelWrapper for RelativeInfluence<G> {
    type Inner = BlockInfluence<G>;

    fn inner(&self) -> &BlockInfluence<G> {
        &self.influence
    }

    fn gradients(&self, batch: &G::Batch) -> Result<G::Gradients> {
        let source = self.influence.source();
        let gradients = source.gradients(batch)?;
        let scales = self.scales(&gradients)?;
        source.scaled(gradients, &scales)
    }

    fn factors(&self, batch: &G::Batch) -> Result<Solution<G::Rows>> {
        self.solved(self.influence.source().measurement_rows(batch)?)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Solution<G::Rows>> {
        let source = self.influence.source();
        self.solved(groups.sum(|batch| source.measurement_rows(batch))?)
    }

    /// The weighted sums of the divided gradients.
    fn group_gradients(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<G::Gradients> {
        let source = self.influence.source();
        let divided = |batch: &G::Batch| source.to_rows(&InfluenceModel::gradients(self, batch)?);
        source.gradients_of_rows(groups.sum(divided)?)
    }

    fn footprint(&self, sample: &G::Batch, form: FactorForm) -> Result<Footprint> {
        let footprint = InfluenceModel::footprint(&self.influence, sample, form)?;
        Ok(footprint.with_solved_gradients(1))
    }

    fn perturbations(&self, _: &G::Rows, _: &G::Batch) -> Result<ndarray::ArrayD<f64>> {
        Err(underivable())
    }

    fn input_shape(&self, _: &G::Batch) -> Result<Vec<usize>> {
        Err(underivable())
    }
}

/// What an influence is divided by depends on the inputs of the training point, too.
fn underivable() -> Error {
    Error::Unsupported {
        what: "the derivative by inputs",
        by: "relative influences",
    }
}

/// A call computes from what was fitted alone, and changes nothing.
impl<G: GradientSource + ThreadSafe> ThreadSafe for RelativeInfluence<G> {}
