//! Points by name.

use anyhow::{Context, Result};

use super::points::Points;

/// The named test points, by their ids or, where they have none, by their numbers; without names
/// the first `count` that are proposed.
///
/// # Errors
/// When there is no such point.
pub fn select(
    named: &[String],
    test: Option<&Points<'_>>,
    proposed: Vec<usize>,
    count: usize,
) -> Result<Vec<usize>> {
    let len = proposed.len();
    if named.is_empty() {
        return Ok(proposed.into_iter().take(count).collect());
    }
    let example = test.and_then(|test| test.id(0));
    let called = |name: &str| {
        let test = test?;
        (0..len).find(|&point| test.id(point).as_deref() == Some(name))
    };
    let find = |name: &String| {
        if let Some(example) = &example {
            return called(name).with_context(|| {
                format!(
                    "--points: no test point is called `{name}`; they have ids, such as `{example}`"
                )
            });
        }
        let number = name.parse().ok().filter(|&number: &usize| number < len);
        number.with_context(|| {
            format!("--points: there is no test point {name}, there are {len}, counted from 0")
        })
    };
    let mut names = Vec::new();
    for text in named {
        if called(text).is_some() {
            names.push(text.clone());
        } else {
            names.extend(split(text)?);
        }
    }
    names.iter().map(find).collect()
}

/// Names between commas, in quotes where they have one.
fn split(text: &str) -> Result<Vec<String>> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut names = Vec::new();
    for record in reader.into_records() {
        names.extend(record.context("--points")?.iter().map(ToOwned::to_owned));
    }
    if names.is_empty() {
        names.push(text.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_between_commas_or_in_quotes() -> Result<()> {
        assert_eq!(split("0,17,4")?, ["0", "17", "4"]);
        assert_eq!(split("\"Ada, Countess\",Bob")?, ["Ada, Countess", "Bob"]);
        assert_eq!(split(" Ada ,\"a \"\"b\"\"\"")?, ["Ada", "a \"b\""]);
        Ok(())
    }
}
