use serde::Serialize;

use super::outcome::{Evaluation, Finding};

/// The attribution with the largest score, and how little it matters which one it is.
#[derive(Debug, Serialize)]
pub struct Best<'a> {
    /// The name of the method.
    pub name: &'a str,
    /// λ as it is written, of a method that has one.
    pub damping: Option<&'a str>,
    /// Its score.
    pub score: f64,
    /// The standard error of its score over test points.
    pub error: f64,
    /// The dampings of the same method whose score is less than one standard error below the best,
    /// the best among them.
    pub flat: Vec<&'a str>,
}

impl<'a> Best<'a> {
    /// The best method by the linear datamodelling score, baselines apart.
    pub fn of(evaluation: &'a Evaluation) -> Option<Self> {
        let score = |finding: &Finding| {
            let lds = finding.statistics.iter().find(|one| one.name == "lds")?;
            Some((lds.interval.value, lds.error_over_test_points?))
        };
        let rated = evaluation.findings.iter().filter(|it| !it.is_baseline);
        let rated: Vec<(&Finding, (f64, f64))> = rated
            .filter_map(|finding| Some((finding, score(finding)?)))
            .collect();
        let &(best, (value, error)) = rated.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
        let near = rated
            .iter()
            .filter(|(finding, (other, _))| finding.name == best.name && *other >= value - error);
        Some(Self {
            name: &best.name,
            damping: best.damping.as_deref(),
            score: value,
            error,
            flat: near
                .filter_map(|(finding, _)| finding.damping.as_deref())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::evaluation::{outcome::Statistic, statistics::Interval};

    #[test]
    fn the_best_is_no_baseline_and_dampings_near_it_are_named() {
        let finding = |name: &str, damping: &str, value, is_baseline| Finding {
            name: name.into(),
            damping: Some(damping.into()),
            is_baseline,
            statistics: vec![Statistic {
                error_over_test_points: Some(0.02),
                ..Statistic::new(
                    "lds",
                    Interval {
                        value,
                        low: 0.0,
                        high: 1.0,
                    },
                )
            }],
            curve: Vec::new(),
            scatters: Vec::new(),
        };
        let evaluation = Evaluation {
            study: "lds",
            about: Map::new(),
            findings: vec![
                finding("cg", "0.1", 0.70, false),
                finding("cg", "0.01", 0.78, false),
                finding("cg", "0.003", 0.765, false),
                finding("ekfac", "0.01", 0.77, false),
                finding("other", "", 0.9, true),
            ],
        };
        let Some(best) = Best::of(&evaluation) else {
            panic!("four methods");
        };
        assert_eq!((best.name, best.damping), ("cg", Some("0.01")));
        assert_eq!(best.flat, ["0.01", "0.003"]);
    }
}
