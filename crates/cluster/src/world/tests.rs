//! Jobs whose processes are threads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use influence_core::{
    Result as CoreResult, Share,
    summation::{Alone, DataPass, Summation, Sums},
};
use ndarray::{Array2, arr0, arr1};

use super::{RankPlace, Transport, World};
use crate::Error;

/// Messages through channels without room: a sender waits for the receiver, as MPI may let it.
#[derive(Debug)]
struct Channels {
    place: RankPlace,
    to: Vec<SyncSender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
    largest: Arc<AtomicUsize>,
    aborted: Arc<AtomicU8>,
}

impl Transport for Channels {
    fn place(&self) -> RankPlace {
        self.place
    }

    fn send(&self, to: usize, bytes: &[u8]) {
        self.largest.fetch_max(bytes.len(), Ordering::Relaxed);
        self.to[to].send(bytes.to_vec()).expect("somebody receives");
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) {
        let channel = self.from[from].lock().expect("one receiver");
        bytes.copy_from_slice(&channel.recv().expect("somebody sends"));
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) {
        let RankPlace { rank, size, .. } = self.place;
        if rank == from {
            (0..size)
                .filter(|&to| to != rank)
                .for_each(|to| self.send(to, bytes));
        } else {
            self.receive(from, bytes);
        }
    }

    fn barrier(&self) {
        (0..self.place.size).for_each(|rank| self.broadcast(rank, &mut [0]));
    }

    fn finalize(&self) {}

    /// The first one ends all others.
    fn abort(&self, code: u8) {
        let (order, earlier) = (Ordering::Relaxed, 0);
        let _ = self.aborted.compare_exchange(earlier, code, order, order);
    }
}

/// What came of a job.
struct Outcome<T> {
    /// What each process gave; nothing where it panicked.
    of_ranks: Vec<Option<T>>,
    /// The bytes of the largest message.
    largest: usize,
    /// The code with which a process ended all others; 0 if none did.
    aborted: u8,
}

/// Does work in every process of a job, whose messages have at most `cut` bytes.
fn job<T: Send>(size: usize, cut: usize, work: impl Fn(World) -> T + Sync) -> Outcome<T> {
    let (largest, aborted) = <(Arc<AtomicUsize>, Arc<AtomicU8>)>::default();
    let mut channels: Vec<(Vec<_>, Vec<_>)> = (0..size).map(|_| Default::default()).collect();
    for from in 0..size {
        for to in 0..size {
            let (sender, receiver) = sync_channel(0);
            channels[from].0.push(sender);
            channels[to].1.push(Mutex::new(receiver));
        }
    }
    let worlds = channels.into_iter().enumerate().map(|(rank, (to, from))| {
        let place = RankPlace {
            rank,
            size,
            local_size: size,
        };
        let transport = Channels {
            place,
            to,
            from,
            largest: Arc::clone(&largest),
            aborted: Arc::clone(&aborted),
        };
        World::of(Arc::new(transport), cut)
    });
    let worlds: Vec<World> = worlds.collect();
    let of_ranks = thread::scope(|scope| {
        let ranks = worlds.into_iter().map(|world| scope.spawn(|| work(world)));
        let ranks: Vec<_> = ranks.collect();
        let ranks = ranks.into_iter().map(|rank| rank.join().ok());
        ranks.collect()
    });
    Outcome {
        of_ranks,
        largest: largest.load(Ordering::Relaxed),
        aborted: aborted.load(Ordering::Relaxed),
    }
}

/// The value of a leaf: numbers of which sums depend on their order.
#[expect(clippy::unnecessary_wraps, reason = "what a pass is made of may fail")]
fn leaf(leaf: usize) -> CoreResult<Sums> {
    let number = |index: usize| {
        let scale = [1e-9, 1.0, 1e9][(leaf + index) % 3];
        ((leaf * 37 + index) as f64).sin() * scale
    };
    Ok(vec![
        Array2::from_shape_fn((3, 4), |(row, column)| number(row * 4 + column)).into_dyn(),
        arr0(number(12)).into_dyn(),
        arr1::<f64>(&[]).into_dyn(),
    ])
}

