//! How far a command is, shown in one of several ways, and what the solver had to say.

mod event;
mod lines;
mod notable;
mod pace;
mod phases;
mod renderer;
mod work;

use std::{
    io::{IsTerminal, stderr},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use indicatif::ProgressBar;
use influence_backend_burn::{FitObserver, FitStep};
use influence_calculators::{Observer, Phase, Plan};
use influence_core::{
    Chunk,
    solver::{Report, Status},
};
use influence_jobs::watch::{Assessed, Stage, Watch};

use crate::error::Ending;
use event::seconds;
use lines::PlainLines;
use notable::Notable;
use phases::Phases;
use renderer::{Bar, Json, Quiet, Renderer, Silent};
use work::Work;

pub use event::Event;
pub use pace::Pace;

/// A way of showing progress, on stderr; the objects of JSON are described at [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Style {
    /// A bar on a terminal, else lines.
    #[default]
    Auto,
    /// A bar; nothing where stderr is not a terminal.
    Bar,
    /// A line for each phase, one every few seconds in between, and one at the end.
    Lines,
    /// An object of JSON on each line, messages included.
    Json,
    /// Nothing but warnings and errors.
    None,
    /// Only errors; a separate option.
    #[value(skip)]
    Quiet,
}

/// Watches a command: shows how far it is, and collects reports of rows that did not simply
/// converge.
///
/// Events that cannot be written, because stderr is closed, are dropped.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    bar: ProgressBar,
    state: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    renderer: Box<dyn Renderer>,
    pace: Option<Pace>,
    phases: Phases,
    notable: Notable,
    work: Work,
}

impl Progress {
    /// Shows progress in this way from now on.
    pub fn new(style: Style) -> Self {
        let bar = match style {
            Style::Bar => may_draw() || !stderr().is_terminal(),
            Style::Auto => may_draw() && stderr().is_terminal(),
            Style::Lines | Style::Json | Style::None | Style::Quiet => false,
        };
        let (bar, renderer): (_, Box<dyn Renderer>) = match style {
            _ if bar => {
                let bar = Bar::new();
                (bar.0.clone(), Box::new(bar))
            }
            Style::Json => (ProgressBar::hidden(), Box::new(Json::default())),
            Style::None => (ProgressBar::hidden(), Box::new(Silent::default())),
            Style::Quiet => (ProgressBar::hidden(), Box::new(Quiet::default())),
            _ => (ProgressBar::hidden(), Box::new(PlainLines::default())),
        };
        Self::with(bar, renderer)
    }

    /// Of a process that is one of several, by its rank: says only what has to be said, with the
    /// rank before it.
    pub fn of_rank(rank: usize, style: Style) -> Self {
        let rank = Some(rank);
        Self::with(
            ProgressBar::hidden(),
            match style {
                Style::Json => Box::new(Json { rank }),
                Style::Quiet => Box::new(Quiet(Silent { rank })),
                _ => Box::new(Silent { rank }),
            },
        )
    }

    fn with(bar: ProgressBar, renderer: Box<dyn Renderer>) -> Self {
        let state = Shown {
            renderer,
            pace: None,
            phases: Phases::default(),
            notable: Notable::default(),
            work: Work::default(),
        };
        Self {
            started: Instant::now(),
            bar,
            state: Mutex::new(state),
        }
    }

    /// The bar, hidden where there is none; whoever writes to the terminal suspends it.
    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Another command begins in the same process: its phases, chunks and rows are counted by
    /// themselves.
    pub fn begin_command(&self) {
        let mut state = self.state();
        state.phases = Phases::since(self.started.elapsed());
        state.pace = None;
        state.notable = Notable::default();
    }

    /// Says how far the phase is, if that was not said for a while; called now and then while a
    /// command runs.
    pub fn beat(&self) {
        let (now, mut state) = (self.started.elapsed(), self.state());
        let Shown {
            work,
            renderer,
            pace,
            ..
        } = &mut *state;
        if let Some(event) = work.due(now) {
            renderer.show(&event.with_chunks(*pace), now);
        }
    }

    /// Whether the command has ended.
    pub fn has_ended(&self) -> bool {
        self.state().work.has_ended()
    }

    /// Warns once of each status that rows ended with other than converged.
    pub fn warn_of_rows(&self) {
        let lines = self.state().notable.lines();
        for line in lines {
            self.warn(&line);
        }
    }

    /// Says that a signal came, and what happens now.
    pub fn interrupting(&self, message: &str) {
        self.show(&Event::Interrupting { message });
    }

