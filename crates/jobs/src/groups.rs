//! Groups of points in place of points: rows and columns of influences that stand for many.

use anyhow::{Result, ensure};
use influence_backend_burn::Batch;
use influence_calculators::{Prefetch, SampleSource};
use influence_core::{Dataset, Groups, Labels};
use influence_data::{
    GroupBy, GroupedSamples, Grouping, Samples, Take,
    key::{AtKey, KeyError},
};
use serde_json::{Value, json};

use crate::config::{Config, Method, Mode};

/// The points of a side in groups, each of which is one row or one column of influences.
#[derive(Debug)]
pub struct PointGroups {
    /// The points, those of a group one after another, read ahead.
    pub samples: Prefetch<Samples>,
    /// How many points of these are in each group, and the weight of each.
    pub groups: Groups,
    /// What each group is called.
    pub labels: Labels,
}

impl PointGroups {
    /// The groups of test and of training points, where a configuration asks for them; `classes`
    /// are the names of classes.
    ///
    /// # Errors
    /// When the points cannot be grouped, or the method or mode has no sums of points.
    pub(crate) fn of_sides(
        config: &Config,
        [test, train]: [&Samples; 2],
        classes: Option<&[String]>,
    ) -> Result<[Option<Self>; 2]> {
        let [train_key, test_key] = config.data.keys();
        let [of_test, of_train] = groupings(config);
        if of_train.is_some() {
            check_training(config)?;
        }
        // Of points that are split, the grouping is that of one side.
        let of_side = |wanted: Option<_>, samples: &Samples, otherwise, key| match wanted {
            None => Ok(None),
            Some(_) => samples
                .grouped(otherwise, classes)
                .at_key(key)?
                .map(Self::read_ahead)
                .transpose(),
        };
        Ok([
            of_side(of_test, test, Take::Mean, test_key)?,
            of_side(of_train, train, Take::Sum, train_key)?,
        ])
    }

    fn read_ahead(grouped: GroupedSamples) -> Result<Self> {
        let GroupedSamples {
            samples,
            groups,
            labels,
        } = grouped;
        Ok(Self {
            samples: Prefetch::new(samples)?,
            groups,
            labels,
        })
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none; there always are.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The weighted sums over the points of each group of a number for each point, which are in the
    /// order of the [samples](Self::samples).
    pub fn sums(&self, numbers: &[f64]) -> Vec<f64> {
        let weighted = |point: usize| self.groups.weights()[point] * numbers[point];
        let of_group = |group| {
            let points = self.groups.samples_of(&(group..group + 1));
            points.map(weighted).sum()
        };
        (0..self.len()).map(of_group).collect()
    }
}

/// A side whose vectors are computed: of each point, or of each group.
pub(crate) fn source<'a>(
    points: &'a Prefetch<Samples>,
    groups: Option<&'a PointGroups>,
) -> SampleSource<'a, Batch> {
    match groups {
        None => SampleSource::each(points),
        Some(groups) => SampleSource::groups(&groups.samples, groups.groups.clone()),
    }
}

/// How many rows or columns a side has, in words.
pub(crate) fn counted(
    points: &Prefetch<Samples>,
    groups: Option<&PointGroups>,
    side: &str,
) -> String {
    let points = points.len();
    match groups.map(PointGroups::len) {
        None => format!("{points} {side} points"),
        Some(1) => format!("1 group of {points} {side} points"),
        Some(groups) => format!("{groups} groups of {points} {side} points"),
    }
}

/// What an output says of the groups of its sides, which have these many points.
pub(crate) fn attributes(config: &Config, [tests, trainings]: [usize; 2]) -> Option<Value> {
    let [test, train] = groupings(config);
    let described = |grouping: Option<&Grouping>, otherwise: Take, points: usize| {
        grouping.map(|grouping| {
            json!({
                "by": grouping.kind(),
                "take": grouping.take.unwrap_or(otherwise),
                "weighted": grouping.weights.is_some(),
                "points": points,
            })
        })
    };
    if test.is_none() && train.is_none() {
        return None;
    }
    Some(json!({
        "test": described(test, Take::Mean, tests),
        "train": described(train, Take::Sum, trainings),
    }))
}

/// The groupings of test and of training points.
fn groupings(config: &Config) -> [Option<&Grouping>; 2] {
    let data = &config.data;
    let test = data.all.as_ref().or(data.test.as_ref());
    [test, data.train.as_ref()].map(|files| files?.group.as_ref())
}

/// Refuses groups of training points where there is no sum of their columns.
fn check_training(config: &Config) -> Result<()> {
    let method = config.method()?;
    ensure!(
        !matches!(method, Method::Magic),
        KeyError::new(
            "data.train.group",
            "magic gives whole rows of influences, not products with the gradients of training points, so that there is nothing to add before; leave it out, and add the columns of the output"
        )
    );
    ensure!(
        !method.leverage(),
        KeyError::new(
            "data.train.group",
            "with method.leverage a training point leaves together with its own curvature, and of a group these do not add up; leave method.leverage out"
        )
    );
    ensure!(
        config.compute.mode != Mode::Perturbation,
        KeyError::new(
            "data.train.group",
            "the mode perturbation differentiates by the input of each training point, and a group has no input; leave it out, or use the mode up"
        )
    );
    Ok(())
}

/// What is said of classes without a test point, which have no row.
pub(crate) fn remark(
    config: &Config,
    groups: [Option<&PointGroups>; 2],
    outputs: usize,
    classes: Option<&[String]>,
) -> Vec<String> {
    let keys = config.data.keys();
    let sides = [(keys[1], groups[0]), (keys[0], groups[1])];
    let sides = sides.into_iter().zip(groupings(config));
    let missing = sides.filter_map(|((key, groups), grouping)| {
        let groups = groups.filter(|_| grouping.is_some_and(|it| it.by == GroupBy::Class))?;
        let name = |class: usize| {
            let name = classes.and_then(|classes| classes.get(class));
            name.map_or_else(|| class.to_string(), Clone::clone)
        };
        let there: Vec<String> = (0..groups.len()).map(|it| groups.labels.get(it)).collect();
        let missing = (0..outputs).map(name).filter(|name| !there.contains(name));
        let missing: Vec<String> = missing.collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{key}.group: classes without points have no group: {}",
                missing.join(", ")
            )
        })
    });
    missing.collect()
}
