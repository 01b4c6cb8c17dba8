//! `influence run`: parse, plan, run.

use std::{io::Write, num::NonZero};

use anyhow::Result;
use influence_backend_burn::Batch;
use influence_calculators::{
    Calculator, LazyInfluences, Parallel, Sequential as SequentialCalculator, SolveSummary,
};
use influence_core::{InfluenceModel, ThreadSafe};
use serde_json::{Map, Value};

use crate::{
    args::RunArguments,
    assessment::Assessment,
    config::{Compute, Config, Strategy},
    fit::{self, Consumer},
    memory,
    output::{ORIGIN, zarr_options},
    plan::Plan,
    progress::Stage,
    record::Record,
    schedule::{self, check_room},
    session::Session,
    subject::Models,
    summary::{self, REHEARSED, Summary},
};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Of every training point on every test point.
    Influences,
    /// Of every training point on itself.
    SelfInfluences,
}

impl What {
    /// In words, with the points of a plan.
    fn of(self, plan: &Plan) -> String {
        let [k, n] = plan.shape();
        match self {
            Self::Influences => format!("influences of {n} training points on {k} test points"),
            Self::SelfInfluences => format!("self-influences of {n} training points"),
        }
    }

    /// How good the model is on the points that are asked about.
    fn assess(self, plan: &Plan) -> Result<Assessment> {
        match self {
            Self::Influences => Assessment::of_plan(plan),
            Self::SelfInfluences => Assessment::of_training(plan),
        }
    }
}

/// `influence run`: computes what a configuration describes, and prints a summary.
///
/// # Errors
/// Whatever is wrong with the configuration or the files, before anything is written; afterwards what the computation reports.
pub fn run(
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    compute(What::Influences, arguments, models, session, out)
}

/// `influence self`: as [`run`], of every training point on itself.
///
/// # Errors
/// As [`run`].
pub fn run_self(
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    compute(What::SelfInfluences, arguments, models, session, out)
}

fn compute(
    what: What,
    arguments: &RunArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let config = config(arguments)?;
    if what == What::Influences {
        let there = config.data.check_test_points();
        there.map_err(|error| config.places.located(error))?;
    }
    let plan = Plan::new(config, arguments.existing.choice(), models, session)?;
    session.remark(&plan.remarks);
    fit::check_memory(&plan)?;
    let assessment = what.assess(&plan)?;
    assessment.tell(session.progress());
    if arguments.dry_run {
        return rehearse(what, (&plan, &assessment), arguments, session, out);
    }
    let attributes = plan.attributes()?;
    session.progress().stage(Stage::Fit);
    let run = Run {
        what,
        plan: &plan,
        session,
        attributes,
    };
    let fitted = arguments.fitted.as_deref();
    let solved = fit::consume(&plan, fitted, session.progress(), run)?;
    Record::keep(&plan, session.progress());
    let summary = Summary {
        what: what.of(&plan),
        plan: &plan,
        assessment: &assessment,
        solved: &solved,
        phases: &session.progress().phases(),
    };
    session.print(|| summary::print(&summary, out))
}

/// Checks what is left to check, a fit that is to be taken up too, and says what would be done.
fn rehearse(
    what: What,
    (plan, assessment): (&Plan, &Assessment),
    arguments: &RunArguments,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    if let Some(fitted) = &arguments.fitted {
        session.progress().stage(Stage::Fit);
        fit::consume(plan, Some(fitted), session.progress(), Nothing)?;
    }
    match what {
        What::Influences => schedule::print(plan, out)?,
        What::SelfInfluences => {
            fit::footprint(plan)?;
            writeln!(out, "{}, {} parameters", what.of(plan), plan.dim)?;
            writeln!(out, "method          {}", plan.config.method.name.as_str())?;
            writeln!(out, "output          {}", plan.config.output.path.display())?;
        }
    }
    assessment.print(out)?;
    Ok(writeln!(out, "{REHEARSED}")?)
}

/// Takes a model and does nothing with it.
struct Nothing;

impl Consumer for Nothing {
    type Output = ();

    fn consume<M>(self, _model: M) -> Result<()>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static,
    {
        Ok(())
    }
}

/// Computes influences and writes them.
struct Run<'a> {
    what: What,
    plan: &'a Plan,
    session: &'a Session,
    attributes: Map<String, Value>,
}

impl Consumer for Run<'_> {
    type Output = SolveSummary;

    fn consume<M>(self, model: M) -> Result<SolveSummary>
    where
        M: InfluenceModel<Batch = Batch> + ThreadSafe + 'static,
    {
        let Plan {
            config,
            train,
            test,
            existing,
            ..
        } = self.plan;
        let calculator = calculator(self.plan, model)?;
        let mut options =
            zarr_options(self.attributes, *existing).with_remark(ORIGIN, self.plan.origin()?);
        if let Some(labels) = train.inner().labels() {
            options = options.with_train_labels(labels);
        }
        if let Some(labels) = test
            .inner()
            .labels()
            .filter(|_| config.data.has_test_points())
        {
            options = options.with_test_labels(labels);
        }
        let (compute, path) = (&config.compute, &config.output.path);
        if self.what == What::Influences {
            let influences = bounded(calculator.influences(test, train), compute)?;
            check_room(self.plan, &influences.plan()?)?;
            return self.session.write(influences, path, &options);
        }
        let mut own = calculator.self_influences(train);
        if let Some(points) = compute.train_chunk {
            own = own.with_chunks(points)?;
        }
        if let Some(memory) = compute.memory {
            own = own
                .with_memory(memory.bytes())
                .with_memory_taken(memory::taken());
        }
        check_room(self.plan, &own.plan()?)?;
        self.session.write_own(own, path, &options)
    }
}

/// The configuration, with what the command line says instead.
pub(crate) fn config(arguments: &RunArguments) -> Result<Config> {
    let config = Config::load(&arguments.config, &arguments.set)?;
    Ok(Config {
        compute: config.compute.granted(arguments.memory, arguments.threads),
        ..config
    })
}

/// The calculator of a plan.
pub(crate) fn calculator<M>(plan: &Plan, model: M) -> Result<Box<dyn Calculator<Model = M>>>
where
    M: InfluenceModel + ThreadSafe + 'static,
{
    Ok(match plan.config.compute.strategy {
        Strategy::Sequential => Box::new(SequentialCalculator::new(model)),
        Strategy::Parallel => Box::new(Parallel::new(
            model,
            plan.config.compute.threads.and_then(NonZero::new),
        )?),
    })
}

/// The chunks and the bound on memory as configured, what the process has taken already included.
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
    Ok(match compute.memory {
        None => influences,
        Some(memory) => influences
            .with_memory(memory.bytes())
            .with_memory_taken(memory::taken()),
    })
}
