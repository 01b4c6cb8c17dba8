//! Whether the first line of a table names its columns.

use csv::StringRecord;

use super::super::columns::{Cell, shortened};
use crate::array_path::Decimal;

/// Lines below the first that are compared with it.
pub(super) const COMPARED: usize = 200;
/// The ways to write a missing value, in lower case.
const MISSING: [&str; 8] = ["", "na", "nan", "n/a", "null", "none", "?", "-"];
/// As many numbers in a row that rise or fall are names rather than values: they do so by chance
/// once in 360 times.
const RISING: usize = 6;

/// It cannot be told whether the first line of a table is a heading or a point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the first line, `{line}`, may be a heading or a point: {why}; set data.header = true or false (`influence init`: --header)"
)]
pub(crate) struct Unclear {
    line: String,
    why: &'static str,
}

/// What the first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Heading,
    Point,
    /// As the others, but with less to say for it than that it is text above numbers, or numbers as
    /// those below.
    PerhapsHeading,
    PerhapsPoint,
}

impl Verdict {
    pub(super) fn is_heading(self) -> bool {
        matches!(self, Self::Heading | Self::PerhapsHeading)
    }
}

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldContent {
    Missing,
    Number,
    Text,
}

fn kind(field: &str, decimal: Decimal) -> FieldContent {
    let field = field.trim();
    if MISSING.contains(&field.to_ascii_lowercase().as_str()) {
        FieldContent::Missing
    } else if Cell::parse(field, decimal).is_some() {
        FieldContent::Number
    } else {
        FieldContent::Text
    }
}

/// Compares the first line with those below it, column by column; where they do not tell, the
/// columns that are chosen by name do.
pub(super) fn judge(
    first: &StringRecord,
    below: &[StringRecord],
    decimal: Decimal,
    choice: Option<&str>,
) -> Result<Verdict, Unclear> {
    let verdict = compare(first, below, decimal);
    match verdict {
        Ok(Verdict::Heading | Verdict::Point) => verdict,
        _ if choice.is_some_and(|choice| names(first, choice)) => Ok(Verdict::Heading),
        _ => verdict,
    }
}

/// Whether columns are chosen by texts of the first line rather than by their numbers.
fn names(first: &StringRecord, choice: &str) -> bool {
    let chosen = choice.strip_prefix('-').unwrap_or(choice).split(',');
    let mut chosen = chosen.map(str::trim);
    let in_first = |name: &str| first.iter().any(|field| field.trim() == name);
    let is_number = |name: &str| name.parse().is_ok_and(|number: usize| number < first.len());
    chosen.clone().all(in_first) && !chosen.all(is_number)
}

fn compare(
    first: &StringRecord,
    below: &[StringRecord],
    decimal: Decimal,
) -> Result<Verdict, Unclear> {
    let unclear = |why| {
        Err(Unclear {
            line: shown(first),
            why,
        })
    };
    let kinds: Vec<FieldContent> = first.iter().map(|field| kind(field, decimal)).collect();
    let numbers: Vec<&str> = (first.iter().zip(&kinds))
        .filter(|(_, kind)| **kind == FieldContent::Number)
        .map(|(field, _)| field.trim())
        .collect();
    let texts = kinds
        .iter()
        .filter(|kind| **kind == FieldContent::Text)
        .count();
    let above_numbers = |column: usize| {
        let mut found = below
            .iter()
            .filter_map(|record| record.get(column))
            .map(|field| kind(field, decimal))
            .filter(|kind| *kind != FieldContent::Missing)
            .peekable();
        found.peek().is_some() && found.all(|kind| kind == FieldContent::Number)
    };
    let mut of_text = (0..kinds.len()).filter(|&column| kinds[column] == FieldContent::Text);
    let names_numbers = of_text.clone().any(above_numbers);
    let comes_again = of_text.any(|column| {
        let again =
            |record: &StringRecord| record.get(column).map(str::trim) == Some(first[column].trim());
        below.iter().any(again)
    });
    match (numbers.len(), texts) {
        (0, 0) => Ok(Verdict::Point),
        (0, _) if names_numbers || below.is_empty() => Ok(Verdict::Heading),
        (0, _) if comes_again => Ok(Verdict::PerhapsPoint),
        (0, _) => unclear("it is text, as the lines below it"),
        (_, 0) => of_numbers(&numbers, kinds.len(), first, below, decimal).or_else(unclear),
        (2.., _) if counts(&numbers) && !comes_again => Ok(Verdict::PerhapsHeading),
        _ if names_numbers => unclear("it has text above numbers, and numbers too"),
        _ if comes_again && !counts(&numbers) => Ok(Verdict::PerhapsPoint),
        _ => unclear("it has numbers and text, like the lines below it"),
    }
}

