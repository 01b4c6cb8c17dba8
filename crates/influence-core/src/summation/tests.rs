use std::collections::BTreeMap;

use ndarray::Array1;

use super::*;
use crate::{Share, testing::random};

/// Numbers of very different size, so that each order of additions rounds in its own way.
fn leaf(index: usize) -> Sums {
    let values = random((3, 2), index as u64);
    let scales = random((3, 2), 1000 + index as u64).mapv(|value| (20.0 * value).exp());
    let count = Array1::from_elem(1, index as f64);
    vec![(values * scales).into_dyn(), count.into_dyn()]
}

fn alone(leaves: usize) -> Result<Sums> {
    let pass = DataPass {
        name: "test",
        operand: &|| Ok(Vec::new()),
        leaves,
        leaf: &|index| Ok(leaf(index)),
    };
    Alone.sum(&pass)
}

fn bits(sums: &Sums) -> Vec<u64> {
    let values = sums.iter().flatten();
    values.map(|value| value.to_bits()).collect()
}

/// The values of the subtrees of one share.
fn added_by(share: Share, leaves: usize) -> Result<Vec<(Subtree, Sums)>> {
    let subtrees = subtrees(share.of(leaves), leaves).into_iter();
    let computed = subtrees.map(|subtree| {
        let sum = value(subtree, leaves, &mut |subtree| {
            let own = subtree.range(leaves);
            Ok(subtree.is_leaf().then(|| leaf(own.start)))
        })?;
        Ok((subtree, sum.expect("every leaf is known")))
    });
    computed.collect()
}

fn joined(parts: &BTreeMap<Subtree, Sums>, leaves: usize) -> Result<Option<Sums>> {
    let known = &mut |subtree| Ok(parts.get(&subtree).cloned());
    value(Subtree::root(leaves), leaves, known)
}

#[test]
fn any_number_of_shares_have_the_bits_of_one() -> Result<()> {
    for leaves in 1..70 {
        let expected = bits(&alone(leaves)?);
        for of in 1..9 {
            let mut parts = BTreeMap::new();
            for index in 0..of {
                parts.extend(added_by(Share::new(index, of)?, leaves)?);
            }
            let sum = joined(&parts, leaves)?.expect("the shares cover all leaves");
            assert_eq!(bits(&sum), expected, "{leaves} leaves, {of} shares");
        }
    }
    Ok(())
}

#[test]
fn without_one_subtree_there_is_no_sum() -> Result<()> {
    for (leaves, of) in [(1, 1), (5, 2), (23, 3), (64, 5), (69, 8)] {
        let mut parts = BTreeMap::new();
        for index in 0..of {
            parts.extend(added_by(Share::new(index, of)?, leaves)?);
        }
        for dropped in parts.keys().copied().collect::<Vec<_>>() {
            let mut others = parts.clone();
            others.remove(&dropped);
            assert!(joined(&others, leaves)?.is_none(), "without {dropped}");
        }
    }
    Ok(())
}

#[test]
fn the_order_shows_in_the_bits() -> Result<()> {
    let in_a_row = (1..23).try_fold(leaf(0), |sum, index| added(sum, &leaf(index)))?;
    assert_ne!(bits(&in_a_row), bits(&alone(23)?));
    let small = added(leaf(0), &leaf(1))?;
    assert_eq!(bits(&small), bits(&alone(2)?));
    Ok(())
}

#[test]
fn few_subtrees_cover_a_range_and_nothing_else() {
    for leaves in 1..70 {
        let levels = Subtree::root(leaves).width.ilog2() as usize;
        for start in 0..leaves {
            for end in start..=leaves {
                let found = subtrees(start..end, leaves);
                let covered = found.iter().flat_map(|subtree| subtree.range(leaves));
                assert!(covered.eq(start..end), "{start}..{end} of {leaves}");
                assert!(found.len() <= (2 * levels).max(1), "{start}..{end}");
            }
        }
    }
}

#[test]
fn leaves_are_computed_in_order_and_once() -> Result<()> {
    // Depth first, so that one value is kept for each bit that is set in the number of a leaf.
    let order = std::cell::RefCell::new(Vec::new());
    let pass = DataPass {
        name: "test",
        operand: &|| Ok(Vec::new()),
        leaves: 37,
        leaf: &|index| {
            order.borrow_mut().push(index);
            Ok(leaf(index))
        },
    };
    Alone.sum(&pass)?;
    assert!(order.borrow().iter().copied().eq(0..37));
    Ok(())
}

#[test]
fn nothing_and_leaves_of_different_shapes_are_refused() {
    assert!(matches!(alone(0), Err(Error::Setting { .. })));
    let shapes = [vec![0.0; 2], vec![0.0; 3]].map(|values| vec![Array1::from(values).into_dyn()]);
    let [two, three] = shapes;
    assert!(matches!(
        added(two.clone(), &three),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(added(two, &Vec::new()), Err(Error::Shape { .. })));
}
