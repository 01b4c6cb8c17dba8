//! Scores with further axes, and self-influences, through every calculator and sink.

use std::num::NonZero;

use influence_core::{
    Perturbation, Sweep,
    aggregate::{Along, Concatenate, GroupSum, Mean},
    block::Damping,
};
use ndarray::{ArrayD, Axis};
use zarrs::{
    array::Array,
    storage::{ReadableWritableListableStorage, StoreKey, WritableStorageTraits},
};

use super::{DIM, largest_difference, memory, problem, whole};
use crate::{
    Calculator, Error, Parallel, Sequential, ZarrOptions,
    zarr::{attributes, verify},
};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

fn stored(
    store: &ReadableWritableListableStorage,
    name: &str,
) -> std::result::Result<(Vec<String>, ArrayD<f64>), Box<dyn std::error::Error>> {
    let array = Array::open(store.clone(), &format!("/{name}"))?;
    let names = array.dimension_names().iter().flatten().flatten();
    let names = names.cloned().collect();
    let values = array.retrieve_array_subset(&array.subset_all())?;
    Ok((names, values))
}

#[test]
fn perturbations_come_out_alike_everywhere() -> Outcome {
    let problem = problem(5, 11)?;
    let model = Perturbation::new(&problem.model);
    let expected = whole(&Sequential::new(&model), &problem, [5, 11])?;
    assert_eq!(expected.shape(), [5, 11, DIM]);
    let parallel = Parallel::new(&model, NonZero::new(2))?;
    // Uneven last chunks, and a bound that leaves room for little.
    let lazy = parallel.influences(&problem.test, &problem.train);
    let got = lazy.with_chunks(2, 4)?.compute(Concatenate::new())?;
    assert!(largest_difference(&got, &expected) < 1e-13);
    let lazy = parallel.influences(&problem.test, &problem.train);
    let got = lazy.with_memory(4000).compute(Concatenate::new())?;
    assert!(largest_difference(&got, &expected) < 1e-13);
    let lazy = parallel.influences(&problem.test, &problem.train);
    // What has no meaning for such scores is refused by name.
    let refused = lazy.with_chunks(2, 4)?.compute(Mean::along(Along::Test));
    assert!(matches!(refused, Err(Error::Core { .. })));
    Ok(())
}

#[test]
fn axes_are_stored_with_their_names_and_taken_up_again() -> Outcome {
    let (problem, store) = (problem(5, 11)?, memory());
    let dampings = ["0.1", "1"].map(|value| {
        let damping: f64 = value.parse().expect("a number");
        (value.to_owned(), Damping::from(damping))
    });
    let sweep = Sweep::new(&problem.model, dampings)?;
    let expected = whole(&Sequential::new(&sweep), &problem, [2, 4])?;
    assert_eq!(expected.shape(), [5, 11, 2]);
    let calculator = Parallel::new(&sweep, NonZero::new(2))?;
    let write = |options: ZarrOptions| {
        let lazy = calculator.influences(&problem.test, &problem.train);
        lazy.with_chunks(2, 4)?
            .to_zarr_and(store.clone(), &options, Concatenate::new())
    };
    let (_, beside) = write(ZarrOptions::default())?;
    assert_eq!(beside, expected);
    let (names, values) = stored(&store, "influences")?;
    assert_eq!(names, ["test", "train", "damping"]);
    assert_eq!(values, expected);
    let array = Array::open(store.clone(), "/influences")?;
    assert_eq!(array.chunk_shape_usize(&[0, 0, 0])?, [2, 4, 2]);
    assert_eq!(
        array.attributes()["damping"],
        serde_json::json!(["0.1", "1"])
    );
    assert!(verify(store.clone())?.is_sound());
    store.erase(&StoreKey::new("influences/c/2/1/0")?)?;
    assert_eq!(verify(store.clone())?.missing, [[2, 1]]);
    let (_, beside) = write(ZarrOptions::default().resuming())?;
    assert_eq!(
        (beside, stored(&store, "influences")?.1),
        (expected.clone(), expected)
    );
    let lazy = calculator.influences(&problem.test, &problem.train);
    let comparison = lazy.compare(store.clone(), 9)?;
    assert_eq!((comparison.chunks.len(), comparison.differing), (9, 0));
    // Other axes are another output.
    let other = Sequential::new(&problem.model);
    let lazy = other
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 4)?;
    let refused = lazy.to_zarr(store, &ZarrOptions::default().resuming());
    assert!(matches!(refused, Err(Error::Differs { setting, .. }) if setting == "influence.axes"));
    Ok(())
}

