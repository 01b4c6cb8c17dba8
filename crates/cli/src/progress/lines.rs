use std::time::Duration;

use super::{
    event::{Event, counted, outlook},
    renderer::Renderer,
};
use crate::error::complain;

/// Between two lines that only say how far it is.
const INTERVAL: Duration = Duration::from_secs(5);

/// Plain lines for a log: one for each phase, one every few seconds in between, and one at the end.
///
/// The first phase begins with the program and is not announced, so that a command that is refused
/// says nothing but why.
#[derive(Debug, Default)]
pub(super) struct PlainLines {
    phase: Option<String>,
    last: Duration,
}

impl Renderer for PlainLines {
    fn show(&mut self, event: &Event<'_>, now: Duration) {
        if let Some(line) = self.line(event, now) {
            complain(&line);
        }
    }
}

impl PlainLines {
    fn line(&mut self, event: &Event<'_>, now: Duration) -> Option<String> {
        let text = match event {
            Event::Phase { phase, .. } => {
                self.phase.replace((*phase).to_owned())?;
                (*phase).to_owned()
            }
            Event::Planned {
                chunks, finished, ..
            } if *finished > 0 => {
                format!("{finished} of {chunks} chunks were written by an earlier run")
            }
            Event::Chunk {
                done,
                total,
                rate,
                eta_seconds,
                ..
            } if now >= self.last + INTERVAL => {
                let phase = self.phase.as_deref().unwrap_or_default();
                let outlook = outlook(*rate, *eta_seconds);
                format!("{phase}: {done} of {total} chunks{outlook}")
            }
            Event::Working { phase, .. } if now >= self.last + INTERVAL => {
                format!("{phase}{}", counted(event))
            }
            Event::Epoch {
                epoch,
                epochs,
                loss,
            } if now >= self.last + INTERVAL => {
                format!("epoch {epoch} of {epochs}, loss {loss:.4}")
            }
            // A command that computes no chunks has said what it found.
            Event::Finished { done: 0, .. } => return None,
            Event::Finished { done, .. } => format!("done; chunks written: {done}"),
            _ => return event.notice(),
        };
        self.last = now;
        Some(format!("[{:6.1} s] {text}", now.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(done: usize) -> Event<'static> {
        Event::Chunk {
            row: 0,
            column: done,
            done,
            total: 9,
            rate: Some(2.0),
            eta_seconds: Some(3.5),
        }
    }

    fn phase(phase: &str) -> Event<'_> {
        Event::Phase {
            phase,
            seconds: 0.0,
        }
    }

    #[test]
    fn phases_are_told_and_chunks_now_and_then() {
        let mut lines = PlainLines::default();
        let events = [
            (0, phase("check"), None),
            (1, phase("fit"), Some("[   1.0 s] fit")),
            (3, phase("scores"), Some("[   3.0 s] scores")),
            (7, chunk(1), None),
            (
                8,
                chunk(2),
                Some("[   8.0 s] scores: 2 of 9 chunks, 2.0 chunks/s, 4 s left"),
            ),
            (9, chunk(3), None),
            (9, phase("factors"), Some("[   9.0 s] factors")),
            (13, chunk(4), None),
            (
                14,
                Event::Finished {
                    done: 9,
                    seconds: 14.0,
                },
                Some("[  14.0 s] done; chunks written: 9"),
            ),
        ];
        for (seconds, event, expected) in events {
            let line = lines.line(&event, Duration::from_secs(seconds));
            assert_eq!(line.as_deref(), expected, "{event:?}");
            assert!(!line.unwrap_or_default().contains(char::is_control));
        }
    }

    #[test]
    fn a_phase_that_goes_on_is_told_now_and_then() {
        let mut lines = PlainLines::default();
        let working = |step| Event::Working {
            phase: "fit",
            step,
            done: 3,
            total: 12,
            passes: 2,
            seconds: 0.0,
        };
        for (seconds, event, expected) in [
            (0, phase("check"), None),
            (2, phase("fit"), Some("[   2.0 s] fit")),
            (6, working(Some("batches")), None),
            (
                7,
                working(Some("batches")),
                Some("[   7.0 s] fit: 3 of 12 batches, pass 3"),
            ),
            (12, working(None), Some("[  12.0 s] fit")),
        ] {
            let line = lines.line(&event, Duration::from_secs(seconds));
            assert_eq!(line.as_deref(), expected, "{event:?}");
        }
    }

    #[test]
    fn an_earlier_run_and_notices_are_told_at_once() {
        let mut lines = PlainLines::default();
        let planned = Event::Planned {
            chunks: 40,
            finished: 12,
            rows: 1,
            columns: 1,
        };
        let line = lines.line(&planned, Duration::ZERO);
        let expected = "[   0.0 s] 12 of 40 chunks were written by an earlier run";
        assert_eq!(line.as_deref(), Some(expected));
        let failed = Event::Failed {
            error: "why",
            excerpt: Some("3 | where"),
            seconds: 1.0,
        };
        let line = lines.line(&failed, Duration::ZERO);
        assert_eq!(line.as_deref(), Some("error: why\n3 | where"));
    }
}
