use std::collections::{BTreeMap, btree_map::Entry};

use anyhow::Result;
use influence_jobs::queries::{About, Opinion, Points};

use super::picture::{Picture, Size};

/// The points that are shown, drawn where they are images.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    pub(super) train: BTreeMap<usize, Picture>,
    pub(super) test: BTreeMap<usize, Picture>,
}

impl Pictures {
    /// Draws every point that is shown, all in one scale of brightness.
    pub(super) fn draw(
        about: &About<'_>,
        size: Option<Size>,
        opinions: &[Opinion],
        suspects: &[Vec<usize>],
    ) -> Result<Self> {
        let ranked = opinions
            .iter()
            .flat_map(|opinion| [&opinion.helpful, &opinion.harmful]);
        let ranked = ranked.flat_map(|ranking| &ranking.indices);
        let train = inputs(&about.train, ranked.chain(suspects.iter().flatten()))?;
        let test = inputs(
            &about.test.points,
            opinions.iter().map(|opinion| &opinion.test),
        )?;
        let numbers = train.values().chain(test.values()).flatten();
        let range = numbers.fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], &value| {
            [lo.min(value), hi.max(value)]
        });
        let columns = about.train.columns();
        let drawn = |inputs: BTreeMap<usize, Vec<f64>>| -> Result<BTreeMap<usize, Picture>> {
            let drawn = inputs
                .into_iter()
                .map(|(point, input)| Ok((point, Picture::new(&input, columns, size, range)?)));
            drawn.collect()
        };
        Ok(Self {
            train: drawn(train)?,
            test: drawn(test)?,
        })
    }
}

fn inputs<'a>(
    points: &Points<'_>,
    wanted: impl Iterator<Item = &'a usize>,
) -> Result<BTreeMap<usize, Vec<f64>>> {
    let mut inputs = BTreeMap::new();
    for &point in wanted {
        if let Entry::Vacant(entry) = inputs.entry(point) {
            points.input(point)?.map(|input| entry.insert(input));
        }
    }
    Ok(inputs)
}
