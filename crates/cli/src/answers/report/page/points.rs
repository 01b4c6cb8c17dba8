use std::collections::BTreeMap;

use anyhow::Result;
use influence_core::aggregate::Ranking;
use maud::{Markup, html};

use super::{
    super::{picture::Picture, plots::percent},
    Page, Section,
};
use crate::{
    answers::{
        suspicion::{By, Suspicion},
        names::{class, name, target},
        points::{Points, shown},
        top::Opinion,
    },
    summary::signed,
};

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
                    (self.ranked("helpful", &opinion.helpful))
                    (self.ranked("harmful", &opinion.harmful))
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
        let called = format!("test point {}", name(self.test(), opinion.test));
        let foremost = self.layers.as_ref();
        let foremost = foremost.and_then(|layers| layers.foremost(opinion.test));
        html! {
            div.test {
                (picture(&self.pictures.test, opinion.test, &called))
                h3 { (called) }
                @if let Some(about) = self.about {
                    p {
                        "target " b { (shown(&target(self.test(), opinion.test))) }
                        br;
                        "predicted " b { (shown(&about.test.predictions.of(opinion.test))) }
                        br;
                        "loss " (format!("{:.3}", about.test.predictions.losses[opinion.test]))
                    }
                }
                @if let Some((layer, share)) = foremost {
                    p.note { "most through " (layer) " (" (percent(share)) ")" }
                }
            }
        }
    }

    fn ranked(&self, side: &str, ranking: &Ranking) -> Markup {
        let points = ranking.indices.iter().zip(&ranking.values);
        html! {
            div class={ "side " (side) } {
                h4 { "most " (side) }
                @if ranking.indices.is_empty() {
                    p.note { "none" }
                } @else {
                    (self.gallery(points.map(|(&point, &value)| (point, value))))
                }
            }
        }
    }

    /// Training points with a number of each.
    fn gallery(&self, points: impl Iterator<Item = (usize, f64)>) -> Markup {
        html! {
            ul.gallery { @for (point, value) in points { li { (self.train_point(point, &signed(value))) } } }
        }
    }

    fn train_point(&self, point: usize, score: &str) -> Markup {
        let label = self.about.map(|_| target(self.train(), point));
        let own = self.train().and_then(|train| train.class(point));
        let truth = self.truth.as_ref().map(|truth| truth[point]);
        let wrong = truth.filter(|&truth| own != Some(truth));
        let wrong = wrong.map(|truth| class(self.train(), truth));
        let called = name(self.train(), point);
        html! {
            (picture(&self.pictures.train, point, &format!("training point {called}")))
            @if let Some(label) = &label { b { (shown(label)) } }
            @if let Some(truth) = &wrong { span.wrong { " (truly " (shown(truth)) ")" } }
            span.score { (score) }
            span.number { "#" (called) }
        }
    }

    /// Training points whose labels deserve to be looked at, by one score or two.
    pub(super) fn suspects(&self) -> Result<Vec<Section>> {
        let suspicions = self.suspicions.iter().zip(&self.suspects);
        let section = |(suspicion, suspects): (&Suspicion, &Vec<usize>)| {
            let (id, short, title, caption) = match suspicion.by {
                By::SelfInfluence => (
                    "self-influence",
                    "Self-influence",
                    "Training points with the largest influence on themselves",
                    "How all training points influence themselves.",
                ),
                _ => (
                    "mean-influence",
                    "Mean influence",
                    "Training points that harm the most on average",
                    "How all training points influence the test points, on average.",
                ),
            };
            let body = html! {
                p.note {
                    "Labels that deserve to be looked at, the most suspicious first."
                    @if let Some(wrong) = self.mislabelled(suspects) {
                        " " (wrong) " of these " (suspects.len()) " are mislabelled."
                    }
                }
                (self.gallery(suspects.iter().map(|&point| (point, suspicion.scores[point]))))
                (self.chart(id, &html! { (caption) })?)
            };
            Ok(Section {
                id,
                short,
                title,
                body,
            })
        };
        suspicions.map(section).collect()
    }

    /// How many of some training points are mislabelled, where the truth is known.
    fn mislabelled(&self, points: &[usize]) -> Option<usize> {
        let (truth, train) = (self.truth.as_ref()?, self.train()?);
        let is_wrong = |point: &&usize| train.class(**point) != Some(truth[**point]);
        Some(points.iter().filter(is_wrong).count())
    }
}

fn picture(pictures: &BTreeMap<usize, Picture>, point: usize, called: &str) -> Markup {
    html! {
        @match pictures.get(&point) {
            Some(Picture::Image(address)) => img src=(address) alt=(called);
            Some(Picture::Numbers(numbers)) => code.numbers { (numbers) }
            None => {}
        }
    }
}
