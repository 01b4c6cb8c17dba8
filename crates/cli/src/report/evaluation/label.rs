//! What things are called in pictures.

use anyhow::Result;
use influence_jobs::{
    config::{Config, Loss, MeasurementKey, Model},
    evaluation::Finding,
};

/// What is measured on test points.
#[derive(Debug)]
pub(super) struct Measured {
    /// What it is.
    pub(super) name: &'static str,
    /// Its unit in brackets, where it has one.
    pub(super) unit: &'static str,
}

impl Measured {
    /// What a model measures.
    pub(super) fn of(model: &Model) -> Self {
        if !matches!(model.measurement, None | Some(MeasurementKey::Loss)) {
            return Self {
                name: "measurement",
                unit: "",
            };
        }
        let unit = match model.loss {
            Some(
                Loss::CrossEntropy
                | Loss::BinaryCrossEntropy
                | Loss::SequenceCrossEntropy
                | Loss::NextToken,
            ) => " (nats)",
            _ => "",
        };
        Self { name: "loss", unit }
    }

    /// The title of an axis: what is done to it, such as `predicted change of the`.
    pub(super) fn axis(&self, what: &str) -> String {
        format!("{what} {}{}", self.name, self.unit)
    }
}

/// A method with its damping, in few letters.
pub(super) fn label(finding: &Finding) -> String {
    match &finding.damping {
        Some(written) => format!("{}, λ = {}", finding.name, damping(written)),
        None => finding.name.clone(),
    }
}

/// The method of a configuration.
#[derive(Debug)]
pub(super) struct Configured {
    /// Its name.
    pub(super) name: &'static str,
    /// λ, of a method that has one: the first of several.
    pub(super) damping: Option<String>,
}

impl Configured {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let method = config.method()?;
        Ok(Self {
            name: method.name().as_str(),
            damping: method.dampings().first().map(ToString::to_string),
        })
    }

    /// Whether this is what a finding is about.
    pub(super) fn is(&self, finding: &Finding) -> bool {
        finding.name == self.name && finding.damping == self.damping
    }
}

/// A damping in few letters; `{ relative = 0.1 }` is a multiple of the mean eigenvalue.
pub(super) fn damping(written: &str) -> String {
    let relative = written.strip_prefix("{ relative = ");
    match relative.and_then(|rest| rest.strip_suffix(" }")) {
        Some(fraction) if !fraction.contains(' ') => format!("{fraction} × mean"),
        _ => written.to_owned(),
    }
}

/// A number of any size in a chart: three decimals, or three digits where it is small.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let text = match magnitude {
        0.0 => return "0".into(),
        1e-2.. => format!("{magnitude:.3}"),
        1e-3.. => format!("{magnitude:.5}"),
        _ => format!("{magnitude:.2e}"),
    };
    if value < 0.0 {
        format!("−{text}")
    } else {
        text
    }
}

/// The part of the name of a file that says of which method a chart is.
pub(super) fn slug(finding: &Finding) -> String {
    let letters = finding.name.chars();
    let letters = letters.map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dampings_and_numbers_are_short() {
        assert_eq!(damping("{ relative = 0.1 }"), "0.1 × mean");
        assert_eq!(damping("0.05"), "0.05");
        let by_block = "{ fc = { relative = 0.1 } }";
        assert_eq!(damping(by_block), by_block);
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.2, "0.200"),
            (-0.78449, "−0.784"),
            (0.012_345, "0.012"),
            (0.001_234_5, "0.00123"),
            (-2.5e-5, "−2.50e-5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