    /// Shows how the command ended.
    pub fn end(&self, ending: &Ending) {
        let (seconds, (done, total)) = (seconds(self.started.elapsed()), self.chunks());
        self.state().work.end();
        self.show(&match ending {
            Ending::Done => Event::Finished { done, seconds },
            Ending::Interrupted(message) => Event::Interrupted {
                message,
                done,
                total,
                seconds,
            },
            Ending::Waiting(message) => Event::Waiting { message, seconds },
            Ending::Failed { message, excerpt } => Event::Failed {
                error: message,
                excerpt: excerpt.as_deref(),
                seconds,
            },
        });
    }

    fn show(&self, event: &Event<'_>) {
        let now = self.started.elapsed();
        self.state().renderer.show(event, now);
    }

    /// The first number of pieces of a step is done, of the second.
    fn step(&self, step: &'static str, pieces: [usize; 2]) {
        let (now, mut state) = (self.started.elapsed(), self.state());
        let Shown { work, renderer, .. } = &mut *state;
        if let Some(event) = work.step(step, pieces, now) {
            renderer.show(&event, now);
        }
    }

    fn state(&self) -> MutexGuard<'_, Shown> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn stage(&self, stage: Stage) {
        tracing::info!(phase = stage.as_str(), "phase begins");
        let (now, mut state) = (self.started.elapsed(), self.state());
        state.phases.begin(stage.as_str(), now);
        if let Some(pace) = &mut state.pace {
            pace.phase(now);
        }
        state.work.begin(stage.as_str(), now);
        let event = Event::Phase {
            phase: stage.as_str(),
            seconds: seconds(now),
        };
        state.renderer.show(&event, now);
    }

    fn epoch(&self, epoch: usize, epochs: usize, loss: f64) {
        tracing::info!(epoch, loss, "epoch ends");
        self.show(&Event::Epoch {
            epoch,
            epochs,
            loss,
        });
    }

    fn retrained(&self, done: usize, total: usize) {
        self.step("retrainings", [done, total]);
    }

    fn assessed(&self, assessed: &Assessed<'_>) {
        self.show(&Event::Assessed(*assessed));
    }

    fn warn(&self, message: &str) {
        self.show(&Event::Warning { message });
    }

    fn phases(&self) -> Vec<(&'static str, f64)> {
        let phases = self.state().phases.until(self.started.elapsed());
        let phases = phases.into_iter();
        phases.map(|(name, time)| (name, seconds(time))).collect()
    }

    fn chunks(&self) -> (usize, Option<usize>) {
        let pace = self.state().pace;
        (
            pace.map_or(0, |pace| pace.done()),
            pace.map(|pace| pace.total()),
        )
    }
}

impl FitObserver for Progress {
    fn fitting(&self, step: FitStep, done: usize, total: usize) {
        self.step(step.as_str(), [done, total]);
    }
}

impl Observer for Progress {
    fn planned(&self, plan: &Plan, finished: usize) {
        let (now, chunks) = (self.started.elapsed(), plan.chunks());
        let mut state = self.state();
        state.pace = Some(Pace::new(chunks, finished, now));
        let [rows, columns] = plan.grid().shape();
        let event = Event::Planned {
            chunks,
            finished,
            rows,
            columns,
        };
        state.renderer.show(&event, now);
    }

    fn phase(&self, phase: Phase) {
        self.stage(Stage::Compute(phase));
    }

    fn solved(&self, rows: &Range<usize>, reports: &[Report]) {
        let converged = |report: &&Report| report.status == Status::Converged;
        let residuals = reports.iter().map(|report| report.residual);
        let event = Event::Solved {
            rows: [rows.start, rows.end],
            converged: reports.iter().filter(converged).count(),
            worst_residual: residuals.max_by(f64::total_cmp).unwrap_or(0.0),
        };
        self.state().notable.add(reports);
        self.show(&event);
    }

    fn chunk_done(&self, chunk: &Chunk) {
        // The time is taken under the lock, so that lines come in its order.
        let mut state = self.state();
        let now = self.started.elapsed();
        let Some(pace) = &mut state.pace else { return };
        pace.deliver();
        let event = progressed(chunk, pace, now);
        state.renderer.show(&event, now);
    }
}

/// Whether a terminal may be drawn on: a bar moves the cursor by the codes that colours are made
/// of.
fn may_draw() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|kind| kind != "dumb")
}

fn progressed(chunk: &Chunk, pace: &Pace, now: Duration) -> Event<'static> {
    let [row, column] = chunk.index;
    Event::Chunk {
        row,
        column,
        done: pace.done(),
        total: pace.total(),
        rate: pace.rate(now),
        eta_seconds: pace.eta_seconds(now),
    }
}
