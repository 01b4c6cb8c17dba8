use ndarray::{ArrayD, ArrayView2, Axis};

use super::{Footprint, GradientSource, finite};
use crate::{Precision, Result, Rows, ThreadSafe, block::Block};

/// A source of gradients scaled to unit length, those of test and train points alike.
///
/// With the [`Identity`](crate::solver::Identity) as inverse, scores are cosines. A gradient of
/// zero stays zero; one whose length is not finite becomes not a number, so that scores show it.
#[derive(Debug, Clone)]
pub struct UnitGradients<G> {
    source: G,
}

impl<G: GradientSource> UnitGradients<G> {
    /// Scales the gradients of a source.
    pub fn new(source: G) -> Self {
        Self { source }
    }

    /// The source of the gradients before they are scaled.
    pub fn inner(&self) -> &G {
        &self.source
    }

    /// One over the length of each gradient.
    fn inverse_lengths(&self, gradients: &G::Gradients) -> Result<Vec<f64>> {
        let norms = self.source.norms(gradients)?;
        let lengths = finite::lengths(norms, || self.source.to_rows(gradients))?;
        Ok(finite::inverses(&lengths))
    }
}

impl<G: GradientSource> GradientSource for UnitGradients<G> {
    type Batch = G::Batch;
    type Gradients = G::Gradients;
    type Rows = G::Rows;

    fn dim(&self) -> usize {
        self.source.dim()
    }

    fn precision(&self) -> Precision {
        self.source.precision()
    }

    fn gradients(&self, batch: &G::Batch) -> Result<G::Gradients> {
        let gradients = self.source.gradients(batch)?;
        let scales = self.inverse_lengths(&gradients)?;
        self.source.scaled(gradients, &scales)
    }

    fn measurement_rows(&self, batch: &G::Batch) -> Result<G::Rows> {
        let rows = self.source.measurement_rows(batch)?;
        let lengths = finite::lengths(rows.norms()?, || Ok(rows.clone()))?;
        rows.scaled(&finite::inverses(&lengths))
    }

    fn scores(&self, rows: &G::Rows, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        self.source.scores(rows, gradients)
    }

    fn rows(&self, values: ArrayView2<'_, f64>) -> Result<G::Rows> {
        self.source.rows(values)
    }

    fn to_rows(&self, gradients: &G::Gradients) -> Result<G::Rows> {
        self.source.to_rows(gradients)
    }

    /// Rows that this source gave have unit length already.
    fn gradients_of_rows(&self, rows: G::Rows) -> Result<G::Gradients> {
        self.source.gradients_of_rows(rows)
    }

    fn scaled(&self, gradients: G::Gradients, factors: &[f64]) -> Result<G::Gradients> {
        self.source.scaled(gradients, factors)
    }

    fn norms(&self, gradients: &G::Gradients) -> Result<Vec<f64>> {
        self.source.norms(gradients)
    }

    fn block_scores(
        &self,
        rows: &G::Rows,
        gradients: &G::Gradients,
        block: &Block,
    ) -> Result<ArrayD<f64>> {
        self.source.block_scores(rows, gradients, block)
    }

    fn self_scores(&self, rows: &G::Rows, gradients: &G::Gradients) -> Result<ArrayD<f64>> {
        self.source.self_scores(rows, gradients)
    }

    /// With `u = g / ‖g‖` and a row `r`, the quotient rule gives
    ///
    /// ```text
    /// ∂/∂x ⟨r, g/‖g‖⟩ = ( ∂/∂x ⟨r, g⟩ − ⟨r, u⟩ · ∂/∂x ⟨u, g⟩ ) / ‖g‖
    /// ```
    ///
    /// where `u` is held fixed on the right: `∂‖g‖/∂x = ∂/∂x ⟨u, g⟩`, the change of the norm.
    fn mixed_products(&self, rows: &G::Rows, batch: &G::Batch) -> Result<ArrayD<f64>> {
        let mut products = self.source.mixed_products(rows, batch)?;
        let gradients = self.source.gradients(batch)?;
        let scales = self.inverse_lengths(&gradients)?;
        let unit = self.source.to_rows(&gradients)?.scaled(&scales)?;
        let cosines = rows.gram(&unit)?;
        for (j, &scale) in scales.iter().enumerate() {
            // The unit gradient of a point meets that point alone: the rest is thrown away.
            let along = self.source.mixed_products(&unit.select(&[j])?, batch)?;
            let along = along.index_axis(Axis(0), 0);
            let along = along.index_axis(Axis(0), j);
            let mut column = products.index_axis_mut(Axis(1), j);
            for (i, mut product) in column.outer_iter_mut().enumerate() {
                product.scaled_add(-cosines[[i, j]], &along);
                product.mapv_inplace(|value| value * scale);
            }
        }
        Ok(products)
    }

    fn input_shape(&self, sample: &G::Batch) -> Result<Vec<usize>> {
        self.source.input_shape(sample)
    }

    fn footprint(&self, sample: &G::Batch, factors: &G::Rows) -> Result<Footprint> {
        self.source.footprint(sample, factors)
    }
}

/// Nothing is kept besides the source.
impl<G: ThreadSafe> ThreadSafe for UnitGradients<G> {}
