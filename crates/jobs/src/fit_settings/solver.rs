//! Solvers with the settings of a configuration.

use std::sync::Arc;

use anyhow::Result;
use influence_backend_burn::Stack;
use influence_core::solver::{Arnoldi, ConjugateGradient, Jacobi, Lissa, Nystroem};
use influence_data::key::AtKey;

use crate::config::{Method, PreconditionerName};

/// Probes of the preconditioner's estimate of the diagonal.
const JACOBI_PROBES: usize = 32;
/// Eigenvectors kept where nothing else is said.
const RANK: usize = 32;

/// Gives a solver a setting, if there is one.
macro_rules! set {
    ($solver:ident, $method:ident.$key:ident, $setter:ident) => {
        if let Some(value) = $method.$key {
            $solver = $solver
                .$setter(value)
                .at_key(concat!("method.", stringify!($key)))?;
        }
    };
}

pub(super) fn conjugate_gradient(method: &Method, seed: u64) -> Result<ConjugateGradient<Stack>> {
    let mut solver = ConjugateGradient::new();
    set!(solver, method.rtol, with_rtol);
    set!(solver, method.max_iterations, with_max_iterations);
    Ok(match method.preconditioner {
        None | Some(PreconditionerName::None) => solver,
        Some(PreconditionerName::Jacobi) => {
            solver.with_preconditioner(Arc::new(Jacobi::new(JACOBI_PROBES, seed)?))
        }
        Some(PreconditionerName::Nystroem) => {
            solver.with_preconditioner(Arc::new(nystroem(method, seed)?))
        }
    })
}

pub(super) fn lissa(method: &Method, seed: u64) -> Result<Lissa> {
    let mut solver = Lissa::new().with_seed(seed);
    set!(solver, method.depth, with_depth);
    set!(solver, method.repeats, with_repeats);
    set!(solver, method.scale, with_scale);
    set!(solver, method.rtol, with_rtol);
    Ok(match method.full_batch {
        Some(true) => solver.full_batch(),
        _ => solver,
    })
}

pub(super) fn arnoldi(method: &Method, seed: u64) -> Result<Arnoldi> {
    let mut solver = Arnoldi::new(method.rank.unwrap_or(RANK))
        .at_key("method.rank")?
        .with_seed(seed);
    set!(solver, method.tolerance, with_tolerance);
    Ok(match method.complement {
        Some(false) => solver.without_complement(),
        _ => solver,
    })
}

pub(super) fn nystroem(method: &Method, seed: u64) -> Result<Nystroem> {
    let mut solver = Nystroem::new(method.rank.unwrap_or(RANK))
        .at_key("method.rank")?
        .with_seed(seed);
    if let Some(columns) = method.oversampling {
        solver = solver.with_oversampling(columns);
    }
    if let Some(iterations) = method.power_iterations {
        solver = solver.with_power_iterations(iterations);
    }
    Ok(solver)
}
