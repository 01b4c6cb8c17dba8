//! The derivative of a training in segments: SOURCE.
//!
//! Influence functions say how a minimum moves. A training is no minimum: it ends early, and its
//! curvature changes on the way. SOURCE follows the training itself, but not step by step. It cuts
//! the training into few segments, and takes gradients and curvature as constant in each.
//!
//! Let `w_i` be the weights of the training points, all 1, `ρ` the weight decay and `η_t` the
//! learning rates. A batch stands for all points, so that a step is
//!
//! ```text
//! θ_{t+1} = θ_t − η_t ( 1/n Σ_i w_i ∇ℓ_i(θ_t) + ρ θ_t )
//! ```
//!
//! and the derivative `d_t = ∂θ_t/∂w_i`, of length `dim`, follows the recursion
//!
//! ```text
//! d_{t+1} = ( I − η_t (H_t + ρ I) ) d_t − η_t/n g_t(i)
//! ```
//!
//! with the curvature `H_t`, the mean over the training points, and the gradient `g_t(i)` of point
//! `i`. In segment `l` both are constant: the means `H_l` and `g_l(i)` over its checkpoints. Let
//! `T_l = Σ η_t` over its steps be its time. For small steps the product of the matrices is an
//! exponential, and the sum over the steps is an integral:
//!
//! ```text
//! d ← S_l d − 1/n F_l g_l(i)      S_l = exp(−T_l (H_l + ρ I))
//!                                 F_l = ∫ exp(−t (H_l + ρ I)) dt from 0 to T_l
//!                                     = (I − S_l) (H_l + ρ I)⁻¹
//! ```
//!
//! After the last of `L` segments `τ[j, i] = −n ⟨∇m_j, d⟩` for the measurement `m_j` of a test
//! point, with the sign and the scale of other methods:
//!
//! ```text
//! τ[j, i] = Σ_l ⟨ v_l, g_l(i) ⟩    v_l = F_l S_{l+1} … S_L ∇m_j(θ_T)
//! ```
//!
//! The matrices of different segments do not commute, and the curvature is symmetric, so that they
//! are applied to `∇m_j` from the last segment backwards. The factor of a test point is `L` vectors
//! of length `dim`. A gradient is that at each checkpoint, and the scores of the checkpoints of a
//! segment are averaged.
//!
//! Both matrices are functions of the curvature: along an eigenvector with the eigenvalue `σ` (`ρ`
//! included) `S` has `exp(−T σ)`, and `F` has `(1 − exp(−T σ)) / σ`, which is `T` for `σ = 0`. So
//! nothing is damped. Where `T σ` is large, `F` is the inverse, as in influence functions; where it
//! is small, `F` is `T`, as in the sum of gradient products along the training (`TracIn`). The
//! length of the training decides which directions count.
//!
//! Momentum `μ` takes each gradient `1 / (1 − μ)` times in the long run, which multiplies the time.
//! Optimisers that divide by the size of gradients, such as Adam, have other recursions.
//!
//! Bae, Lin, Lorraine and Grosse, *Training data attribution via approximate unrolled
//! differentiation*, 2024, section 3.

use ndarray::{Array2, ArrayD, ArrayView2, Axis, s};

use super::{
    FactorForm, Footprint, GradientSource, GroupBatch, InfluenceModel, axes::joined, finite,
};
use crate::{
    Error, Precision, Result, Rows, ThreadSafe,
    block::Block,
    solver::{Prepared, Report, Solution, Status},
};

/// Stacks of rows that are held while factors are computed.
const STACKS: usize = 6;

/// The curvature of a block, before any damping.
pub type BlockCurvature<R> = (Block, Box<dyn Prepared<R>>);

/// A part of a training in which gradients and curvature are taken as constant.
#[derive(Debug)]
pub struct TrainingSegment<G: GradientSource> {
    /// The sum of the learning rates of its steps, over `1 − momentum`.
    pub time: f64,
    /// The curvature of each block, mean over training points and checkpoints, without weight
    /// decay. Parameters in no block have no influence.
    pub curvature: Vec<BlockCurvature<G::Rows>>,
    /// The model at each of its checkpoints.
    pub checkpoints: Vec<G>,
}

/// The influences of training points on a training in segments, see the head of this module's
/// source: factors are a vector for each segment, gradients one for each checkpoint.
///
/// # References
/// Bae, Lin, Lorraine and Grosse, *Training data attribution via approximate unrolled
/// differentiation*, 2024.
#[derive(Debug)]
pub struct SegmentedUnrolling<G: GradientSource> {
    end: G,
    segments: Vec<TrainingSegment<G>>,
    weight_decay: f64,
}

