use std::time::Duration;

/// How long a command was at what, by the name of the phase. It has no clock: times are since the
/// start of the process.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// When the command began.
    origin: Duration,
    ended: Vec<(&'static str, Duration)>,
    current: Option<(&'static str, Duration)>,
}

impl Phases {
    /// No phase yet, of a command that begins now.
    pub(super) fn since(now: Duration) -> Self {
        Self {
            origin: now,
            ..Self::default()
        }
    }

    /// A phase begins, and the one before it ends; what lies before the first belongs to it.
    pub(super) fn begin(&mut self, name: &'static str, now: Duration) {
        let begun = match self.current {
            Some(_) => now,
            None => self.origin,
        };
        self.ended = self.until(now);
        self.current = Some((name, begun));
    }

    /// The phases in the order in which they first began, each with all the time spent in it.
    pub(super) fn until(&self, now: Duration) -> Vec<(&'static str, Duration)> {
        let mut phases = self.ended.clone();
        if let Some((name, begun)) = self.current {
            let spent = now.saturating_sub(begun);
            match phases.iter_mut().find(|(known, _)| *known == name) {
                Some((_, time)) => *time += spent,
                None => phases.push((name, spent)),
            }
        }
        phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_of_a_phase_is_all_that_was_spent_in_it() {
        let mut phases = Phases::default();
        assert_eq!(phases.until(SECOND), []);
        phases.begin("check", SECOND);
        phases.begin("factors", 3 * SECOND);
        phases.begin("scores", 4 * SECOND);
        phases.begin("factors", 9 * SECOND);
        let expected = [
            ("check", 3 * SECOND),
            ("factors", 3 * SECOND),
            ("scores", 5 * SECOND),
        ];
        assert_eq!(phases.until(11 * SECOND), expected);
        let total: Duration = expected.iter().map(|(_, time)| *time).sum();
        assert_eq!(total, 11 * SECOND);
    }
}
