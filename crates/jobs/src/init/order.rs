//! In which order layers fit each other and the data.

use super::{
    flow::{Flow, Kind, Passed},
    groups::Group,
    names::{NamePart, parts},
};

/// How many steps are tried; orders of equal layers are more than can be gone through.
const STEPS: usize = 20_000;

/// Models of more layers are not gone through.
const LAYERS: usize = 400;

/// How many orders that fit are looked at.
const ORDERS: usize = 64;

/// A layer in its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Which of the layers.
    pub(super) layer: usize,
    pub(super) kind: Kind,
    /// The sample that reaches it.
    pub(super) reached: Flow,
    /// The sample behind it.
    pub(super) passed: Passed,
}

/// How many outputs a model has.
#[derive(Debug, Clone, Copy)]
pub(super) enum OutputCount {
    /// One for each class that occurs, or more.
    AtLeast(usize),
    /// One for each number of a target.
    Exactly(usize),
}

impl OutputCount {
    fn fit(self, flow: &Flow) -> bool {
        let size = match flow {
            Flow::Sample(shape) => shape.iter().product(),
            Flow::Flat(size) => *size,
            // Pooled over all places, or flattened.
            Flow::Channels { channels, .. } => *channels,
            Flow::Rows { rows, size } => rows.saturating_mul(*size),
        };
        let places = matches!(flow, Flow::Channels { .. });
        match self {
            // Whole numbers can be the targets of one output, too.
            Self::AtLeast(least) => size >= least || size == 1 || places,
            Self::Exactly(exact) => {
                size == exact || places && size > 0 && exact.is_multiple_of(size)
            }
        }
    }
}

/// Whether the order is known before shapes are looked at: from the file, or from numbers in names.
pub(super) fn is_said(groups: &[Group], in_order: bool) -> bool {
    let names: Vec<Vec<NamePart>> = groups.iter().map(|group| parts(&group.name)).collect();
    in_order || names.windows(2).all(|pair| precedes(&pair[0], &pair[1]))
}

/// The orders that fit.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) found: Vec<Vec<Placed>>,
    /// Whether all were looked at.
    pub(super) complete: bool,
}

/// Goes through the orders that fit a sample and a number of outputs: of the file where it says
/// one, else all in which numbers within names that are else alike grow.
pub(super) fn orders(
    groups: &[Group],
    in_order: bool,
    sample: &[usize],
    outputs: OutputCount,
) -> Orders {
    if groups.len() > LAYERS {
        return Orders::default();
    }
    let mut search = Search {
        kinds: groups.iter().map(Kind::of).collect(),
        earlier: earlier(groups, in_order),
        outputs,
        steps: STEPS,
        placed: Vec::new(),
        used: vec![false; groups.len()],
        found: Vec::new(),
    };
    search.go_on(&Flow::Sample(sample.to_vec()));
    Orders {
        complete: search.steps > 0 && search.found.len() < ORDERS,
        found: search.found,
    }
}

/// Which layers come before each for sure.
fn earlier(groups: &[Group], in_order: bool) -> Vec<Vec<usize>> {
    let names: Vec<Vec<NamePart>> = groups.iter().map(|group| parts(&group.name)).collect();
    let before = |layer: usize| -> Vec<usize> {
        if in_order {
            return layer.checked_sub(1).into_iter().collect();
        }
        let others = 0..names.len();
        others
            .filter(|&other| precedes(&names[other], &names[layer]))
            .collect()
    };
    (0..groups.len()).map(before).collect()
}

/// Whether names are alike up to a number, and that of the one is smaller.
fn precedes(one: &[NamePart], other: &[NamePart]) -> bool {
    let differing = one.iter().zip(other).find(|(one, other)| one != other);
    matches!(differing, Some((NamePart::Number(one), NamePart::Number(other))) if one < other)
}

struct Search {
    kinds: Vec<Vec<Kind>>,
    earlier: Vec<Vec<usize>>,
    outputs: OutputCount,
    steps: usize,
    placed: Vec<Placed>,
    used: Vec<bool>,
    found: Vec<Vec<Placed>>,
}

impl Search {
    fn go_on(&mut self, flow: &Flow) {
        if self.placed.len() == self.kinds.len() {
            if self.outputs.fit(flow) {
                self.found.push(self.placed.clone());
            }
            return;
        }
        for layer in self.next() {
            let mut behind = Vec::new();
            for kind in self.kinds[layer].clone() {
                if self.steps == 0 || self.found.len() == ORDERS {
                    return;
                }
                self.steps -= 1;
                // Kinds that give the same are alternatives within one order.
                if let Some(passed) = kind.pass(flow)
                    && !behind.contains(&passed.flow)
                {
                    behind.push(passed.flow.clone());
                    self.place(layer, kind, flow, passed);
                }
            }
        }
    }

    fn place(&mut self, layer: usize, kind: Kind, flow: &Flow, passed: Passed) {
        let behind = passed.flow.clone();
        self.used[layer] = true;
        self.placed.push(Placed {
            layer,
            kind,
            reached: flow.clone(),
            passed,
        });
        self.go_on(&behind);
        self.placed.pop();
        self.used[layer] = false;
    }

    /// Layers that may come next, first those that usually do: a normalisation behind what it
    /// normalises.
    fn next(&self) -> Vec<usize> {
        let free = |layer: &usize| {
            !self.used[*layer]
                && self.earlier[*layer]
                    .iter()
                    .all(|&earlier| self.used[earlier])
        };
        let is_norm = |layer: usize| matches!(self.kinds[layer].first(), Some(Kind::Norm { .. }));
        let after_weights = self
            .placed
            .last()
            .is_some_and(|placed| !matches!(placed.kind, Kind::Norm { .. }));
        let mut next: Vec<usize> = (0..self.kinds.len()).filter(free).collect();
        next.sort_by_key(|&layer| is_norm(layer) != after_weights);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names::parts, precedes};

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = [
            "fc10", "10", "fc2", "2.weight", "a.2", "a.10", "10.a", "conv1", "fc",
        ];
        names.sort_by_key(|name| parts(name));
        assert_eq!(
            names,
            [
                "2.weight", "10", "10.a", "a.2", "a.10", "conv1", "fc", "fc2", "fc10"
            ]
        );
        for (one, other, expected) in [
            ("0", "4.0", true),
            ("layers.2.norm", "layers.10.fc", true),
            ("fc2", "fc1", false),
            ("features.0", "classifier.1", false),
            ("conv1", "fc2", false),
        ] {
            assert_eq!(
                precedes(&parts(one), &parts(other)),
                expected,
                "{one}, {other}"
            );
        }
    }
}
