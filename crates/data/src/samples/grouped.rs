//! The points of a side in groups.

use std::sync::Arc;

use anyhow::{Result, ensure};
use influence_core::{Dataset, FieldKind, FieldSource, Groups, Labels, Selected, Values};

use super::Samples;
use crate::{
    fields::FieldDataset,
    key::{AtKey, KeyError},
    settings::{GroupBy, Grouping, Take},
};

/// The points of a side in groups.
#[derive(Debug, Clone)]
pub struct GroupedSamples {
    /// The points, those of a group one after another, in the order of the data within it.
    pub samples: Samples,
    /// How many points of these are in each group, and the weight of each.
    pub groups: Groups,
    /// What each group is called: in the order of classes, or of labels.
    pub labels: Labels,
}

impl Samples {
    /// The points in the groups that the configuration asks for, if it does; `otherwise` says what
    /// a group stands for where it does not. A class is called by its name where there are some.
    ///
    /// # Errors
    /// When points are grouped by class and have none, or weights of a mean do not add up to more
    /// than 0.
    pub fn grouped(
        &self,
        otherwise: Take,
        classes: Option<&[String]>,
    ) -> Result<Option<GroupedSamples>> {
        let Some(grouping) = &self.files.group else {
            return Ok(None);
        };
        let take = grouping.take.unwrap_or(otherwise);
        let Partition {
            order,
            sizes,
            labels,
        } = self.partition(grouping, take, classes).at_key("group")?;
        let weights = self
            .weights(&order, &sizes, take, &labels)
            .at_key("group")?;
        Ok(Some(GroupedSamples {
            samples: self.selected(order)?,
            groups: Groups::new(sizes, weights)?,
            labels,
        }))
    }

    fn partition(
        &self,
        grouping: &Grouping,
        take: Take,
        classes: Option<&[String]>,
    ) -> Result<Partition> {
        let rows = (0..self.len()).map(|point| self.identity.row(point));
        Ok(match (&grouping.by, self.row_groups.labels.as_deref()) {
            (GroupBy::Class, _) => {
                let called = |numbers: Vec<i64>| {
                    let name = |&class: &i64| {
                        let place = usize::try_from(class).ok()?;
                        classes?.get(place).cloned()
                    };
                    let names: Option<Vec<String>> = numbers.iter().map(name).collect();
                    names.map_or(Labels::Numbers(numbers), Labels::Names)
                };
                Partition::by(&self.class_numbers()?, called)
            }
            (GroupBy::Labels(_), Some(Labels::Numbers(numbers))) => {
                let numbers: Vec<i64> = rows.map(|row| numbers[row]).collect();
                Partition::by(&numbers, Labels::Numbers)
            }
            (GroupBy::Labels(_), Some(Labels::Names(names))) => {
                let names: Vec<String> = rows.map(|row| names[row].clone()).collect();
                Partition::by(&names, Labels::Names)
            }
            (GroupBy::Labels(_), None) | (GroupBy::All, _) => {
                let called = |_| Labels::Names(vec![take.as_str().to_owned()]);
                Partition::by(&vec![(); self.len()], called)
            }
        })
    }

    /// The class of each point.
    fn class_numbers(&self) -> Result<Vec<i64>> {
        let form = self
            .forms
            .last()
            .filter(|_| self.forms.len() > self.inputs());
        let is_class = form.is_some_and(|form| form.kind == FieldKind::Int && form.rank == 1);
        ensure!(
            is_class,
            KeyError::new(
                "by",
                "the points have no classes: the targets are not one integer each; name a file with a label for each point, such as { by = \"labels.csv#source\" }"
            )
        );
        let batch = self.batch(0..self.len())?;
        let targets = batch.fields().last().into_iter();
        Ok(targets.flat_map(Values::integers).collect())
    }

    /// The weight of each point in this order.
    fn weights(
        &self,
        order: &[usize],
        sizes: &[usize],
        take: Take,
        labels: &Labels,
    ) -> Result<Vec<f64>> {
        let given = self.row_groups.weights.as_deref();
        let weight = |&point: &usize| given.map_or(1.0, |given| given[self.identity.row(point)]);
        let mut weights: Vec<f64> = order.iter().map(weight).collect();
        if take == Take::Sum {
            return Ok(weights);
        }
        let mut start = 0;
        for (group, size) in sizes.iter().enumerate() {
            let of_group = &mut weights[start..start + size];
            let sum: f64 = of_group.iter().sum();
            ensure!(
                sum > 0.0 && sum.is_finite(),
                KeyError::new(
                    "weights",
                    format!(
                        "the weights of group `{}` add up to {sum}, and a mean divides by that; give its points weights, or use take = \"sum\"",
                        labels.get(group)
                    )
                )
            );
            for weight in of_group {
                *weight /= sum;
            }
            start += size;
        }
        Ok(weights)
    }

    /// These points in this order.
    fn selected(&self, order: Vec<usize>) -> Result<Self> {
        if order.iter().copied().eq(0..self.len()) {
            return Ok(self.clone());
        }
        let chosen: Arc<[usize]> = order.into();
        let select = |field: &Arc<dyn FieldSource>| -> Result<Arc<dyn FieldSource>> {
            Ok(Arc::new(Selected::new(field.clone(), chosen.clone())?))
        };
        let fields = self.data.fields().iter().map(select);
        let mut data = FieldDataset::new(fields.collect::<Result<Vec<_>>>()?)?;
        if let Some(names) = self.data.names() {
            data = data.with_names(names.iter().cloned())?;
        }
        Ok(Self {
            data,
            identity: self.identity.select(&chosen),
            ..self.clone()
        })
    }
}

/// Points in the order of their groups.
struct Partition {
    order: Vec<usize>,
    /// The number of points in each group.
    sizes: Vec<usize>,
    /// What each group is called.
    labels: Labels,
}

impl Partition {
    /// Points in the order of what they are grouped by; `called` gives labels to these things, each
    /// of which it is shown once and in order.
    fn by<K: Ord + Clone>(keys: &[K], called: impl FnOnce(Vec<K>) -> Labels) -> Self {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        // Points of a group stay in their order, since the sort is stable.
        order.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
        let runs = order.chunk_by(|&a, &b| keys[a] == keys[b]);
        let (sizes, once) = runs.map(|run| (run.len(), keys[run[0]].clone())).unzip();
        Self {
            sizes,
            labels: called(once),
            order,
        }
    }
}
