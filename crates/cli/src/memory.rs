//! How much memory the process has, on systems that tell.

/// What the process takes besides what is planned for: buffers that grow later, freed memory that the allocator keeps.
const RESERVE: usize = 48 << 20;

/// The bytes of memory that the process has now or will have beside the computation.
pub fn taken() -> usize {
    resident().unwrap_or(0) + RESERVE
}

/// The bytes of memory that the process has now.
pub fn resident() -> Option<usize> {
    field("VmRSS:")
}

/// The most bytes of memory that the process ever had.
pub fn peak() -> Option<usize> {
    field("VmHWM:")
}

/// The bytes of memory that the machine has, or the control group that the process is in.
pub fn total() -> Option<usize> {
    let machine = of_file("/proc/meminfo", "MemTotal:")?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(machine, |limit: usize| limit.min(machine)))
}

/// The bytes of memory that could be had now.
pub fn available() -> Option<usize> {
    of_file("/proc/meminfo", "MemAvailable:")
        .map(|bytes| total().map_or(bytes, |all| bytes.min(all)))
}

fn field(name: &str) -> Option<usize> {
    of_file("/proc/self/status", name)
}

fn of_file(file: &str, name: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
