//! Sums of products by Einstein's convention.
//!
//! The operands are contracted one after the other. Of two operands, each label is shared or
//! belongs to one of them, and is read later (by the output or by a further operand) or not:
//!
//! ```text
//! shared, read later        batch       the same entries of both
//! shared, not read          contracted  the inner axis of a matrix product
//! of one, read later        free        its rows, or its columns
//! of one, not read          summed      before anything else
//! ```
//!
//! so that every step is one product of matrices `(batch, rows, inner) · (batch, inner, columns)`,
//! or of entries where nothing is contracted.

use std::collections::BTreeMap;

use super::{Call, Operator, Slot, linear::product, one};
use crate::{
    Error, Result,
    value::{Devices, Value, check_count},
};

pub(super) fn find(name: &str) -> Option<Operator> {
    let run: super::Run = |call: &mut Call<'_>| {
        let operands = call.all()?;
        let equation = call.text("equation", "")?.to_owned();
        Ok::<Vec<Slot>, Error>(one(contracted(&equation, operands, call.devices)?))
    };
    (name == "Einsum").then_some(Operator::smooth(run))
}

/// An axis: a letter, or a place before the end of an ellipsis.
type Label = u32;

/// A value whose axes have labels.
struct Labelled {
    value: Value,
    labels: Vec<Label>,
}

/// The sum of products that an equation such as `bij,bjk->bik` says.
pub(super) fn contracted(equation: &str, operands: Vec<Value>, devices: &Devices) -> Result<Value> {
    let operands = Value::all_together(operands, devices)?;
    let (terms, output) = parsed(equation, &operands)?;
    let mut left: Vec<Labelled> = operands
        .into_iter()
        .zip(terms)
        .map(|(value, labels)| {
            Ok(Labelled {
                value: value.float()?,
                labels,
            })
        })
        .collect::<Result<_>>()?;
    let mut sum = left.remove(0);
    while !left.is_empty() {
        let next = left.remove(0);
        let later = left
            .iter()
            .flat_map(|operand| &operand.labels)
            .chain(&output);
        let later: Vec<Label> = later.copied().collect();
        sum = sum.times(next, &later, devices)?;
    }
    let sum = sum.summed(|label| output.contains(&label))?;
    sum.ordered(&output).map(|sum| sum.value)
}

/// The labels of each operand and of the output.
fn parsed(equation: &str, operands: &[Value]) -> Result<(Vec<Vec<Label>>, Vec<Label>)> {
    let wrong = |why: &str| Error::Operator(format!("the equation `{equation}` {why}"));
    let text: String = equation
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    let (inputs, output) = match text.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (text.as_str(), None),
    };
    let inputs: Vec<&str> = inputs.split(',').collect();
    if inputs.len() != operands.len() {
        return Err(wrong(&format!("does not have {} operands", operands.len())));
    }
    let mut widest = 0;
    let mut terms = Vec::with_capacity(inputs.len());
    for (input, operand) in inputs.iter().zip(operands) {
        let letters = input.replace("...", "").chars().count();
        let hidden = operand.rank().checked_sub(letters);
        let hidden = hidden.filter(|&hidden| hidden == 0 || input.contains("..."));
        let hidden = hidden.ok_or_else(|| wrong("does not fit the ranks of its operands"))?;
        widest = widest.max(hidden);
        let labels = labels(input, hidden).ok_or_else(|| wrong("is not understood"))?;
        let distinct = labels
            .iter()
            .all(|label| labels.iter().filter(|other| *other == label).count() == 1);
        if !distinct {
            return Err(wrong("takes a diagonal, which is not computed"));
        }
        terms.push(labels);
    }
    let output = match output {
        Some(output) => labels(output, widest).ok_or_else(|| wrong("is not understood"))?,
        None => implicit(&terms, widest),
    };
    let known = |label: &Label| terms.iter().any(|term| term.contains(label));
    let distinct = output
        .iter()
        .all(|label| output.iter().filter(|other| *other == label).count() == 1);
    if output.iter().all(known) && distinct {
        Ok((terms, output))
    } else {
        Err(wrong("has an output that its operands do not give"))
    }
}

/// The labels of a term, an ellipsis being this many axes; `None` where there is anything but
/// letters.
fn labels(term: &str, hidden: usize) -> Option<Vec<Label>> {
    let hidden = u32::try_from(hidden).ok()?;
    let (before, after, hidden) = match term.split_once("...") {
        Some((before, after)) => (before, after, hidden),
        None => (term, "", 0),
    };
    let letters = |part: &str| {
        let label = |letter: char| letter.is_ascii_alphabetic().then_some(u32::from(letter));
        part.chars().map(label).collect::<Option<Vec<_>>>()
    };
    // Counted from the end, since operands may have different numbers of them.
    let places = (0..hidden).rev().map(|place| 0x1000 + place);
    let mut labels = letters(before)?;
    labels.extend(places);
    labels.extend(letters(after)?);
    Some(labels)
}

