//! The cores that a process of an MPI job has.

use std::{num::NonZero, thread::available_parallelism};

use influence_cluster::World;

/// The cores that this process may use, beside others on the same machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    /// What the system grants this process.
    granted: usize,
    /// The processes of the job on this machine.
    processes: usize,
    /// What this process is bound to, and what the one that started it was.
    bound: Option<[usize; 2]>,
}

impl Cores {
    /// The cores of this process of a job.
    pub(crate) fn of(world: &World) -> Self {
        Self {
            granted: available_parallelism().map_or(1, usize::from),
            processes: world.local_size().max(1),
            bound: bound(),
        }
    }

    /// How many threads this process has where nobody says: its part of the cores.
    pub(crate) fn threads(self) -> NonZero<usize> {
        let threads = self.granted.min(self.part());
        NonZero::new(threads).unwrap_or(NonZero::<usize>::MIN)
    }

    /// What to do where this process may use fewer cores than there are for it.
    pub(crate) fn advice(self) -> Option<String> {
        let [own, _] = self.bound?;
        let part = self.part();
        (own < part).then(|| {
            format!(
                "each process is bound to {own} of the {part} cores that it could have: start them with `mpirun --bind-to none`"
            )
        })
    }

    /// The cores that there are for each process, as far as whoever started them had them.
    fn part(self) -> usize {
        let whole = match self.bound {
            Some([own, whole]) if own < whole => whole,
            _ => self.granted,
        };
        (whole / self.processes).max(1)
    }
}

/// The cores that this process and the one that started it are bound to, where the system tells.
fn bound() -> Option<[usize; 2]> {
    #[cfg(target_os = "linux")]
    return Some([
        allowed("/proc/self/status")?,
        allowed(&format!(
            "/proc/{}/status",
            std::os::unix::process::parent_id()
        ))?,
    ]);
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(target_os = "linux")]
fn allowed(status: &str) -> Option<usize> {
    let status = std::fs::read_to_string(status).ok()?;
    let lines = &mut status.lines();
    counted(lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// How many numbers there are in a list such as `0-3,8,10-11`.
fn counted(list: &str) -> Option<usize> {
    let ranges = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let [first, last] = [first, last].map(|number| number.parse::<usize>().ok());
        (last? + 1).checked_sub(first?)
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(granted: usize, processes: usize, bound: Option<[usize; 2]>) -> Cores {
        Cores {
            granted,
            processes,
            bound,
        }
    }

    #[test]
    fn processes_share_the_cores_of_a_machine() {
        for (cores, threads) in [
            (cores(16, 1, None), 16),
            (cores(16, 4, Some([16, 16])), 4),
            (cores(2, 3, Some([2, 2])), 1),
            // Bound to a core each, or two of them to a socket.
            (cores(1, 2, Some([1, 16])), 1),
            (cores(8, 4, Some([8, 16])), 4),
            // A quota that does not bind.
            (cores(4, 2, Some([16, 16])), 2),
        ] {
            assert_eq!(cores.threads().get(), threads, "{cores:?}");
        }
    }

    #[test]
    fn who_is_bound_to_less_than_there_is_hears_of_it() {
        let advice = cores(1, 2, Some([1, 16])).advice().unwrap_or_default();
        let expected = "each process is bound to 1 of the 8 cores that it could have: ";
        assert!(advice.starts_with(expected), "{advice}");
        for cores in [
            cores(1, 16, Some([1, 16])),
            cores(8, 4, Some([8, 16])),
            cores(4, 2, Some([16, 16])),
            cores(1, 2, None),
        ] {
            assert_eq!(cores.advice(), None, "{cores:?}");
        }
    }

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(counted("\t0-3,8,10-11"), Some(7));
        assert_eq!(counted("5"), Some(1));
        assert_eq!(counted("3-1"), None);
        assert_eq!(counted("?"), None);
    }
}