fn pass<'a>(
    leaves: usize,
    operand: &'a dyn Fn() -> CoreResult<Sums>,
    leaf: &'a dyn Fn(usize) -> CoreResult<Sums>,
) -> DataPass<'a> {
    DataPass {
        name: "test",
        operand,
        leaves,
        leaf,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what a pass is made of may fail")]
fn nothing() -> CoreResult<Sums> {
    Ok(Vec::new())
}

fn bits(sums: &Sums) -> Vec<Vec<u64>> {
    let arrays = sums.iter();
    let bits = arrays.map(|array| array.iter().map(|value| value.to_bits()).collect());
    bits.collect()
}

#[test]
fn every_process_has_the_bits_of_one_alone() -> CoreResult<()> {
    for leaves in 1..30 {
        let alone = bits(&Alone.sum(&pass(leaves, &nothing, &leaf))?);
        for size in 1..8 {
            let outcome = job(size, 1 << 20, |world| {
                let summed = world.summation().sum(&pass(leaves, &nothing, &leaf));
                world.end(0);
                summed.map(|sums| bits(&sums)).ok()
            });
            assert_eq!(outcome.of_ranks, vec![Some(Some(alone.clone())); size]);
            assert_eq!(outcome.aborted, 0);
        }
    }
    Ok(())
}

#[test]
fn in_step_every_process_sees_all_leaves_in_order_and_each_is_computed_once() {
    for leaves in [1, 2, 5, 12] {
        let expected: Vec<_> = (0..leaves)
            .flat_map(|index| leaf(index).expect("a leaf"))
            .map(|it| bits(&vec![it]))
            .collect();
        for size in 2..5 {
            let computed = AtomicUsize::new(0);
            let counted = |index| {
                computed.fetch_add(1, Ordering::Relaxed);
                leaf(index)
            };
            let outcome = job(size, 64, |world| {
                let sums = world.summation();
                let mut seen = Vec::new();
                let mut look = |values: Sums| {
                    seen.extend(values.into_iter().map(|it| bits(&vec![it])));
                    Ok(())
                };
                let pass = pass(leaves, &nothing, &counted);
                let alone = sums.in_order(&pass, &mut look);
                let together = world.in_step(|| sums.in_order(&pass, &mut look));
                let all = [world.all(true), world.all(world.rank() > 0)];
                world.end(0);
                (alone.ok(), together.ok(), all, seen)
            });
            let of_rank = (Some(false), Some(true), [true, false], expected.clone());
            assert_eq!(outcome.of_ranks, vec![Some(of_rank); size]);
            assert_eq!(computed.into_inner(), leaves);
        }
    }
}

#[test]
fn a_process_reads_its_own_leaves_alone() {
    let (leaves, size) = (11, 4);
    let outcome = job(size, 1 << 20, |world| {
        let read = Mutex::new(Vec::new());
        let own = |index| {
            read.lock().expect("one thread").push(index);
            leaf(index)
        };
        let summed = world.summation().sum(&pass(leaves, &nothing, &own));
        world.end(0);
        (summed.is_ok(), read.into_inner().ok())
    });
    for (rank, read) in outcome.of_ranks.into_iter().enumerate() {
        let share = Share::new(rank, size).expect("a share").of(leaves);
        assert_eq!(read, Some((true, Some(share.collect()))));
    }
}

#[test]
fn each_leaf_has_the_owner_whose_share_it_is_in() {
    for size in 1..9 {
        for leaves in 1..40 {
            for leaf in 0..leaves {
                let place = |rank| RankPlace {
                    rank,
                    size,
                    local_size: 1,
                };
                let owner = place(0).owner(leaf, leaves);
                assert!(place(owner).share().of(leaves).contains(&leaf));
            }
        }
    }
}

#[test]
fn long_messages_are_cut() -> CoreResult<()> {
    let alone = bits(&Alone.sum(&pass(5, &nothing, &leaf))?);
    for cut in [1, 7, 8, 24] {
        let outcome = job(3, cut, |world| {
            let summed = world.summation().sum(&pass(5, &nothing, &leaf));
            world.end(0);
            summed.map(|sums| bits(&sums)).ok()
        });
        assert_eq!(outcome.of_ranks, vec![Some(Some(alone.clone())); 3]);
        assert_eq!(outcome.largest, cut);
    }
    Ok(())
}

#[test]
fn another_fit_or_operand_is_refused_by_name_and_ends_the_job() {
    let outcome = job(3, 1 << 20, |world| {
        let method = if world.rank() == 2 { "cg" } else { "ekfac" };
        let identity = || {
            Ok(vec![
                ("seed", "0".to_owned()),
                ("method", method.to_owned()),
            ])
        };
        let begun = world.summation().begin(&identity);
        begun.map_err(|error| Error::of(&error).map(ToString::to_string))
    });
    let expected = "rank 2 has method cg, rank 0 has ekfac: ";
    assert!(
        matches!(&outcome.of_ranks[2], Some(Err(Some(message))) if message.starts_with(expected))
    );
    assert_eq!(outcome.of_ranks[..2], [Some(Ok(())), Some(Ok(()))]);
    assert_eq!(outcome.aborted, 70);

    let outcome = job(2, 1 << 20, |world| {
        let operand = || Ok(vec![arr0(world.rank() as f64).into_dyn()]);
        // Rank 0 then waits for the one that is refused, which ends it.
        let summed = world.summation().sum(&pass(1, &operand, &leaf));
        let kind = summed.as_ref().err().map(ToString::to_string);
        world.end(u8::from(kind.is_some()));
        kind
    });
    let refused = outcome.of_ranks[1].clone().flatten().unwrap_or_default();
    assert!(refused.contains("rank 1 has operand sha256:"), "{refused}");
    assert_eq!(outcome.aborted, 1);
}

#[test]
fn what_went_wrong_in_one_process_is_known_to_all() {
    let outcome = job(4, 1 << 20, |world| {
        let good = world.agree(Ok::<_, Error>(world.rank()));
        let own = match world.rank() {
            1 | 3 => Err(Error::Mpi {
                problem: "is not there",
            }),
            rank => Ok(rank),
        };
        let agreed = world.agree(own).map_err(|error| error.to_string());
        world.end(2);
        (good.ok(), agreed)
    });
    let elsewhere = || Err("rank 1 has failed".to_owned());
    let expected = [
        (Some(0), elsewhere()),
        (Some(1), Err("MPI is not there".to_owned())),
        (Some(2), elsewhere()),
        (Some(3), elsewhere()),
    ];
    assert_eq!(outcome.of_ranks, expected.map(Some));
    assert_eq!(outcome.aborted, 0, "all may end in peace");
}

#[test]
fn a_panic_or_an_early_return_ends_all_processes() {
    let panics = job(2, 1 << 20, |world| {
        assert_eq!(world.rank(), 0, "a panic in rank 1");
        world.end(0);
    });
    assert_eq!(
        (panics.of_ranks, panics.aborted),
        (vec![Some(()), None], 70)
    );
    let returns = job(2, 1 << 20, |world| {
        (world.rank() == 0).then(|| world.end(0))
    });
    assert_eq!(returns.aborted, 70);
    let fails = job(2, 1 << 20, |world| {
        world.end(if world.is_first() { 0 } else { 2 });
    });
    assert_eq!(fails.aborted, 2);
}
