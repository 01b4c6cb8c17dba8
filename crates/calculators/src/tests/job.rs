//! Jobs that are interrupted: what is computed, by which plan, by which calculator, and where it
//! goes.

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZero,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use influence_core::{
    Dataset, Footprint,
    testing::{Samples, SamplesDataset},
};
use ndarray::Array2;
use tempfile::TempDir;
use zarrs::storage::{ReadableWritableListableStorage, StoreKey};

use super::{memory, model::Watched, problem};
use crate::{
    Calculator, Cancellation, LazyInfluences, Location, Parallel, Plan, Result, Sequential, Side,
    SolveSummary, ZarrOptions,
};

pub(super) type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;
pub(super) type AnyCalculator = Box<dyn Calculator<Model = Arc<Watched>>>;
/// Every value of a store by its key, or every file of a folder by its path.
pub(super) type Contents = BTreeMap<String, Vec<u8>>;

/// Test and train points; 6 by 10 chunks.
pub(super) const SHAPE: [usize; 2] = [11, 30];
pub(super) const CHUNKS: [usize; 2] = [2, 3];

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Influences,
    Factors,
    /// Influences from given factors.
    Scores,
}

/// What is computed, and what makes the plan what it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) work: Work,
    memory: usize,
    /// Bytes that a factor and a gradient are said to take, and operations for a gradient.
    claims: (usize, usize, f64),
    pub(super) held: Side,
    has_panels: bool,
}

/// Every kind of work by every kind of plan; vectors take 32 bytes or, where they are to fit no
/// more, are said to take 320.
pub(super) const JOBS: [Job; 7] = [
    job(Work::Influences, 5000, (32, 320, 0.0), (Side::Test, false)),
    job(Work::Influences, 464, (32, 32, 0.0), (Side::Test, true)),
    job(
        Work::Influences,
        10_000,
        (32, 32, 24.0),
        (Side::Train, false),
    ),
    SCRATCH,
    job(Work::Scores, 464, (32, 32, 0.0), (Side::Test, true)),
    job(Work::Scores, 4000, (320, 320, 1e6), (Side::Train, true)),
    job(Work::Factors, 10_000, (32, 32, 24.0), (Side::Test, true)),
];

/// Several panels of gradients, which are too costly to be computed again, and factors in a scratch
/// array.
pub(super) const SCRATCH: Job = job(Work::Influences, 4000, (320, 320, 1e6), (Side::Train, true));

const fn job(
    work: Work,
    memory: usize,
    claims: (usize, usize, f64),
    (held, has_panels): (Side, bool),
) -> Job {
    Job {
        work,
        memory,
        claims,
        held,
        has_panels,
    }
}

/// The points of a job, and the factors of its test points.
pub(super) struct Data {
    pub(super) test: SamplesDataset,
    pub(super) train: SamplesDataset,
    pub(super) factors: Array2<f64>,
}

pub(super) fn data([k, n]: [usize; 2]) -> Result<Data> {
    let problem = problem(k, n).expect("a problem in closed form");
    let calculator = Sequential::new(&problem.model);
    let factors = calculator.influence_factors(&problem.test);
    let factors = factors.with_chunks(CHUNKS[0])?.to_array()?;
    Ok(Data {
        factors,
        test: problem.test,
        train: problem.train,
    })
}

impl Job {
    pub(super) fn model(&self) -> Arc<Watched> {
        let mut model = Watched::new(problem(1, 1).expect("a problem in closed form").model);
        let (factor, gradient, gradient_flops) = self.claims;
        model.footprint = Footprint {
            factor,
            gradient,
            gradient_flops,
            ..model.footprint
        };
        Arc::new(model)
    }

