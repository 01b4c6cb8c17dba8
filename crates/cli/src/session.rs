//! What surrounds a command: progress, signals and how it ends.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use anyhow::Result;
use influence_calculators::{Error, LazyInfluences, LazySelfInfluences, SolveSummary, ZarrOptions};
use influence_core::InfluenceModel;

use crate::{
    args::Reporting,
    error::{Ending, Interrupted},
    interrupt::{self, Interrupt},
    log,
    output::location,
    progress::{Progress, Stage},
};

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
        let location = location(output)?;
        self.written(output, || {
            influences
                .with_observer(self.progress())
                .with_cancellation(self.interrupt.cancellation())
                .to_zarr(location, options)
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
        let location = location(output)?;
        self.written(output, || {
            own.with_observer(self.progress())
                .with_cancellation(self.interrupt.cancellation())
                .to_zarr(location, options)
        })
    }

    /// Writes an output.
    fn written(
        &self,
        output: &Path,
        write: impl FnOnce() -> influence_calculators::Result<SolveSummary>,
    ) -> Result<SolveSummary> {
        self.interrupt.writing();
        let outcome = write();
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
