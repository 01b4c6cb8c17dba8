use std::{
    cell::{Cell, RefCell},
    num::NonZero,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::ThreadId,
};

use influence_core::{
    Error as CoreError, InfluenceModel, Result, solver::Solution, testing::Samples,
    wrapper::ModelWrapper,
};
use ndarray::Array2;

use super::{Model, problem, whole};
use crate::{Calculator, Error, Parallel, Sequential, Step};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// A model that can neither be sent nor shared, and that would answer wrongly if two threads called
/// it at once: gradients are kept in a scratch buffer between the halves of their computation.
struct Scratch {
    model: Model,
    buffer: Rc<RefCell<Array2<f64>>>,
    busy: Cell<bool>,
    home: ThreadId,
}

impl Scratch {
    fn new() -> Result<Self> {
        let home = std::thread::current().id();
        Ok(Self {
            model: problem(1, 1)?.model,
            buffer: Rc::default(),
            busy: Cell::new(false),
            home,
        })
    }

    fn through_scratch(&self, rows: Array2<f64>) -> Array2<f64> {
        assert_eq!(
            std::thread::current().id(),
            self.home,
            "a replica stays in its thread"
        );
        assert!(!self.busy.replace(true), "a replica is not re-entered");
        *self.buffer.borrow_mut() = rows;
        kernel();
        let rows = self.buffer.take();
        self.busy.set(false);
        rows
    }
}

/// A parallel kernel of two halves. The first waits a little for the second to be taken up by an
/// idle thread, so that this thread then waits in the pool: an invitation to begin another task on
/// top of the one at hand.
fn kernel() {
    let taken = AtomicBool::new(false);
    let first = || {
        for _ in (0..200).take_while(|_| !taken.load(Relaxed)) {
            std::thread::yield_now();
        }
    };
    let second = || {
        taken.store(true, Relaxed);
        for _ in 0..50 {
            std::thread::yield_now();
        }
    };
    let ((), ()) = rayon::join(first, second);
}

impl ModelWrapper for Scratch {
    type Inner = Model;

    fn inner(&self) -> &Model {
        &self.model
    }

    fn gradients(&self, batch: &Samples) -> Result<Array2<f64>> {
        Ok(self.through_scratch(self.model.gradients(batch)?))
    }

    fn factors(&self, batch: &Samples) -> Result<Solution<Array2<f64>>> {
        let solution = self.model.factors(batch)?;
        Ok(Solution {
            rows: self.through_scratch(solution.rows),
            reports: solution.reports,
        })
    }
}

#[test]
fn a_model_that_cannot_be_shared_gives_the_same_bits_in_replicas() -> Outcome {
    let problem = problem(9, 20)?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 1])?;
    for threads in 1..5 {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let replica = move || {
            counter.fetch_add(1, Relaxed);
            Scratch::new()
        };
        let parallel = Parallel::with_replicas(replica, NonZero::new(threads))?;
        assert_eq!(
            made.load(Relaxed),
            0,
            "replicas are made when they are needed"
        );
        for _ in 0..5 {
            assert_eq!(whole(&parallel, &problem, [2, 1])?, expected);
        }
        assert!(
            (1..=threads).contains(&made.load(Relaxed)),
            "one replica a thread, kept between computations"
        );
    }
    Ok(())
}

#[test]
fn a_replica_that_cannot_be_made_is_an_error() -> Outcome {
    let problem = problem(3, 4)?;
    let failing = Parallel::with_replicas::<_>(
        || Err::<Scratch, _>(CoreError::backend("load", "no file")),
        None,
    )?;
    assert!(matches!(
        whole(&failing, &problem, [1, 1]),
        Err(Error::Core {
            step: Step::Replica,
            ..
        })
    ));
    let panicking =
        Parallel::with_replicas::<_>(|| -> Result<Scratch> { panic!("no file") }, NonZero::new(2))?;
    let outcome = panicking.self_influences(&problem.train).compute();
    assert!(matches!(
        outcome,
        Err(Error::Panicked {
            step: Step::Replica,
            ..
        })
    ));
    Ok(())
}

#[test]
fn a_replica_is_made_anew_after_an_error() -> Outcome {
    let problem = problem(3, 4)?;
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let replica = move || {
        counter.fetch_add(1, Relaxed);
        Scratch::new()
    };
    let parallel = Parallel::with_replicas(replica, NonZero::new(1))?;
    let too_wide = Array2::zeros((1, 9));
    assert!(
        parallel
            .influences_from_factors(&too_wide, &problem.train)
            .plan()
            .is_err()
    );
    let failing = |_: &Scratch, _: usize| Err(Error::Nested);
    assert!(parallel.run(1, 1, &failing).is_err());
    assert_eq!(whole(&parallel, &problem, [1, 1])?.shape(), [3, 4]);
    assert_eq!(made.load(Relaxed), 2);
    Ok(())
}

#[test]
fn computations_at_once_take_turns() -> Outcome {
    let problem = problem(9, 20)?;
    let expected = whole(&Sequential::new(&problem.model), &problem, [2, 1])?;
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let replica = move || {
        counter.fetch_add(1, Relaxed);
        Scratch::new()
    };
    let parallel = Parallel::with_replicas(replica, NonZero::new(3))?;
    let run =
        || (0..5).all(|_| whole(&parallel, &problem, [2, 1]).is_ok_and(|got| got == expected));
    let right = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        callers
            .into_iter()
            .filter_map(|caller| caller.join().ok().filter(|right| *right))
            .count()
    });
    assert_eq!(right, 4);
    // A second computation begun within the first on one thread would find the replica in use and
    // make another.
    assert!(made.load(Relaxed) <= 3);
    Ok(())
}