    pub(super) fn influences<'a>(
        &self,
        calculator: &'a AnyCalculator,
        data: &'a Data,
        train: &'a dyn Dataset<Batch = Samples>,
    ) -> Result<LazyInfluences<'a, Arc<Watched>>> {
        let lazy = match self.work {
            Work::Scores => calculator.influences_from_factors(&data.factors, train),
            Work::Influences | Work::Factors => calculator.influences(&data.test, train),
        };
        let lazy = lazy.with_chunks(CHUNKS[0], CHUNKS[1])?;
        Ok(lazy.with_memory(self.memory))
    }

    pub(super) fn run(
        &self,
        calculator: &AnyCalculator,
        data: &Data,
        location: Location,
        options: &ZarrOptions,
    ) -> Result<SolveSummary> {
        self.run_until(calculator, data, location, options, &Cancellation::new())
    }

    pub(super) fn run_until(
        &self,
        calculator: &AnyCalculator,
        data: &Data,
        location: Location,
        options: &ZarrOptions,
        cancellation: &Cancellation,
    ) -> Result<SolveSummary> {
        if self.work == Work::Factors {
            let lazy = calculator.influence_factors(&data.test);
            let lazy = lazy.with_chunks(CHUNKS[0])?.with_memory(self.memory);
            self.check(&lazy.plan()?);
            let lazy = lazy.with_cancellation(cancellation);
            return lazy.to_zarr(location, options);
        }
        let lazy = self.influences(calculator, data, &data.train)?;
        self.check(&lazy.plan()?);
        let lazy = lazy.with_cancellation(cancellation);
        lazy.to_zarr(location, options)
    }

    fn check(&self, plan: &Plan) {
        let found = (plan.held(), plan.panels().len() > 1);
        assert_eq!(found, (self.held, self.has_panels), "{self:?}");
        let has_scratch = self.held == Side::Train && self.has_panels;
        assert_eq!(plan.scratch_bytes() > 0, has_scratch, "{self:?}");
    }

    /// The output of a run that is not interrupted.
    pub(super) fn expected(&self, data: &Data, options: &ZarrOptions) -> Result<Contents> {
        let (home, model) = (Home::memory(), self.model());
        self.run(&sequential(&model), data, home.location(), options)?;
        Ok(home.contents())
    }

    /// The prefix of the chunks of the result.
    pub(super) fn prefix(&self) -> &'static str {
        match self.work {
            Work::Factors => "factors/c/",
            Work::Influences | Work::Scores => "influences/c/",
        }
    }

    pub(super) fn chunks(&self, contents: &Contents) -> usize {
        let is_chunk = |key: &&String| key.starts_with(self.prefix());
        contents.keys().filter(is_chunk).count()
    }

    /// How many chunks the model has computed.
    pub(super) fn computed(&self, model: &Watched) -> usize {
        match self.work {
            Work::Factors => model.solved.load(Relaxed),
            Work::Influences | Work::Scores => model.scored.load(Relaxed),
        }
    }
}

pub(super) fn sequential(model: &Arc<Watched>) -> AnyCalculator {
    Box::new(Sequential::new(model.clone()))
}

pub(super) fn parallel(model: &Arc<Watched>, threads: usize) -> Result<AnyCalculator> {
    let parallel = Parallel::new(model.clone(), NonZero::new(threads))?;
    Ok(Box::new(parallel))
}

/// One after another, 2 and 3 threads, and 2 replicas.
pub(super) fn calculators(model: &Arc<Watched>) -> Result<Vec<AnyCalculator>> {
    let replica = model.clone();
    let replicas = Parallel::with_replicas(move || Ok(replica.clone()), NonZero::new(2))?;
    Ok(vec![
        sequential(model),
        parallel(model, 2)?,
        parallel(model, 3)?,
        Box::new(replicas),
    ])
}

/// Where an output is.
pub(super) enum Home {
    Folder(TempDir),
    Memory(ReadableWritableListableStorage),
}

impl Home {
    pub(super) fn memory() -> Self {
        Self::Memory(memory())
    }

    pub(super) fn both() -> io::Result<[Self; 2]> {
        Ok([Self::memory(), Self::Folder(tempfile::tempdir()?)])
    }

    pub(super) fn location(&self) -> Location {
        match self {
            Self::Folder(folder) => folder.path().into(),
            Self::Memory(store) => store.clone().into(),
        }
    }

    pub(super) fn contents(&self) -> Contents {
        match self {
            Self::Folder(folder) => tree(folder.path()).expect("a folder that can be read"),
            Self::Memory(store) => values(store),
        }
    }

    pub(super) fn set(&self, key: &str, value: Vec<u8>) -> Outcome {
        match self {
            Self::Folder(folder) => fs::write(folder.path().join(key), value)?,
            Self::Memory(store) => store.set(&StoreKey::new(key)?, value.into())?,
        }
        Ok(())
    }

    pub(super) fn erase(&self, key: &str) -> Outcome {
        match self {
            Self::Folder(folder) => fs::remove_file(folder.path().join(key))?,
            Self::Memory(store) => store.erase(&StoreKey::new(key)?)?,
        }
        Ok(())
    }
}

/// Every file in a folder and those below it, also those that a store would not list.
fn tree(folder: &Path) -> io::Result<Contents> {
    let (mut files, mut folders) = (Contents::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).map_err(io::Error::other)?;
            let name = name.to_string_lossy().replace('\\', "/");
            files.insert(name, fs::read(&path)?);
        }
    }
    Ok(files)
}

pub(super) fn values(store: &ReadableWritableListableStorage) -> Contents {
    let keys = store.list().expect("a store in memory");
    let value = |key: &StoreKey| store.get(key).ok().flatten().expect("a listed value");
    keys.iter()
        .map(|key| (key.to_string(), value(key).to_vec()))
        .collect()
}
