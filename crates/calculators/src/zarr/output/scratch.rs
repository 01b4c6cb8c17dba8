use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use influence_core::{ChunkGrid, Precision};
use ndarray::{Array2, ArrayView2, s};

use super::{
    Output,
    claim::Claim,
    declaration::Declaration,
    options::{Compression, ZarrOptions},
};
use crate::{
    Error, Result, RowSource,
    sink::Sink,
    zarr::{
        layout::{FACTORS, SCRATCH},
        read::StoredFactors,
    },
};

/// Factors that are kept, beside the influences made of them, to be read again by a later panel or
/// a later run.
pub(crate) struct Scratch {
    output: Output,
    stored: StoredFactors,
    grid: ChunkGrid,
    /// Which rows of chunks are there.
    kept: Vec<AtomicBool>,
}

impl Scratch {
    /// Opens the scratch array of an output, with the factors that an earlier run left there. An
    /// output that is joined has one if it was declared with it, and `None` otherwise.
    pub(crate) fn within(
        whole: &Output,
        grid: ChunkGrid,
        precision: Precision,
    ) -> Result<Option<Self>> {
        let mut output = match Self::declare(whole, &grid, precision) {
            Err(Error::NotDeclared { .. }) => return Ok(None),
            output => output?,
        };
        let [down, across] = grid.counts();
        output.attach(&(), &[0..down, 0..across])?;
        // Rows whose reports came to harm must be solved again, since only solving makes reports.
        let has =
            |row| whole.is_reported(row) && (0..across).all(|column| output.has([row, column]));
        let kept = (0..down).map(|row| AtomicBool::new(has(row)));
        Ok(Some(Self {
            kept: kept.collect(),
            stored: StoredFactors::at(whole.group().within(SCRATCH))?,
            output,
            grid,
        }))
    }

    /// Declares the scratch array of an output.
    pub(crate) fn declare(
        whole: &Output,
        grid: &ChunkGrid,
        precision: Precision,
    ) -> Result<Output> {
        let claim = Claim::within(whole.group().within(SCRATCH), whole.joins())?;
        let declaration = Declaration {
            layout: FACTORS,
            grid: grid.clone(),
            axes: Vec::new(),
            precision,
            solves: false,
        };
        // The digits of factors do not compress, and they are not kept for long.
        let options = ZarrOptions::default().with_compression(Compression::None);
        Output::declare(claim, declaration, &options)
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        // Whoever asks for a row that is being written solves it too, and writes the same.
        self.kept
            .get(row)
            .is_some_and(|kept| kept.load(Ordering::Acquire))
    }

    /// Keeps the factors of a row of chunks.
    pub(crate) fn keep(&self, row: usize, values: &ArrayView2<'_, f64>) -> Result<()> {
        for column in 0..self.grid.counts()[1] {
            let chunk = self.grid.chunk([row, column]);
            let part = values.slice(s![.., chunk.columns.clone()]);
            self.output.deliver(&chunk, part.into_dyn())?;
        }
        if let Some(kept) = self.kept.get(row) {
            kept.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl RowSource for Scratch {
    fn len(&self) -> usize {
        self.stored.len()
    }

    fn dim(&self) -> usize {
        self.stored.dim()
    }

    fn rows(&self, range: Range<usize>) -> Result<Array2<f64>> {
        self.stored.rows(range)
    }
}
