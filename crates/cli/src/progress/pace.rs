use std::time::Duration;

/// How far a computation is, how fast it goes, and when it will be done. It has no clock: times are
/// since the start of the command.
///
/// Chunks that an earlier run finished count as done, but say nothing about the rate. Neither does
/// the time before scoring first begins: with all factors in memory it is spent once, and to spread
/// it over the chunks would promise too late an end.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    total: usize,
    finished: usize,
    delivered: usize,
    since: Duration,
}

impl Pace {
    /// The pace of a computation of `total` chunks, of which an earlier run has `finished` some.
    pub fn new(total: usize, finished: usize, now: Duration) -> Self {
        Self {
            total,
            finished,
            delivered: 0,
            since: now,
        }
    }

    /// A phase begins.
    pub fn phase(&mut self, now: Duration) {
        if self.delivered == 0 {
            self.since = now;
        }
    }

    /// A chunk is done.
    pub fn deliver(&mut self) {
        self.delivered += 1;
    }

    /// All chunks of the result.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The chunks that are done, by whichever run.
    pub fn done(&self) -> usize {
        self.finished + self.delivered
    }

    /// Chunks per second of this run; none before the first.
    pub fn rate(&self, now: Duration) -> Option<f64> {
        let seconds = now.saturating_sub(self.since).as_secs_f64();
        (self.delivered > 0 && seconds > 0.0).then(|| self.delivered as f64 / seconds)
    }

    /// The seconds that are left, at this rate.
    pub fn eta_seconds(&self, now: Duration) -> Option<f64> {
        let left = self.total.saturating_sub(self.done());
        self.rate(now).map(|rate| left as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_that_of_this_run() {
        let mut pace = Pace::new(40, 30, 10 * SECOND);
        assert_eq!((pace.done(), pace.total()), (30, 40));
        assert_eq!(
            (pace.rate(11 * SECOND), pace.eta_seconds(11 * SECOND)),
            (None, None)
        );
        (0..4).for_each(|_| pace.deliver());
        assert_eq!(pace.done(), 34);
        assert_eq!(pace.rate(12 * SECOND), Some(2.0));
        assert_eq!(pace.eta_seconds(12 * SECOND), Some(3.0));
    }

    #[test]
    fn the_clock_starts_with_the_last_phase_before_the_first_chunk() {
        let mut pace = Pace::new(4, 0, Duration::ZERO);
        pace.phase(SECOND);
        pace.phase(100 * SECOND);
        pace.deliver();
        assert_eq!(pace.rate(102 * SECOND), Some(0.5));
        pace.phase(103 * SECOND);
        assert_eq!(pace.rate(104 * SECOND), Some(0.25));
    }

    #[test]
    fn at_the_end_nothing_is_left_and_no_time_has_no_rate() {
        let mut pace = Pace::new(1, 0, SECOND);
        pace.deliver();
        assert_eq!(pace.rate(SECOND), None);
        assert_eq!(pace.rate(Duration::ZERO), None);
        assert_eq!(pace.eta_seconds(2 * SECOND), Some(0.0));
    }
}
