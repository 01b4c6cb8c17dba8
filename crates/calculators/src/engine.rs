//! The one program behind all calculators: solve a panel of factors, then score it against every column of chunks.
//!
//! Which numbers meet in which operation is fixed by the grid alone; calculators only decide who does it when. Hence the same bits.

mod guard;
mod traits;
mod watch;

use std::{borrow::Borrow, ops::Range, sync::OnceLock};

use influence_core::{Dataset, Error as CoreError, InfluenceModel};
use ndarray::{Array1, ArrayD, Ix2, s};

use crate::{Calculator, Error, FactorSource, Phase, Plan, Result, Step, sink::Sink};

pub(crate) use guard::{core_step, guarded};
pub(crate) use traits::{Traits, bytes, traits};
pub(crate) use watch::Watch;

/// What is to be run on, and how.
pub(crate) struct Job<'a, M> {
    pub(crate) calculator: &'a dyn Calculator<Model = M>,
    pub(crate) watch: Watch<'a>,
}

/// Where factors come from.
pub(crate) enum TestSide<'a, B> {
    Solve(&'a dyn Dataset<Batch = B>),
    Read(&'a dyn FactorSource),
}

impl<B> TestSide<'_, B> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Solve(test) => test.len(),
            Self::Read(factors) => factors.len(),
        }
    }
}

