//! What a run would do, before anything is computed.

use anyhow::Result;
use influence_calculators::{Budget, Plan, Workload};
use influence_core::Footprint;

use crate::{
    config::Memory,
    fit::{Affordable, footprint},
    job::Job,
    memory::{self, Taker},
};

/// What a run would do, and what it would take.
#[derive(Debug)]
pub struct Forecast {
    /// The numbers that are computed of each pair of points.
    pub numbers: usize,
    /// The memory and the cost per sample.
    pub footprint: Footprint,
    /// How the calculators will cut and order the work.
    pub plan: Plan,
    /// The bytes that the fit takes besides the gradients that it keeps.
    pub fit_bytes: usize,
}

impl Forecast {
    /// The forecast of a job whose fit there is memory for: looks at the gradients of a few training
    /// points, and computes nothing else.
    ///
    /// # Errors
    /// Whatever a run would find wrong with the memory or the chunks.
    pub fn new(fit: &Affordable<'_>) -> Result<Self> {
        let job = fit.job();
        let (footprint, numbers) = footprint(job)?;
        let workload = Workload {
            shape: job.shape(),
            footprint,
            numbers,
        };
        let plan = plan(job, &workload);
        Ok(Self {
            numbers,
            plan: plan.map_err(|error| job.config.places.located(error))?,
            footprint,
            fit_bytes: fit.bytes(),
        })
    }
}

/// The plan that the calculators will follow, asked of them.
fn plan(job: &Job, workload: &Workload) -> Result<Plan> {
    let compute = &job.config.compute;
    let memory = compute.memory.map(Memory::bytes);
    let budget = Budget {
        chunk: [compute.test_chunk, compute.train_chunk],
        memory,
        taken: memory.map_or(0, |_| memory::taken()),
        threads: compute.threads(),
        ..Budget::default()
    };
    let plan = Plan::for_influences(workload, &budget, true)?;
    if memory.is_none() {
        check_room(job, &plan)?;
    }
    Ok(plan)
}

/// Refuses a computation that there is no memory for, where no bound on it is given.
///
/// # Errors
/// When even the smallest pieces that it is cut into take too much.
pub fn check_room(job: &Job, plan: &Plan) -> Result<()> {
    let taker = Taker {
        key: "compute",
        what: "the computation",
        advice: "take smaller test_chunk and train_chunk, fewer threads, or set a bound with --memory",
    };
    memory::check(&job.config.compute, taker, plan.peak_bytes())
}
