//! What surrounds a command: progress, signals and how it ends.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Result;
use influence_calculators::{Cancellation, zarr::Claim};
use influence_cluster::World;
use influence_jobs::{
    assessment::Assessment,
    config::Config,
    output::{self, Existing},
    watch::{Host, Stage, Watch},
};

use crate::{
    args::Reporting,
    cores::Cores,
    error::Ending,
    interrupt::{self, Interrupt},
    log,
    progress::Progress,
};

/// Between two looks at whether it is time to say how far a command is.
const BEAT: Duration = Duration::from_secs(1);

/// Shows how far a command is, and ends it when a signal comes.
#[derive(Debug)]
pub struct Session {
    progress: Arc<Progress>,
    interrupt: Interrupt,
    /// Whether the summary is left out.
    quiet: bool,
    /// The processes that do the command together with this one.
    world: Option<World>,
}

impl Session {
    /// A session of the whole process: logs go to stderr, and signals are listened to. Of an MPI
    /// job, the first process alone says how far it is and what it did.
    pub fn new(reporting: &Reporting, world: Option<World>) -> Self {
        interrupt::keep_hangup_ignored();
        let rank = world.as_ref().map(World::rank).filter(|rank| *rank > 0);
        let progress = Arc::new(match rank {
            Some(rank) => Progress::of_rank(rank, reporting.style()),
            None => Progress::new(reporting.style()),
        });
        log::install(reporting.level(), reporting.log_format(), &progress);
        progress.stage(Stage::Check);
        keep_beating(&progress);
        let interrupt = Interrupt::new(Arc::clone(&progress));
        if let Err(error) = interrupt.listen() {
            progress.warn(&format!(
                "signals will end the command without a message: {error}"
            ));
        }
        Self {
            progress,
            interrupt,
            quiet: reporting.quiet || rank.is_some(),
            world,
        }
    }

    /// How far the command is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The processes that do the command together with this one, if others do.
    pub fn world(&self) -> Option<&World> {
        self.world.as_ref()
    }

    /// Whether this process speaks for all that do the command.
    pub(crate) fn speaks(&self) -> bool {
        self.world.as_ref().is_none_or(World::is_first)
    }

    /// The outcome of a step, if it went well in all processes that do the command.
    pub(crate) fn agreed<T>(&self, outcome: Result<T>) -> Result<T> {
        match &self.world {
            Some(world) => world.agree(outcome),
            None => outcome,
        }
    }

    /// A configuration with the threads that this process has beside others, where it names none.
    pub(crate) fn granted(&self, mut config: Config) -> Config {
        let Some(cores) = self.world.as_ref().map(Cores::of) else {
            return config;
        };
        if let Some(advice) = cores.advice().filter(|_| self.speaks()) {
            self.progress.warn(&advice);
        }
        let threads = &mut config.compute.threads;
        *threads = threads.or(Some(cores.threads().get()));
        config
    }

    /// The processes that do the command and the threads of each, in words.
    pub(crate) fn processes(&self, config: &Config) -> Option<String> {
        let processes = self.world.as_ref()?.size();
        Some(match config.compute.threads() {
            1 => format!("{processes}, each with 1 thread"),
            threads => format!("{processes}, each with {threads} threads"),
        })
    }

    /// Says how good a model is.
    pub(crate) fn tell(&self, assessment: &Assessment) {
        if self.speaks() {
            assessment.tell(&*self.progress);
        }
    }

    /// Warns of what was found in the files.
    pub fn remark(&self, remarks: &[String]) {
        if !self.speaks() {
            return;
        }
        for remark in remarks {
            self.progress.warn(remark);
        }
    }

    /// Prints something to stdout, which may be the terminal that the bar is on.
    pub fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        self.progress.bar().suspend(print)
    }

    /// Where a command summarises what it did: nowhere if only errors and results are wanted.
    pub fn summary<'a>(&self, out: &'a mut dyn Write) -> Box<dyn Write + 'a> {
        if self.quiet {
            Box::new(io::sink())
        } else {
            Box::new(out)
        }
    }

    /// Says how the command ended, and ends the processes that cannot end without this one.
    pub fn end(&self, outcome: &Result<()>) -> Ending {
        let ending = Ending::of(outcome);
        // Whoever failed says why.
        let elsewhere = outcome.as_ref().err().is_some_and(is_elsewhere);
        if self.speaks() || !elsewhere {
            self.progress.end(&ending);
        }
        if let Some(world) = &self.world {
            world.end(ending.code());
        }
        ending
    }
}

/// Whether it is another process that failed.
fn is_elsewhere(error: &anyhow::Error) -> bool {
    let error = influence_cluster::Error::of(error.as_ref());
    matches!(error, Some(influence_cluster::Error::Elsewhere { .. }))
}

impl Host for Session {
    fn watch(&self) -> Arc<dyn Watch> {
        self.progress.clone()
    }

    fn cancellation(&self) -> &Cancellation {
        self.interrupt.cancellation()
    }

    fn claim(&self, output: &Path, existing: Existing) -> Result<()> {
        // What an earlier command of the session claimed would be in the way.
        self.interrupt.release();
        self.interrupt.claimed(output::claim(output, existing)?);
        Ok(())
    }

    fn writing(&self) -> Option<Claim> {
        self.interrupt.writing()
    }

    fn written(&self, output: &Path) {
        let shown = output.display();
        self.interrupt.written(format!(
            "interrupted: all chunks are written to {shown} already"
        ));
        self.progress.warn_of_rows();
    }
}

/// Lets a command say every few seconds that it goes on, on a thread of its own, which ends with
/// the command; without one it is silent between phases.
fn keep_beating(progress: &Arc<Progress>) {
    let progress = Arc::downgrade(progress);
    let beats = move || {
        while let Some(progress) = progress.upgrade().filter(|it| !it.has_ended()) {
            progress.beat();
            drop(progress);
            thread::sleep(BEAT);
        }
    };
    drop(thread::Builder::new().name("progress".into()).spawn(beats));
}

impl Drop for Session {
    fn drop(&mut self) {
        // Those who listen to signals live as long as the process, and would keep it.
        self.interrupt.release();
    }
}
