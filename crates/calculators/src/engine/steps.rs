//! The steps of the program; an error in one says which.

use std::ops::Range;

use influence_core::{Error as CoreError, InfluenceModel, Precision, solver::Solution};
use ndarray::{Array2, ArrayD, ArrayViewD};

use super::{
    guard::{core_step, guarded},
    profile::Profile,
    supervisor::Supervisor,
};
use crate::{Plan, Result, RowSource, SampleSource, SideSource, Step, sink::Sink, zarr::Scratch};

/// All that steps need besides the model, of which each thread may have another replica.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) supervisor: &'a Supervisor<'a>,
    pub(crate) sink: &'a dyn Sink,
    pub(crate) profile: &'a Profile,
}

impl Steps<'_> {
    /// The factors of a row of chunks: read if they are kept anywhere, else solved, and kept if
    /// they are to be.
    pub(super) fn factors<M: InfluenceModel>(
        &self,
        model: &M,
        (test, scratch): (&SideSource<'_, M::Batch>, Option<&Scratch>),
        row: usize,
    ) -> Result<M::Factors> {
        let rows = self.plan.grid().rows(row);
        let test = match test {
            SideSource::Read(source) => return self.read_factors(model, &**source, &rows),
            SideSource::Compute(test) => test,
        };
        match scratch {
            Some(scratch) if scratch.has(row) => self.read_factors(model, scratch, &rows),
            Some(scratch) => {
                let factors = self.solve(model, test, &rows)?;
                // Exact both ways, as f64 holds every number of either precision: factors that are
                // read back score to the same bits.
                let values = self.on_host(model, &factors, row)?;
                let step = || Step::Solving { rows: rows.clone() };
                guarded(step, || scratch.keep(row, &values.view()))?;
                Ok(factors)
            }
            None => self.solve(model, test, &rows),
        }
    }

    /// Solves test rows, and lets observer and sink know how it went.
    pub(super) fn solve<M: InfluenceModel>(
        &self,
        model: &M,
        test: &SampleSource<'_, M::Batch>,
        rows: &Range<usize>,
    ) -> Result<M::Factors> {
        let piece = self.profile.footprint.piece.samples;
        self.solved(rows, || test.factors(model, rows, piece))
    }

    /// As [`solve`](Self::solve), by a function that solves.
    pub(super) fn solved<F>(
        &self,
        rows: &Range<usize>,
        solve: impl FnOnce() -> influence_core::Result<Solution<F>>,
    ) -> Result<F> {
        let step = || Step::Solving { rows: rows.clone() };
        let solution = core_step(step, || {
            let solution = solve()?;
            CoreError::check_size("factors", "reports", rows.len(), solution.reports.len())?;
            Ok(solution)
        })?;
        tracing::debug!(?rows, "factors solved");
        // The observer and the user come first: rows that are refused leave no report in the
        // output.
        guarded(step, || {
            self.supervisor.solved(rows, &solution.reports)?;
            self.sink.solved(rows, &solution.reports)
        })?;
        Ok(solution.rows)
    }

    fn read_factors<M: InfluenceModel>(
        &self,
        model: &M,
        source: &dyn RowSource,
        rows: &Range<usize>,
    ) -> Result<M::Factors> {
        let step = || Step::ReadingFactors { rows: rows.clone() };
        let values = self.read(step, source, rows)?;
        core_step(step, || {
            CoreError::check_size("factors", "rows", rows.len(), values.nrows())?;
            model.factors_from_array(values.view())
        })
    }

    fn read(
        &self,
        step: impl Fn() -> Step,
        source: &dyn RowSource,
        rows: &Range<usize>,
    ) -> Result<Array2<f64>> {
        self.supervisor.cancellation.check()?;
        guarded(step, || source.rows(rows.clone()))
    }

    /// The factors of a row of chunks on the host.
    pub(super) fn on_host<M: InfluenceModel>(
        &self,
        model: &M,
        factors: &M::Factors,
        row: usize,
    ) -> Result<Array2<f64>> {
        let rows = self.plan.grid().rows(row);
        let step = || Step::Solving { rows: rows.clone() };
        core_step(step, || {
            let values = model.factors_to_array(factors)?;
            CoreError::check_size("factors", "rows", rows.len(), values.nrows())?;
            CoreError::check_size("factors", "columns", model.factor_len(), values.ncols())?;
            Ok(values)
        })
    }

    /// The gradients of a column of chunks, computed or read.
    pub(super) fn gradients<M: InfluenceModel>(
        &self,
        model: &M,
        train: &SideSource<'_, M::Batch>,
        column: usize,
    ) -> Result<M::Gradients> {
        let columns = self.plan.grid().columns(column);
        match train {
            SideSource::Compute(train) => {
                let step = || Step::Gradients {
                    columns: columns.clone(),
                };
                let piece = self.profile.footprint.piece.samples;
                let gradients = core_step(step, || train.gradients(model, &columns, piece))?;
                tracing::debug!(?columns, "gradients computed");
                Ok(gradients)
            }
            SideSource::Read(source) => self.read_gradients(model, &**source, &columns),
        }
    }

    fn read_gradients<M: InfluenceModel>(
        &self,
        model: &M,
        source: &dyn RowSource,
        columns: &Range<usize>,
    ) -> Result<M::Gradients> {
        let step = || Step::ReadingGradients {
            columns: columns.clone(),
        };
        let values = self.read(step, source, columns)?;
        core_step(step, || {
            CoreError::check_size("gradients", "rows", columns.len(), values.nrows())?;
            model.gradients_from_array(values.view())
        })
    }

    /// Computes a chunk and hands it over, unless the sink has it.
    pub(super) fn score<M: InfluenceModel>(
        &self,
        model: &M,
        index: [usize; 2],
        factors: &M::Factors,
        gradients: &M::Gradients,
    ) -> Result<()> {
        if self.sink.has(index) {
            return Ok(());
        }
        self.supervisor.cancellation.check()?;
        let chunk = self.plan.grid().chunk(index);
        let shape = [chunk.rows.len(), chunk.columns.len()];
        let values = self.scores(model, index, factors, gradients, shape)?;
        self.deliver(index, values.view())
    }

    /// Takes note of rows of a chunk with numbers that are not finite, or will not be where they
    /// are stored: sums of finite numbers may overflow.
    fn check_finite(&self, index: [usize; 2], values: &ArrayViewD<'_, f64>) -> Result<()> {
        let rows = self.plan.grid().rows(index[0]);
        let spoilt = rows.clone().zip(values.outer_iter());
        let largest = match self.profile.precision {
            Precision::F32 => f64::from(f32::MAX),
            Precision::F64 => f64::MAX,
        };
        // Written so that NaN counts.
        let within = |value: &f64| value.abs() <= largest;
        let spoilt = spoilt.filter(|(_, row)| !row.iter().all(within));
        let spoilt: Vec<usize> = spoilt.map(|(row, _)| row).collect();
        if spoilt.is_empty() {
            return Ok(());
        }
        self.supervisor.spoilt(&rows, &spoilt)?;
        self.sink.spoilt(&spoilt)
    }

    /// The scores of a chunk on the host.
    fn scores<M: InfluenceModel>(
        &self,
        model: &M,
        index: [usize; 2],
        factors: &M::Factors,
        gradients: &M::Gradients,
        shape: [usize; 2],
    ) -> Result<ArrayD<f64>> {
        core_step(
            || self.scoring(index),
            || {
                let scores = model.scores(factors, gradients)?;
                self.check_shape(&shape, scores.shape())?;
                Ok(scores)
            },
        )
    }

    /// The scores of the points of a row of chunks against themselves.
    pub(super) fn self_scores<M: InfluenceModel>(
        &self,
        model: &M,
        row: usize,
        factors: &M::Factors,
        gradients: &M::Gradients,
    ) -> Result<ArrayD<f64>> {
        core_step(
            || self.scoring([row, 0]),
            || {
                let scores = model.self_scores(factors, gradients)?;
                self.check_shape(&[self.plan.grid().rows(row).len()], scores.shape())?;
                Ok(scores)
            },
        )
    }

    /// Checks that scores have the axes that the model said they have, after those of points.
    fn check_shape(&self, points: &[usize], got: &[usize]) -> influence_core::Result<()> {
        let axes = self.profile.axes.iter().map(|axis| axis.len);
        let expected: Vec<usize> = points.iter().copied().chain(axes).collect();
        CoreError::check_size("scores", "axes", expected.len(), got.len())?;
        for (index, (&expected, &got)) in expected.iter().zip(got).enumerate() {
            let name = match index {
                0 => "rows",
                _ if index < points.len() => "columns",
                _ => "length of an axis",
            };
            CoreError::check_size("scores", name, expected, got)?;
        }
        Ok(())
    }

    pub(super) fn scoring(&self, index: [usize; 2]) -> Step {
        Step::Scoring {
            chunk: self.plan.grid().chunk(index),
        }
    }

    pub(super) fn deliver(&self, index: [usize; 2], values: ArrayViewD<'_, f64>) -> Result<()> {
        let chunk = self.plan.grid().chunk(index);
        let step = || Step::Delivering {
            chunk: chunk.clone(),
        };
        guarded(step, || {
            self.check_finite(index, &values)?;
            self.sink.deliver(&chunk, values)?;
            tracing::debug!(row = index[0], column = index[1], "chunk delivered");
            if let Some(observer) = &self.supervisor.observer {
                observer.chunk_done(&chunk);
            }
            Ok(())
        })
    }
}
