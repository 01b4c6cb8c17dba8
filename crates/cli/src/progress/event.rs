use std::time::Duration;

use influence_jobs::watch::Assessed;
use serde::Serialize;

use super::Pace;

/// What can be told about a command while it runs; with `--progress json` each is an object on a
/// line of its own.
///
/// The key `event` has the name of the variant in lower case, the other keys are those of the
/// variant. New events and new keys may come with any version. Times are seconds since the start of
/// the command; a number that is not known, or not finite, is `null`. The last event of a command
/// that was not killed is `finished`, `interrupted` or `failed`.
///
/// # Examples
/// ```
/// use influence_cli::progress::Event;
///
/// let event = Event::Planned { chunks: 40, finished: 12, rows: 320, columns: 2048 };
/// assert_eq!(serde_json::to_string(&event)?, r#"{"event":"planned","chunks":40,"finished":12,"rows":320,"columns":2048}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// A phase begins; `factors` and `scores` may come several times, in turn.
    Phase {
        /// `check` (reading and checking what was asked for), `train`, `retrain`, `fit`,
        /// `gradients`, `factors`, `scores`.
        phase: &'a str,
        /// When.
        seconds: f64,
    },
    /// A phase goes on; reported at the first of its steps and every few seconds.
    Working {
        /// As of `phase`.
        phase: &'a str,
        /// What is counted: `batches` of the training data, `columns` of a dense matrix,
        /// `eigenvectors`, `retrainings`, `chunks`; null where nothing is.
        step: Option<&'a str>,
        /// How many of them are done.
        done: usize,
        /// How many there are.
        total: usize,
        /// How often the step was gone through before: methods that iterate pass over the data many
        /// times.
        passes: usize,
        /// When.
        seconds: f64,
    },
    /// An epoch of a training has ended.
    Epoch {
        /// Which one, counted from 1.
        epoch: usize,
        /// How many there are.
        epochs: usize,
        /// The mean training loss.
        loss: f64,
    },
    /// The model was evaluated on points of one side; the keys are the fields of [`Assessed`].
    Assessed(Assessed<'a>),
    /// The computation was laid out.
    Planned {
        /// The chunks of the result.
        chunks: usize,
        /// Those of them that an earlier run has written.
        finished: usize,
        /// The rows of the result: test points.
        rows: usize,
        /// The columns of the result: training points.
        columns: usize,
    },
    /// Test points were solved.
    Solved {
        /// From the first to before the last of them.
        rows: [usize; 2],
        /// How many of them converged.
        converged: usize,
        /// The largest relative residual among them.
        worst_residual: f64,
    },
    /// A chunk was computed and written.
    Chunk {
        /// Its row in the grid of chunks.
        row: usize,
        /// Its column in the grid of chunks.
        column: usize,
        /// The chunks that are written by now, by this run and an earlier one.
        done: usize,
        /// The chunks of the result.
        total: usize,
        /// Chunks per second of this run.
        rate: Option<f64>,
        /// The seconds that are left, at this rate.
        eta_seconds: Option<f64>,
    },
    /// Something that does not end the command, but should be known.
    Warning {
        /// What.
        message: &'a str,
    },
    /// A signal came; the command ends when the chunks in progress are written.
    Interrupting {
        /// The message for people.
        message: &'a str,
    },
    /// The command has succeeded.
    Finished {
        /// The chunks that are written.
        done: usize,
        /// When.
        seconds: f64,
    },
    /// A signal has ended the command.
    Interrupted {
        /// The message for people.
        message: &'a str,
        /// The chunks that are written.
        done: usize,
        /// The chunks of the result, if the computation had begun.
        total: Option<usize>,
        /// When.
        seconds: f64,
    },
    /// The command did its share, and waits for others.
    Waiting {
        /// The message for people.
        message: &'a str,
        /// When.
        seconds: f64,
    },
    /// The command failed.
    Failed {
        /// Why, with the causes, one line.
        error: &'a str,
        /// The line that it is about, for people: JSON names its place alone.
        #[serde(skip)]
        excerpt: Option<&'a str>,
        /// When.
        seconds: f64,
    },
}

