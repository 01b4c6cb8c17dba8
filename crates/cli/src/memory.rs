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

fn field(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
