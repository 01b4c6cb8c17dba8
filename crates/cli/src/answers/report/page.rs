use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;
use influence_core::aggregate::Ranking;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{
    MARK, Pictures,
    charts::{Bins, dots, histogram},
    picture::Picture,
    text,
};
use crate::{
    answers::{
        mislabelled::Suspicion,
        points::shown,
        top::{About, Opinion},
    },
    summary::signed,
};

const STYLE: &str = include_str!("page.css");
/// Bins of the scores of training points.
const BINS: usize = 40;

/// All that a page tells.
pub(super) struct Page<'a> {
    pub(super) name: String,
    pub(super) facts: Vec<(String, Value)>,
    pub(super) distribution: Bins,
    pub(super) residuals: Option<Vec<f64>>,
    pub(super) about: Option<&'a About<'a>>,
    pub(super) opinions: &'a [Opinion],
    pub(super) suspicions: &'a [Suspicion],
    pub(super) suspects: &'a [Vec<usize>],
    pub(super) truth: Option<&'a [usize]>,
    pub(super) pictures: Pictures,
}

impl Page<'_> {
    pub(super) fn render(&self, started: Instant) -> Result<String> {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    (PreEscaped(MARK))
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Influences: " (self.name) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { "Which training points made this model say this?" }
                    p.lead {
                        "Influences in " code { (self.name) } ". " b.helpful { "Positive is helpful" }
                        ": leaving the training point out would raise the loss on the test point by about its influence divided by the number of training points. "
                        b.harmful { "Negative is harmful" } "."
                    }
                    (self.test_points())
                    (self.suspects()?)
                    section id="distribution" {
                        h2 { "All influences" }
                        (PreEscaped(histogram(&self.distribution, ["influence", "pairs"])?))
                        p.note {
                            (self.distribution.below) " pairs lie below and " (self.distribution.above) " above what is drawn."
                        }
                    }
                    (self.solver()?)
                    section id="settings" {
                        h2 { "How it was made" }
                        table.facts { @for (name, value) in &self.facts { tr { th { (name) } td { (text(value)) } } } }
                    }
                    footer { "Made by influence " (env!("CARGO_PKG_VERSION")) " in " (format!("{:.1}", started.elapsed().as_secs_f64())) " s." }
                }
            }
        };
        Ok(page.into_string())
    }

    fn test_points(&self) -> Markup {
        html! {
            section id="points" {
                h2 { "Test points" }
                @if self.about.is_none() {
                    p.note { "The output does not say what it was made from: points are shown by number alone." }
                }
                @for opinion in self.opinions {
                    article {
                        div.test {
                            (figure(&self.pictures.test, opinion.test))
                            h3 { "test point " (opinion.test) }
                            @if let Some(about) = self.about {
                                p {
                                    "target " b { (shown(&about.test.target(opinion.test))) }
                                    br;
                                    "predicted " b { (shown(&about.predictions.of(opinion.test))) }
                                    br;
                                    "loss " (format!("{:.3}", about.predictions.losses[opinion.test]))
                                }
                            }
                        }
                        (self.ranked("helpful", &opinion.helpful))
                        (self.ranked("harmful", &opinion.harmful))
                    }
                }
            }
        }
    }

    fn ranked(&self, side: &str, ranking: &Ranking) -> Markup {
        html! {
            div class=(format!("side {side}")) {
                h4 { "most " (side) }
                @for (&point, value) in ranking.indices.iter().zip(&ranking.values) {
                    (self.train_point(point, &signed(*value)))
                }
                @if ranking.indices.is_empty() { p.note { "none" } }
            }
        }
    }

    fn train_point(&self, point: usize, score: &str) -> Markup {
        let label = self.about.map(|about| about.train.target(point));
        let class = self.about.and_then(|about| about.train.class(point));
        let truth = self.truth.map(|truth| truth[point]);
        let wrong = truth.filter(|&truth| class != Some(truth));
        html! {
            div.point {
                (figure(&self.pictures.train, point))
                @if let Some(label) = &label { b { (shown(label)) } }
                @if let Some(truth) = wrong { span.wrong { " (truly " (truth) ")" } }
                span.score { (score) }
                span.number { "#" (point) }
            }
        }
    }

    fn suspects(&self) -> Result<Markup> {
        let mut sections = Vec::new();
        for (suspicion, suspects) in self.suspicions.iter().zip(self.suspects) {
            let (title, what) = match suspicion.score {
                "self_influence" => (
                    "Training points with the largest influence on themselves",
                    "self-influence of a training point",
                ),
                _ => (
                    "Training points that harm the most on average",
                    "mean influence of a training point on the test points",
                ),
            };
            let chart = histogram(
                &Bins::of(&suspicion.scores.to_vec(), BINS),
                [what, "points"],
            )?;
            let found = self.truth.zip(self.about).map(|(truth, about)| {
                let wrong = |point: &&usize| about.train.class(**point) != Some(truth[**point]);
                suspects.iter().filter(wrong).count()
            });
            sections.push(html! {
                section id=(suspicion.score.replace('_', "-")) {
                    h2 { (title) }
                    p.note {
                        "Labels that deserve to be looked at, the most suspicious first."
                        @if let Some(found) = found { " " (found) " of these " (suspects.len()) " are mislabelled." }
                    }
                    div.gallery {
                        @for &point in suspects { (self.train_point(point, &signed(suspicion.scores[point]))) }
                    }
                    (PreEscaped(chart))
                }
            });
        }
        Ok(html! { @for section in &sections { (section) } })
    }

    fn solver(&self) -> Result<Markup> {
        let Some(residuals) = &self.residuals else {
            return Ok(html! {});
        };
        let chart = dots(residuals, "relative residual")?;
        Ok(html! {
            section id="solver" {
                h2 { "How well the systems were solved" }
                (PreEscaped(chart))
                p.note { "The residual of each test row, relative to its right-hand side. Direct methods and factors are exact but for rounding." }
            }
        })
    }
}

fn figure(pictures: &BTreeMap<usize, Picture>, point: usize) -> Markup {
    html! {
        @match pictures.get(&point) {
            Some(Picture::Image(address)) => img src=(address) alt=(format!("point {point}"));
            Some(Picture::Numbers(numbers)) => code.numbers { (numbers) }
            None => {}
        }
    }
}
