//! Control groups, by which containers are given less memory than the machine has.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the system shows them.
const ROOT: &str = "/sys/fs/cgroup";

/// A control group that limits memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ControlGroup {
    /// The most bytes that its processes may have.
    pub(super) limit: usize,
    /// The bytes that they have, without those that the system can reclaim.
    used: usize,
}

/// The files of a version: limit, use, and the key of reclaimable memory in `memory.stat`.
struct ControlGroupFiles {
    limit: &'static str,
    used: &'static str,
    given_back: &'static str,
}

const SECOND: ControlGroupFiles = ControlGroupFiles {
    limit: "memory.max",
    used: "memory.current",
    given_back: "inactive_file ",
};
const FIRST: ControlGroupFiles = ControlGroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    given_back: "total_inactive_file ",
};

impl ControlGroup {
    /// The groups that limit this process: its own and all that it is in.
    pub(super) fn of_process() -> Vec<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::listed(Path::new(ROOT), &groups)
    }

    /// The bytes that may still be had.
    pub(super) fn left(self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// The groups of lines `number:controllers:path`, none between the colons in the second
    /// version.
    fn listed(root: &Path, lines: &str) -> Vec<Self> {
        let of_line = |line: &str| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (root, files) = match controllers {
                "" => (root.to_owned(), SECOND),
                names if names.split(',').any(|name| name == "memory") => {
                    (root.join("memory"), FIRST)
                }
                _ => return None,
            };
            Some(Self::above(&root, path, &files))
        };
        lines.lines().filter_map(of_line).flatten().collect()
    }

    /// The group at a path and those above it; a container may see its own at the root.
    fn above(root: &Path, path: &str, files: &ControlGroupFiles) -> Vec<Self> {
        let path = Path::new(path.trim_start_matches('/'));
        let folders = path.ancestors().map(|path| root.join(path));
        let groups = folders.filter_map(|folder: PathBuf| Self::read(&folder, files));
        groups.collect()
    }

    fn read(folder: &Path, files: &ControlGroupFiles) -> Option<Self> {
        let text = |name| fs::read_to_string(folder.join(name)).ok();
        // Where there is no limit it says `max`.
        let limit = text(files.limit)?.trim().parse().ok()?;
        let used: usize = text(files.used)?.trim().parse().ok()?;
        let given_back = text("memory.stat").and_then(|stat| {
            let mut lines = stat.lines();
            let bytes = lines.find_map(|line| line.strip_prefix(files.given_back))?;
            bytes.trim().parse().ok()
        });
        Some(Self {
            limit,
            used: used.saturating_sub(given_back.unwrap_or(0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join(name), text).expect("written");
    }

    #[test]
    fn the_groups_above_limit_too() {
        let root = tempfile::tempdir().expect("a folder");
        let (above, own) = (root.path().join("a"), root.path().join("a/b"));
        written(&above, "memory.max", "1000\n");
        written(&above, "memory.current", "900\n");
        written(&above, "memory.stat", "anon 1\ninactive_file 300\n");
        written(&own, "memory.max", "max\n");
        written(&own, "memory.current", "5\n");
        let groups = ControlGroup::listed(root.path(), "0::/a/b\n");
        let left: Vec<usize> = groups.iter().map(|group| group.left()).collect();
        assert_eq!((left, groups[0].limit), (vec![400], 1000));
    }

    #[test]
    fn a_container_sees_its_group_at_the_root_of_either_version() {
        let root = tempfile::tempdir().expect("a folder");
        written(root.path(), "memory.max", "2048\n");
        written(root.path(), "memory.current", "48\n");
        let first = root.path().join("memory");
        written(&first, "memory.limit_in_bytes", "512\n");
        written(&first, "memory.usage_in_bytes", "600\n");
        let lines = "5:cpu,memory:/docker/x\n4:pids:/docker/x\n0::/docker/x\n";
        let groups = ControlGroup::listed(root.path(), lines);
        let left: Vec<usize> = groups.iter().map(|group| group.left()).collect();
        assert_eq!(left, [0, 2000]);
        assert!(ControlGroup::listed(root.path(), "nonsense\n").is_empty());
    }
}
