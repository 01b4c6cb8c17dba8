use std::collections::BTreeMap;

use anyhow::Result;
use influence_core::aggregate::Ranking;
use influence_jobs::queries::{About, By, Opinion, Points, Suspicion, class, name, shown, target};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    super::{picture::Picture, plots::percent},
    Page, Section,
};
use crate::summary::signed;

impl Page<'_> {
    fn train(&self) -> Option<&Points<'_>> {
        self.about.map(|about| &about.train)
    }

    fn test(&self) -> Option<&Points<'_>> {
        self.about.map(|about| &about.test.points)
    }

    /// Test points, with who helped and who harmed the model on them.
    pub(super) fn test_points(&self) -> Section {
        let body = html! {
            @if self.about.is_none() {
                p.note { "The output does not say what it was made from: points are shown by number alone." }
            }
            @for opinion in &self.opinions {
                article {
                    (self.test_point(opinion))
                    (self.ranked("helpful", opinion, &opinion.helpful))
                    (self.ranked("harmful", opinion, &opinion.harmful))
                }
            }
        };
        Section {
            id: "points",
            short: "Test points",
            title: "Test points",
            body,
        }
    }

    fn test_point(&self, opinion: &Opinion) -> Markup {
        let called = format!("{} {}", self.called[0], name(self.test(), opinion.test));
        let foremost = self.layers.as_ref();
        let foremost = foremost.and_then(|layers| layers.foremost(opinion.test));
        html! {
            div.test {
                (picture(&self.pictures.test, opinion.test, &called))
                h3 { (called) }
                @if let Some(about) = self.about {
                    p {
                        @if !about.test.points.are_groups() {
                            "target " (value(&target(self.test(), opinion.test)))
                            br;
                            "predicted " (self.prediction(about, opinion.test))
                            br;
                        }
                        "loss " (format!("{:.3}", about.test.predictions.losses[opinion.test]))
                    }
                }
                @if let Some((layer, share)) = foremost {
                    p.note { "most through " (layer) " (" (percent(share)) ")" }
                }
            }
        }
    }

    /// The prediction of the model, marked where it is another class than the target.
    fn prediction(&self, about: &About<'_>, point: usize) -> Markup {
        let (says, is) = (about.test.predictions.of(point), target(self.test(), point));
        let wrong = about.test.points.class(point).is_some() && says != is;
        html! { (value(&says)) @if wrong { " " span.wrong { "wrong" } } }
    }

    fn ranked(&self, side: &str, opinion: &Opinion, ranking: &Ranking) -> Markup {
        let points = ranking.indices.iter().zip(&ranking.values);
        let points = points.map(|(&point, &influence)| {
            let change = signed(opinion.loss_change(influence));
            (point, change, Some(signed(influence)))
        });
        html! {
            div class={ "side " (side) } {
                h4 { "most " (side) }
                @if ranking.indices.is_empty() {
                    p.note { "none" }
                } @else {
                    (self.gallery("gallery", points))
                }
            }
        }
    }

    /// Training points, each with a score and, where the score was made from one, a raw influence.
    fn gallery(
        &self,
        class: &str,
        points: impl Iterator<Item = (usize, String, Option<String>)>,
    ) -> Markup {
        html! {
            ul class=(class) {
                @for (point, score, raw) in points { li { (self.train_point(point, &score, raw.as_deref())) } }
            }
        }
    }

    fn train_point(&self, point: usize, score: &str, raw: Option<&str>) -> Markup {
        let points = self.about.filter(|about| !about.train.are_groups());
        let label = points.map(|_| target(self.train(), point));
        let own = self.train().and_then(|train| train.class(point));
        let truth = self.truth.as_ref().map(|truth| truth[point]);
        let wrong = truth.filter(|&truth| own != Some(truth));
        let wrong = wrong.map(|truth| class(self.train(), truth));
        let called = name(self.train(), point);
        let numbered = called.bytes().all(|letter| letter.is_ascii_digit());
        html! {
            (picture(&self.pictures.train, point, &format!("{} {called}", self.called[1])))
            @if let Some(label) = &label { (value(label)) }
            @if let Some(truth) = &wrong { span.wrong { " (truly " (shown(truth)) ")" } }
            span.score { (score) }
            @if let Some(raw) = raw { span.raw { (raw) } }
            span.number title=(called) { @if numbered { "#" } (called) }
        }
    }

    /// Training points that deserve to be looked at, by each of the rankings that are known.
    pub(super) fn suspects(&self) -> Result<Vec<Section>> {
        let suspicions = self.suspicions.iter().zip(&self.suspects);
        suspicions
            .map(|(suspicion, suspects)| self.suspects_by(suspicion, suspects))
            .collect()
    }

    fn suspects_by(&self, suspicion: &Suspicion, suspects: &[usize]) -> Result<Section> {
        let Words {
            id,
            short,
            title,
            note,
            caption,
        } = words(suspicion.by);
        let n = self.points[1] as f64;
        let scored = suspects.iter().map(|&point| {
            let score = suspicion.scores[point];
            match suspicion.by {
                By::Loss => (point, format!("{score:.3}"), None),
                By::SelfInfluence | By::Mean => (point, signed(score / n), Some(signed(score))),
            }
        });
        let body = html! {
            p.note {
                (note)
                @if suspicion.by == By::Mean && self.grouped[0] {
                    " The mean is over the groups of test points, each of which counts as one."
                }
                @if let Some(wrong) = self.mislabelled(suspects) {
                    " " (wrong) " of these " (suspects.len()) " are mislabelled."
                }
            }
            (self.gallery("gallery many", scored))
            (self.chart(id, &html! { (caption) })?)
        };
        Ok(Section {
            id,
            short,
            title,
            body,
        })
    }

    /// How many of some training points are mislabelled, where the truth is known.
    fn mislabelled(&self, points: &[usize]) -> Option<usize> {
        let (truth, train) = (self.truth.as_ref()?, self.train()?);
        let is_wrong = |point: &&usize| train.class(**point) != Some(truth[**point]);
        Some(points.iter().filter(is_wrong).count())
    }
}

