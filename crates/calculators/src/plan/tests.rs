use influence_core::{EfficientChunk, PassFootprint, Precision};

use super::*;

const MEBIBYTE: usize = 1 << 20;

fn plan(shape: [usize; 2], footprint: &Footprint, memory: usize, kept: bool) -> Plan {
    let chunk = Plan::chunk_shape([None, None], shape, footprint, memory);
    let grid = ChunkGrid::new(shape, chunk).expect("sides of at least 1");
    let resources = Resources {
        memory,
        threads: 2,
        factors_kept: kept,
    };
    Plan::new(&grid, footprint, resources)
}

/// A multilayer perceptron of a million parameters: thin gradients, wide factors.
fn wide() -> Footprint {
    let scoring = influence_core::ScoringFootprint {
        per_test: 4_000_000,
        per_train: 0,
        per_pair: 8000,
    };
    Footprint {
        factor: 4_000_000,
        gradient: 12_000,
        solving: 12_000_000,
        workspace: PassFootprint::NONE,
        differentiating: 48_000,
        pass: PassFootprint::NONE,
        scoring,
        gradient_flops: 6e6,
        score_flops: 2e6,
        compact: false,
        immediate: true,
        piece: influence_core::Piece::default(),
        chunk: EfficientChunk::CPU,
    }
}

#[test]
fn every_plan_covers_its_side_and_stays_within_the_memory() {
    let dense = Footprint::dense(10_000, Precision::F64);
    for footprint in [wide(), dense] {
        for memory in [256 * MEBIBYTE, 1024 * MEBIBYTE] {
            for (k, n) in [
                (1, 1),
                (2000, 20_000),
                (2000, 80_000),
                (7, 1_000_000),
                (0, 5),
            ] {
                let plan = plan([k, n], &footprint, memory, true);
                let side = usize::from(plan.held() == Side::Train);
                let covered: Vec<usize> = plan.panels().iter().cloned().flatten().collect();
                let all: Vec<usize> = (0..plan.grid().counts()[side]).collect();
                assert_eq!(covered, all);
                assert!(plan.peak_bytes() <= memory, "{plan:?}");
                assert!((1..=2).contains(&plan.workers()));
            }
        }
    }
}

#[test]
fn the_side_is_held_that_leaves_least_to_do_again() {
    let gibibyte = 1024 * MEBIBYTE;
    // All gradients fit, the factors would need a dozen panels.
    let one = plan([2000, 20_000], &wide(), gibibyte, true);
    assert_eq!((one.held(), one.panels().len()), (Side::Train, 1));
    assert_eq!((one.gradient_passes(), one.factor_passes()), (1, 1));
    // Neither fits: factors are read again, or without a scratch array gradients computed again.
    let several = plan([2000, 200_000], &wide(), gibibyte, true);
    assert_eq!(several.held(), Side::Train);
    assert!(several.panels().len() > 1 && several.scratch_bytes() == 8_000_000_000);
    let again = plan([2000, 200_000], &wide(), gibibyte, false);
    assert_eq!((again.held(), again.factor_passes()), (Side::Test, 1));
    assert!(again.gradient_passes() > 1 && again.scratch_bytes() == 0);
    // Few test points and many train points: factors stay, gradients stream.
    let dense = Footprint::dense(10_000, Precision::F32);
    let few = plan([100, 1_000_000], &dense, gibibyte, true);
    assert_eq!((few.held(), few.gradient_passes()), (Side::Test, 1));
}

/// A transformer of half a million parameters, whose activations are larger than its gradients.
fn transformer() -> Footprint {
    Footprint {
        pass: PassFootprint {
            per_point: 9_600_000,
            points: 3,
        },
        immediate: true,
        ..Footprint::dense(540_000, Precision::F32)
    }
}

#[test]
fn chunks_of_a_gpu_are_as_large_as_its_memory_allows() {
    let shape = |chunk, memory| {
        let footprint = Footprint {
            chunk,
            pass: PassFootprint::NONE,
            ..transformer()
        };
        let plan = plan([100, 10_000], &footprint, memory, false);
        assert!(plan.peak_bytes() <= memory);
        plan.grid().chunk_shape()
    };
    let (cpu, gpu) = (EfficientChunk::CPU, EfficientChunk::GPU);
    let [small, large] = [1024, 8 * 1024].map(|memory| shape(gpu, memory * MEBIBYTE));
    assert!(large[0] == 100 && large[1] >= 400, "{large:?}");
    assert!(small[1] < 150, "{small:?}");
    let of_cpu = shape(cpu, 8 * 1024 * MEBIBYTE);
    assert!(of_cpu[0] == 64 && of_cpu[1] < 300, "{of_cpu:?}");
}

