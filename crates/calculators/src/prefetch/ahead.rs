use std::{cmp::Ordering, collections::VecDeque, ops::Range};

/// What lies at most this many batches behind the front is late: no thread is further out of step
/// than that.
const PATIENCE: usize = 32;

/// Which ranges to read ahead; a `T` is kept with each.
///
/// Positions go round the data, since one pass is followed by another: a position a little behind
/// the front is late, every other one is ahead.
pub(super) struct Ahead<T> {
    len: usize,
    depth: usize,
    /// The size of a batch, taken from the requests.
    step: usize,
    /// Where the furthest request ended.
    front: usize,
    /// Where the last late request ended: a second one that goes on from there is a new pass.
    late: Option<usize>,
    slots: VecDeque<(Range<usize>, T)>,
}

impl<T: Default> Ahead<T> {
    pub(super) fn new(len: usize, depth: usize) -> Self {
        Self {
            len,
            depth,
            step: 0,
            front: 0,
            late: None,
            slots: VecDeque::new(),
        }
    }

    pub(super) fn set_depth(&mut self, depth: usize) {
        self.depth = depth;
        self.slots.truncate(depth);
    }

    /// The slots in the order in which they are to be filled; never more than the depth.
    pub(super) fn slots(&self) -> impl Iterator<Item = &(Range<usize>, T)> {
        self.slots.iter()
    }

    /// Takes note of a request, which must not be empty and must lie within the data; returns the
    /// `T` kept for it, if it was expected.
    pub(super) fn request(&mut self, range: &Range<usize>) -> Option<T> {
        let expected = self.slots.iter().position(|(slot, _)| slot == range);
        let kept = expected.and_then(|index| self.slots.remove(index));
        let another_size = match range.len().cmp(&self.step) {
            Ordering::Equal => false,
            Ordering::Greater => true,
            Ordering::Less => range.end != self.len, // the last batch may be smaller
        };
        if another_size {
            self.step = range.len();
            self.begin_at(range.end);
        } else if let Some(ahead) = self.distance(range.start) {
            if ahead > PATIENCE.saturating_mul(self.step) {
                self.slots.clear();
            }
            self.front = range.end % self.len;
            self.late = None;
        } else if kept.is_none() && self.late == Some(range.start) {
            self.begin_at(range.end);
        } else if kept.is_none() {
            self.late = Some(range.end);
        }
        self.forget();
        self.fill();
        kept.map(|(_, kept)| kept)
    }

    fn begin_at(&mut self, front: usize) {
        self.slots.clear();
        self.front = front % self.len;
        self.late = None;
    }

    /// How far a position is ahead of the front; nothing when it is late.
    fn distance(&self, position: usize) -> Option<usize> {
        let late = PATIENCE.saturating_mul(self.step).min(self.len / 2);
        let ahead = (position + self.len - self.front) % self.len;
        (ahead < self.len - late).then_some(ahead)
    }

    /// Drops the slots that nobody asked for: once late enough, they count as far ahead.
    fn forget(&mut self) {
        let most = self.depth.saturating_mul(self.step);
        let mut slots = std::mem::take(&mut self.slots);
        slots.retain(|(slot, _)| self.distance(slot.start).is_none_or(|ahead| ahead <= most));
        self.slots = slots;
    }

    fn fill(&mut self) {
        let mut next = match self.slots.back() {
            Some((last, _)) if self.distance(last.start).is_some() => last.end % self.len,
            _ => self.front,
        };
        while self.slots.len() < self.depth {
            let range = next..(next + self.step).min(self.len);
            let is_late = self.distance(next).is_none();
            if is_late || self.slots.iter().any(|(slot, _)| *slot == range) {
                return;
            }
            next = range.end % self.len;
            self.slots.push_back((range, T::default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(ahead: &Ahead<()>) -> Vec<usize> {
        ahead.slots().map(|(range, ())| range.start / 10).collect()
    }

    /// The batches expected after these requests, by number; batches of ten out of 95 samples.
    fn after(requests: &[usize]) -> Vec<usize> {
        let mut ahead = Ahead::new(95, 2);
        for request in requests {
            ahead.request(&(request * 10..(request * 10 + 10).min(95)));
        }
        planned(&ahead)
    }

    #[test]
    fn the_next_batches_are_expected_round_the_data() {
        assert_eq!(after(&[0]), [1, 2]);
        assert_eq!(after(&[0, 1, 2]), [3, 4]);
        assert_eq!(after(&[7, 8]), [9, 0]);
        assert_eq!(after(&[8, 9, 0]), [1, 2]);
    }

    #[test]
    fn threads_out_of_step_do_not_lose_what_was_read_for_the_others() {
        assert_eq!(after(&[0, 2]), [1, 3]);
        assert_eq!(after(&[0, 2, 1]), [3, 4]);
        assert_eq!(after(&[0, 3, 2, 1]), [4, 5]);
    }

    #[test]
    fn a_jump_back_is_followed_once_it_goes_on() {
        assert_eq!(after(&[4, 5, 6, 3]), [7, 8]);
        assert_eq!(after(&[4, 5, 6, 3, 4]), [5, 6]);
    }

    #[test]
    fn a_jump_far_ahead_is_followed_at_once() {
        let mut ahead = Ahead::new(1000, 2);
        ahead.request(&(0..10));
        ahead.request(&(500..510));
        assert_eq!(planned(&ahead), [51, 52]);
        ahead.request(&(0..10));
        assert_eq!(planned(&ahead), [1, 2]);
    }

    #[test]
    fn another_size_of_batch_begins_anew() {
        let mut ahead = Ahead::<()>::new(95, 2);
        ahead.request(&(0..2));
        ahead.request(&(0..20));
        let ranges: Vec<_> = ahead.slots().map(|(range, ())| range.clone()).collect();
        assert_eq!(ranges, [20..40, 40..60]);
        assert_eq!(ahead.request(&(20..40)), Some(()));
        assert_eq!(ahead.request(&(20..40)), None);
    }

    #[test]
    fn a_depth_beyond_the_data_drops_nothing() {
        let mut ahead = Ahead::<()>::new(95, 40);
        for (count, number) in (0..10).chain(0..10).enumerate() {
            let expected = ahead.request(&(number * 10..(number * 10 + 10).min(95)));
            assert_eq!(expected.is_some(), count > 0, "batch {number}");
        }
    }

    #[test]
    fn small_data_are_expected_once() {
        let mut ahead = Ahead::<()>::new(5, 3);
        ahead.request(&(0..5));
        assert_eq!(ahead.slots().count(), 1);
        let mut ahead = Ahead::<()>::new(1, 3);
        ahead.request(&(0..1));
        assert_eq!(ahead.slots().count(), 1);
    }
}
