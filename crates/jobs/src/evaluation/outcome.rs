//! What an evaluation found.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::{
    attribution::Attribution,
    drawn::{CurvePoint, Scatter},
    statistics::{Interval, RowMean},
};

/// What one study found: the same statistics of each attribution.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// The name of the study, such as `lds`.
    pub study: &'static str,
    /// What was done, by name: counts, seeds, the objective, the divisor.
    pub about: Map<String, Value>,
    /// What was found of each attribution.
    pub findings: Vec<Finding>,
}

impl Evaluation {
    /// What a study found, and an object of what was done.
    pub(super) fn new(study: &'static str, about: Value, findings: Vec<Finding>) -> Self {
        let about = match about {
            Value::Object(about) => about,
            _ => Map::new(),
        };
        Self {
            study,
            about,
            findings,
        }
    }

    /// The name of the statistic by which attributions are compared at one glance, of which larger
    /// is better: the last of a curve, correlations of pooled changes, else the first.
    pub fn main_statistic(&self) -> Option<&str> {
        let statistics = &self.findings.first()?.statistics;
        let pooled = statistics.iter().find(|one| one.name == "pooled_pearson");
        let last = statistics.last().filter(|_| self.has_curves());
        let main = match self.study {
            "flip" => statistics.first(),
            _ => pooled.or(last).or(statistics.first()),
        };
        main.map(|one| one.name.as_str())
    }

    /// Whether curves were found.
    pub fn has_curves(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| !finding.curve.is_empty())
    }

    /// The main statistic of a finding of this study.
    pub fn main_of<'a>(&self, finding: &'a Finding) -> Option<&'a Statistic> {
        finding.statistic(self.main_statistic()?)
    }

    /// The method with the largest main statistic, baselines apart.
    pub fn best(&self) -> Option<&Finding> {
        let rated = self.findings.iter().filter(|it| !it.is_baseline);
        self.largest(rated)
    }

    /// Each method under the damping with the largest main statistic, the one of this name first;
    /// no baselines.
    pub fn one_per_method(&self, first: &str) -> Vec<&Finding> {
        let methods = || self.findings.iter().filter(|it| !it.is_baseline);
        let mut names: Vec<&str> = Vec::new();
        for finding in methods() {
            if !names.contains(&finding.name.as_str()) {
                names.push(&finding.name);
            }
        }
        names.sort_by_key(|name| *name != first);
        let best = |name| self.largest(methods().filter(move |it| it.name == name));
        names.into_iter().filter_map(best).collect()
    }

    /// The finding with the largest main statistic that is a number.
    fn largest<'a>(&self, among: impl Iterator<Item = &'a Finding>) -> Option<&'a Finding> {
        let rated = among.filter_map(|finding| {
            let value = self.main_of(finding)?.interval.value;
            (!value.is_nan()).then_some((finding, value))
        });
        // The first of equals.
        let larger = |a: (&'a Finding, f64), b: (&'a Finding, f64)| if b.1 > a.1 { b } else { a };
        rated.reduce(larger).map(|(finding, _)| finding)
    }
}

/// What was found of one attribution.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The name of the method.
    pub name: String,
    /// λ as it is written, of a method that has one.
    pub damping: Option<String>,
    /// Whether the method is one that others have to beat.
    pub is_baseline: bool,
    /// The numbers.
    #[serde(serialize_with = "by_name")]
    pub statistics: Vec<Statistic>,
    /// A curve, of studies that have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
    /// Predictions with what happened, for pictures; none of baselines, which have no unit.
    #[serde(skip)]
    pub scatters: Vec<Scatter>,
}

/// A number with its interval.
#[derive(Debug, Clone, Serialize)]
pub struct Statistic {
    /// What it is, in lower case.
    #[serde(skip)]
    pub name: String,
    /// The number, and its interval.
    #[serde(flatten)]
    pub interval: Interval,
    /// The standard error over test points, of a mean over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_over_test_points: Option<f64>,
    /// The standard error over retrainings, of a mean over test points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_over_retrainings: Option<f64>,
}

impl Statistic {
    /// A number by itself.
    pub(super) fn new(name: impl Into<String>, interval: Interval) -> Self {
        Self {
            name: name.into(),
            interval,
            error_over_test_points: None,
            error_over_retrainings: None,
        }
    }

