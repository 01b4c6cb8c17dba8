//! How far a phase is between its beginning and its end.

use std::time::Duration;

use super::event::{Event, seconds};

/// Between two reports of how far a phase is.
const INTERVAL: Duration = Duration::from_secs(5);

/// The phases in which steps are counted.
const COUNTED: [&str; 2] = ["fit", "retrain"];

/// What a phase is at. It has no clock: times are since the start of the command.
#[derive(Debug, Default)]
pub(super) struct Work {
    phase: Option<&'static str>,
    step: Option<&'static str>,
    done: usize,
    total: usize,
    passes: usize,
    told: Duration,
}

impl Work {
    /// A phase begins.
    pub(super) fn begin(&mut self, phase: &'static str, now: Duration) {
        *self = Self {
            phase: Some(phase),
            told: now,
            ..Self::default()
        };
    }

    /// The command ends.
    pub(super) fn end(&mut self) {
        self.phase = None;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase.is_none()
    }

    /// `done` of `total` pieces of a step are done; gives the event to show, if it is time.
    pub(super) fn step(
        &mut self,
        step: &'static str,
        [done, total]: [usize; 2],
        now: Duration,
    ) -> Option<Event<'static>> {
        // Chunks are counted where several threads solve, each with passes of its own.
        if !self.phase.is_some_and(|phase| COUNTED.contains(&phase)) {
            return None;
        }
        let is_new = self.step != Some(step);
        if is_new {
            self.passes = 0;
        } else if done == 0 && self.done > 0 {
            self.passes += 1;
        }
        (self.step, self.done, self.total) = (Some(step), done, total);
        if is_new {
            return self.told(now);
        }
        self.due(now)
    }

    /// What is to be shown, if nothing was for a while.
    pub(super) fn due(&mut self, now: Duration) -> Option<Event<'static>> {
        (now >= self.told + INTERVAL).then(|| self.told(now))?
    }

    fn told(&mut self, now: Duration) -> Option<Event<'static>> {
        let phase = self.phase?;
        self.told = now;
        Some(Event::Working {
            phase,
            step: self.step,
            done: self.done,
            total: self.total,
            passes: self.passes,
            seconds: seconds(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_step_is_told_at_once_and_then_every_few_seconds() {
        let mut work = Work::default();
        assert_eq!(work.due(100 * SECOND), None);
        work.begin("fit", SECOND);
        assert_eq!(work.due(5 * SECOND), None);
        let event = |step, done, passes, at: Duration| Event::Working {
            phase: "fit",
            step,
            done,
            total: if step.is_some() { 9 } else { 0 },
            passes,
            seconds: at.as_secs_f64(),
        };
        assert_eq!(work.due(6 * SECOND), Some(event(None, 0, 0, 6 * SECOND)));
        let batches = Some("batches");
        let told = work.step("batches", [0, 9], 7 * SECOND);
        assert_eq!(told, Some(event(batches, 0, 0, 7 * SECOND)));
        assert_eq!(work.step("batches", [8, 9], 8 * SECOND), None);
        assert_eq!(work.step("batches", [0, 9], 9 * SECOND), None);
        let told = work.step("batches", [3, 9], 12 * SECOND);
        assert_eq!(told, Some(event(batches, 3, 1, 12 * SECOND)));
        work.end();
        assert!(work.has_ended() && work.due(99 * SECOND).is_none());
    }
}
