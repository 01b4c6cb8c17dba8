//! The section of the method, as it is proposed.

use influence_core::block::Strength;

use super::written::line;
use crate::{choice::Problem, config::MethodName};

impl Problem {
    /// The section of the configuration.
    pub(super) fn section(&self) -> String {
        let method = self.method();
        let cost = self.cost();
        let why = match method {
            MethodName::Direct => {
                "exact; others for larger models: cg, arnoldi, ekfac, kfac, ...".to_owned()
            }
            MethodName::Cg => format!("exact, by iteration, {cost}; coarser and faster: ekfac"),
            _ => format!("for large models; exact, but {cost}: cg"),
        };
        let name = line(&format!("name = \"{}\"", method.as_str()), &why);
        let why = if self.has_outputs {
            "or fisher, empirical-fisher, hessian: the last only near a minimum"
        } else {
            "or empirical-fisher: the others need the outputs of the network"
        };
        let curvature = line(&format!("curvature = \"{}\"", self.curvature().name()), why);
        format!("\n[method]\n{name}{curvature}{}", self.damping(method))
    }

    /// λ, and why.
    fn damping(&self, method: MethodName) -> String {
        let strength = self.strength(method);
        let why = match (strength, method) {
            (Strength::Absolute(_), _) => {
                "λ: the weight decay of the training, exact for a model of one layer"
            }
            (_, MethodName::Ekfac) => {
                "λ: times the mean eigenvalue of each layer (Grosse et al. 2023)"
            }
            _ => "λ: times the mean eigenvalue of the curvature; less predicts retraining worse",
        };
        let more = match (strength, self.decay()) {
            (Strength::Absolute(_), _) => String::new(),
            (_, Some(decay)) => format!(
                "# A damping of {decay:?}, the weight decay, would be exact for a model of one layer; networks want more.\n"
            ),
            (_, None) if self.convex => {
                "# A model of one layer that was trained with weight decay has that for its damping.\n"
                    .to_owned()
            }
            _ => String::new(),
        };
        line(&format!("damping = {}", toml(strength)), why) + &more
    }
}

/// A damping as it is written in a file, with a decimal point.
fn toml(strength: Strength) -> String {
    match strength {
        Strength::Absolute(value) => format!("{value:?}"),
        Strength::Relative(factor) => format!("{{ relative = {factor:?} }}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::tests::{DIGITS, of};

    #[test]
    fn the_damping_is_the_decay_of_a_convex_model_and_else_relative() {
        let damping = |problem: Problem| {
            let section: toml::Table = problem.section().parse().expect("TOML");
            assert_eq!(
                section["method"]["curvature"].as_str(),
                Some("gauss-newton")
            );
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