/// What is said of a ranking.
struct Words {
    id: &'static str,
    short: &'static str,
    title: &'static str,
    note: &'static str,
    caption: &'static str,
}

fn words(by: By) -> Words {
    match by {
        By::Loss => Words {
            id: "loss",
            short: "Loss",
            title: "Training points with the largest loss",
            note: "What the model does not fit: wrong labels and outliers, the largest loss first. \
                The ranking to beat, unless the model has learned wrong labels by heart.",
            caption: "The loss of all training points.",
        },
        By::SelfInfluence => Words {
            id: "self-influence",
            short: "Self-influence",
            title: "Training points with the largest influence on themselves",
            note: "By how much a point's own loss rises if it is left out, the largest first, with \
                the raw self-influence below.",
            caption: "How all training points influence themselves (raw).",
        },
        By::Mean => Words {
            id: "mean-influence",
            short: "Mean influence",
            title: "Training points that harm the most on average",
            note: "How the mean loss on the test points changes if a point is left out, the most \
                harmful first, with the raw mean influence below.",
            caption: "How all training points influence the test points, on average (raw).",
        },
    }
}

fn picture(pictures: &BTreeMap<usize, Picture>, point: usize, called: &str) -> Markup {
    html! {
        @match pictures.get(&point) {
            Some(Picture::Image(address)) => img src=(address) alt=(called);
            Some(Picture::Numbers(numbers)) if numbers.iter().any(|(name, _)| name.is_some()) => dl.inputs {
                @for (name, number) in numbers { dt { (name.as_deref().unwrap_or_default()) } dd { (number) } }
            }
            Some(Picture::Numbers(numbers)) => code.numbers {
                @for (index, (_, number)) in numbers.iter().enumerate() { @if index > 0 { ", " } span { (number) } }
            }
            None => {}
        }
    }
}

/// A class or a number in bold, several numbers in small print that breaks between them alone.
fn value(value: &Value) -> Markup {
    html! {
        @match value {
            Value::Array(values) => span.values {
                @for (index, value) in values.iter().enumerate() { @if index > 0 { ", " } span { (shown(value)) } }
            }
            value => b { (shown(value)) }
        }
    }
}
