//! What a run would do, before anything is computed.

use anyhow::Result;
use influence_calculators::{Budget, Plan, Share, Workload};
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
    /// The share of the run that is meant.
    pub share: Share,
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
    /// The forecast of a share of a job whose fit there is memory for: looks at the gradients of a
    /// few training points, and computes nothing else.
    ///
    /// # Errors
    /// Whatever a run would find wrong with the memory or the chunks.
    pub fn new(fit: &Affordable<'_>, share: Share) -> Result<Self> {
        let job = fit.job();
        let mut workload = workload(job, job.shape())?;
        let groups = [job.test_groups.is_some(), job.train_groups.is_some()];
        let footprint = workload.footprint;
        workload.footprint = footprint.of_groups(groups, job.dim, job.config.precision);
        let plan = Plan::for_influences(&workload, &budget(job, share), true);
        Ok(Self {
            share,
            numbers: workload.numbers,
            plan: checked(job, plan)?,
            footprint: workload.footprint,
            fit_bytes: fit.bytes(),
        })
    }
}

/// The plan of a share of the self-influences of a job.
///
/// # Errors
/// As [`Forecast::new`].
pub fn self_influences(job: &Job, share: Share) -> Result<Plan> {
    let [_, train] = job.points();
    let budget = Budget {
        chunk: [job.config.compute.train_chunk, None],
        ..budget(job, share)
    };
    let plan = Plan::for_self_influences(&workload(job, [train, 1])?, &budget);
    checked(job, plan)
}

fn workload(job: &Job, shape: [usize; 2]) -> Result<Workload> {
    let (footprint, numbers) = footprint(job)?;
    Ok(Workload {
        shape,
        footprint,
        numbers,
    })
}

fn budget(job: &Job, share: Share) -> Budget {
    let compute = &job.config.compute;
    let memory = compute.memory.map(Memory::bytes);
    Budget {
        chunk: [compute.test_chunk, compute.train_chunk],
        memory,
        taken: memory.map_or(0, |_| memory::taken()),
        threads: compute.threads(),
        share,
    }
}

/// A plan that there is memory for.
fn checked(job: &Job, plan: influence_calculators::Result<Plan>) -> Result<Plan> {
    let checked = plan.map_err(anyhow::Error::from).and_then(|plan| {
        if job.config.compute.memory.is_none() {
            check_room(job, &plan)?;
        }
        Ok(plan)
    });
    checked.map_err(|error| job.config.places.located(error))
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
