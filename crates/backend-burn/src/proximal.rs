//! The proximal Bregman response: what influence functions of networks approximate, without
//! retraining.
//!
//! Retraining a network without a point ends elsewhere because of its seed, its early end and its
//! many minima, more than because of the point. What influence functions predict is free of all
//! that. Let `θs` be the trained weights, `h_l(θ)` the outputs of training point `l`, `ℓ_l` its
//! loss as a function of them, and
//!
//! ```text
//! D_l(θ) = ℓ_l(h_l(θ)) − ℓ_l(h_l(θs)) − ⟨∇ℓ_l(h_l(θs)), h_l(θ) − h_l(θs)⟩
//! ```
//!
//! the Bregman divergence of the loss: how far the outputs are from those of the trained model. The
//! response to the removal of point `i` minimises, from `θs` on,
//!
//! ```text
//! Q(θ) = (1/n) Σ_l D_l(θ) + ½ (θ − θs)ᵀ diag(λ) (θ − θs) − (1/n) ℓ_i(h_i(θ))
//! ```
//!
//! It unlearns the point, and stays near to what the model says of all points and to its weights.
//! `θs` need be no minimum of anything. The second derivative of the first two terms at `θs` is the
//! Gauss-Newton matrix plus `λ`, so that the influence `(G + λI)⁻¹ g_i / n` is the first term of
//! the response.
//!
//! The gradient needs no more than derivatives by the outputs,
//!
//! ```text
//! ∇Q = (1/n) Σ_l J_lᵀ (∇ℓ_l(h_l(θ)) − ∇ℓ_l(h_l(θs))) + λ (θ − θs) − (1/n) J_iᵀ ∇ℓ_i(h_i(θ))
//! ```
//!
//! in which the two terms of point `i` join to `−J_iᵀ ∇ℓ_i(h_i(θs)) / n`: `Q` is linear in its
//! outputs, and bounded below. Differences are taken by the outputs, so nothing cancels. All of it
//! is from the recorded loss, whatever weights or masks are in it.
//!
//! `Q` is almost quadratic, and the fitted model has the inverse of its second derivative but for
//! the curvature of the point: a step `−(G + λI)⁻¹ ∇Q` leaves a gradient that is smaller by about
//! the leverage of the point. [`Descent`] repeats such steps and learns the rest, so that a few
//! passes over the data suffice, and an approximate inverse does for more of them.
//!
//! Bae, Ng, Lo, Ghassemi and Grosse, *If influence functions are the answer, then what is the
//! question?*, 2022, section 4.

mod descent;

use std::{num::NonZero, thread};

use burn::tensor::Tensor;
use influence_core::{
    Dataset, Error as CoreError, GradientSource, Precision, Result as CoreResult, Rows,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, s};

use crate::{Batch, Influence, ModelGradients, Stack};
use descent::Descent;

const RESPONSE: &str = "proximal response";
/// Points of a batch.
const BATCH: usize = 512;
/// Numbers that the steps of all points which are descended together may take.
const NUMBERS: usize = 1 << 26;

/// Trained weights, the outputs of the training points there, and a fitted influence model by which
/// responses are found.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, TensorData}};
/// use influence_backend_burn::{ArrayDataset, Classification, Curvature, Fit, ProximalBregman};
/// use influence_core::Precision;
///
/// #[derive(Module, Debug)]
/// struct Softmax { layer: Linear }
///
/// let model = Softmax { layer: LinearConfig::new(2, 3).init(&Device::flex()) };
/// let inputs = TensorData::new(vec![0.1_f32, 0.9, 0.8, 0.2, 0.5, 0.4, 0.3, 0.3], [4, 2]);
/// let train = ArrayDataset::new(vec![inputs, TensorData::new(vec![0_i64, 1, 2, 0], [4])])?;
/// let influence = Fit::new(Classification::new(|model: &Softmax, x: Tensor<2>| model.layer.forward(x)))
///     .with_curvature(Curvature::GaussNewton)
///     .with_damping(0.1)
///     .with_precision(Precision::F64)
///     .fit(&model, Arc::new(train.clone()))?;
///
/// let responses = ProximalBregman::new(&influence, &train)?.responses(&[2], &train)?;
/// assert!(responses[0].changes[2] > 0.0); // without it, the loss of the point itself rises
/// assert!(responses[0].gradient < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProximalBregman<'a> {
    influence: &'a Influence,
    batches: Vec<Anchored>,
    samples: usize,
    threads: NonZero<usize>,
    tolerance: f64,
    /// `θs`.
    start: Array1<f64>,
    /// λ of each parameter; those in no block stay where they are and have none.
    damping: Array1<Option<f64>>,
}

