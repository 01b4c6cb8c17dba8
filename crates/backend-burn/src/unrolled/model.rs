use std::ops::Range;

use influence_core::{
    Error as CoreError, FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel,
    Precision, Result as CoreResult, ScoringFootprint, ThreadSafe, Values,
    solver::{Report, Solution, Status},
};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, s};

use super::{
    TrainingSteps, UpdateRule,
    states::{FollowedTraining, bytes, stride},
};
use crate::{Batch, Error, ModelGradients, Result, observe::FitProgress, tensors::host};

/// The influence model of a training that is unrolled: each factor is a whole row of influences,
/// one number for each training sample, and the score of a sample is its number.
///
/// Batches of training samples must say [where](Batch::start) in the training data they begin.
///
/// # References
/// Ilyas and Engstrom, *MAGIC: near-optimal data attribution for deep learning*, 2025.
#[derive(Debug)]
pub struct Unrolled {
    training: FollowedTraining,
}

impl Unrolled {
    /// Goes through the training; its states may take this many bytes.
    pub(crate) fn new(
        source: ModelGradients,
        descent: TrainingSteps,
        memory: usize,
        watch: FitProgress,
    ) -> CoreResult<Self> {
        Ok(Self {
            training: FollowedTraining::new(source, descent, memory, watch)?,
        })
    }

    /// The parameters at the end of the training side by side, in the order of the layout.
    ///
    /// # Errors
    /// [`Error::Backend`](CoreError::Backend) when the transfer fails.
    pub fn trained(&self) -> CoreResult<Vec<f64>> {
        host(&self.training.end.parameters)
    }

    /// The parameters whose gradients come from batches of one, which is slow.
    pub fn untapped(&self) -> impl Iterator<Item = &str> {
        self.training.source.untapped()
    }

    /// Memory and cost per sample for a model of `dim` parameters, trained on `samples` such as
    /// these.
    pub fn footprint_of(
        (dim, precision): (usize, Precision),
        (samples, sample): (usize, &Batch),
        rule: UpdateRule,
    ) -> Footprint {
        /// Adjoints of the parameters and by the gradient, products with the Hessian, what is
        /// joined of them, and what is between.
        const STACKS: usize = 6;
        let vector = dim.saturating_mul(precision.bytes());
        let row = samples * size_of::<f64>();
        let numbers = sample.fields().iter().map(Values::len);
        let read = numbers.sum::<usize>() / sample.len().max(1) * size_of::<f64>();
        Footprint {
            factor: row,
            gradient: size_of::<usize>(),
            solving: row + vector.saturating_mul(STACKS + rule.moments()),
            differentiating: 2 * read,
            scoring: ScoringFootprint {
                per_test: 0,
                per_train: 0,
                per_pair: size_of::<f64>(),
            },
            gradient_flops: 1.0,
            score_flops: 1.0,
            ..Footprint::dense(dim, precision)
        }
    }

    /// The bytes that the states of a training of this many steps take, where `memory` is granted
    /// to them: those that are kept, and those from one of them to the next.
    pub fn fit_bytes(
        size: (usize, Precision),
        rule: UpdateRule,
        steps: usize,
        memory: usize,
    ) -> usize {
        let bytes = bytes(size, rule);
        let stride = stride(bytes, steps, memory);
        bytes.saturating_mul(steps.div_ceil(stride) + stride)
    }

    /// Where the samples of a batch are in the training data, which must hold the same there.
    fn positions(&self, batch: &Batch) -> Result<Range<usize>> {
        let descent = &self.training.descent;
        let unknown = || Error::NotOfTheTraining {
            samples: descent.samples,
        };
        let start = batch.start().ok_or_else(unknown)?;
        let range = start..start + batch.len();
        if range.end > descent.samples {
            return Err(unknown());
        }
        let own = (descent.gather)(&range.clone().collect::<Vec<_>>())?;
        if own.fields() == batch.fields() {
            Ok(range)
        } else {
            Err(unknown())
        }
    }

    fn solution(&self, influences: Array2<f64>) -> Solution<Array2<f64>> {
        let report = |row: ndarray::ArrayView1<'_, f64>| Report {
            iterations: self.training.descent.steps.len(),
            residual: 0.0,
            status: if row.iter().all(|value| value.is_finite()) {
                Status::Converged
            } else {
                Status::NotFinite
            },
        };
        Solution {
            reports: influences.rows().into_iter().map(report).collect(),
            rows: influences,
        }
    }
}

impl ThreadSafe for Unrolled {}

impl InfluenceModel for Unrolled {
    type Batch = Batch;
    /// The positions of training samples.
    type Gradients = Range<usize>;
    /// Influences, `(k, n)`.
    type Factors = Array2<f64>;

    fn dim(&self) -> usize {
        self.training.source.layout().dim()
    }

    /// The number of training samples.
    fn factor_len(&self) -> usize {
        self.training.descent.samples
    }

    fn precision(&self) -> Precision {
        self.training.source.precision
    }

    fn gradients(&self, batch: &Batch) -> CoreResult<Range<usize>> {
        Ok(self.positions(batch)?)
    }

    fn factors(&self, batch: &Batch) -> CoreResult<Solution<Array2<f64>>> {
        Ok(self.solution(
            self.training
                .influences(|end| end.measurement_rows(batch))?,
        ))
    }

    fn group_factors(&self, groups: &GroupBatch<'_, Batch>) -> CoreResult<Solution<Array2<f64>>> {
        let of_groups = |end: &ModelGradients| groups.sum(|batch| end.measurement_rows(batch));
        Ok(self.solution(self.training.influences(of_groups)?))
    }

    fn scores(&self, factors: &Array2<f64>, gradients: &Range<usize>) -> CoreResult<ArrayD<f64>> {
        CoreError::check_range(gradients, factors.ncols())?;
        let scores = factors.slice(s![.., gradients.clone()]);
        Ok(scores.to_owned().into_dyn())
    }

    fn self_scores(
        &self,
        factors: &Array2<f64>,
        gradients: &Range<usize>,
    ) -> CoreResult<ArrayD<f64>> {
        CoreError::check_size("self scores", "rows", gradients.len(), factors.nrows())?;
        let scores = self.scores(factors, gradients)?;
        let own = (0..gradients.len()).map(|row| scores[[row, row]]);
        Ok(ndarray::Array1::from_iter(own).into_dyn())
    }

    fn factors_to_array(&self, factors: &Array2<f64>) -> CoreResult<Array2<f64>> {
        Ok(factors.clone())
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> CoreResult<Array2<f64>> {
        CoreError::check_size(
            "factors",
            "numbers",
            self.factor_len(),
            array.len_of(Axis(1)),
        )?;
        Ok(array.to_owned())
    }

    fn footprint(&self, sample: &Batch, _form: FactorForm) -> CoreResult<Footprint> {
        let descent = &self.training.descent;
        Ok(Self::footprint_of(
            (self.dim(), self.precision()),
            (descent.samples, sample),
            descent.rule,
        ))
    }
}
