//! How much memory the process has, and how much more it may take, on systems that tell.

mod groups;

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use bytesize::ByteSize;
use influence_calculators::Plan;
use influence_data::key::KeyError;

use crate::config::Compute;
use groups::ControlGroup;

/// What the process takes besides what is planned for: buffers that grow later, freed memory that
/// the allocator keeps.
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

/// The bytes of memory that the machine has, or less where the control groups of the process or its
/// limits allow less.
pub fn total() -> Option<usize> {
    let limits = ControlGroup::of_process()
        .into_iter()
        .map(|group| group.limit);
    let limits = limits.chain(address_limits().into_iter().map(|(limit, _)| limit));
    least(of_file("/proc/meminfo", "MemTotal:"), limits)
}

/// The bytes of memory that could be had now.
pub fn available() -> Option<usize> {
    let groups = ControlGroup::of_process()
        .into_iter()
        .map(ControlGroup::left);
    let limits = address_limits().into_iter();
    let limits = limits.map(|(limit, used)| limit.saturating_sub(used));
    least(
        of_file("/proc/meminfo", "MemAvailable:"),
        groups.chain(limits),
    )
}

/// A number of bytes in the unit that it is read in.
pub fn size(bytes: usize) -> ByteSize {
    ByteSize::b(bytes as u64)
}

/// The bytes that the gradients kept for a fit may take, of those that a configuration or else the
/// machine grants.
pub(crate) fn share(compute: &Compute, parts: usize) -> usize {
    match compute.memory {
        Some(memory) => memory.bytes() / parts,
        None => available().map_or(Plan::MEMORY, |bytes| (bytes / parts).min(Plan::MEMORY)),
    }
}

/// Something that takes memory, as a refusal names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker<'a> {
    /// The key of the configuration that decides about it.
    pub(crate) key: &'a str,
    /// Its name.
    pub(crate) what: &'a str,
    /// What to do if it takes too much.
    pub(crate) advice: &'a str,
}

/// Refuses what takes more bytes than a configuration grants, or than there are.
///
/// # Errors
/// When there is not so much; the message says what takes how much, and ends with the advice.
pub(crate) fn check(compute: &Compute, taker: Taker<'_>, needed: usize) -> Result<()> {
    let Taker { key, what, advice } = taker;
    let shown = size(needed);
    if let Some(memory) = compute.memory {
        let granted = memory.bytes();
        ensure!(
            needed <= granted,
            KeyError::new(
                "compute.memory",
                format_args!(
                    "{what} takes {shown} of memory, but {} are granted; grant more, or {advice}",
                    size(granted)
                )
            )
        );
        let total = total().unwrap_or(usize::MAX);
        ensure!(
            needed <= total,
            KeyError::new(
                "compute.memory",
                format_args!(
                    "{what} takes {shown} of memory, but there are only {}, whatever is granted; {advice}",
                    size(total)
                )
            )
        );
        return Ok(());
    }
    let available = available().unwrap_or(usize::MAX);
    ensure!(
        needed <= available,
        KeyError::new(
            key,
            format_args!(
                "{what} takes {shown} of memory, but {} can be had here; {advice}",
                size(available)
            )
        )
    );
    Ok(())
}

fn least(machine: Option<usize>, limits: impl Iterator<Item = usize>) -> Option<usize> {
    limits.chain(machine).min()
}

/// The limits on what the process may map, each with what it has mapped: `ulimit -v` and
/// `ulimit -d`.
fn address_limits() -> Vec<(usize, usize)> {
    let Ok(limits) = fs::read_to_string("/proc/self/limits") else {
        return Vec::new();
    };
    let kinds = [
        ("Max address space", "VmSize:"),
        ("Max data size", "VmData:"),
    ];
    let of_kind = |(name, used): (&str, &str)| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        let limit = line.split_whitespace().next()?.parse().ok()?;
        Some((limit, field(used)?))
    };
    kinds.into_iter().filter_map(of_kind).collect()
}

fn field(name: &str) -> Option<usize> {
    of_file("/proc/self/status", name)
}

fn of_file(file: impl AsRef<Path>, name: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
