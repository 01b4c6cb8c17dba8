//! How the work is cut and spread, as configured.

use std::num::NonZero;

use influence_data::key::KeyError;
use serde::{Deserialize, Serialize};

use super::memory::Memory;

/// How the work is cut and spread.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// `parallel` (default) or `sequential`.
    pub strategy: Strategy,
    /// What is computed of every pair of points: `up` (default), `by-block` or `perturbation`.
    pub mode: Mode,
    /// Training points per chunk. Default: chosen automatically.
    pub train_chunk: Option<usize>,
    /// Test points per chunk. Default: chosen automatically.
    pub test_chunk: Option<usize>,
    /// Threads of the parallel strategy. Default: all cores.
    pub threads: Option<usize>,
    /// What the computation may take of the memory, roughly. Default: chosen automatically.
    pub memory: Option<Memory>,
    /// Whether the recorded gradient is held against burn's own before the fit. Default true.
    pub check_gradient: bool,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            strategy: Strategy::Parallel,
            mode: Mode::Up,
            train_chunk: None,
            test_chunk: None,
            threads: None,
            memory: None,
            check_gradient: true,
        }
    }
}

impl Compute {
    pub(super) fn check(&self) -> Result<(), KeyError> {
        for (key, value, advice) in [
            ("compute.train_chunk", self.train_chunk, ""),
            ("compute.test_chunk", self.test_chunk, ""),
            (
                "compute.threads",
                self.threads,
                "; leave it out to use all cores",
            ),
        ] {
            if value == Some(0) {
                let rest = format!("must be at least 1, got 0{advice}");
                return Err(KeyError::sentence(key, rest));
            }
        }
        Ok(())
    }

    /// With a bound on memory and a number of threads in place of those configured, where given.
    #[must_use]
    pub fn granted(self, memory: Option<Memory>, threads: Option<NonZero<usize>>) -> Self {
        Self {
            memory: memory.or(self.memory),
            threads: threads.map(NonZero::get).or(self.threads),
            ..self
        }
    }

    /// How many threads compute; by default one for each core.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.strategy {
            Strategy::Sequential => 1,
            Strategy::Parallel => self.threads.unwrap_or_else(cores),
        }
    }
}

/// Which calculator does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Chunks side by side on threads.
    Parallel,
    /// One chunk after another.
    Sequential,
}

/// What is computed of every pair of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The influence.
    #[default]
    Up,
    /// The influence through each block of parameters; the blocks are those of the method.
    ByBlock,
    /// How the influence changes with each number of the training input.
    Perturbation,
}
