//! Solvers with the settings of a configuration.

use std::sync::Arc;

use anyhow::Result;
use influence_backend_burn::{Kronecker, Stack};
use influence_core::solver::{Arnoldi, ConjugateGradient, Jacobi, Lissa, Nystroem, Solver};
use influence_data::key::AtKey;

use crate::config::method::{
    ArnoldiSettings, CgSettings, LissaSettings, NystroemSettings, Preconditioner,
};

/// Probes of the preconditioner's estimate of the diagonal.
const JACOBI_PROBES: usize = 32;
/// Eigenvectors kept where nothing else is said.
const RANK: usize = 32;

/// Gives a solver a setting, if there is one.
macro_rules! set {
    ($solver:ident, $settings:ident.$key:ident, $setter:ident) => {
        if let Some(value) = $settings.$key {
            $solver = $solver
                .$setter(value)
                .at_key(concat!("method.", stringify!($key)))?;
        }
    };
}

pub(super) fn conjugate_gradient(
    settings: &CgSettings,
    seed: u64,
) -> Result<ConjugateGradient<Stack>> {
    let mut solver = ConjugateGradient::new();
    set!(solver, settings.rtol, with_rtol);
    set!(solver, settings.max_iterations, with_max_iterations);
    Ok(match near(settings.preconditioner, seed)? {
        Some(near) => solver.with_preconditioner(near),
        None => solver,
    })
}

/// The solver that preconditions another; of Kronecker factors, which are fitted by whoever has the
/// data, none.
fn near(
    preconditioner: Option<Preconditioner>,
    seed: u64,
) -> Result<Option<Arc<dyn Solver<Stack>>>> {
    Ok(match preconditioner {
        None | Some(Preconditioner::None | Preconditioner::Kfac | Preconditioner::Ekfac) => None,
        Some(Preconditioner::Jacobi) => Some(Arc::new(Jacobi::new(JACOBI_PROBES, seed)?)),
        Some(Preconditioner::Nystroem { rank }) => Some(Arc::new(sketch(rank, seed)?)),
    })
}

impl Preconditioner {
    /// The Kronecker factors that it is, if it is some.
    pub(super) fn kronecker(self) -> Option<Kronecker> {
        match self {
            Self::Kfac => Some(Kronecker::Kfac),
            Self::Ekfac => Some(Kronecker::Ekfac),
            Self::None | Self::Jacobi | Self::Nystroem { .. } => None,
        }
    }
}

pub(super) fn lissa(settings: &LissaSettings, seed: u64) -> Result<Lissa<Stack>> {
    let mut solver = Lissa::new().with_seed(seed);
    set!(solver, settings.depth, with_depth);
    set!(solver, settings.repeats, with_repeats);
    set!(solver, settings.scale, with_scale);
    set!(solver, settings.rtol, with_rtol);
    if settings.full_batch == Some(true) {
        solver = solver.full_batch();
    }
    Ok(match near(settings.preconditioner, seed)? {
        Some(near) => solver.with_preconditioner(near),
        None => solver,
    })
}

pub(super) fn arnoldi(settings: &ArnoldiSettings, seed: u64) -> Result<Arnoldi> {
    let mut solver = Arnoldi::new(settings.rank.unwrap_or(RANK))
        .at_key("method.rank")?
        .with_seed(seed);
    set!(solver, settings.tolerance, with_tolerance);
    Ok(match settings.complement {
        Some(false) => solver.without_complement(),
        _ => solver,
    })
}

pub(super) fn nystroem(settings: &NystroemSettings, seed: u64) -> Result<Nystroem> {
    let mut solver = sketch(settings.rank, seed)?;
    if let Some(columns) = settings.oversampling {
        solver = solver.with_oversampling(columns);
    }
    if let Some(iterations) = settings.power_iterations {
        solver = solver.with_power_iterations(iterations);
    }
    Ok(solver)
}

/// A sketch of a rank, by default the usual one.
fn sketch(rank: Option<usize>, seed: u64) -> Result<Nystroem> {
    let solver = Nystroem::new(rank.unwrap_or(RANK)).at_key("method.rank")?;
    Ok(solver.with_seed(seed))
}
