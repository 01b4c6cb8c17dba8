//! The method and the λ that are proposed: the one place where that is decided.
//!
//! Measured on digits by how well influences predict retraining on halves of the data: for networks
//! of 2,410 and 4,810 parameters the exact Gauss-Newton influences at `{ relative = 1.0 }`
//! correlate with it by 0.68 and 0.75, at `{ relative = 0.1 }` by 0.54 and 0.55, and those of
//! EK-FAC, which `{ relative = 0.1 }` suits, by 0.59 and 0.67. For a model of one layer, whose loss
//! is convex, λ is its weight decay.

use super::written::line;
use crate::config::MethodName;

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
pub(super) struct Problem {
    pub(super) parameters: usize,
    /// The multiplications in which they are used for one sample: a convolution uses its own at
    /// every pixel.
    pub(super) multiplications: usize,
    pub(super) train: usize,
    pub(super) test: usize,
    /// Whether the model is a single linear layer, whose loss is convex.
    pub(super) convex: bool,
    /// Whether there are outputs that the loss acts on, so that there is a Gauss-Newton matrix.
    pub(super) has_outputs: bool,
    /// The weight decay of the training, where it is known.
    pub(super) weight_decay: Option<f64>,
}

impl Problem {
    /// Exact while that is quick: `direct`, then `cg`, both on the Gauss-Newton matrix; `ekfac`
    /// beyond.
    fn method(&self) -> MethodName {
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
    fn operations(&self) -> f64 {
        let factors = [self.multiplications, self.train, self.test];
        let product: f64 = factors.iter().map(|&factor| factor as f64).product();
        PER_MULTIPLICATION * ITERATIONS * product
    }

    /// The section of the configuration.
    pub(super) fn section(&self) -> String {
        let method = self.method();
        let cost = format!("about {:.0e} operations", self.operations());
        let why = match method {
            MethodName::Direct => {
                "exact; others for larger models: cg, arnoldi, ekfac, kfac, ...".to_owned()
            }
            MethodName::Cg => format!("exact, by iteration, {cost}; coarser and faster: ekfac"),
            _ => format!("for large models; exact, but {cost}: cg"),
        };
        let name = line(&format!("name = \"{}\"", method.as_str()), &why);
        let curvature = if self.has_outputs {
            line(
                "curvature = \"gauss-newton\"",
                "or fisher, empirical-fisher, hessian: the last only near a minimum",
            )
        } else {
            line(
                "curvature = \"hessian\"",
                "or empirical-fisher: the others need the outputs of the network",
            )
        };
        format!("\n[method]\n{name}{curvature}{}", self.damping(method))
    }

    /// λ, and why.
    fn damping(&self, method: MethodName) -> String {
        let decay = self.weight_decay.filter(|&decay| decay > 0.0);
        if let (true, Some(decay)) = (self.convex, decay) {
            return line(
                &format!("damping = {decay:?}"),
                "λ: the weight decay of the training, exact for a model of one layer",
            );
        }
        let (factor, why) = match method {
            MethodName::Ekfac => (
                0.1,
                "λ: times the mean eigenvalue of each layer (Grosse et al. 2023)",
            ),
            _ => (
                1.0,
                "λ: times the mean eigenvalue of the curvature; less predicts retraining worse",
            ),
        };
        let more = match decay {
            Some(decay) => format!(
                "# A damping of {decay:?}, the weight decay, would be exact for a model of one layer; networks want more.\n"
            ),
            None if self.convex => {
                "# A model of one layer that was trained with weight decay has that for its damping.\n"
                    .to_owned()
            }
            None => String::new(),
        };
        line(&format!("damping = {{ relative = {factor:?} }}"), why) + &more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: Problem = Problem {
        parameters: 4_810,
        multiplications: 4_810,
        train: 1_437,
        test: 360,
        convex: false,
        has_outputs: true,
        weight_decay: None,
    };

    fn of(parameters: usize) -> Problem {
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
            let section = problem.section();
            assert!(
                section.contains("curvature = \"gauss-newton\""),
                "{section}"
            );
        }
        // 6 · 50 · 4,810 · 1,437 · 360.
        assert!((DIGITS.operations() / 7.4649e11 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_damping_is_the_decay_of_a_convex_model_and_else_relative() {
        let damping = |problem: Problem| {
            let section: toml::Table = problem.section().parse().expect("TOML");
            section["method"]["damping"].to_string()
        };
        let decayed = |convex, problem| Problem {
            convex,
            weight_decay: Some(1e-3),
            ..problem
        };
        for (problem, expected) in [
            (of(650), "{ relative = 1.0 }"),
            (DIGITS, "{ relative = 1.0 }"),
            (of(1_000_000), "{ relative = 0.1 }"),
            (decayed(true, of(650)), "0.001"),
            (decayed(true, DIGITS), "0.001"),
            (decayed(false, DIGITS), "{ relative = 1.0 }"),
            (decayed(false, of(1_000_000)), "{ relative = 0.1 }"),
            // A decay of zero damps nothing.
            (
                Problem {
                    weight_decay: Some(0.0),
                    ..decayed(true, of(650))
                },
                "{ relative = 1.0 }",
            ),
        ] {
            assert_eq!(damping(problem), expected, "{problem:?}");
        }
    }
}