/// Training points, with the derivative of their losses by their outputs at `θs`, `(n, c)`.
#[derive(Debug)]
struct Anchored {
    batch: Batch,
    slopes: Tensor<2>,
}

/// The response to the removal of a training point.
#[derive(Debug, Clone)]
pub struct ProximalResponse {
    /// How much the measurement of each test point rises, `(k)`; to first order the influences of
    /// the training point over `n`.
    pub changes: Array1<f64>,
    /// The norm of the gradient at the end, relative to that at the trained weights.
    pub gradient: f64,
    /// Steps that were taken.
    pub iterations: usize,
}

impl<'a> ProximalBregman<'a> {
    /// Anchors responses at the weights of a fitted model, with its λ; they are computed in its
    /// precision. `train` are its training points, which are held in memory.
    ///
    /// The curvature of the model matters to the speed alone, but that it must be positive
    /// semi-definite: [`GaussNewton`](crate::Curvature::GaussNewton), solved as exactly as there is
    /// time for.
    ///
    /// # Errors
    /// [`Backend`](CoreError::Backend) when the task declares no outputs, or its loss depends on
    /// parameters beside them; whatever reading the data reports.
    pub fn new(influence: &'a Influence, train: &dyn Dataset<Batch = Batch>) -> CoreResult<Self> {
        let source = influence.source();
        let anchored = |batch: CoreResult<Batch>| {
            let batch = batch?;
            let slopes = source.output_slopes(&batch)?;
            Ok(Anchored { batch, slopes })
        };
        let mut damping = Array1::from_elem(source.dim(), None);
        for (block, shift) in influence.blocks().zip(influence.dampings()) {
            let mut each = shift.values(block.dim()).into_iter();
            for columns in block.columns() {
                let mut given = damping.slice_mut(s![columns.clone()]);
                given.iter_mut().for_each(|place| *place = each.next());
            }
        }
        Ok(Self {
            influence,
            batches: in_batches(train).map(anchored).collect::<CoreResult<_>>()?,
            samples: train.len(),
            threads: NonZero::<usize>::MIN,
            tolerance: match source.precision() {
                Precision::F32 => 1e-3,
                Precision::F64 => 1e-7,
            },
            start: source.trained_values(),
            damping,
        })
    }

    /// Descends this many points side by side, by default one.
    #[must_use]
    pub fn with_threads(self, threads: NonZero<usize>) -> Self {
        Self { threads, ..self }
    }

    /// Ends at a gradient of this norm relative to the first one, by default 1e-7 and in 32 bits
    /// 1e-3.
    #[must_use]
    pub fn with_tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// The responses to the removal of each of some training points, measured on test points.
    ///
    /// A response that does not get to the tolerance is no error: its
    /// [`gradient`](ProximalResponse::gradient) says how far it is. At kinks, such as those of
    /// `relu`, there may be no smaller one.
    ///
    /// # Errors
    /// [`OutOfRange`](CoreError::OutOfRange) for a point that there is not, otherwise whatever the
    /// backend reports.
    pub fn responses(
        &self,
        points: &[usize],
        test: &dyn Dataset<Batch = Batch>,
    ) -> CoreResult<Vec<ProximalResponse>> {
        for &point in points {
            CoreError::check_range(&(point..point + 1), self.samples)?;
        }
        let tests: Vec<Batch> = in_batches(test).collect::<CoreResult<_>>()?;
        let before = measured(self.influence.source(), &tests)?;
        let together = NUMBERS / (self.start.len() * Descent::VECTORS).max(1);
        let mut responses = Vec::with_capacity(points.len());
        for points in points.chunks(together.max(1)) {
            responses.extend(
                self.side_by_side(self.descended(points)?, |descent: Descent| {
                    let moved = self.influence.source().at(&descent.position)?;
                    Ok(ProximalResponse {
                        changes: measured(&moved, &tests)? - &before,
                        gradient: descent.left(),
                        iterations: descent.iterations,
                    })
                })?,
            );
        }
        Ok(responses)
    }

