//! What an evaluation found.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::{
    attribution::Attribution,
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
        }
    }
}

fn by_name<S: Serializer>(statistics: &[Statistic], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(statistics.len()))?;
    for statistic in statistics {
        map.serialize_entry(&statistic.name, statistic)?;
    }
    map.end()
}
