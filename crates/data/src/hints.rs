//! Hints for targets that do not fit: what they may be meant to be.

use anyhow::Result;
use influence_core::{FieldForm, FieldKind, FieldSource};

/// The most rows that are looked at.
const LOOKED_AT: usize = 1000;

/// A hint for targets that should be class numbers and are not.
pub(super) fn hint(array: &dyn FieldSource, form: FieldForm) -> Result<String> {
    if form.kind != FieldKind::Int || form.rank != 1 {
        return Ok(String::new());
    }
    let hint = match may_be_classes(array)? {
        Some(hint) => hint,
        None if matches!(array.shape(), [_] | [_, 1]) => {
            "for targets that are numbers the loss is mse"
        }
        None => return Ok(String::new()),
    };
    Ok(format!("; {hint}"))
}

/// A hint for numbers that look like classes.
pub(super) fn may_be_classes(array: &dyn FieldSource) -> Result<Option<&'static str>> {
    let shape = array.shape();
    let rows = array.rows(0..shape[0].min(LOOKED_AT))?;
    let values: Vec<f64> = rows.floats().collect();
    let whole = values
        .iter()
        .all(|value| value.fract().abs() < f64::EPSILON);
    Ok(match shape {
        &[_, columns] if columns > 1 && is_one_hot(&values, columns) => Some(
            "each row has a single 1: if they are classes, store its place, as by y.argmax(axis=1) of numpy",
        ),
        &[_] | &[_, 1] if whole => Some(
            "they are all whole: if they are classes, store them as integers, as by y.astype(int) of numpy",
        ),
        _ => None,
    })
}

fn is_one_hot(values: &[f64], columns: usize) -> bool {
    values.chunks(columns).all(|row| {
        let is = |number: f64| {
            row.iter()
                .filter(move |value| (**value - number).abs() < f64::EPSILON)
                .count()
        };
        is(1.0) == 1 && is(0.0) == columns - 1
    })
}

/// A hint for class numbers of which one is not below the number of classes.
pub(super) fn of_classes(numbers: &[i64], classes: usize) -> &'static str {
    let lowest = numbers.iter().min().copied().unwrap_or(0);
    let highest = numbers.iter().max().copied().unwrap_or(0);
    let are = |these: &[i64]| numbers.iter().all(|number| these.contains(number));
    let fits = |number: i64| usize::try_from(number).is_ok_and(|number| number < classes);
    // Marks of points to ignore, as PyTorch and segmentation masks use them.
    let marks = [-100, -1, 255];
    let unfit = numbers.iter().filter(|number| !fits(**number));
    if are(&[-1, 1]) {
        return "; -1 and 1 are to be 0 and 1: store (y + 1) / 2";
    }
    if lowest >= 1 && fits(highest - 1) {
        return "; they seem to be counted from 1: subtract 1";
    }
    if unfit.clone().all(|number| marks.contains(number)) && unfit.count() < numbers.len() {
        return "; if it marks points without a class, leave them out with `subset`";
    }
    "; are these the classes that the model was trained on?"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_numbers_that_do_not_fit_are_explained() {
        for (numbers, classes, expected) in [
            (&[1, 2, 3][..], 3, "subtract 1"),
            (&[2, 3, 3], 3, "subtract 1"),
            (&[-1, 1, 1], 2, "(y + 1) / 2"),
            (&[0, 1, 255], 2, "`subset`"),
            (&[0, -100, 1], 2, "`subset`"),
            (&[0, 7, 1], 2, "trained on"),
        ] {
            let hint = of_classes(numbers, classes);
            assert!(hint.contains(expected), "{numbers:?}: {hint}");
        }
    }
}