/// The output of an equation that does not say it: the ellipsis, then the letters that occur once.
fn implicit(terms: &[Vec<Label>], widest: usize) -> Vec<Label> {
    let mut output = labels("...", widest).unwrap_or_default();
    let mut counts = BTreeMap::<Label, usize>::new();
    for label in terms.iter().flatten().filter(|label| **label < 0x1000) {
        *counts.entry(*label).or_default() += 1;
    }
    output.extend(
        counts
            .into_iter()
            .filter(|(_, count)| *count == 1)
            .map(|(label, _)| label),
    );
    output
}

impl Labelled {
    /// The length of an axis, 1 where it is not there.
    fn length(&self, label: Label) -> usize {
        let place = self.labels.iter().position(|other| *other == label);
        place.map_or(1, |axis| self.value.dims()[axis])
    }

    /// The product of the lengths of axes.
    fn count(&self, labels: &[Label]) -> usize {
        labels.iter().map(|&label| self.length(label)).product()
    }

    /// Without the axes that nobody keeps, over which it is summed.
    fn summed(self, keeps: impl Fn(Label) -> bool) -> Result<Self> {
        let Self { mut value, labels } = self;
        let mut dims = Vec::new();
        for (axis, &label) in labels.iter().enumerate() {
            if keeps(label) {
                dims.push(value.dims()[axis]);
            } else {
                value = value.sum_along(axis);
            }
        }
        let labels = labels.into_iter().filter(|&label| keeps(label)).collect();
        Ok(Self {
            value: value.reshape(&dims)?,
            labels,
        })
    }

    /// With its axes in this order, of which it has all or, with length 1, none.
    fn ordered(self, order: &[Label]) -> Result<Self> {
        let there: Vec<Label> = order
            .iter()
            .copied()
            .filter(|label| self.labels.contains(label))
            .collect();
        let place = |label: &Label| self.labels.iter().position(|other| other == label);
        let axes: Option<Vec<usize>> = there.iter().map(place).collect();
        let axes = axes.ok_or_else(|| Error::operator("an axis was lost"))?;
        let dims: Vec<usize> = order.iter().map(|&label| self.length(label)).collect();
        let value = self.value.permute(&axes)?.reshape(&dims)?;
        Ok(Self {
            value,
            labels: order.to_vec(),
        })
    }

    /// The product with another operand, summed over what is not read later.
    fn times(self, other: Self, later: &[Label], devices: &Devices) -> Result<Self> {
        let reads = |label: Label| later.contains(&label);
        let (there, here) = (other.labels.clone(), self.labels.clone());
        let left = self.summed(|label| reads(label) || there.contains(&label))?;
        let right = other.summed(|label| reads(label) || here.contains(&label))?;
        let of = |labels: &[Label], shared: bool, read: bool, elsewhere: &[Label]| {
            let fits = |label: &Label| elsewhere.contains(label) == shared && reads(*label) == read;
            labels.iter().copied().filter(fits).collect::<Vec<_>>()
        };
        let batch = of(&left.labels, true, true, &right.labels);
        let inner = of(&left.labels, true, false, &right.labels);
        let rows = of(&left.labels, false, true, &right.labels);
        let columns = of(&right.labels, false, true, &left.labels);
        let labels: Vec<Label> = [&batch[..], &rows, &columns].concat();
        if inner.is_empty() {
            let value = left
                .ordered(&labels)?
                .value
                .times(right.ordered(&labels)?.value)?;
            return Ok(Self { value, labels });
        }
        let length = |label: &Label| left.length(*label).max(right.length(*label));
        let dims: Vec<usize> = labels.iter().map(length).collect();
        check_count(&dims, left.value.known)?;
        let shared: Vec<usize> = batch.iter().map(length).collect();
        let (row_count, column_count) = (left.count(&rows), right.count(&columns));
        let inner_count = left.count(&inner);
        let matrix = |operand: Self, order: [&[Label]; 2], sides: [usize; 2]| {
            let order = [&batch[..], order[0], order[1]].concat();
            let value = operand.ordered(&order)?.value;
            let own = value.dims();
            let mut full = shared.clone();
            full.extend(&own[batch.len()..]);
            let mut matrix = vec![shared.iter().product()];
            matrix.retain(|_| !batch.is_empty());
            matrix.extend(sides);
            value.expand(&full)?.reshape(&matrix)
        };
        let left = matrix(left, [&rows, &inner], [row_count, inner_count])?;
        let right = matrix(right, [&inner, &columns], [inner_count, column_count])?;
        Ok(Self {
            value: product(left, right, devices)?.reshape(&dims)?,
            labels,
        })
    }
}
