mod scale;

use std::sync::Arc;

use ndarray::Array1;
use rand::RngExt;

use super::{
    Inverse, PreconditionedSolver, Prepared, Report, Solution, Solver, State, Status, check_count,
    check_fraction, checked_host, near_inverse, product, subspace::gram_norms,
};
use crate::{
    Error, Precision, Result, Rows,
    linalg::norm,
    operator::{Damped, Estimate, LinearOperator, Shift},
    random,
};
use scale::{POWER_VECTORS, preconditioned_top, top_eigenvalue};

/// A stochastic Neumann series: each step sees one batch of the data.
///
/// ```text
/// x ← x + M (b − (A_batch + λI) x) / scale,    begun at M b / scale
/// ```
///
/// `M` is the identity, or a preconditioner, an approximate inverse of `A + λI`.
///
/// Batches are drawn independently and `A_batch` is scaled so that its mean is `A`: then the
/// expected iterate obeys the series of the whole operator, which it would not with each batch once
/// per pass. The iterates of the last half of a repeat are averaged, and so are the repeats, since
/// the noise of the batches does not die out by itself. The scale must exceed the largest
/// eigenvalue that `M (A_batch + λI)` has for any batch, or the series diverges; unless one is
/// given it is estimated by power iterations: without a preconditioner when the solver is prepared,
/// with one for each damping. A step moves along an eigenvector of eigenvalue
/// `μ` by the fraction `(μ + λ) / scale`, so small dampings need many steps without a
/// preconditioner: [`ConjugateGradient`](super::ConjugateGradient) needs far fewer passes over the
/// data, and this is here for comparison with the literature.
///
/// One application of the whole operator at the end gives the true residual. A row that is above
/// the tolerance reports [`Status::IterationLimit`](super::Status::IterationLimit), one that grew
/// without bound [`Status::Diverged`](super::Status::Diverged) and is zero.
///
/// # References
/// Agarwal, Bullins and Hazan, *Second-order stochastic optimization for machine learning in linear
/// time*, 2017; Koh and Liang, *Understanding black-box predictions via influence functions*, 2017,
/// section 3. We differ in averaging the tail (Polyak and Juditsky, 1992) and in the scale. With
/// EK-FAC as preconditioner: Wang et al., *Better training data attribution via better inverse
/// Hessian-vector products* (ASTRA), 2025.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use influence_core::{operator::Matrix, solver::{Lissa, Solver}};
/// use ndarray::array;
///
/// let op = Arc::new(Matrix::new(array![[4.0, 1.0], [1.0, 3.0]])?);
/// let inverse = Lissa::new().with_depth(200)?.with_rtol(1e-6)?.invert(op, 0.0)?;
/// let solution = inverse.solve(&array![[5.0, 4.0]])?.converged()?;
/// assert!((solution[[0, 0]] - 1.0_f64).abs() < 1e-5);
/// # Ok::<(), influence_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lissa<R: Rows> {
    depth: usize,
    repeats: usize,
    scale: Option<f64>,
    rtol: f64,
    seed: u64,
    full_batch: bool,
    preconditioner: Option<Arc<dyn Solver<R>>>,
}

impl<R: Rows> Default for Lissa<R> {
    fn default() -> Self {
        Self {
            depth: 5000,
            repeats: 1,
            scale: None,
            rtol: 0.01,
            seed: 0,
            full_batch: false,
            preconditioner: None,
        }
    }
}

/// Power iterations come near the largest eigenvalue from below.
const SAFETY: f64 = 1.2;
/// An iterate this many times longer than all right-hand sides added up has diverged.
const GROWTH: f64 = 1e6;
/// A relative residual that no noise explains: the series has diverged.
const LOST: f64 = 100.0;
/// Steps between looks at the growth.
const LOOK: usize = 100;