impl<G: GradientSource> TrainingSegment<G> {
    fn check(&self, dim: usize) -> Result<()> {
        let setting = |name, requirement, got: String| Error::Setting {
            name,
            requirement,
            got,
        };
        if !self.time.is_finite() || self.time < 0.0 {
            let got = self.time.to_string();
            return Err(setting("time", "finite and not negative", got));
        }
        if self.checkpoints.is_empty() || self.curvature.is_empty() {
            let requirement = "at least one checkpoint and one block";
            return Err(setting("segment", requirement, "none".into()));
        }
        for source in &self.checkpoints {
            Error::check_size("checkpoints", "parameters", dim, source.dim())?;
        }
        for (block, prepared) in &self.curvature {
            Error::check_size("block curvature", "dimension", block.dim(), prepared.dim())?;
            block
                .columns()
                .iter()
                .try_for_each(|range| Error::check_range(range, dim))?;
        }
        Ok(())
    }

    /// Rows times a function of the curvature, block by block.
    fn times_function(&self, function: &dyn Fn(f64) -> f64, rows: &G::Rows) -> Result<G::Rows> {
        let mut parts = Vec::with_capacity(self.curvature.len());
        for (block, prepared) in &self.curvature {
            let part = rows.columns(block.columns())?;
            parts.push((block.columns(), prepared.times_function(function, &part)?));
        }
        G::Rows::assemble(rows.dim(), &parts)
    }

    /// `S v` for rows `v`.
    fn decayed(&self, weight_decay: f64, rows: &G::Rows) -> Result<G::Rows> {
        let decay = |eigenvalue: f64| (-self.time * (eigenvalue + weight_decay)).exp();
        self.times_function(&decay, rows)
    }

    /// `F v` for rows `v`.
    fn responses(&self, weight_decay: f64, rows: &G::Rows) -> Result<G::Rows> {
        let response = |eigenvalue: f64| response(self.time, eigenvalue + weight_decay);
        self.times_function(&response, rows)
    }
}

/// `(1 − exp(−T σ)) / σ`, and `T` for `σ = 0`.
fn response(time: f64, eigenvalue: f64) -> f64 {
    let product = time * eigenvalue;
    if product.abs() < f64::EPSILON {
        time
    } else {
        -(-product).exp_m1() / eigenvalue
    }
}

impl<G: GradientSource> SegmentedUnrolling<G> {
    /// Joins the model at the end of the training with its segments, in the order of the training.
    ///
    /// # Errors
    /// [`Error::Setting`] without any segment, or for one without checkpoints or curvature or with
    /// a negative time; [`Error::Shape`] and [`Error::OutOfRange`] for parts that do not fit the
    /// parameters.
    pub fn new(end: G, segments: Vec<TrainingSegment<G>>, weight_decay: f64) -> Result<Self> {
        if segments.is_empty() {
            return Err(Error::Setting {
                name: "segments",
                requirement: "at least one",
                got: "none".into(),
            });
        }
        for segment in &segments {
            segment.check(end.dim())?;
        }
        Ok(Self {
            end,
            segments,
            weight_decay,
        })
    }

    /// The model at the end of the training.
    pub fn end(&self) -> &G {
        &self.end
    }

    fn checkpoints(&self) -> impl Iterator<Item = &G> {
        self.segments
            .iter()
            .flat_map(|segment| &segment.checkpoints)
    }

    /// `v_l` of each segment, for gradients `(k, dim)` of measurements at the end.
    fn unrolled(&self, measured: G::Rows) -> Result<Vec<G::Rows>> {
        let mut factors = Vec::with_capacity(self.segments.len());
        let mut rows = measured;
        for (place, segment) in self.segments.iter().enumerate().rev() {
            factors.push(segment.responses(self.weight_decay, &rows)?);
            if place > 0 {
                rows = segment.decayed(self.weight_decay, &rows)?;
            }
        }
        factors.reverse();
        Ok(factors)
    }

    /// The factors of gradients `(k, dim)` of measurements at the end.
    fn factors_of(&self, measured: &G::Rows) -> Result<Solution<Vec<G::Rows>>> {
        let mut spoilt = finite::spoilt(measured)?;
        let rows = self.unrolled(finite::cleared(measured, &spoilt)?)?;
        for rows in &rows {
            spoilt.extend(finite::spoilt(rows)?);
        }
        let report = |row| Report {
            iterations: 0,
            residual: 0.0,
            status: if spoilt.contains(&row) {
                Status::NotFinite
            } else {
                Status::Converged
            },
        };
        let reports = (0..measured.len()).map(report).collect();
        Ok(Solution { rows, reports })
    }

