use std::{fmt::Debug, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::event::{Event, counted, outlook};
use crate::error::complain;

const TICK: Duration = Duration::from_millis(200);
/// Before and after chunks are counted.
const UNCOUNTED: &str = "{spinner} {prefix} {elapsed}";
const COUNTING: &str = "{spinner} {prefix} {wide_bar} {pos}/{len} chunks{msg}";

/// A way of showing what happens.
pub(super) trait Renderer: Debug + Send {
    /// Shows an event, so long after the start of the command.
    fn show(&mut self, event: &Event<'_>, now: Duration);
}

/// Says only what has to be said.
#[derive(Debug, Default)]
pub(super) struct Silent {
    /// The rank of a process that is not alone.
    pub(super) rank: Option<usize>,
}

impl Renderer for Silent {
    fn show(&mut self, event: &Event<'_>, _now: Duration) {
        match (event.notice(), self.rank) {
            (Some(notice), Some(rank)) => complain(&format!("rank {rank}: {notice}")),
            (Some(notice), None) => complain(&notice),
            (None, _) => {}
        }
    }
}

/// Says only how a command ended, if not well, and that it is about to end.
#[derive(Debug, Default)]
pub(super) struct Quiet(pub(super) Silent);

impl Renderer for Quiet {
    fn show(&mut self, event: &Event<'_>, now: Duration) {
        if !matches!(event, Event::Warning { .. }) {
            self.0.show(event, now);
        }
    }
}

/// An object on each line; of a process that is not alone, only for what has to be said.
#[derive(Debug, Default)]
pub(super) struct Json {
    pub(super) rank: Option<usize>,
}

impl Renderer for Json {
    fn show(&mut self, event: &Event<'_>, _now: Duration) {
        match self.rank {
            None => complain(&event.json()),
            Some(rank) if event.notice().is_some() => complain(&event.json_of_rank(rank)),
            Some(_) => {}
        }
    }
}

/// A bar on a terminal, which is taken away while a notice is written.
#[derive(Debug)]
pub(super) struct Bar(pub(super) ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style(UNCOUNTED));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Renderer for Bar {
    fn show(&mut self, event: &Event<'_>, _now: Duration) {
        match event {
            Event::Phase { phase, .. } => {
                self.0.set_prefix((*phase).to_owned());
                if self.0.length() == Some(self.0.position()) {
                    self.0.set_style(style(UNCOUNTED));
                }
            }
            Event::Planned {
                chunks, finished, ..
            } => {
                self.0.set_style(style(COUNTING));
                self.0.set_length(*chunks as u64);
                self.0.set_position(*finished as u64);
            }
            Event::Chunk {
                done,
                rate,
                eta_seconds,
                ..
            } => {
                self.0.set_position(*done as u64);
                self.0.set_message(outlook(*rate, *eta_seconds));
            }
            Event::Working { phase, .. } => {
                self.0.set_prefix(format!("{phase}{}", counted(event)));
            }
            Event::Epoch {
                epoch,
                epochs,
                loss,
            } => {
                let text = format!("train: epoch {epoch} of {epochs}, loss {loss:.4}");
                self.0.set_prefix(text);
            }
            Event::Finished { .. }
            | Event::Interrupted { .. }
            | Event::Waiting { .. }
            | Event::Failed { .. } => {
                self.0.finish_and_clear();
            }
            _ => {}
        }
        if let Some(notice) = event.notice() {
            self.0.suspend(|| complain(&notice));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
