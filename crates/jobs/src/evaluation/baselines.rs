//! Ways to tell which training points matter that know nothing of the training: what an attribution
//! has to beat.

mod bm25;
mod neighbours;

use anyhow::{Result, ensure};
use influence_core::{Dataset, Values};
use influence_data::{Samples, Target};
use ndarray::{Array2, Axis, concatenate};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    job::Job,
    memory::{self, Taker},
    models::FitSource,
};

/// Points that are read at a time.
const BATCH: usize = 256;

/// A baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Random numbers.
    Random,
    /// 1 for points of the same class, else 0.
    SameLabel,
    /// Minus the squared distance of the inputs.
    NearestInputs,
    /// The cosine of the inputs.
    CosineInputs,
    /// Minus the squared distance of the inputs of the last layer.
    NearestHidden,
    /// The cosine of the inputs of the last layer.
    CosineHidden,
    /// Okapi BM25 of tokens: a text search (Robertson and Zaragoza 2009).
    Bm25,
}

impl Baseline {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::SameLabel => "same label",
            Self::NearestInputs => "nearest inputs",
            Self::CosineInputs => "cosine of inputs",
            Self::NearestHidden => "nearest hidden",
            Self::CosineHidden => "cosine of hidden",
            Self::Bm25 => "BM25",
        }
    }

    /// Shows, one after another, a number `(rows, n)` for each of the first test points and each
    /// training point, the larger the more the training point should help; what the data have no
    /// such numbers for is left out. The method of the job is one that is quickly fitted, such as
    /// the gradient dot product.
    ///
    /// # Errors
    /// When the points cannot be read, or do not fit into memory; whatever `see` reports.
    pub fn each(
        job: &Job,
        rows: usize,
        seed: u64,
        see: &mut dyn FnMut(Self, Array2<f64>) -> Result<()>,
    ) -> Result<()> {
        let (train, test) = (job.train.inner(), job.test.inner());
        let (shape, is_text) = ((rows, train.len()), is_text(train)?);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let numbers = Array2::from_shape_simple_fn(shape, || random.random());
        see(Self::Random, numbers)?;
        if let Some([test, train]) = classes(job, rows)? {
            let is_same =
                |(row, point): (usize, usize)| f64::from(u8::from(test[row] == train[point]));
            see(Self::SameLabel, Array2::from_shape_fn(shape, is_same))?;
        }
        if !is_text {
            let sides = [inputs(job, test, rows)?, inputs(job, train, train.len())?];
            see(
                Self::NearestInputs,
                neighbours::minus_squared_distances(&sides),
            )?;
            see(Self::CosineInputs, neighbours::cosines(sides))?;
        }
        if let Some(sides) = hidden(job, rows)? {
            see(
                Self::NearestHidden,
                neighbours::minus_squared_distances(&sides),
            )?;
            see(Self::CosineHidden, neighbours::cosines(sides))?;
        }
        if is_text {
            let [test, train] = [tokens(test, rows)?, tokens(train, train.len())?];
            see(Self::Bm25, bm25::scores(&test, &train))?;
        }
        Ok(())
    }
}

/// Whether inputs are tokens: integers at several positions.
fn is_text(samples: &Samples) -> Result<bool> {
    let batch = samples.batch(0..1)?;
    let mut inputs = batch.fields()[..samples.inputs()].iter();
    Ok(inputs.all(|field| matches!(field, Values::I64(_)) && field.len() > 1))
}

/// The classes of the first test points and of all training points, if points have one class each.
fn classes(job: &Job, rows: usize) -> Result<Option<[Vec<i64>; 2]>> {
    let (train, test) = (job.train.inner(), job.test.inner());
    let Target::Class { .. } = job.target else {
        return Ok(None);
    };
    let of = |samples: &Samples, count| -> Result<Vec<i64>> {
        let mut classes = Vec::with_capacity(count);
        each_batch(samples, count, |fields| {
            classes.extend(fields[samples.inputs()].integers());
        })?;
        Ok(classes)
    };
    Ok(Some([of(test, rows)?, of(train, train.len())?]))
}

/// All inputs of the first points as one matrix.
fn inputs(job: &Job, samples: &Samples, count: usize) -> Result<Array2<f64>> {
    let one = samples.batch(0..1)?;
    let columns: usize = one.fields()[..samples.inputs()]
        .iter()
        .map(Values::len)
        .sum();
    let taker = Taker {
        key: "compute.memory",
        what: "a copy of the inputs, for neighbours",
        advice: "leave the baselines out with --no-baselines",
    };
    memory::check(
        &job.config.compute,
        taker,
        count * columns * size_of::<f64>(),
    )?;
    let mut numbers = Vec::with_capacity(count * columns);
    each_batch(samples, count, |fields| {
        let inputs = &fields[..samples.inputs()];
        let points = inputs[0].samples().unwrap_or(0);
        let flat: Vec<Vec<f64>> = inputs
            .iter()
            .map(|field| field.floats().collect())
            .collect();
        for point in 0..points {
            for field in &flat {
                let row = field.len() / points;
                numbers.extend_from_slice(&field[point * row..(point + 1) * row]);
            }
        }
    })?;
    Ok(Array2::from_shape_vec((count, columns), numbers)?)
}

/// What the model gives to its last layer, of the first test points and of all training points;
/// none of a model that ends in no linear map.
fn hidden(job: &Job, rows: usize) -> Result<Option<[Array2<f64>; 2]>> {
    let influence = job
        .model
        .influence(&job.fit_settings()?, &job.train, FitSource::Fit)?;
    let of = |samples: &Samples, count: usize| -> Result<Option<Array2<f64>>> {
        let mut parts = Vec::new();
        for start in (0..count).step_by(BATCH) {
            let batch = samples.batch(start..(start + BATCH).min(count))?;
            let Some(part) = influence.source().last_hidden(&batch)? else {
                return Ok(None);
            };
            parts.push(part);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(Some(concatenate(Axis(0), &views)?))
    };
    let (test, train) = (job.test.inner(), job.train.inner());
    let sides = of(test, rows)?.zip(of(train, train.len())?);
    Ok(sides.map(|(test, train)| [test, train]))
}

/// The tokens of the first points, of all inputs.
fn tokens(samples: &Samples, count: usize) -> Result<Vec<Vec<i64>>> {
    let mut all = vec![Vec::new(); count];
    let mut start = 0;
    each_batch(samples, count, |fields| {
        for field in &fields[..samples.inputs()] {
            let numbers: Vec<i64> = field.integers().collect();
            let points = field.samples().unwrap_or(0).max(1);
            let rows = numbers.chunks(numbers.len() / points);
            for (point, row) in rows.enumerate() {
                all[start + point].extend_from_slice(row);
            }
        }
        start += fields[0].samples().unwrap_or(0);
    })?;
    Ok(all)
}

/// Shows the fields of the first points, batch by batch.
fn each_batch(samples: &Samples, count: usize, mut see: impl FnMut(&[Values])) -> Result<()> {
    ensure!(
        count <= samples.len(),
        "there are {} points, got {count}",
        samples.len()
    );
    for start in (0..count).step_by(BATCH) {
        see(samples.batch(start..(start + BATCH).min(count))?.fields());
    }
    Ok(())
}
