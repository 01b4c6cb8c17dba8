//! Shares of one output, in one process: for every kind of plan, in a folder and in a store.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use influence_core::aggregate::Concatenate;

use super::{
    job::{Data, Home, JOBS, Job, Outcome, SHAPE, Work, data, sequential},
    model::Watched,
};
use crate::{Calculator, Error, Result, Share, ZarrOptions, zarr::verify};

fn options() -> ZarrOptions {
    ZarrOptions::default().with_attribute("damping", 0.1)
}

/// The model of a job, whose factors are said to be solved at once or not: columns are shared, or
/// rows.
fn model(job: &Job, immediate: bool) -> Arc<Watched> {
    let mut model = job.model();
    if let Some(model) = Arc::get_mut(&mut model) {
        model.footprint.immediate = immediate;
    }
    model
}

fn declare(job: &Job, data: &Data, home: &Home, options: &ZarrOptions) -> Result<()> {
    let calculator = sequential(&job.model());
    if job.work == Work::Factors {
        let lazy = calculator.influence_factors(&data.test).with_chunks(2)?;
        return lazy.declare(home.location(), options);
    }
    let lazy = job.influences(&calculator, data, &data.train)?;
    lazy.declare(home.location(), options)
}

fn compute(
    job: &Job,
    (model, share): (&Arc<Watched>, Share),
    data: &Data,
    home: &Home,
    options: &ZarrOptions,
) -> Result<()> {
    let calculator = sequential(model);
    if job.work == Work::Factors {
        let lazy = calculator.influence_factors(&data.test).with_chunks(2)?;
        let lazy = lazy.with_share(share);
        return lazy.to_zarr(home.location(), options).map(drop);
    }
    let lazy = job.influences(&calculator, data, &data.train)?;
    let lazy = lazy.with_share(share);
    lazy.to_zarr(home.location(), options).map(drop)
}

#[test]
fn shares_make_the_output_of_one_run_and_leave_nothing_to_finish() -> Outcome {
    let data = data(SHAPE)?;
    for job in JOBS {
        let expected = job.expected(&data, &options())?;
        for (of, immediate) in [(1, true), (2, false), (2, true), (3, true), (5, false)] {
            for home in Home::both()? {
                declare(&job, &data, &home, &options())?;
                for index in (0..of).rev() {
                    let of_job = (
                        &model(&job, immediate),
                        Share::new(index, of).expect("a share"),
                    );
                    compute(&job, of_job, &data, &home, &options().joining())?;
                    assert!(!verify(home.location())?.complete);
                }
                let last = job.model();
                let calculator = sequential(&last);
                job.run(&calculator, &data, home.location(), &options().resuming())?;
                assert_eq!(job.computed(&last), 0, "{job:?}: the shares are all");
                assert!(home.contents() == expected, "{job:?}, {of} shares");
                assert!(verify(home.location())?.is_sound());
            }
        }
    }
    Ok(())
}

#[test]
fn a_share_takes_up_what_is_there_and_the_last_run_computes_what_is_missing() -> Outcome {
    let (job, data) = (JOBS[0], data(SHAPE)?);
    let expected = job.expected(&data, &options())?;
    for home in Home::both()? {
        declare(&job, &data, &home, &options())?;
        let (share, joining) = (Share::new(1, 3).expect("a share"), options().joining());
        let lost = job.model();
        lost.lasts.store(4, Relaxed);
        assert!(compute(&job, (&lost, share), &data, &home, &joining).is_err());
        let again = job.model();
        compute(&job, (&again, share), &data, &home, &joining)?;
        assert_eq!(job.computed(&again), 16);
        let last = job.model();
        job.run(
            &sequential(&last),
            &data,
            home.location(),
            &options().resuming(),
        )?;
        assert_eq!(job.computed(&last), 40, "two shares were never run");
        assert!(home.contents() == expected);
    }
    Ok(())
}

#[test]
fn there_has_to_be_a_declared_output_of_the_same_settings() -> Outcome {
    let (job, data) = (JOBS[0], data(SHAPE)?);
    let (model, share) = (job.model(), Share::new(0, 2).expect("a share"));
    for home in Home::both()? {
        let run = |options: &ZarrOptions| compute(&job, (&model, share), &data, &home, options);
        let nothing = run(&options().joining());
        assert!(
            matches!(nothing, Err(Error::NotDeclared { .. })),
            "{nothing:?}"
        );
        assert!(home.contents().is_empty(), "not even a lock");
        declare(&job, &data, &home, &options())?;
        let other = options().with_attribute("damping", 0.2).joining();
        let refused = run(&other);
        assert!(matches!(refused, Err(Error::Differs { setting, .. }) if setting == "damping"));
        for alone in [options().resuming(), options().overwriting()] {
            let refused = run(&alone);
            assert!(matches!(refused, Err(Error::Option { name: "share", .. })));
        }
        assert_eq!(model.counts(), [0, 0]);
        // The mark alone is nothing to join.
        let key = "zarr.json";
        let text = String::from_utf8(home.contents()[key].clone())?;
        let marked = text.replace(
            "\"complete\": false",
            "\"complete\": false, \"declared\": false",
        );
        home.set(key, marked.into_bytes())?;
        assert!(matches!(
            run(&options().joining()),
            Err(Error::NotDeclared { .. })
        ));
    }
    let calculator = sequential(&model);
    let lazy = job
        .influences(&calculator, &data, &data.train)?
        .with_share(share);
    let refused = lazy.compute(Concatenate::new());
    assert!(matches!(refused, Err(Error::Option { name: "share", .. })));
    Ok(())
}