impl<R: Rows> Lissa<R> {
    /// One repeat of 5,000 steps, an estimated scale, a tolerance of 0.01, the seed 0, and no
    /// preconditioner.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps of a repeat.
    ///
    /// # Errors
    /// [`Error::Setting`] for 0.
    pub fn with_depth(self, depth: usize) -> Result<Self> {
        check_count("depth", depth)?;
        Ok(Self { depth, ..self })
    }

    /// How many repeats, each with other batches, are averaged.
    ///
    /// # Errors
    /// [`Error::Setting`] for 0.
    pub fn with_repeats(self, repeats: usize) -> Result<Self> {
        check_count("repeats", repeats)?;
        Ok(Self { repeats, ..self })
    }

    /// What the curvature is divided by, in place of an estimate.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number that is not finite and positive.
    pub fn with_scale(self, scale: f64) -> Result<Self> {
        if scale.is_finite() && scale > 0.0 {
            let scale = Some(scale);
            return Ok(Self { scale, ..self });
        }
        Err(Error::Setting {
            name: "scale",
            requirement: "finite and positive",
            got: scale.to_string(),
        })
    }

    /// The true relative residual at which a row counts as solved.
    ///
    /// # Errors
    /// [`Error::Setting`] outside the open interval from 0 to 1.
    pub fn with_rtol(self, rtol: f64) -> Result<Self> {
        check_fraction("rtol", rtol)?;
        Ok(Self { rtol, ..self })
    }

    /// What the batches and the vectors of the power iteration are drawn from.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Lets every step see all data: no noise, and steps as expensive as those of conjugate
    /// gradients.
    #[must_use]
    pub fn full_batch(self) -> Self {
        Self {
            full_batch: true,
            ..self
        }
    }

    /// Multiplies each step by an approximate inverse, prepared on the same operator.
    #[must_use]
    pub fn with_preconditioner(self, preconditioner: Arc<dyn Solver<R>>) -> Self {
        Self {
            preconditioner: Some(preconditioner),
            ..self
        }
    }

    fn prepared(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        near: Option<Box<dyn Prepared<R>>>,
        top: f64,
    ) -> Box<dyn Prepared<R>> {
        Box::new(PreparedLissa {
            op,
            settings: self.clone(),
            near,
            top,
        })
    }
}

impl<R: Rows> PreconditionedSolver<R> for Lissa<R> {
    fn preconditioned_by(&self, near: Arc<dyn Solver<R>>) -> Arc<dyn Solver<R>> {
        Arc::new(self.clone().with_preconditioner(near))
    }
}

const TOP: &str = "top_eigenvalue";

impl<R: Rows> Solver<R> for Lissa<R> {
    fn prepare(&self, op: Arc<dyn LinearOperator<Rows = R>>) -> Result<Box<dyn Prepared<R>>> {
        let near = self.preconditioner.as_ref();
        let near = near
            .map(|solver| solver.prepare(Arc::clone(&op)))
            .transpose()?;
        let top = if self.scale.is_some() || near.is_some() {
            0.0
        } else {
            top_eigenvalue(op.as_ref(), self.seed, self.full_batch)?
        };
        Ok(self.prepared(op, near, top))
    }

    fn restore(
        &self,
        op: Arc<dyn LinearOperator<Rows = R>>,
        state: &State,
    ) -> Result<Box<dyn Prepared<R>>> {
        if let Some(solver) = &self.preconditioner {
            let near = solver.restore(Arc::clone(&op), state)?;
            return Ok(self.prepared(op, Some(near), 0.0));
        }
        let top = state.vector(TOP)?.first().copied().unwrap_or_default();
        Ok(self.prepared(op, None, top))
    }

    fn stacks(&self) -> usize {
        9 + self.preconditioner.as_ref().map_or(0, Solver::stacks)
    }

    /// What the preconditioner takes.
    fn fit_bytes(&self, dim: usize, precision: Precision, inverses: usize) -> usize {
        let near = self.preconditioner.as_ref();
        near.map_or(0, |solver| solver.fit_bytes(dim, precision, inverses))
    }