    /// The minimum of `Q` for each of some points. All take a step together, so that the inverse is
    /// applied to all at once.
    fn descended(&self, points: &[usize]) -> CoreResult<Vec<Descent>> {
        const MOST: usize = 200;
        let mut descents = self.side_by_side(points.to_vec(), |point| {
            let gradient = self.gradient(point, &self.start)?;
            Ok(Descent::new(point, self.start.clone(), gradient))
        })?;
        for _ in 0..MOST {
            let active = descents.iter_mut();
            let active = active.filter(|descent| !descent.is_done(self.tolerance));
            let pulled: Vec<_> = active.map(|descent| (descent.pulled(), descent)).collect();
            if pulled.is_empty() {
                break;
            }
            let rows = pulled.iter().map(|((row, _), _)| row.view());
            let solved = self.preconditioned(&rows.collect::<Vec<_>>())?;
            let steps: Vec<_> = pulled.into_iter().zip(solved.outer_iter()).collect();
            self.side_by_side(steps, |(((_, shares), descent), row)| {
                let direction = descent.direction(row.to_owned(), &shares);
                let point = descent.point;
                descent.advance(&direction, &|at| self.gradient(point, at))
            })?;
        }
        Ok(descents)
    }

    /// The damped inverse of the curvature, applied to rows.
    fn preconditioned(&self, rows: &[ArrayView1<'_, f64>]) -> CoreResult<Array2<f64>> {
        let rows =
            ndarray::stack(Axis(0), rows).map_err(|error| CoreError::backend(RESPONSE, error))?;
        let rows: Stack = self.influence.source().rows(rows.view())?;
        self.influence.solve(&rows)?.rows.to_host()
    }

    /// `∇Q` of a point.
    pub(crate) fn gradient(&self, point: usize, at: &Array1<f64>) -> CoreResult<Array1<f64>> {
        let moved = self.influence.source().at(at)?;
        let mut sum = Array1::zeros(at.len());
        let mut first = 0;
        for Anchored { batch, slopes } in &self.batches {
            let mut cotangent = moved.output_slopes(batch)? - slopes.clone();
            if let Some(row) = point.checked_sub(first).filter(|row| *row < batch.len()) {
                let place = [row..row + 1, 0..slopes.dims()[1]];
                let own = slopes.clone().slice(place.clone()).neg();
                cotangent = cotangent.slice_assign(place, own);
            }
            sum += &moved.summed_gradient_of_outputs(batch, &cotangent)?;
            first += batch.len();
        }
        sum /= self.samples as f64;
        for (column, damping) in self.damping.iter().enumerate() {
            sum[column] = damping.map_or(0.0, |damping| {
                sum[column] + damping * (at[column] - self.start[column])
            });
        }
        Ok(sum)
    }

    /// The results of some work on each item, in their order, on as many threads as there are to
    /// be.
    ///
    /// They are threads of their own, since a thread of a pool that waits in a kernel would begin
    /// another item on top of it.
    fn side_by_side<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> CoreResult<R> + Sync,
    ) -> CoreResult<Vec<R>> {
        let share = items.len().div_ceil(self.threads.get()).max(1);
        let (mut items, work) = (items.into_iter(), &work);
        let parts = std::iter::from_fn(|| {
            let part: Vec<T> = items.by_ref().take(share).collect();
            (!part.is_empty()).then_some(part)
        });
        let all = |part: Vec<T>| part.into_iter().map(work).collect::<CoreResult<Vec<R>>>();
        let done = thread::scope(|scope| {
            let begun: Vec<_> = parts.map(|part| scope.spawn(move || all(part))).collect();
            let ended = begun.into_iter().map(|thread| {
                let panicked = |_| Err(CoreError::backend(RESPONSE, "a thread panicked"));
                thread.join().unwrap_or_else(panicked)
            });
            ended.collect::<CoreResult<Vec<_>>>()
        })?;
        Ok(done.into_iter().flatten().collect())
    }
}

/// The measurement of each point of some batches.
fn measured(source: &ModelGradients, batches: &[Batch]) -> CoreResult<Array1<f64>> {
    let mut all = Vec::new();
    for batch in batches {
        all.extend(source.measurements(batch)?);
    }
    Ok(all.into())
}

/// The points of a data set, batch by batch.
fn in_batches(data: &dyn Dataset<Batch = Batch>) -> impl Iterator<Item = CoreResult<Batch>> {
    let samples = data.len();
    let starts = (0..samples).step_by(BATCH);
    starts.map(move |start| data.batch(start..(start + BATCH).min(samples)))
}
