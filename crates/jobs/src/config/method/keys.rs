//! Which key belongs to which method, and what it may be.

use anyhow::{Result, ensure};

use super::{CurvatureName, Method, MethodName, PreconditionerName};

use MethodName::{Arnoldi, Cg, Direct, Ekfac, InverseHarmonicMean, Kfac, Lissa, Nystroem, Tracin};

impl Method {
    /// Refuses keys of other methods, and misses those of its own that have no default.
    pub(super) fn check_keys(&self) -> Result<()> {
        let name = self.name.as_str();
        let keys: [(&str, bool, &[MethodName]); 14] = [
            (
                "damping_by_parameter",
                self.damping_by_parameter.is_some(),
                &[Direct, Cg, Lissa],
            ),
            ("rtol", self.rtol.is_some(), &[Cg, Lissa]),
            ("max_iterations", self.max_iterations.is_some(), &[Cg]),
            ("preconditioner", self.preconditioner.is_some(), &[Cg]),
            ("rank", self.rank.is_some(), &[Arnoldi, Nystroem, Cg]),
            (
                "tolerance",
                self.tolerance.is_some(),
                &[Arnoldi, Kfac, Ekfac],
            ),
            ("complement", self.complement.is_some(), &[Arnoldi]),
            ("oversampling", self.oversampling.is_some(), &[Nystroem]),
            (
                "power_iterations",
                self.power_iterations.is_some(),
                &[Nystroem],
            ),
            ("depth", self.depth.is_some(), &[Lissa]),
            ("repeats", self.repeats.is_some(), &[Lissa]),
            ("scale", self.scale.is_some(), &[Lissa]),
            ("full_batch", self.full_batch.is_some(), &[Lissa]),
            ("checkpoints", self.checkpoints.is_some(), &[Tracin]),
        ];
        for (key, given, methods) in keys {
            ensure!(
                !given || methods.contains(&self.name),
                "method.{key} is a setting of {}, not of {name}",
                shown(methods)
            );
        }
        for (key, given) in [
            ("damping", self.damping.is_some()),
            ("sweep", self.sweep.is_some()),
            ("curvature", self.curvature.is_some()),
            ("blocks", self.blocks.is_some()),
        ] {
            ensure!(
                !given || self.name.has_curvature(),
                "method.{key} does not apply to {name}, which uses no curvature"
            );
        }
        ensure!(
            !self.name.has_curvature() || self.damping.is_some() || self.sweep.is_some(),
            "method: missing key `damping`, the λ that {name} adds to the curvature"
        );
        self.check_combinations()
    }

    /// Refuses keys that only make sense beside others.
    fn check_combinations(&self) -> Result<()> {
        let curvature = self.curvature_name();
        ensure!(
            self.sweep
                .as_ref()
                .is_none_or(|dampings| !dampings.is_empty()),
            "method.sweep must name at least one damping"
        );
        ensure!(
            self.draws.is_none() || curvature == Some(CurvatureName::Fisher),
            "method.draws is a setting of the curvature fisher"
        );
        ensure!(
            self.name != Cg
                || self.rank.is_none()
                || self.preconditioner == Some(PreconditionerName::Nystroem),
            "method.rank is, with cg, a setting of the preconditioner nystroem"
        );
        ensure!(
            !matches!(self.name, Kfac | Ekfac) || curvature != Some(CurvatureName::Hessian),
            "method.curvature: {} approximates a Fisher matrix; use gauss-newton, fisher or empirical-fisher",
            self.name.as_str()
        );
        ensure!(
            self.name != InverseHarmonicMean || curvature == Some(CurvatureName::EmpiricalFisher),
            "method.curvature: inverse-harmonic-mean is made of the gradients of samples, the curvature empirical-fisher"
        );
        Ok(())
    }

    /// Checks what each key may be.
    pub(super) fn check_domains(&self) -> Result<()> {
        if let Some(rtol) = self.rtol {
            ensure!(
                rtol > 0.0 && rtol < 1.0,
                "method.rtol must be between 0 and 1, got {rtol}"
            );
        }
        let kronecker = matches!(self.name, Kfac | Ekfac);
        for (key, value, zero) in [
            ("tolerance", self.tolerance, kronecker),
            ("scale", self.scale, false),
        ] {
            if let Some(value) = value {
                ensure!(
                    value.is_finite() && value >= 0.0 && (zero || value > 0.0),
                    "method.{key} must be finite and {}, got {value}",
                    if zero { "not negative" } else { "positive" }
                );
            }
        }
        for (key, value) in [
            ("max_iterations", self.max_iterations),
            ("rank", self.rank),
            ("depth", self.depth),
            ("repeats", self.repeats),
            ("draws", self.draws),
        ] {
            ensure!(value != Some(0), "method.{key} must be at least 1, got 0");
        }
        let checkpoints = self.checkpoints.as_deref();
        ensure!(
            checkpoints.is_none_or(|checkpoints| !checkpoints.is_empty()),
            "method.checkpoints must name at least one"
        );
        for (index, checkpoint) in checkpoints.unwrap_or_default().iter().enumerate() {
            let rate = checkpoint.learning_rate;
            ensure!(
                rate.is_finite(),
                "method.checkpoints[{index}].learning_rate must be finite, got {rate}"
            );
        }
        Ok(())
    }
}

fn shown(methods: &[MethodName]) -> String {
    let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    let plural = if names.len() > 1 { "s" } else { "" };
    format!("the method{plural} {}", names.join(", "))
}
