//! Queries with the chunks and the bound on memory of a configuration.

use anyhow::Result;
use influence_calculators::{Lazy, LazyInfluences, LazySelfInfluences};
use influence_core::InfluenceModel;

use crate::{config::Compute, memory};

/// Influences with the chunks and the bound on memory of a configuration.
pub(crate) fn bounded<'a, M: InfluenceModel>(
    mut influences: LazyInfluences<'a, M>,
    compute: &Compute,
) -> Result<LazyInfluences<'a, M>> {
    if let Some(points) = compute.test_chunk {
        influences = influences.with_test_chunk(points)?;
    }
    if let Some(points) = compute.train_chunk {
        influences = influences.with_train_chunk(points)?;
    }
    Ok(with_memory(influences, compute))
}

/// As [`bounded`], of self-influences.
pub(crate) fn bounded_self<'a, M: InfluenceModel>(
    mut own: LazySelfInfluences<'a, M>,
    compute: &Compute,
) -> Result<LazySelfInfluences<'a, M>> {
    if let Some(points) = compute.train_chunk {
        own = own.with_chunks(points)?;
    }
    Ok(with_memory(own, compute))
}

/// A query with the bound on memory of a configuration, if it has one; the memory that the process
/// has taken already counts.
pub(crate) fn with_memory<'a, M, Q>(query: Lazy<'a, M, Q>, compute: &Compute) -> Lazy<'a, M, Q> {
    match compute.memory {
        None => query,
        Some(memory) => query
            .with_memory(memory.bytes())
            .with_memory_taken(memory::taken()),
    }
}
