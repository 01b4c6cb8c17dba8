//! Several processes write one output; some are killed, one has a twin, and a lost share is run
//! again or left to the run that finishes.
//!
//! The test runs its own executable as each of the processes: see [`one_of_many`].

#[path = "many/delayed.rs"]
mod delayed;
#[path = "support/tree.rs"]
mod tree;

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use influence_calculators::{
    Calculator, Error, Sequential, ZarrOptions,
    zarr::{self, Claim},
};
use influence_core::{
    BlockInfluence, InfluenceModel, Sweep,
    block::Damping,
    solver::Direct,
    testing::{LeastSquares, Samples, SamplesDataset},
};

use delayed::Delayed;
use tree::{Tree, tree};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DIM: usize = 4;
/// Test and train points: 4 by 6 chunks.
const SHAPE: [usize; 2] = [11, 30];
const CHUNKS: [usize; 2] = [3, 5];
/// Leaves room for several panels, so that factors go to the scratch array.
const LITTLE: usize = 1200;

/// What a process does: a folder, a work of [`WORKS`], and a share, `declare` or `finish`.
const FOLDER: &str = "INFLUENCE_MANY_FOLDER";
const WORK: &str = "INFLUENCE_MANY_WORK";
const PART: &str = "INFLUENCE_MANY_PART";
/// The same configuration, or another one.
const DAMPING: &str = "INFLUENCE_MANY_DAMPING";

/// Columns are shared, rows because solving is expensive, rows with panels, or there are rows only.
const WORKS: [&str; 6] = [
    "influences",
    "expensive",
    "panels",
    "factors",
    "self",
    "sweep",
];

/// The code with which a process ends whose output another run has locked.
const LOCKED: i32 = 3;
/// The code with which a process ends that has other settings.
const DIFFERS: i32 = 4;

/// Not a test of its own: does nothing unless the tests below say what.
#[test]
fn one_of_many() -> Outcome {
    let (Some(folder), Ok(work), Ok(part)) = (env::var_os(FOLDER), env::var(WORK), env::var(PART))
    else {
        return Ok(());
    };
    let damping: f64 = env::var(DAMPING)?.parse()?;
    match perform(&PathBuf::from(folder), &work, &part, damping) {
        Err(error) => match error.downcast_ref::<Error>() {
            Some(Error::Locked { .. }) => std::process::exit(LOCKED),
            Some(Error::Differs { setting, .. }) if setting == "damping" => {
                std::process::exit(DIFFERS)
            }
            _ => Err(error),
        },
        done => done,
    }
}

fn points(len: usize, seed: u64) -> SamplesDataset {
    SamplesDataset(Samples::random(len, DIM, seed))
}

fn perform(output: &Path, work: &str, part: &str, damping: f64) -> Outcome {
    let fitted = Samples::random(30, DIM, 1);
    let model: BlockInfluence<LeastSquares> =
        LeastSquares::random(DIM, 2).fit(&fitted, 0.1, &Direct)?;
    if work == "sweep" {
        let dampings = [0.1, 1.0].map(|value: f64| (value.to_string(), Damping::from(value)));
        return query(
            Delayed::new(&Sweep::new(&model, dampings)?, true),
            output,
            work,
            part,
            damping,
        );
    }
    let immediate = !matches!(work, "expensive" | "panels");
    query(Delayed::new(&model, immediate), output, work, part, damping)
}

fn query<M>(model: M, output: &Path, work: &str, part: &str, damping: f64) -> Outcome
where
    M: InfluenceModel<Batch = Samples>,
{
    let (test, train) = (points(SHAPE[0], 3), points(SHAPE[1], 4));
    let calculator = Sequential::new(model);
    let options = ZarrOptions::default().with_attribute("damping", damping);
    /// Declares, finishes or computes a share: the same for all kinds of queries.
    macro_rules! done {
        ($lazy:expr) => {
            match part {
                "declare" => $lazy.declare(output, &options)?,
                "finish" => drop($lazy.to_zarr(output, &options.resuming())?),
                share => {
                    let lazy = $lazy.with_share(share.parse()?);
                    drop(lazy.to_zarr(output, &options.joining())?);
                }
            }
        };
    }
    match work {
        "factors" => done!(calculator.influence_factors(&test).with_chunks(1)?),
        "self" => done!(calculator.self_influences(&train).with_chunks(2)?),
        "panels" => {
            let lazy = calculator.influences(&test, &train);
            done!(lazy.with_chunks(CHUNKS[0], CHUNKS[1])?.with_memory(LITTLE));
        }
        _ => done!(
            calculator
                .influences(&test, &train)
                .with_chunks(CHUNKS[0], CHUNKS[1])?
        ),
    }
    Ok(())
}

/// Processes of one work at one output.
struct Team<'a> {
    output: PathBuf,
    work: &'a str,
}

impl Team<'_> {
    fn start(&self, part: &str, damping: f64) -> io::Result<Child> {
        Command::new(env::current_exe()?)
            .args(["one_of_many", "--exact", "--test-threads=1"])
            .env(FOLDER, &self.output)
            .env(WORK, self.work)
            .env(PART, part)
            .env(DAMPING, damping.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    /// Runs a process to its end, and says how it ended.
    fn run(&self, part: &str, damping: f64) -> io::Result<Option<i32>> {
        Ok(self.start(part, damping)?.wait()?.code())
    }

    fn succeeds(&self, part: &str) -> Outcome {
        match self.run(part, 0.1)? {
            Some(0) => Ok(()),
            code => Err(format!("{} {part} ended with {code:?}", self.work).into()),
        }
    }

    /// Declares, computes by `of` shares of which two are killed, and finishes.
    fn cycle(&self, of: usize, again: bool) -> Outcome {
        self.succeeds("declare")?;
        assert_eq!(
            self.run("0/1", 0.2)?,
            Some(DIFFERS),
            "another configuration is refused"
        );
        let start = |index: usize| self.start(&format!("{index}/{of}"), 0.1);
        let mut workers: Vec<Child> = (0..of).map(start).collect::<io::Result<_>>()?;
        // A twin of the last share works on the same chunks at the same time.
        workers.push(start(of - 1)?);
        // As long as anybody takes part, nobody writes alone.
        let joined = Claim::new(&(&self.output).into(), &ZarrOptions::default().joining())?;
        assert_eq!(self.run("finish", 0.1)?, Some(LOCKED));
        drop(joined);
        workers[0].kill()?;
        workers[of].kill()?;
        for worker in &mut workers {
            worker.wait()?;
        }
        assert!(!zarr::verify(&self.output)?.complete);
        if again {
            self.succeeds(&format!("0/{of}"))?;
        }
        self.succeeds("finish")
    }
}

/// The output of one run, which is not shared.
fn expected(work: &str) -> Outcome<Tree> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("output");
    Team {
        output: output.clone(),
        work,
    }
    .succeeds("finish")?;
    Ok(tree(&output)?)
}

#[test]
fn many_processes_write_the_bytes_of_one() -> Outcome {
    for work in WORKS {
        let expected = expected(work)?;
        for (cycle, of) in [1, 2, 3, 5].into_iter().enumerate() {
            let folder = tempfile::tempdir()?;
            let output = folder.path().join("output");
            let team = Team {
                output: output.clone(),
                work,
            };
            team.cycle(of, cycle % 2 == 0)?;
            let found = tree(&output)?;
            assert_eq!(
                found.keys().collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>()
            );
            assert!(
                found == expected,
                "{work}, {of} shares: the bytes of one run"
            );
            assert!(zarr::verify(&output)?.is_sound());
        }
    }
    Ok(())
}
