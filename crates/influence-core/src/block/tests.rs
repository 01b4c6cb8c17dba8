use super::*;
use crate::Rows;

fn layout() -> ParameterLayout {
    let shapes: [(&str, &[usize]); 5] = [
        ("conv.weight", &[2, 3]),
        ("conv.bias", &[2]),
        ("scale", &[]),
        ("head.weight", &[4, 1]),
        ("head.bias", &[1]),
    ];
    let parameter = |(name, shape): (&str, &[usize])| Parameter {
        name: name.to_owned(),
        shape: shape.to_vec(),
    };
    ParameterLayout::new(shapes.into_iter().map(parameter).collect())
}

fn interleaved() -> CustomBlocks {
    CustomBlocks::new([
        ("odd", vec!["head.bias", "conv.bias"]),
        ("rest", vec!["head.weight", "conv.weight", "scale"]),
    ])
}

#[test]
fn columns_follow_the_order_of_parameters() {
    let layout = layout();
    assert_eq!((layout.dim(), layout.parameters().len()), (14, 5));
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|index| layout.columns(index)),
        [0..6, 6..8, 8..9, 9..13, 13..14, 14..14]
    );
    assert_eq!(ParameterLayout::new(Vec::new()).dim(), 0);
}

#[test]
fn every_structure_tiles_the_parameters_and_reassembles_vectors() -> Result<()> {
    let layout = layout();
    let rows = crate::testing::random((2, layout.dim()), 1);
    let structures = [
        BlockStructure::Full,
        BlockStructure::LayerWise,
        BlockStructure::ParameterWise,
        BlockStructure::Custom(interleaved()),
    ];
    for structure in structures {
        let blocks = structure.resolve(&layout)?;
        assert_eq!(
            blocks.iter().map(Block::dim).sum::<usize>(),
            layout.dim(),
            "{structure:?}"
        );
        let mut parts = Vec::new();
        for block in &blocks {
            assert!(
                block
                    .columns()
                    .windows(2)
                    .all(|pair| pair[0].end < pair[1].start),
                "neighbours are joined"
            );
            assert!(block.parameters().is_sorted());
            parts.push((block.columns(), rows.columns(block.columns())?));
        }
        assert_eq!(
            ndarray::Array2::assemble(layout.dim(), &parts)?,
            rows,
            "{structure:?}"
        );
    }
    Ok(())
}

#[test]
fn layers_are_named_by_their_path() -> Result<()> {
    let blocks = BlockStructure::LayerWise.resolve(&layout())?;
    assert_eq!(
        blocks.iter().map(Block::name).collect::<Vec<_>>(),
        ["conv", "", "head"]
    );
    assert_eq!(blocks[0].columns(), std::slice::from_ref(&(0..8)));
    assert_eq!(
        BlockStructure::default().resolve(&layout())?[0].name(),
        "full"
    );
    Ok(())
}

#[test]
fn blocks_that_do_not_tile_are_refused_by_name() {
    let resolve = |blocks: CustomBlocks| BlockStructure::Custom(blocks).resolve(&layout());
    let overlap = resolve(CustomBlocks::new([("a", ["scale"]), ("b", ["scale"])]));
    assert!(
        matches!(overlap, Err(Error::BlockOverlap { first, second, .. }) if (first.as_str(), second.as_str()) == ("a", "b"))
    );
    let incomplete = resolve(CustomBlocks::new([("a", ["scale"])]));
    assert!(
        matches!(incomplete, Err(Error::BlockIncomplete { parameters }) if parameters.len() == 4)
    );
    assert!(
        resolve(CustomBlocks::new([("a", ["scale"])]).ignoring_rest())
            .is_ok_and(|blocks| blocks[0].dim() == 1)
    );
    let misspelt = resolve(CustomBlocks::new([("a", ["sclae"])]));
    assert!(matches!(misspelt, Err(Error::UnknownName { name, .. }) if name == "sclae"));
    assert!(matches!(
        resolve(CustomBlocks::new([("a", ["scale"]), ("a", ["conv.bias"])])),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        resolve(CustomBlocks::new([("a", Vec::<String>::new())])),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        BlockStructure::Full.resolve(&ParameterLayout::new(Vec::new())),
        Err(Error::Setting { .. })
    ));
}

#[test]
fn damping_by_block_must_name_every_block_and_no_other() -> Result<()> {
    let blocks = BlockStructure::Custom(interleaved()).resolve(&layout())?;
    let all: Vec<&Block> = blocks.iter().collect();
    let lambdas = |damping: &Damping| -> Result<Vec<Option<f64>>> {
        let of_block = |(damping, block): (BlockDamping, &&Block)| {
            Ok(damping.shift(block, || Ok(f64::NAN))?.uniform())
        };
        damping
            .resolve(&all)?
            .into_iter()
            .zip(&all)
            .map(of_block)
            .collect()
    };
    let per_block = |names: &[&str]| {
        let by_name = names
            .iter()
            .enumerate()
            .map(|(index, name)| ((*name).to_owned(), Strength::Absolute(index as f64)))
            .collect();
        lambdas(&Damping::PerBlock(by_name))
    };
    assert_eq!(lambdas(&Damping::from(0.5))?, [Some(0.5), Some(0.5)]);
    assert_eq!(per_block(&["rest", "odd"])?, [Some(1.0), Some(0.0)]);
    assert!(matches!(per_block(&["rest"]), Err(Error::UnknownName { name, .. }) if name == "odd"));
    assert!(
        matches!(per_block(&["rest", "odd", "even"]), Err(Error::UnknownName { name, .. }) if name == "even")
    );
    Ok(())
}