    fn sum_bytes(&self, dim: usize) -> usize {
        match &self.preconditioner {
            Some(solver) => solver.sum_bytes(dim),
            None => product([POWER_VECTORS, dim, size_of::<f64>()]),
        }
    }
}

#[derive(Debug)]
struct PreparedLissa<R: Rows> {
    op: Arc<dyn LinearOperator<Rows = R>>,
    settings: Lissa<R>,
    near: Option<Box<dyn Prepared<R>>>,
    /// The largest eigenvalue of the curvature, without a preconditioner.
    top: f64,
}

impl<R: Rows> Prepared<R> for PreparedLissa<R> {
    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn inverse(&self, damping: f64) -> Result<Box<dyn Inverse<R>>> {
        self.inverse_shifted(&damping.into())
    }

    fn inverse_shifted(&self, shift: &Shift) -> Result<Box<dyn Inverse<R>>> {
        let op = Damped::new(Arc::clone(&self.op), shift.clone())?;
        let near = self.near.as_deref();
        let near = near.map(|near| near_inverse(near, shift)).transpose()?;
        let Lissa {
            seed, full_batch, ..
        } = self.settings;
        let scale = match (self.settings.scale, &near) {
            (Some(scale), _) => scale,
            (None, None) => SAFETY * self.top + shift.largest(),
            (None, Some(near)) => {
                SAFETY * preconditioned_top(&op, near.as_ref(), seed, full_batch)?
            }
        };
        Ok(Box::new(LissaInverse {
            op,
            near,
            scale: scale.max(f64::MIN_POSITIVE),
            settings: self.settings.clone(),
        }))
    }

    fn mean_eigenvalue(&self) -> Result<Estimate> {
        Ok(self.op.trace()?.over(self.op.dim() as f64))
    }

    fn state(&self) -> Result<State> {
        if let Some(near) = &self.near {
            return near.state();
        }
        Ok(State::default().with(TOP, Array1::from(vec![self.top])))
    }
}

#[derive(Debug)]
struct LissaInverse<R: Rows> {
    op: Damped<Arc<dyn LinearOperator<Rows = R>>>,
    near: Option<Box<dyn Inverse<R>>>,
    scale: f64,
    settings: Lissa<R>,
}

impl<R: Rows> Inverse<R> for LissaInverse<R> {
    fn dim(&self) -> usize {
        self.op.dim()
    }

    fn solve(&self, rhs: &R) -> Result<Solution<R>> {
        self.run(rhs, None)
    }

    fn solve_from(&self, rhs: &R, start: &R) -> Result<Solution<R>> {
        Error::check_size("warm start", "rows", rhs.len(), start.len())?;
        Error::check_size("warm start", "vector length", rhs.dim(), start.dim())?;
        self.run(rhs, Some(start))
    }
}

impl<R: Rows> LissaInverse<R> {
    fn run(&self, rhs: &R, start: Option<&R>) -> Result<Solution<R>> {
        let host = checked_host("lissa", self.op.dim(), rhs)?;
        if rhs.is_empty() {
            return Ok(Solution {
                rows: rhs.clone(),
                reports: Vec::new(),
            });
        }
        let mut sum: Option<R> = None;
        let mut steps = 0;
        for repeat in 0..self.settings.repeats {
            let (average, taken) = self.repeat(rhs, start, repeat as u64)?;
            steps += taken;
            let share = vec![1.0 / self.settings.repeats as f64; rhs.len()];
            let average = average.scaled(&share)?;
            sum = Some(match sum {
                None => average,
                Some(sum) => sum.add_scaled(1.0, &average)?,
            });
        }
        let rows = sum.unwrap_or_else(|| rhs.clone());
        let lengths: Vec<f64> = host.outer_iter().map(|row| norm(&row)).collect();
        self.judged(rhs, rows, &lengths, steps)
    }

