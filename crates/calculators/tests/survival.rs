//! Processes are killed at any moment, and what they were writing is taken up again by others.
//!
//! The test runs its own executable as the process that is killed: see
//! [`the_process_that_is_killed`].

#[path = "survival/slow.rs"]
mod slow;
#[path = "support/tree.rs"]
mod tree;

use std::{
    collections::HashMap,
    env, fs, io,
    num::NonZero,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use influence_calculators::{Calculator, Parallel, Side, ZarrOptions, zarr};

use slow::{Slow, points};
use tree::{Tree, tree};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Test and train points: 6 by 10 chunks.
const SHAPE: [usize; 2] = [12, 30];
const CHUNKS: [usize; 2] = [2, 3];
/// Suffices for all gradients at once, or for a fifth of them.
const MEMORY: [usize; 2] = [20_000, 4000];
const CYCLES: usize = 100;
/// How many cycles are under way at a time.
const LANES: usize = 4;

/// The folder of a process that is to be killed, and which of the plans it follows.
const FOLDER: &str = "INFLUENCE_SURVIVAL_FOLDER";
const PLAN: &str = "INFLUENCE_SURVIVAL_PLAN";
/// What is in the folder: the output, and which chunks were scored.
const OUTPUT: &str = "output";
const LOG: &str = "scored";

/// Not a test of its own: does nothing unless the test below says where.
#[test]
fn the_process_that_is_killed() -> Outcome {
    let (Some(folder), Ok(plan)) = (env::var_os(FOLDER), env::var(PLAN)) else {
        return Ok(());
    };
    let (folder, memory) = (PathBuf::from(folder), MEMORY[plan.parse::<usize>()?]);
    let (test, train) = (points(SHAPE[0], 3), points(SHAPE[1], 4));
    let model = Slow::new(&folder.join(LOG), [&test, &train], CHUNKS)?;
    let calculator = Parallel::new(model, NonZero::new(2))?;
    let lazy = calculator.influences(&test, &train);
    let lazy = lazy.with_chunks(CHUNKS[0], CHUNKS[1])?.with_memory(memory);
    let panels = if memory == MEMORY[0] { 1 } else { 5 };
    let found = lazy.plan()?;
    assert_eq!((found.held(), found.panels().len()), (Side::Train, panels));
    let options = ZarrOptions::default().with_attribute("damping", 0.1);
    lazy.to_zarr(folder.join(OUTPUT), &options.resuming())?;
    Ok(())
}

fn start(folder: &Path, plan: usize) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(["the_process_that_is_killed", "--exact", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(PLAN, plan.to_string())
        .stdout(Stdio::null())
        .spawn()
}

fn run_to_the_end(folder: &Path, plan: usize) -> Outcome {
    succeeded(start(folder, plan)?.wait()?)
}

fn succeeded(status: ExitStatus) -> Outcome {
    if status.success() {
        return Ok(());
    }
    Err(format!("ended with {status}").into())
}

type Position = [usize; 2];

/// The chunks that are there under their own names.
fn committed(output: &Path) -> Vec<Position> {
    let position = |row, column| {
        let path = output.join(format!("influences/c/{row}/{column}"));
        path.exists().then_some([row, column])
    };
    (0..6)
        .flat_map(|row| (0..10).filter_map(move |column| position(row, column)))
        .collect()
}

/// The chunks scored so far, and how often; the last line may be torn.
fn scored(folder: &Path) -> io::Result<HashMap<Position, usize>> {
    let log = match fs::read_to_string(folder.join(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        log => log?,
    };
    let mut times = HashMap::new();
    for line in log
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
    {
        let numbers = line.split(' ').filter_map(|number| number.parse().ok());
        let numbers: Vec<usize> = numbers.collect();
        *times.entry([numbers[0], numbers[1]]).or_default() += 1;
    }
    Ok(times)
}

/// What kills came upon, and what they cost.
#[derive(Debug, Default)]
struct Tally {
    before: usize,
    during: usize,
    after: usize,
    with_scratch: usize,
    with_leftovers: usize,
    again: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.before += other.before;
        self.during += other.during;
        self.after += other.after;
        self.with_scratch += other.with_scratch;
        self.with_leftovers += other.with_leftovers;
        self.again += other.again;
    }

    /// Takes note of what a kill left.
    fn count(&mut self, output: &Path, chunks: usize) -> Outcome {
        let files = if output.exists() {
            tree(output)?
        } else {
            Tree::new()
        };
        let is_complete = zarr::verify(output).is_ok_and(|found| found.is_sound());
        match chunks {
            0 => self.before += 1,
            _ if is_complete => self.after += 1,
            _ => self.during += 1,
        }
        let has = |part: &str| {
            files
                .keys()
                .any(|name| name.to_string_lossy().contains(part))
        };
        self.with_scratch += usize::from(has("scratch"));
        self.with_leftovers += usize::from(has(".partial"));
        Ok(())
    }
}

/// Starts a run, kills it after a while, and has another one finish its work.
fn cycle(plan: usize, after: Duration, expected: &Tree, tally: &mut Tally) -> Outcome {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join(OUTPUT);
    let mut child = start(folder.path(), plan)?;
    thread::sleep(after);
    child.kill()?;
    child.wait()?;
    let (there, first) = (committed(&output), scored(folder.path())?);
    tally.count(&output, there.len())?;
    run_to_the_end(folder.path(), plan)?;
    assert!(tree(&output)? == *expected, "killed after {after:?}");
    let both = scored(folder.path())?;
    assert_eq!(both.len(), 60, "no chunk is lost");
    assert!(both.values().all(|times| *times <= 2));
    for chunk in there {
        assert_eq!(both[&chunk], first[&chunk], "{chunk:?} was there already");
    }
    tally.again += both.values().filter(|times| **times == 2).count();
    Ok(())
}

/// The output of runs that nobody kills, as many at once as there will be, and how long they take.
fn undisturbed(plan: usize) -> Outcome<(Tree, Duration)> {
    let (folders, begun) = ([(); LANES].map(|()| tempfile::tempdir()), Instant::now());
    let folders: Vec<_> = folders.into_iter().collect::<Result<_, _>>()?;
    let children: Result<Vec<Child>, _> = folders
        .iter()
        .map(|folder| start(folder.path(), plan))
        .collect();
    for mut child in children? {
        succeeded(child.wait()?)?;
    }
    let duration = begun.elapsed();
    Ok((tree(&folders[0].path().join(OUTPUT))?, duration))
}

/// Every cycle whose number leaves this remainder.
fn lane(remainder: usize, undisturbed: &[(Tree, Duration)]) -> Outcome<Tally> {
    let mut tally = Tally::default();
    for number in (remainder..CYCLES).step_by(LANES) {
        // A third of the runs keep factors in a scratch array. 37 shares no factor with the number
        // of cycles: early and late kills alternate.
        let plan = usize::from(number % 10 < 3);
        let (expected, duration) = &undisturbed[plan];
        let share = (number * 37 % CYCLES) as f64 / CYCLES as f64;
        cycle(plan, duration.mul_f64(1.4 * share), expected, &mut tally)?;
    }
    Ok(tally)
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_taken_up_without_a_trace() -> Outcome {
    let begun = Instant::now();
    let undisturbed = [undisturbed(0)?, undisturbed(1)?];
    assert!(undisturbed[0].0 == undisturbed[1].0, "plans change no byte");
    // Most of the time goes into waiting for the disk: several at once take hardly longer.
    let run = |remainder| lane(remainder, &undisturbed).map_err(|error| error.to_string());
    let tallies: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|remainder| scope.spawn(move || run(remainder)))
            .collect();
        lanes
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut total = Tally::default();
    for tally in tallies {
        total.add(&tally.map_err(|_| "a cycle failed, see above")??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{CYCLES} cycles in {seconds:.1} s: {total:?}");
    assert!(total.during > 0, "the kills hit the work");
    Ok(())
}
