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
use influence_jobs::{
    output::{self, Existing},
    watch::{Host, Stage, Watch},
};

use crate::{
    args::Reporting,
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

    /// Says how the command ended.
    pub fn end(&self, outcome: &Result<()>) -> Ending {
        let ending = Ending::of(outcome);
        self.progress.end(&ending);
        ending
    }
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