/// A first line of numbers, in some columns nothing.
fn of_numbers(
    numbers: &[&str],
    columns: usize,
    first: &StringRecord,
    below: &[StringRecord],
    decimal: Decimal,
) -> Result<Verdict, &'static str> {
    let value = |text: &str| Cell::parse(text, decimal).map_or(f64::NAN, Cell::float);
    let values = |record: &StringRecord| record.iter().map(value).collect::<Vec<f64>>();
    let like = |holds: fn(&[f64]) -> bool| {
        let alike = below.iter().filter(|record| holds(&values(record))).count();
        2 * alike > below.len()
    };
    let top: Vec<f64> = numbers.iter().copied().map(value).collect();
    let whole = |text: &str| text.trim().parse::<i64>().is_ok();
    // pandas leaves the heading of its index empty.
    let indexed = columns == 1 + numbers.len() && first[0].trim().is_empty();
    if numbers.len() < columns && !(indexed && counts(numbers)) {
        return Ok(Verdict::Point);
    }
    if counts(numbers) {
        return match columns {
            1 => Err("a single column may be called by a number"),
            _ if below.is_empty() => Err("it counts the columns, and there are no others"),
            _ if below.iter().any(|record| record == first) => {
                Err("it counts the columns, and occurs again below")
            }
            _ => Ok(Verdict::PerhapsHeading),
        };
    }
    if even_steps(&top) && !like(even_steps) || rising(&top) && !like(rising) {
        return Err("its numbers rise or fall in order, as the names of columns may");
    }
    let fractions = below
        .iter()
        .all(|record| record.iter().all(|field| !whole(field)));
    if numbers.iter().all(|text| whole(text)) && below.len() >= 5 && fractions {
        return Err("its numbers are whole, none below is");
    }
    Ok(Verdict::Point)
}

/// Whether texts are 0, 1, 2 and so on, or 1, 2, 3.
fn counts(numbers: &[&str]) -> bool {
    (0..=1).any(|from| {
        let expected = from..from + numbers.len();
        expected
            .zip(numbers)
            .all(|(number, text)| number.to_string() == *text)
    })
}

/// Whether each is as far from the one before it as the second is from the first, and not equal.
fn even_steps(values: &[f64]) -> bool {
    let [first, second, _, ..] = values else {
        return false;
    };
    let step = second - first;
    let even = |pair: &[f64]| (pair[1] - pair[0] - step).abs() <= 1e-9 * step.abs();
    step != 0.0 && values.windows(2).all(even)
}

fn rising(values: &[f64]) -> bool {
    values.len() >= RISING
        && (values.is_sorted_by(|a, b| a < b) || values.is_sorted_by(|a, b| a > b))
}

/// A line as messages show it.
pub(super) fn shown(record: &StringRecord) -> String {
    shortened(&record.iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Result<Verdict, Unclear> {
        let mut lines = text
            .lines()
            .map(|line| line.split(',').collect::<StringRecord>());
        let first = lines.next().expect("a line");
        judge(&first, &lines.collect::<Vec<_>>(), Decimal::Point, None)
    }

    #[test]
    fn headings_are_told_from_points() {
        use Verdict::{Heading, PerhapsHeading, PerhapsPoint, Point};
        for (text, expected) in [
            ("a,b\n1,2\n3,4", Heading),
            ("a,b", Heading),
            (",a,b\n0,1,2\n1,3,4", Heading),
            ("a,label\n1,cat\n3,cat", Heading),
            ("a,b\n1,?\nNA,4", Heading),
            // As pandas writes the columns of an array.
            ("0,1,2\n0.5,0.1,0.2\n3,1,2", PerhapsHeading),
            ("1,2,3\n0.5,0.1,0.2\n3,1,2", PerhapsHeading),
            (",0,1\n0,0.5,0.1\n1,0.1,0.2", PerhapsHeading),
            ("label,0,1\ncat,0.5,0.1\ndog,0.1,0.2", PerhapsHeading),
            ("0,1,label\n0.5,0.1,cat\n0.1,0.2,dog", PerhapsHeading),
            // As UCI has them.
            ("5.1,3.5,cat\n4.9,3,cat\n4,2,dog", PerhapsPoint),
            ("cat\ndog\ncat", PerhapsPoint),
            ("5.1,3.5\n4.9,3", Point),
            ("5.1,?\n4.9,3", Point),
            ("?,5.1\n4.9,3", Point),
            (",5.1\n4.9,3", Point),
            ("3\n0\n1", Point),
            // Lines below rise as evenly.
            ("3,5,7\n1,2,3\n2,4,6", Point),
            ("1,0,1\n0.5,0.1,0.2\n3,1,2", Point),
        ] {
            assert_eq!(judged(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_the_lines_do_not_tell_is_unclear() {
        for (text, expected) in [
            ("0\n1\n2", "a single column"),
            ("1\n0.5", "a single column"),
            ("0,1,2", "no others"),
            ("0,1\n5,6\n0,1", "occurs again"),
            ("cat\ndog\nant", "it is text"),
            ("1.5,cat\n2,dog", "numbers and text"),
            ("id,2019,2020\n1,0.5,0.5", "text above numbers"),
            ("0,1,cat\n2,3,cat", "numbers and text"),
            ("2019,2020,2021\n0.5,0.1,0.7\n3,1,2", "rise or fall"),
            (
                "400.1,402.5,403,407,411,420\n0.5,0.1,0.7,0.3,0.1,0.2\n3,1,2,5,2,1",
                "rise or fall",
            ),
            (
                "10,35,20\n0.5,0.1,0.2\n0.1,0.2,0.4\n0.5,0.1,0.2\n0.1,0.2,0.3\n0.7,0.1,0.2",
                "whole",
            ),
        ] {
            let unclear = judged(text).expect_err(text).to_string();
            assert!(unclear.contains(expected), "{text}: {unclear}");
            assert!(unclear.contains("data.header = true or false"), "{unclear}");
        }
    }

    #[test]
    fn chosen_columns_tell_where_lines_do_not() {
        for (first, choice, expected) in [
            ("name,1", "name", true),
            ("name,1", "-name", true),
            ("2019,2020,2021", "2020", true),
            ("5.1,3.5,cat", "0,1", false),
            ("0,1,2", "0,1", false),
            ("name,1", "label", false),
            ("name,1", "name,label", false),
        ] {
            let record: StringRecord = first.split(',').collect();
            assert_eq!(names(&record, choice), expected, "{first} {choice}");
        }
    }
}
