//! The method and the λ that fit a problem: the one place where that is decided, for
//! `influence init`, which writes them down, and for `method.name = "auto"`.
//!
//! Measured on digits by how well influences predict retraining on halves of the data: for networks
//! of 2,410 and 4,810 parameters the exact Gauss-Newton influences at `{ relative = 1.0 }`
//! correlate with it by 0.68 and 0.75, at `{ relative = 0.1 }` by 0.54 and 0.55, and those of
//! EK-FAC, which `{ relative = 0.1 }` suits, by 0.59 and 0.67. For a model of one layer, whose loss
//! is convex, λ is its weight decay.

use influence_core::block::Strength;

use crate::config::{MethodName, method::CurvatureSetting};

/// Up to this many parameters the direct method is proposed: a dense matrix of them is factored in
/// seconds.
const DIRECT: usize = 3_000;
/// Up to this many, conjugate gradients, if they are quick enough.
const CG: usize = 100_000;
/// Operations that are quick enough: about a quarter of an hour at 100 Gflop/s.
const QUICK: f64 = 1e14;
/// Operations of one product with the Gauss-Newton matrix, for each multiplication of the model:
/// forward, and back to activations and weights.
const PER_MULTIPLICATION: f64 = 6.0;
/// Iterations that conjugate gradients take at the λ proposed here, roughly.
const ITERATIONS: f64 = 50.0;

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem {
    pub(crate) parameters: usize,
    /// The multiplications in which they are used for one sample: a convolution uses its own at
    /// every pixel.
    pub(crate) multiplications: usize,
    pub(crate) train: usize,
    pub(crate) test: usize,
    /// Whether the model is a single linear layer, whose loss is convex.
    pub(crate) convex: bool,
    /// Whether there are outputs that the loss acts on, so that there is a Gauss-Newton matrix.
    pub(crate) has_outputs: bool,
    /// The weight decay of the training, where it is known.
    pub(crate) weight_decay: Option<f64>,
}

impl Problem {
    /// Exact while that is quick: `direct`, then `cg`, both on the Gauss-Newton matrix; `ekfac`
    /// beyond.
    pub(crate) fn method(&self) -> MethodName {
        if self.parameters <= DIRECT {
            MethodName::Direct
        } else if self.parameters <= CG && self.operations() <= QUICK {
            MethodName::Cg
        } else if self.has_outputs {
            MethodName::Ekfac
        } else {
            MethodName::Arnoldi
        }
    }

    /// The floating-point operations of conjugate gradients: a product for each test point and
    /// iteration over all training points.
    pub(crate) fn operations(&self) -> f64 {
        let factors = [self.multiplications, self.train, self.test];
        let product: f64 = factors.iter().map(|&factor| factor as f64).product();
        PER_MULTIPLICATION * ITERATIONS * product
    }

    /// The operations of one product with the Gauss-Newton matrix for each test point.
    pub(crate) fn product(&self) -> f64 {
        self.operations() / ITERATIONS
    }

    /// The operations of conjugate gradients, in words.
    pub(crate) fn cost(&self) -> String {
        format!("about {:.0e} operations", self.operations())
    }

    /// The curvature: the Hessian only where there is no other.
    pub(crate) fn curvature(&self) -> CurvatureSetting {
        if self.has_outputs {
            CurvatureSetting::GaussNewton
        } else {
            CurvatureSetting::Hessian
        }
    }

    /// λ of a method.
    pub(crate) fn strength(&self, method: MethodName) -> Strength {
        match (self.decay(), method) {
            (Some(decay), _) if self.convex => Strength::Absolute(decay),
            (_, MethodName::Ekfac) => Strength::Relative(0.1),
            _ => Strength::Relative(1.0),
        }
    }

    /// The weight decay of the training, if it has some.
    pub(crate) fn decay(&self) -> Option<f64> {
        self.weight_decay.filter(|&decay| decay > 0.0)
    }
}

/// How often parameters of these shapes are multiplied with for one sample: those of convolutions
/// at every pixel, as if none were pooled away.
pub(crate) fn multiplications_of<'a>(
    shapes: impl Iterator<Item = &'a [usize]>,
    sample: &[usize],
) -> usize {
    let each = |shape: &[usize]| {
        // Weights of windows have an axis for each along which they move.
        let axes = sample.iter().rev().take(shape.len().saturating_sub(2));
        shape
            .iter()
            .chain(axes)
            .fold(1, |size: usize, side| size.saturating_mul(*side))
    };
    shapes.map(each).fold(0, usize::saturating_add)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const DIGITS: Problem = Problem {
        parameters: 4_810,
        multiplications: 4_810,
        train: 1_437,
        test: 360,
        convex: false,
        has_outputs: true,
        weight_decay: None,
    };

    pub(crate) fn of(parameters: usize) -> Problem {
        Problem {
            parameters,
            multiplications: parameters,
            ..DIGITS
        }
    }

    #[test]
    fn the_method_follows_from_size_and_cost() {
        for (problem, expected) in [
            (of(3_000), MethodName::Direct),
            (of(3_001), MethodName::Cg),
            (of(100_000), MethodName::Cg),
            (of(100_001), MethodName::Ekfac),
            // Few parameters, but all pairs of many points.
            (
                Problem {
                    train: 60_000,
                    test: 10_000,
                    ..of(7_850)
                },
                MethodName::Ekfac,
            ),
            // Few parameters, each used at many pixels.
            (
                Problem {
                    multiplications: 4_810 * 224 * 224,
                    ..DIGITS
                },
                MethodName::Ekfac,
            ),
        ] {
            assert_eq!(problem.method(), expected, "{problem:?}");
        }
        // 6 · 50 · 4,810 · 1,437 · 360.
        assert!((DIGITS.operations() / 7.4649e11 - 1.0).abs() < 1e-3);
    }
}