impl<M: InfluenceModel> Job<'_, M> {
    /// Computes every chunk of the plan and hands it to the sink.
    pub(crate) fn influences(
        &self,
        plan: &Plan,
        test: &TestSide<'_, M::Batch>,
        train: &dyn Dataset<Batch = M::Batch>,
        sink: &dyn Sink,
    ) -> Result<()> {
        for panel in plan.panels() {
            let factors = self.panel(plan, panel.clone(), test)?;
            let (watch, columns) = (&self.watch, plan.grid().counts()[1]);
            watch.phase(Phase::Scores)?;
            self.calculator.run(columns, &|model, column| {
                watch.cancellation.check()?;
                let range = plan.grid().columns(column);
                let gradients = gradients(model, train, &range)?;
                for (row, factors) in panel.clone().zip(&factors) {
                    let chunk = plan.grid().chunk([row, column]);
                    let shape = [chunk.rows.len(), chunk.columns.len()];
                    let step = || Step::Scoring {
                        chunk: chunk.clone(),
                    };
                    let values = core_step(step, || scores(model, factors, &gradients, shape))?;
                    deliver(watch, sink, plan, [row, column], values.view())?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The factors of a panel, each row of chunks by one task.
    fn panel(
        &self,
        plan: &Plan,
        panel: Range<usize>,
        test: &TestSide<'_, M::Batch>,
    ) -> Result<Vec<M::Factors>> {
        let slots: Vec<OnceLock<M::Factors>> = panel.clone().map(|_| OnceLock::new()).collect();
        let watch = &self.watch;
        watch.phase(Phase::Factors)?;
        self.calculator.run(slots.len(), &|model, task| {
            watch.cancellation.check()?;
            let rows = plan.grid().rows(panel.start + task);
            let factors = match test {
                TestSide::Solve(test) => solve(watch, model, || test.batch(rows.clone()), &rows)?,
                TestSide::Read(source) => read(model, *source, &rows)?,
            };
            slots[task].get_or_init(|| factors);
            Ok(())
        })?;
        let of_slot = |(index, slot): (usize, OnceLock<M::Factors>)| {
            let rows = plan.grid().rows(panel.start + index);
            slot.into_inner().ok_or(Error::Skipped {
                step: Step::Solving { rows },
            })
        };
        slots.into_iter().enumerate().map(of_slot).collect()
    }

    /// Solves every row of chunks and hands the factors to the sink, in columns as the grid cuts them.
    pub(crate) fn factors(
        &self,
        plan: &Plan,
        test: &dyn Dataset<Batch = M::Batch>,
        sink: &dyn Sink,
    ) -> Result<()> {
        let (watch, [down, across]) = (&self.watch, plan.grid().counts());
        watch.phase(Phase::Factors)?;
        self.calculator.run(down, &|model, row| {
            watch.cancellation.check()?;
            let rows = plan.grid().rows(row);
            let factors = solve(watch, model, || test.batch(rows.clone()), &rows)?;
            let step = || Step::Solving { rows: rows.clone() };
            let values = core_step(step, || {
                let values = model.factors_to_array(&factors)?;
                CoreError::check_size("factors", "rows", rows.len(), values.nrows())?;
                CoreError::check_size(
                    "factors",
                    "columns",
                    plan.grid().shape()[1],
                    values.ncols(),
                )?;
                Ok(values)
            })?;
            (0..across).try_for_each(|column| {
                let part = values.slice(s![.., plan.grid().columns(column)]);
                deliver(watch, sink, plan, [row, column], part.into_dyn())
            })
        })
    }

    /// Scores every sample against itself; the grid has one column.
    pub(crate) fn self_influences(
        &self,
        plan: &Plan,
        train: &dyn Dataset<Batch = M::Batch>,
        sink: &dyn Sink,
    ) -> Result<()> {
        let watch = &self.watch;
        watch.phase(Phase::Scores)?;
        self.calculator.run(plan.grid().counts()[0], &|model, row| {
            watch.cancellation.check()?;
            let rows = plan.grid().rows(row);
            let in_gradients = || Step::Gradients {
                columns: rows.clone(),
            };
            let batch = core_step(in_gradients, || train.batch(rows.clone()))?;
            let factors = solve(watch, model, || Ok(&batch), &rows)?;
            let gradients = core_step(in_gradients, || model.gradients(&batch))?;
            let step = || Step::Scoring {
                chunk: plan.grid().chunk([row, 0]),
            };
            let diagonal: Array1<f64> = core_step(step, || {
                let scores = scores(model, &factors, &gradients, [rows.len(), rows.len()])?;
                let scores = scores
                    .into_dimensionality::<Ix2>()
                    .map_err(|source| CoreError::backend("scores", source))?;
                Ok(scores.diag().to_owned())
            })?;
            deliver(
                watch,
                sink,
                plan,
                [row, 0],
                diagonal.insert_axis(ndarray::Axis(1)).view().into_dyn(),
            )
        })
    }
}

fn solve<M: InfluenceModel, B: Borrow<M::Batch>>(
    watch: &Watch<'_>,
    model: &M,
    batch: impl FnOnce() -> influence_core::Result<B>,
    rows: &Range<usize>,
) -> Result<M::Factors> {
    let step = || Step::Solving { rows: rows.clone() };
    let solution = core_step(step, || {
        let solution = model.factors(batch()?.borrow())?;
        CoreError::check_size("factors", "reports", rows.len(), solution.reports.len())?;
        Ok(solution)
    })?;
    guarded(step, || watch.solved(rows, &solution.reports))?;
    Ok(solution.rows)
}

fn read<M: InfluenceModel>(
    model: &M,
    source: &dyn FactorSource,
    rows: &Range<usize>,
) -> Result<M::Factors> {
    let step = || Step::ReadingFactors { rows: rows.clone() };
    let values = guarded(step, || source.rows(rows.clone()))?;
    core_step(step, || {
        CoreError::check_size("factors", "rows", rows.len(), values.nrows())?;
        model.factors_from_array(values.view())
    })
}

fn gradients<M: InfluenceModel>(
    model: &M,
    train: &dyn Dataset<Batch = M::Batch>,
    columns: &Range<usize>,
) -> Result<M::Gradients> {
    let step = || Step::Gradients {
        columns: columns.clone(),
    };
    core_step(step, || model.gradients(&train.batch(columns.clone())?))
}

fn scores<M: InfluenceModel>(
    model: &M,
    factors: &M::Factors,
    gradients: &M::Gradients,
    shape: [usize; 2],
) -> influence_core::Result<ArrayD<f64>> {
    let scores = model.scores_array(factors, gradients)?;
    for ((axis, expected), name) in shape.iter().enumerate().zip(["rows", "columns"]) {
        CoreError::check_size(
            "scores",
            name,
            *expected,
            scores.shape().get(axis).copied().unwrap_or(0),
        )?;
    }
    Ok(scores)
}

fn deliver(
    watch: &Watch<'_>,
    sink: &dyn Sink,
    plan: &Plan,
    index: [usize; 2],
    values: ndarray::ArrayViewD<'_, f64>,
) -> Result<()> {
    let chunk = plan.grid().chunk(index);
    guarded(
        || Step::Delivering {
            chunk: chunk.clone(),
        },
        || {
            sink.deliver(&chunk, values)?;
            if let Some(observer) = watch.observer {
                observer.chunk_done(&chunk);
            }
            Ok(())
        },
    )
}