#[test]
fn activations_count_once_a_task_and_not_per_point_of_a_chunk() {
    let memory = 1024 * MEBIBYTE;
    let footprint = transformer();
    let plan = plan([100, 1000], &footprint, memory, false);
    let [k, n] = plan.grid().chunk_shape();
    assert!(k >= 48 && n >= 32, "{k} x {n}");
    assert_eq!((plan.workers(), plan.gradient_passes()), (2, 1));
    assert!(plan.peak_bytes() <= memory);
    // All at once they would leave room for a few points only, in one task at a time.
    let at_once = Footprint {
        pass: PassFootprint {
            points: usize::MAX,
            ..footprint.pass
        },
        ..footprint
    };
    let [k, n] = Plan::chunk_shape([None, None], [100, 1000], &at_once, memory);
    assert!(k < 20 && n < 20, "{k} x {n}");
    // Of chunks that are given, too, a pass counts and not each point.
    let bytes = |footprint: &Footprint, chunk: [usize; 2]| {
        let grid = ChunkGrid::new([100, 1000], chunk).expect("sides of at least 1");
        let resources = Resources {
            memory,
            threads: 1,
            factors_kept: false,
        };
        Plan::new(&grid, footprint, resources).peak_bytes()
    };
    assert_eq!(bytes(&footprint, [2, 3]), bytes(&at_once, [2, 3]));
    assert!(bytes(&footprint, [2, 12]) + 60_000_000 < bytes(&at_once, [2, 12]));
    // The same for factors and self-influences, within a bound that all points at once exceed.
    let budget = Budget {
        memory: Some(90 * MEBIBYTE),
        threads: 2,
        ..Budget::default()
    };
    let of = |footprint, chunk| {
        let workload = Workload {
            shape: [9, 540_000],
            footprint,
            numbers: 1,
        };
        let budget = Budget {
            chunk: [Some(chunk), None],
            ..budget
        };
        let factors = Plan::for_factors(&workload, Precision::F32, &budget);
        let own = Plan::for_self_influences(&workload, &budget);
        [factors.is_ok(), own.is_ok()]
    };
    assert_eq!(of(footprint, 7), [true; 2]);
    assert_eq!(of(at_once, 7), [false; 2]);
}

#[test]
fn chunks_that_are_given_stay_and_others_shrink_with_the_memory() {
    let [k, n] = Plan::chunk_shape([Some(7), Some(9)], [100, 100], &wide(), MEBIBYTE);
    assert_eq!([k, n], [7, 9]);
    let sides = |memory| Plan::chunk_shape([None, None], [2000, 20_000], &wide(), memory);
    // Thin gradients are many to a chunk however few of the wide factors there are.
    assert_eq!(sides(1024 * MEBIBYTE), [20, 498]);
    assert_eq!(sides(128 * MEBIBYTE), [2, 498]);
    let small = Footprint::dense(100, Precision::F32);
    assert_eq!(
        Plan::chunk_shape([None, None], [360, 1437], &small, 1024 * MEBIBYTE),
        [64, 256]
    );
    assert_eq!(Plan::chunk_shape([None, None], [0, 3], &small, 0), [1, 1]);
}

#[test]
fn runs_are_as_few_and_as_even_as_can_be() {
    assert_eq!(cut(&(0..10), 7), [0..5, 5..10]);
    assert_eq!(cut(&(0..3), 0), [0..1, 1..2, 2..3]);
    assert!(cut(&(0..0), 4).is_empty());
}

#[test]
fn the_plans_of_shares_cover_one_grid_within_the_memory() -> crate::Result<()> {
    let expensive = Footprint::dense(10_000, Precision::F64);
    for footprint in [wide(), expensive] {
        let workload = Workload {
            shape: [500, 20_000],
            footprint,
            numbers: 1,
        };
        let memory = 256 * MEBIBYTE;
        let budget = Budget {
            memory: Some(memory),
            threads: 2,
            ..Budget::default()
        };
        let whole = Plan::for_influences(&workload, &budget, true)?;
        for of in [1, 3, 5] {
            let (mut chunks, mut flops) = (0, 0.0);
            for index in 0..of {
                let share = Share::new(index, of).expect("a share");
                let budget = Budget { share, ..budget };
                let plan = Plan::for_influences(&workload, &budget, true)?;
                assert_eq!(plan.grid(), whole.grid());
                assert_eq!(*plan.part(), whole.part_of(share));
                assert!(plan.peak_bytes() <= memory);
                let side = usize::from(plan.held() == Side::Train);
                let panels: Vec<usize> = plan.panels().iter().cloned().flatten().collect();
                assert_eq!(panels, plan.part()[side].clone().collect::<Vec<_>>());
                chunks += plan.chunks();
                flops += plan.score_flops();
            }
            assert_eq!(chunks, whole.grid().len());
            let shared = usize::from(footprint.immediate);
            assert_eq!(whole.most_shares(), whole.grid().counts()[shared]);
            assert!((flops / whole.score_flops() - 1.0).abs() < 1e-9);
        }
    }
    Ok(())
}
