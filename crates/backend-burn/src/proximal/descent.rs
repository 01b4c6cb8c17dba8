//! Minimisation by gradients alone, with a good inverse of the curvature given.
//!
//! Steps of L-BFGS: the inverse that is given stands in for the scaled identity with which the
//! method usually begins, and pairs of steps and changes of the gradient correct it. The method
//! comes in two halves, since many descents have the inverse applied to their rows at once.
//!
//! Lengths of steps are found by the derivative along them, never by values: near the minimum
//! values differ by less than their rounding. A step ends where the derivative is flatter. At a
//! kink, such as those of `relu`, it jumps from steeply down to steeply up: then a step ends just
//! beyond it, where the function is lower by the integral of the derivative, and the pair tells
//! later steps of the ridge. A minimum at a kink has no gradient that is small, so that the descent
//! ends where nothing is gained any more.
//!
//! Nocedal and Wright, *Numerical Optimization*, 2006, sections 3.1 and 7.2; Lewis and Overton,
//! *Nonsmooth optimization via quasi-Newton methods*, 2013.

use std::collections::VecDeque;

use influence_core::Result as CoreResult;
use ndarray::Array1;

/// A function's gradient at a position.
type GradientAt<'a> = dyn Fn(&Array1<f64>) -> CoreResult<Array1<f64>> + 'a;

/// Pairs that are kept.
const PAIRS: usize = 10;
/// The part of the derivative along a direction that may be left after a step.
const FLATTER: f64 = 0.9;
/// Lengths that are tried for a step.
const TRIES: usize = 6;
/// The part of all that was gained below which a step across a kink is the last.
const LITTLE: f64 = 1e-8;

/// A minimisation that has got somewhere.
#[derive(Debug)]
pub(super) struct Descent {
    /// The training point whose response it is.
    pub(super) point: usize,
    pub(super) position: Array1<f64>,
    /// Steps that were taken.
    pub(super) iterations: usize,
    gradient: Array1<f64>,
    /// The norm of the first gradient.
    initial: f64,
    pairs: VecDeque<CurvaturePair>,
    /// How much lower the function is, about, and how much of that the last step gained.
    gained: [f64; 2],
    /// Whether a step has ended at a kink.
    kinked: bool,
    /// No step leads further down.
    stalled: bool,
}

/// A step and how the gradient changed.
#[derive(Debug)]
struct CurvaturePair {
    step: Array1<f64>,
    change: Array1<f64>,
    /// One over their inner product.
    scale: f64,
}

impl Descent {
    /// Vectors that a descent holds.
    pub(super) const VECTORS: usize = 2 * PAIRS + 6;

    pub(super) fn new(point: usize, position: Array1<f64>, gradient: Array1<f64>) -> Self {
        Self {
            point,
            position,
            iterations: 0,
            initial: norm(&gradient),
            gradient,
            pairs: VecDeque::new(),
            gained: [0.0; 2],
            kinked: false,
            stalled: false,
        }
    }

    /// The norm of the gradient, relative to the first.
    pub(super) fn left(&self) -> f64 {
        if self.initial > 0.0 {
            norm(&self.gradient) / self.initial
        } else {
            0.0
        }
    }

    pub(super) fn is_done(&self, tolerance: f64) -> bool {
        let [all, last] = self.gained;
        let is_low = self.kinked && last <= LITTLE * all;
        self.stalled || is_low || self.left() <= tolerance
    }

    /// The first half of the two loops: the row to which the inverse is to be applied, and the
    /// shares of the pairs in it, the latest first.
    pub(super) fn pulled(&self) -> (Array1<f64>, Vec<f64>) {
        let mut row = self.gradient.clone();
        let share = |pair: &CurvaturePair| {
            let share = pair.scale * pair.step.dot(&row);
            row.scaled_add(-share, &pair.change);
            share
        };
        let shares = self.pairs.iter().rev().map(share).collect();
        (row, shares)
    }

    /// The second half: the direction of the next step; downhill, whatever the inverse was.
    pub(super) fn direction(&self, solved: Array1<f64>, shares: &[f64]) -> Array1<f64> {
        let mut row = solved;
        for (pair, share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = pair.scale * pair.change.dot(&row);
            row.scaled_add(share - back, &pair.step);
        }
        let downhill = row.dot(&self.gradient);
        if downhill.is_finite() && downhill > 0.0 {
            -row
        } else {
            -self.gradient.clone()
        }
    }

    /// Takes a step along a direction that is downhill.
    pub(super) fn advance(
        &mut self,
        direction: &Array1<f64>,
        gradient: &GradientAt<'_>,
    ) -> CoreResult<()> {
        let slope = self.gradient.dot(direction);
        let (mut low, mut high) = ((0.0, slope), None);
        let (mut length, mut below) = (1.0, 0.0);
        for tried in 1..=TRIES {
            let position = &self.position + &(direction * length);
            let there = gradient(&position)?;
            let along = there.dot(direction);
            let fallen = below - 0.5 * (length - low.0) * (low.1 + along);
            let is_flatter = along.abs() <= FLATTER * slope.abs();
            if is_flatter || (tried == TRIES && fallen > 0.0) {
                self.kinked |= !is_flatter;
                self.gained = [self.gained[0] + fallen, fallen];
                self.arrive(position, there);
                return Ok(());
            }
            if along < 0.0 {
                (low, below) = ((length, along), fallen);
            } else {
                high = Some((length, along));
            }
            length = between(low, high);
        }
        self.stalled = true;
        Ok(())
    }

    fn arrive(&mut self, position: Array1<f64>, gradient: Array1<f64>) {
        let (step, change) = (&position - &self.position, &gradient - &self.gradient);
        let scale = 1.0 / step.dot(&change);
        if scale.is_finite() && scale > 0.0 {
            if self.pairs.len() == PAIRS {
                self.pairs.pop_front();
            }
            self.pairs.push_back(CurvaturePair {
                step,
                change,
                scale,
            });
        }
        (self.position, self.gradient) = (position, gradient);
        self.iterations += 1;
    }
}

/// The next length to try, by the derivatives at a length that is too short and one that is too
/// long: where the line between them is zero, not too near to either.
fn between(low: (f64, f64), high: Option<(f64, f64)>) -> f64 {
    let Some((end, rise)) = high else {
        return 2.0 * low.0.max(1.0);
    };
    let whole = end - low.0;
    let part = low.1 / (low.1 - rise);
    let part = if part.is_finite() { part } else { 0.5 };
    low.0 + whole * part.clamp(0.1, 0.9)
}

fn norm(vector: &Array1<f64>) -> f64 {
    vector.dot(vector).sqrt()
}