    /// The average over the last half of the steps of one repeat, and how many were taken.
    fn repeat(&self, rhs: &R, start: Option<&R>, repeat: u64) -> Result<(R, usize)> {
        let Lissa { depth, seed, .. } = self.settings;
        let mut random = random::stream(seed.wrapping_add(repeat));
        let step = 1.0 / self.scale;
        let near = self.near.as_deref();
        let first = near.map(|near| near.precondition(rhs)).transpose()?;
        let first = first.as_ref().unwrap_or(rhs);
        let mut x = match start {
            Some(start) => start.clone(),
            None => first.scaled(&vec![step; rhs.len()])?,
        };
        // Without curvature and damping each step would add M b / scale: an iterate that is far
        // longer than all of these together has diverged.
        let limit =
            GROWTH * gram_norms(first)?.into_iter().fold(0.0, f64::max) * (depth as f64) * step;
        let first_averaged = depth / 2;
        let mut average = x.clone();
        for taken in 0..depth {
            let product = self.product(&x, &mut random)?;
            x = match near {
                None => x.add_scaled(step, rhs)?.add_scaled(-step, &product)?,
                Some(near) => {
                    let residual = rhs.add_scaled(-1.0, &product)?;
                    x.add_scaled(step, &near.precondition(&residual)?)?
                }
            };
            if taken % LOOK == 0 || taken + 1 == depth {
                let lengths = gram_norms(&x)?;
                if lengths
                    .iter()
                    .any(|length| length.is_nan() || *length > limit)
                {
                    return Ok((x, taken + 1));
                }
            }
            if !self.is_noisy() || taken < first_averaged {
                average = x.clone();
            } else {
                let weight = 1.0 / (taken - first_averaged + 1) as f64;
                average = average
                    .scaled(&vec![1.0 - weight; x.len()])?
                    .add_scaled(weight, &x)?;
            }
        }
        Ok((average, depth))
    }

    /// Whether steps see less than all of the data.
    fn is_noisy(&self) -> bool {
        !self.settings.full_batch && self.op.parts() > 1
    }

    /// The product with the operator, or with a batch in its place.
    fn product(&self, x: &R, random: &mut impl RngExt) -> Result<R> {
        if !self.is_noisy() {
            return self.op.apply(x);
        }
        let parts = self.op.parts();
        let batch = random.random_range(0..parts);
        self.op
            .apply_part(batch, x)?
            .scaled(&vec![parts as f64; x.len()])
    }

    /// The rows with their true residuals; those that diverged, and those whose right-hand side is
    /// zero, are zero.
    fn judged(&self, rhs: &R, rows: R, lengths: &[f64], steps: usize) -> Result<Solution<R>> {
        let residuals = gram_norms(&rhs.add_scaled(-1.0, &self.op.apply(&rows)?)?)?;
        let relative = |(&residual, &length): (&f64, &f64)| {
            if length > 0.0 { residual / length } else { 0.0 }
        };
        let relative: Vec<f64> = residuals.iter().zip(lengths).map(relative).collect();
        let diverged = |residual: f64| residual.is_nan() || residual > LOST;
        let is_zero = |(&residual, &length): (&f64, &f64)| diverged(residual) || length <= 0.0;
        let zero: Vec<bool> = relative.iter().zip(lengths).map(is_zero).collect();
        let rows = if zero.contains(&true) {
            let mut host = rows.to_host()?;
            for (mut row, _) in host.outer_iter_mut().zip(&zero).filter(|(_, zero)| **zero) {
                row.fill(0.0);
            }
            rhs.like(host.view())?
        } else {
            rows
        };
        let report = |&residual: &f64| Report {
            iterations: steps,
            residual: if diverged(residual) { 1.0 } else { residual },
            status: match residual {
                residual if diverged(residual) => Status::Diverged,
                residual if residual <= self.settings.rtol => Status::Converged,
                _ => Status::IterationLimit,
            },
        };
        Ok(Solution {
            rows,
            reports: relative.iter().map(report).collect(),
        })
    }
}
