//! What a run would do, before anything is computed.

use anyhow::Result;
use influence_calculators::{Budget, Plan as Schedule, Workload};
use influence_core::Footprint;

use crate::{
    config::Memory,
    fit::{fit_bytes, footprint},
    memory::{self, Taker},
    plan::Plan,
};

/// What a run would do, and what it would take.
#[derive(Debug)]
pub struct Forecast {
    /// The numbers that are computed of each pair of points.
    pub numbers: usize,
    /// The memory and the cost per sample.
    pub footprint: Footprint,
    /// How the calculators will cut and order the work.
    pub schedule: Schedule,
    /// The bytes that the fit takes besides the gradients that it keeps.
    pub fit_bytes: usize,
}

impl Forecast {
    /// The forecast of a plan: looks at the gradients of a few training points, and computes
    /// nothing else.
    ///
    /// # Errors
    /// Whatever a run would find wrong with the memory or the chunks.
    pub fn new(plan: &Plan) -> Result<Self> {
        let (footprint, numbers) = footprint(plan)?;
        let workload = Workload {
            shape: plan.shape(),
            footprint,
            numbers,
        };
        let schedule = schedule(plan, &workload);
        Ok(Self {
            numbers,
            schedule: schedule.map_err(|error| plan.config.places.located(error))?,
            footprint,
            fit_bytes: fit_bytes(plan)?,
        })
    }
}

/// The plan that the calculators will follow, asked of them.
fn schedule(plan: &Plan, workload: &Workload) -> Result<Schedule> {
    let compute = &plan.config.compute;
    let memory = compute.memory.map(Memory::bytes);
    let budget = Budget {
        chunk: [compute.test_chunk, compute.train_chunk],
        memory,
        taken: memory.map_or(0, |_| memory::taken()),
        threads: compute.threads(),
    };
    let schedule = Schedule::for_influences(workload, &budget, true)?;
    if memory.is_none() {
        check_room(plan, &schedule)?;
    }
    Ok(schedule)
}

/// Refuses a computation that there is no memory for, where no bound on it is given.
///
/// # Errors
/// When even the smallest pieces that it is cut into take too much.
pub fn check_room(plan: &Plan, schedule: &Schedule) -> Result<()> {
    let taker = Taker {
        key: "compute",
        what: "the computation",
        advice: "take smaller test_chunk and train_chunk, fewer threads, or say a bound by --memory",
    };
    memory::check(&plan.config.compute, taker, schedule.peak_bytes())
}
