//! What surrounds a command: progress, signals and how it ends.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Result;
use influence_calculators::{
    Error, LazyInfluences, LazySelfInfluences, SolveSummary, ZarrOptions, zarr::Claim,
};
use influence_core::InfluenceModel;

use crate::{
    args::Reporting,
    error::{Ending, Interrupted},
    interrupt::{self, Interrupt},
    log,
    output::{self, Existing, location},
    progress::{Progress, Stage},
};

/// Between two looks at whether it is time to say how far a command is.
const BEAT: Duration = Duration::from_secs(1);

/// Shows how far a command is, and ends it when a signal comes.
#[derive(Debug)]
pub struct Session {
    progress: Arc<Progress>,
    interrupt: Interrupt,
    quiet: bool,
}

impl Session {
    /// A session of the whole process: logs go to stderr, and signals are listened to.
    pub fn new(reporting: &Reporting) -> Self {
        interrupt::keep_hangup_ignored();
        let progress = Arc::new(Progress::new(reporting.style()));
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
            quiet: reporting.quiet,
        }
    }

    /// How far the command is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Warns of what was found in the files.
    pub fn remark(&self, remarks: &[String]) {
        for remark in remarks {
            self.progress.warn(remark);
        }
    }

    /// The same, for those who watch longer than they are called.
    pub fn observer(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Prints something to stdout, which may be the terminal that the bar is on.
    pub fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        self.progress.bar().suspend(print)
    }

    /// Where a command says what it did, which is not what it was asked for: nowhere if nothing but that is wanted.
    pub fn summary<'a>(&self, out: &'a mut dyn Write) -> Box<dyn Write + 'a> {
        if self.quiet {
            Box::new(io::sink())
        } else {
            Box::new(out)
        }
    }

    /// Computes influences and writes them, until a signal comes.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came, else whatever the computation reports.
    pub fn write<'a, M: InfluenceModel>(
        &'a self,
        influences: LazyInfluences<'a, M>,
        output: &Path,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        self.written(output, options, |claim| {
            influences
                .with_observer(self.progress())
                .with_cancellation(self.interrupt.cancellation())
                .to_claimed(claim, options)
        })
    }

    /// Computes self-influences and writes them, until a signal comes.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_own<'a, M: InfluenceModel>(
        &'a self,
        own: LazySelfInfluences<'a, M>,
        output: &Path,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        self.written(output, options, |claim| {
            own.with_observer(self.progress())
                .with_cancellation(self.interrupt.cancellation())
                .to_claimed(claim, options)
        })
    }

    /// Claims the place of an output, and keeps it until the output is written or the command ends.
    ///
    /// # Errors
    /// As [`claim`](output::claim).
    pub fn claim(&self, output: &Path, existing: Existing) -> Result<()> {
        // What an earlier command of the session claimed would be in the way.
        self.interrupt.release();
        self.interrupt.claimed(output::claim(output, existing)?);
        Ok(())
    }

    /// Writes an output, to the place that is held or else is claimed now.
    fn written(
        &self,
        output: &Path,
        options: &ZarrOptions,
        write: impl FnOnce(Claim) -> influence_calculators::Result<SolveSummary>,
    ) -> Result<SolveSummary> {
        let location = location(output)?;
        let held = self.interrupt.writing();
        let claim = held.map_or_else(|| Claim::new(&location, options), Ok);
        let outcome = claim.and_then(write);
        let solved = outcome.map_err(|error| self.explained(error, output))?;
        let shown = output.display();
        self.interrupt.written(format!(
            "interrupted: all chunks are written to {shown} already"
        ));
        self.progress.warn_of_rows();
        Ok(solved)
    }

    fn explained(&self, error: Error, output: &Path) -> anyhow::Error {
        match (error, self.progress.chunks()) {
            (Error::Cancelled, (done, total)) => Interrupted {
                done,
                total: total.unwrap_or_default(),
                output: output.to_owned(),
            }
            .into(),
            (error, (done, Some(total))) => {
                self.progress.warn(&format!(
                    "{done} of {total} chunks are written to {}; go on with --resume",
                    output.display()
                ));
                error.into()
            }
            (error, _) => error.into(),
        }
    }

    /// Says how the command ended.
    pub fn end(&self, outcome: &Result<()>) -> Ending {
        let ending = Ending::of(outcome);
        self.progress.end(&ending);
        ending
    }
}

/// Lets a command say every few seconds that it goes on, on a thread of its own, which ends with the command; without one it is silent between phases.
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