#[test]
fn a_plan_counts_every_number_of_an_axis() -> Outcome {
    let problem = problem(64, 512)?;
    let plain = Sequential::new(&problem.model);
    let axes = Sequential::new(Perturbation::new(&problem.model));
    let peaks = [
        plain
            .influences(&problem.test, &problem.train)
            .with_chunks(64, 512)?
            .plan()?
            .peak_bytes(),
        axes.influences(&problem.test, &problem.train)
            .with_chunks(64, 512)?
            .plan()?
            .peak_bytes(),
    ];
    assert!(peaks[1] > peaks[0] + 64 * 512 * (DIM - 1) * 24, "{peaks:?}");
    Ok(())
}

#[test]
fn self_influences_are_the_diagonal_without_the_matrix() -> Outcome {
    let problem = problem(1, 11)?;
    let calculator = Parallel::new(&problem.model, NonZero::new(2))?;
    let own = calculator
        .self_influences(&problem.train)
        .with_chunks(4)?
        .compute()?;
    assert_eq!(own.shape(), [11]);
    let model = Sequential::new(&problem.model);
    let lazy = model.influences(&problem.train, &problem.train);
    let all = lazy.compute(Concatenate::new())?;
    let diagonal: Vec<f64> = (0..11).map(|j| all[[j, j]]).collect();
    let diagonal = ndarray::Array1::from(diagonal).into_dyn();
    assert!(largest_difference(&own, &diagonal) < 1e-14);
    Ok(())
}

#[test]
fn self_influences_are_stored_and_taken_up_again() -> Outcome {
    let (problem, store) = (problem(1, 11)?, memory());
    let calculator = Sequential::new(&problem.model);
    let write = |options: &ZarrOptions| {
        let lazy = calculator.self_influences(&problem.train).with_chunks(4)?;
        lazy.to_zarr(store.clone(), options)
    };
    let summary = write(&ZarrOptions::default())?;
    assert_eq!(summary.rows_by_status()["converged"], 11);
    let expected = calculator
        .self_influences(&problem.train)
        .with_chunks(4)?
        .compute()?;
    let (names, values) = stored(&store, "self_influences")?;
    assert_eq!(
        (names, values),
        (vec!["train".to_owned()], expected.clone())
    );
    assert_eq!(stored_names(&store, "solver_status")?, ["train"]);
    assert_eq!(
        attributes(store.clone())?["influence"]["kind"],
        "self_influences"
    );
    store.erase(&StoreKey::new("self_influences/c/2")?)?;
    assert_eq!(verify(store.clone())?.missing, [[2, 0]]);
    write(&ZarrOptions::default().resuming())?;
    assert_eq!(stored(&store, "self_influences")?.1, expected);
    assert!(verify(store.clone())?.is_sound());
    let lazy = calculator.influences(&problem.test, &problem.train);
    assert!(matches!(lazy.compare(store, 1), Err(Error::NotZarr { .. })));
    Ok(())
}

fn stored_names(
    store: &ReadableWritableListableStorage,
    name: &str,
) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
    let array = Array::open(store.clone(), &format!("/{name}"))?;
    Ok(array
        .dimension_names()
        .iter()
        .flatten()
        .flatten()
        .cloned()
        .collect())
}

#[test]
fn self_influences_with_axes_have_them_last() -> Outcome {
    let (problem, store) = (problem(1, 5)?, memory());
    let model = Perturbation::new(&problem.model);
    let calculator = Sequential::new(&model);
    let own = calculator
        .self_influences(&problem.train)
        .with_chunks(2)?
        .compute()?;
    assert_eq!(own.shape(), [5, DIM]);
    let lazy = calculator.self_influences(&problem.train).with_chunks(2)?;
    lazy.to_zarr(store.clone(), &ZarrOptions::default())?;
    let (names, values) = stored(&store, "self_influences")?;
    assert_eq!((names.join(" "), values), ("train input_0".to_owned(), own));
    assert!(verify(store)?.is_sound());
    Ok(())
}

#[test]
fn the_influence_of_a_group_is_the_sum_over_it() -> Outcome {
    let problem = problem(3, 11)?;
    let calculator = Sequential::new(&problem.model);
    let all = whole(&calculator, &problem, [2, 4])?;
    let groups: Vec<usize> = (0..11).map(|j| j % 3).collect();
    let lazy = calculator
        .influences(&problem.test, &problem.train)
        .with_chunks(2, 4)?;
    let sums = lazy.compute(GroupSum::new(groups.clone(), 3, Along::Train)?)?;
    for (group, sum) in sums.axis_iter(Axis(1)).enumerate() {
        let members = (0..11).filter(|&j| groups[j] == group);
        let expected = members.fold(ArrayD::zeros(vec![3]), |sum, j| {
            sum + all.index_axis(Axis(1), j)
        });
        assert!(largest_difference(&sum.to_owned().into_dyn(), &expected) < 1e-13);
    }
    Ok(())
}