    /// A mean over test points.
    pub(super) fn of_rows(name: impl Into<String>, rows: &RowMean) -> Self {
        Self {
            error_over_test_points: Some(rows.row_error),
            error_over_retrainings: Some(rows.column_error),
            ..Self::new(name, rows.mean)
        }
    }
}

impl Finding {
    /// The method with its damping.
    pub fn title(&self) -> String {
        match &self.damping {
            Some(damping) => format!("{}, damping {damping}", self.name),
            None => self.name.clone(),
        }
    }

    /// Numbers about an attribution.
    pub(super) fn of(attribution: &Attribution, statistics: Vec<Statistic>) -> Self {
        Self {
            name: attribution.name.clone(),
            damping: attribution.damping.clone(),
            is_baseline: attribution.is_baseline,
            statistics,
            curve: Vec::new(),
            scatters: Vec::new(),
        }
    }

    /// With a curve.
    pub(super) fn with_curve(self, curve: Vec<CurvePoint>) -> Self {
        Self { curve, ..self }
    }

    /// With a curve of its own statistics, one for each of these counts.
    pub(super) fn with_curve_at(self, counts: &[usize]) -> Self {
        let points = counts.iter().zip(&self.statistics);
        let points = points.map(|(&count, one)| CurvePoint::new(count as f64, one.interval));
        let curve = points.collect();
        self.with_curve(curve)
    }

    /// With scatters, unless it is of a baseline.
    pub(super) fn with_scatters(self, scatters: impl FnOnce() -> Vec<Scatter>) -> Self {
        if self.is_baseline {
            return self;
        }
        Self {
            scatters: scatters(),
            ..self
        }
    }

    /// The statistic of this name.
    pub fn statistic(&self, name: &str) -> Option<&Statistic> {
        self.statistics.iter().find(|one| one.name == name)
    }
}

fn by_name<S: Serializer>(statistics: &[Statistic], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(statistics.len()))?;
    for statistic in statistics {
        map.serialize_entry(&statistic.name, statistic)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, damping: &str, value: f64, is_baseline: bool) -> Finding {
        let interval = |value| Interval {
            value,
            low: 0.0,
            high: 1.0,
        };
        Finding {
            name: name.into(),
            damping: Some(damping.into()),
            is_baseline,
            statistics: vec![
                Statistic::new("pearson", interval(0.0)),
                Statistic::new("pooled_pearson", interval(value)),
            ],
            curve: Vec::new(),
            scatters: Vec::new(),
        }
    }

    #[test]
    fn the_best_is_shown_and_one_damping_of_each_method() {
        let findings = vec![
            finding("cg", "1", 0.5, false),
            finding("cg", "0.1", 0.7, false),
            finding("ekfac", "1", f64::NAN, false),
            finding("ekfac", "0.1", 0.6, false),
            finding("ekfac", "0.2", 0.6, false),
            finding("random", "", 0.9, true),
        ];
        let found = Evaluation::new("loo", Value::Null, findings);
        assert_eq!(found.main_statistic(), Some("pooled_pearson"));
        let titles = |findings: Vec<&Finding>| -> Vec<String> {
            findings.into_iter().map(Finding::title).collect()
        };
        assert_eq!(
            titles(found.best().into_iter().collect()),
            ["cg, damping 0.1"]
        );
        assert_eq!(
            titles(found.one_per_method("ekfac")),
            ["ekfac, damping 0.1", "cg, damping 0.1"]
        );
        let nothing = Evaluation::new("loo", Value::Null, Vec::new());
        assert!(nothing.best().is_none() && nothing.main_statistic().is_none());
    }

    #[test]
    fn curves_are_the_statistics_at_their_counts_and_are_in_json() {
        let finding = finding("cg", "1", 0.5, false).with_curve_at(&[5, 20]);
        assert_eq!(finding.curve[1].at.to_bits(), 20.0_f64.to_bits());
        let json = serde_json::to_value(&finding).expect("JSON");
        assert_eq!(
            json["curve"][1],
            serde_json::json!({"at": 20.0, "value": 0.5, "interval": [0.0, 1.0]})
        );
        assert!(json.get("scatters").is_none());
    }
}