    /// The sum over segments of the mean of `score` over their checkpoints; it takes the factors of
    /// the segment and the number of the checkpoint among all.
    fn sum(
        &self,
        factors: &[G::Rows],
        score: impl Fn(&G, &G::Rows, usize) -> Result<ArrayD<f64>>,
    ) -> Result<ArrayD<f64>> {
        let (mut sum, mut number): (Option<ArrayD<f64>>, usize) = (None, 0);
        for (segment, rows) in self.segments.iter().zip(factors) {
            let share = 1.0 / segment.checkpoints.len() as f64;
            for source in &segment.checkpoints {
                let scores = score(source, rows, number)? * share;
                sum = Some(match sum {
                    None => scores,
                    Some(sum) => sum + scores,
                });
                number += 1;
            }
        }
        Ok(sum.unwrap_or_default())
    }
}

impl<G: GradientSource> InfluenceModel for SegmentedUnrolling<G> {
    type Batch = G::Batch;
    /// Those at each checkpoint.
    type Gradients = Vec<G::Gradients>;
    /// Those of each segment.
    type Factors = Vec<G::Rows>;

    fn dim(&self) -> usize {
        self.end.dim()
    }

    /// A factor joins those of all segments.
    fn factor_len(&self) -> usize {
        self.segments.len() * self.dim()
    }

    fn precision(&self) -> Precision {
        self.end.precision()
    }

    fn gradients(&self, batch: &G::Batch) -> Result<Vec<G::Gradients>> {
        let checkpoints = self.checkpoints();
        checkpoints.map(|source| source.gradients(batch)).collect()
    }

    fn factors(&self, batch: &G::Batch) -> Result<Solution<Vec<G::Rows>>> {
        self.factors_of(&self.end.measurement_rows(batch)?)
    }

    fn group_factors(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Solution<Vec<G::Rows>>> {
        self.factors_of(&groups.sum(|batch| self.end.measurement_rows(batch))?)
    }

    fn group_gradients(&self, groups: &GroupBatch<'_, G::Batch>) -> Result<Vec<G::Gradients>> {
        let checkpoints = self.checkpoints();
        checkpoints
            .map(|source| source.group_gradients(groups))
            .collect()
    }

    fn scores(&self, factors: &Vec<G::Rows>, gradients: &Vec<G::Gradients>) -> Result<ArrayD<f64>> {
        self.sum(factors, |source, rows, number| {
            source.scores(rows, &gradients[number])
        })
    }

    fn self_scores(
        &self,
        factors: &Vec<G::Rows>,
        gradients: &Vec<G::Gradients>,
    ) -> Result<ArrayD<f64>> {
        self.sum(factors, |source, rows, number| {
            source.self_scores(rows, &gradients[number])
        })
    }

    /// The factors of all segments side by side, `(k, segments · dim)`.
    fn factors_to_array(&self, factors: &Vec<G::Rows>) -> Result<Array2<f64>> {
        joined(factors.iter().map(G::Rows::to_host))
    }

    fn factors_from_array(&self, array: ArrayView2<'_, f64>) -> Result<Vec<G::Rows>> {
        let length = array.len_of(Axis(1));
        Error::check_size("factors", "vector length", self.factor_len(), length)?;
        let starts = (0..self.segments.len()).map(|segment| segment * self.dim());
        let rows = starts.map(|start| array.slice(s![.., start..start + self.dim()]));
        rows.map(|rows| self.end.rows(rows)).collect()
    }

    fn footprint(&self, sample: &G::Batch, _form: FactorForm) -> Result<Footprint> {
        let zero = self.end.rows(Array2::zeros((1, self.dim())).view())?;
        let one = self.end.footprint(sample, &zero)?;
        let one = Footprint {
            immediate: true,
            ..one.with_solver(STACKS)
        };
        Ok(one.of_checkpoints(self.checkpoints().count()))
    }

    fn perturbations(&self, factors: &Vec<G::Rows>, train: &G::Batch) -> Result<ArrayD<f64>> {
        self.sum(factors, |source, rows, _| {
            source.mixed_products(rows, train)
        })
    }

    fn input_shape(&self, sample: &G::Batch) -> Result<Vec<usize>> {
        self.end.input_shape(sample)
    }
}

impl<G: GradientSource + ThreadSafe> ThreadSafe for SegmentedUnrolling<G> {}