impl Event<'_> {
    /// The event as an object of JSON, without line breaks.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("an event has string keys and no fallible values")
    }

    /// The same, with the rank of the process under `rank`.
    pub(super) fn json_of_rank(&self, rank: usize) -> String {
        #[derive(Serialize)]
        struct OfRank<'a> {
            rank: usize,
            #[serde(flatten)]
            event: &'a Event<'a>,
        }
        let event = OfRank { rank, event: self };
        serde_json::to_string(&event).expect("an event has string keys and no fallible values")
    }

    /// With the chunks counted, where the phase counts nothing itself.
    pub(super) fn with_chunks(mut self, pace: Option<Pace>) -> Self {
        if let (
            Self::Working {
                step, done, total, ..
            },
            Some(pace),
        ) = (&mut self, pace)
            && step.is_none()
        {
            (*step, *done, *total) = (Some("chunks"), pace.done(), pace.total());
        }
        self
    }

    /// The text that is shown whether or not progress is shown.
    pub(super) fn notice(&self) -> Option<String> {
        match self {
            Self::Warning { message } => Some(format!("warning: {message}")),
            Self::Interrupting { message }
            | Self::Interrupted { message, .. }
            | Self::Waiting { message, .. } => Some((*message).to_owned()),
            Self::Failed { error, excerpt, .. } => {
                let excerpt = excerpt.map_or_else(String::new, |lines| format!("\n{lines}"));
                Some(format!("error: {error}{excerpt}"))
            }
            _ => None,
        }
    }
}

/// How far a phase is, in words, with a colon before them; nothing where that is not known.
pub(super) fn counted(event: &Event<'_>) -> String {
    let Event::Working {
        step: Some(step),
        done,
        total,
        passes,
        ..
    } = event
    else {
        return String::new();
    };
    let pass = match passes {
        0 => String::new(),
        passes => format!(", pass {}", passes + 1),
    };
    format!(": {done} of {total} {step}{pass}")
}

/// Seconds to the millisecond: more digits would be noise.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// The rate and the time that is left, in words, with a comma before each that is known.
pub(super) fn outlook(rate: Option<f64>, eta_seconds: Option<f64>) -> String {
    let rate = rate.map_or_else(String::new, |rate| {
        let digits = if rate < 0.1 { 3 } else { 1 };
        format!(", {rate:.digits$} chunks/s")
    });
    let eta = eta_seconds.map_or_else(String::new, |eta| format!(", {} left", span(eta)));
    rate + &eta
}

/// A span of time in its one or two largest units.
fn span(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_event_is_an_object_with_its_name_and_keys() {
        let message = "a \"message\"\nof two lines";
        let cases = [
            (
                Event::Phase {
                    phase: "fit",
                    seconds: 0.25,
                },
                json!({ "event": "phase", "phase": "fit", "seconds": 0.25 }),
            ),
            (
                Event::Solved {
                    rows: [0, 64],
                    converged: 63,
                    worst_residual: f64::NAN,
                },
                json!({ "event": "solved", "rows": [0, 64], "converged": 63, "worst_residual": null }),
            ),
            (
                Event::Chunk {
                    row: 3,
                    column: 5,
                    done: 17,
                    total: 40,
                    rate: Some(0.5),
                    eta_seconds: None,
                },
                json!({ "event": "chunk", "row": 3, "column": 5, "done": 17, "total": 40, "rate": 0.5, "eta_seconds": null }),
            ),
            (
                Event::Assessed(Assessed {
                    side: "test",
                    points: 5000,
                    sample: 1000,
                    loss: 0.25,
                    accuracy: Some(0.5),
                    chance: Some(0.125),
                    r2: None,
                    perplexity: None,
                    uncounted: 0,
                }),
                json!({ "event": "assessed", "side": "test", "points": 5000, "sample": 1000, "loss": 0.25,
                    "accuracy": 0.5, "chance": 0.125, "r2": null, "perplexity": null, "uncounted": 0 }),
            ),
            (
                Event::Warning { message },
                json!({ "event": "warning", "message": message }),
            ),
            (
                Event::Interrupting { message },
                json!({ "event": "interrupting", "message": message }),
            ),
            (
                Event::Finished {
                    done: 40,
                    seconds: 1.5,
                },
                json!({ "event": "finished", "done": 40, "seconds": 1.5 }),
            ),
            (
                Event::Interrupted {
                    message,
                    done: 3,
                    total: Some(40),
                    seconds: 1.5,
                },
                json!({ "event": "interrupted", "message": message, "done": 3, "total": 40, "seconds": 1.5 }),
            ),
            (
                Event::Failed {
                    error: message,
                    excerpt: Some("3 | line"),
                    seconds: 1.5,
                },
                json!({ "event": "failed", "error": message, "seconds": 1.5 }),
            ),
        ];
        for (event, expected) in cases {
            let line = event.json();
            assert!(!line.contains('\n'), "{line}");
            let read: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn the_outlook_is_told_in_words() {
        assert_eq!(outlook(None, None), "");
        assert_eq!(outlook(Some(3.21), Some(6.2)), ", 3.2 chunks/s, 7 s left");
        assert_eq!(
            outlook(Some(0.0125), Some(200.0)),
            ", 0.013 chunks/s, 3 min 20 s left"
        );
        assert_eq!(outlook(None, Some(7500.0)), ", 2 h 5 min left");
        assert!(outlook(None, Some(f64::INFINITY)).ends_with("left"));
    }
}
