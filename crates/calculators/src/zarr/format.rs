//! The few names that every part of the layout knows.

/// The key of this crate's own attributes in those of a group.
pub(crate) const OWN: &str = "influence";

/// The version of the layout.
pub(crate) const FORMAT: u32 = 1;

/// The file in a folder that the run which writes to it holds locked.
pub(crate) const LOCK: &str = ".lock";
