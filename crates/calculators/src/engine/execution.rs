use std::{ops::Range, sync::OnceLock};

use influence_core::{Dataset, InfluenceModel};
use ndarray::s;

use super::{guard::core_step, runner::Runner, steps::Steps};
use crate::{Error, Phase, Result, SampleSource, Side, SideSource, Step, zarr::Scratch};

/// A query in execution: who runs the tasks, in which order they come, and where the chunks go.
pub(crate) struct Execution<'a, M> {
    pub(crate) runner: &'a dyn Runner<Model = M>,
    pub(crate) steps: Steps<'a>,
}

/// The vectors whose inner products are the influences.
pub(crate) struct Operands<'a, B> {
    /// Factors.
    pub(crate) test: &'a SideSource<'a, B>,
    /// Gradients.
    pub(crate) train: &'a SideSource<'a, B>,
    /// Where solved factors are kept, to be read again.
    pub(crate) scratch: Option<&'a Scratch>,
}

/// The part of a panel that stays in memory: positions in the grid, each with its vectors.
type Held<T> = Vec<(usize, T)>;

impl<M: InfluenceModel> Execution<'_, M> {
    /// Computes every chunk that the sink does not have, and hands it over.
    pub(crate) fn influences(&self, operands: &Operands<'_, M::Batch>) -> Result<()> {
        let [rows, columns] = self.steps.plan.part();
        for panel in self.steps.plan.panels() {
            match self.steps.plan.held() {
                Side::Test => self.hold_factors(operands, panel.clone(), columns.clone())?,
                Side::Train => self.hold_gradients(operands, rows.clone(), panel.clone())?,
            }
        }
        Ok(())
    }

    fn hold_factors(
        &self,
        operands: &Operands<'_, M::Batch>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        let steps = self.steps;
        let [rows, columns] = self.open(&rows, &columns);
        // All of the panel before the first column: each gradient then meets every held factor at
        // once.
        let held = self.hold(Phase::Factors, &rows, |model, row| {
            steps.factors(model, (operands.test, operands.scratch), row)
        })?;
        self.stream(&columns, |model, column| {
            let gradients = steps.gradients(model, operands.train, column)?;
            held.iter().try_for_each(|(row, factors)| {
                steps.score(model, [*row, column], factors, &gradients)
            })
        })
    }

    fn hold_gradients(
        &self,
        operands: &Operands<'_, M::Batch>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        let steps = self.steps;
        let [rows, columns] = self.open(&rows, &columns);
        let held = self.hold(Phase::Gradients, &columns, |model, column| {
            steps.gradients(model, operands.train, column)
        })?;
        self.stream(&rows, |model, row| {
            let factors = steps.factors(model, (operands.test, operands.scratch), row)?;
            held.iter().try_for_each(|(column, gradients)| {
                steps.score(model, [row, *column], &factors, gradients)
            })
        })
    }

    /// The rows and columns of chunks within a rectangle in which the sink lacks a chunk.
    fn open(&self, rows: &Range<usize>, columns: &Range<usize>) -> [Vec<usize>; 2] {
        // A row or column whose chunks are all there needs no factors and no gradients.
        let lacks = |row, column| !self.steps.sink.has([row, column]);
        let lacking_row = |row: &usize| columns.clone().any(|column| lacks(*row, column));
        let lacking_column = |column: &usize| rows.clone().any(|row| lacks(row, *column));
        [
            rows.clone().filter(lacking_row).collect(),
            columns.clone().filter(lacking_column).collect(),
        ]
    }

    /// Makes the vectors that are held, one task per position.
    fn hold<T: Send + Sync>(
        &self,
        phase: Phase,
        positions: &[usize],
        make: impl Fn(&M, usize) -> Result<T> + Sync,
    ) -> Result<Held<T>> {
        // A slot per position, since tasks end in any order and `T` need not have a default.
        let slots: Vec<OnceLock<T>> = positions.iter().map(|_| OnceLock::new()).collect();
        self.tasks(phase, positions.len(), |model, task| {
            let made = make(model, positions[task])?;
            slots[task].get_or_init(|| made);
            Ok(())
        })?;
        let of_slot = |(&position, slot): (&usize, OnceLock<T>)| {
            let made = slot.into_inner().ok_or_else(|| Error::Skipped {
                step: self.step(phase, position),
            })?;
            Ok((position, made))
        };
        positions.iter().zip(slots).map(of_slot).collect()
    }

    /// Lets the other side pass, one task per position.
    fn stream(
        &self,
        positions: &[usize],
        visit: impl Fn(&M, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        self.tasks(Phase::Scores, positions.len(), |model, task| {
            visit(model, positions[task])
        })
    }

    fn tasks(
        &self,
        phase: Phase,
        tasks: usize,
        work: impl Fn(&M, usize) -> Result<()> + Sync,
    ) -> Result<()> {
        if tasks == 0 {
            return Ok(());
        }
        let Steps {
            supervisor, plan, ..
        } = self.steps;
        supervisor.phase(phase)?;
        self.runner.run(tasks, plan.workers(), &|model, task| {
            supervisor.cancellation.check()?;
            work(model, task)
        })
    }

    /// The step that makes the vectors held at a position.
    fn step(&self, phase: Phase, position: usize) -> Step {
        match phase {
            Phase::Gradients => Step::Gradients {
                columns: self.steps.plan.grid().columns(position),
            },
            Phase::Factors | Phase::Scores => Step::Solving {
                rows: self.steps.plan.grid().rows(position),
            },
        }
    }

    /// Solves every row of chunks that the sink does not have, and hands the factors over in
    /// columns as the grid cuts them.
    pub(crate) fn all_factors(&self, test: &SampleSource<'_, M::Batch>) -> Result<()> {
        let steps = self.steps;
        let [rows, columns] = steps.plan.part();
        let [rows, _] = self.open(rows, columns);
        self.tasks(Phase::Factors, rows.len(), |model, task| {
            let row = rows[task];
            let range = steps.plan.grid().rows(row);
            let factors = steps.solve(model, test, &range)?;
            let values = steps.on_host(model, &factors, row)?;
            columns.clone().try_for_each(|column| {
                let part = values.slice(s![.., steps.plan.grid().columns(column)]);
                steps.deliver([row, column], part.into_dyn())
            })
        })
    }

    /// Scores every sample against itself that the sink does not have; the grid has one column.
    pub(crate) fn self_influences(&self, train: &dyn Dataset<Batch = M::Batch>) -> Result<()> {
        let steps = self.steps;
        let [rows, columns] = steps.plan.part();
        let [rows, _] = self.open(rows, columns);
        self.stream(&rows, |model, row| {
            let rows = steps.plan.grid().rows(row);
            let in_gradients = || Step::Gradients {
                columns: rows.clone(),
            };
            let batch = core_step(in_gradients, || train.batch(rows.clone()))?;
            let factors = steps.solved(&rows, || model.factors(&batch))?;
            let gradients = core_step(in_gradients, || model.gradients(&batch))?;
            let scores = steps.self_scores(model, row, &factors, &gradients)?;
            steps.deliver([row, 0], scores.view())
        })
    }
}
