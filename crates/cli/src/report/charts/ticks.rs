//! How the numbers on an axis are written: all alike.

use std::ops::Range;

/// Labels on an axis, about.
pub(super) const TICKS: usize = 7;

/// Writes the ticks of an axis, all with the same number of decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    decimals: usize,
    /// Whether numbers are written as powers of ten.
    scientific: bool,
    /// Whether positive numbers have a sign.
    signed: bool,
}

impl Ticks {
    /// For an axis of numbers in a range; where both signs occur, both are written.
    pub(super) fn of(range: &Range<f64>) -> Self {
        let largest = range.start.abs().max(range.end.abs());
        let step = (range.end - range.start) / TICKS as f64;
        let scientific = !(1e-3..1e6).contains(&largest);
        // Digits that tell one step from the next, from the first digit of the largest number on.
        let digits = |of: f64| {
            let ratio = (of / step.max(f64::MIN_POSITIVE)).log10().ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 12"
            )]
            let digits = ratio.clamp(0.0, 12.0) as usize;
            digits
        };
        Self {
            decimals: digits(if scientific { largest } else { 1.0 }),
            scientific,
            signed: range.start < 0.0,
        }
    }

    pub(super) fn label(self, value: f64) -> String {
        let (decimals, magnitude) = (self.decimals, value.abs());
        let text = if self.scientific {
            format!("{magnitude:.decimals$e}")
        } else {
            grouped(&format!("{magnitude:.decimals$}"))
        };
        let zero = text.chars().all(|letter| matches!(letter, '0' | '.' | 'e'));
        match value {
            _ if zero => "0".into(),
            _ if value < 0.0 => format!("−{text}"),
            _ if self.signed => format!("+{text}"),
            _ => text,
        }
    }
}

/// A number with a thin space between groups of three digits before the point.
pub(super) fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && whole.len() > 4 {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_an_axis_have_the_same_decimals() {
        for (range, values, labels) in [
            (-12.0..12.0, &[-10.0, 0.0, 5.0][..], &["−10", "0", "+5"][..]),
            (0.0..0.7, &[0.1, 0.6], &["0.1", "0.6"]),
            (0.0..0.5, &[0.15, 0.3], &["0.15", "0.30"]),
            (
                0.0..300_000.0,
                &[200_000.0, 50_000.0],
                &["200\u{2009}000", "50\u{2009}000"],
            ),
            (-3e-7..3e-7, &[-2e-7, 1e-7], &["−2.0e-7", "+1.0e-7"]),
            (0.0..4e9, &[3e9], &["3.0e9"]),
        ] {
            let ticks = Ticks::of(&range);
            let got: Vec<String> = values.iter().map(|&value| ticks.label(value)).collect();
            assert_eq!(got, labels, "{range:?}");
        }
    }
}
