use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::NpyField;

use super::spool::Spool;

/// Which columns of a table are meant: `a`, `a,b`, or `-a,b` for all but these; all without a choice.
pub(super) fn choose(choice: Option<&str>, names: &[String]) -> Result<Vec<usize>> {
    let twice = names
        .iter()
        .enumerate()
        .find(|(column, name)| names[..*column].contains(name));
    if let Some((_, name)) = twice {
        bail!("two columns are called `{name}`");
    }
    let Some(choice) = choice else {
        return Ok((0..names.len()).collect());
    };
    let (except, listed) = match choice.strip_prefix('-') {
        Some(listed) => (true, listed),
        None => (false, choice),
    };
    let find = |name: &str| {
        let found = names.iter().position(|known| known == name);
        found.with_context(|| {
            format!(
                "there is no column `{name}`; there are {}",
                names.join(", ")
            )
        })
    };
    let chosen: Vec<usize> = listed
        .split(',')
        .map(str::trim)
        .map(find)
        .collect::<Result<_>>()?;
    if !except {
        return Ok(chosen);
    }
    let others: Vec<usize> = (0..names.len())
        .filter(|column| !chosen.contains(column))
        .collect();
    ensure!(!others.is_empty(), "no column is left without `{listed}`");
    Ok(others)
}

/// A number of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Integer(i64),
    Float(f64),
}

impl Cell {
    /// An integer where it is written as one, else a float.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let integer = text.parse().ok().map(Self::Integer);
        integer.or_else(|| text.parse().ok().map(Self::Float))
    }
}

/// The numbers of a table on their way into an array `(rows, columns)`, or `(rows)` of a single column.
///
/// They are kept as 64-bit floats and, as long as all of them are, also as 64-bit integers: class numbers stay what they are.
pub(super) struct Table {
    floats: Spool,
    integers: Option<Spool>,
    width: Option<usize>,
    rows: usize,
}

impl Table {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            floats: Spool::new()?,
            integers: Some(Spool::new()?),
            width: None,
            rows: 0,
        })
    }

    /// Adds a row; all rows are of equal length.
    pub(super) fn push(&mut self, row: &[Cell]) -> Result<()> {
        let width = *self.width.get_or_insert(row.len());
        if row.len() != width {
            bail!(
                "row {} has {} numbers, those before it have {width}",
                self.rows,
                row.len()
            );
        }
        for cell in row {
            let float = match *cell {
                Cell::Integer(value) => {
                    if let Some(integers) = &mut self.integers {
                        integers.write_all(&value.to_le_bytes())?;
                    }
                    value as f64
                }
                Cell::Float(value) => {
                    self.integers = None;
                    value
                }
            };
            self.floats.write_all(&float.to_le_bytes())?;
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// `column` says that one number per row was meant by itself.
    pub(super) fn finish(self, column: bool, name: String) -> Result<NpyField> {
        let width = self.width.unwrap_or(0);
        let shape = [self.rows, width];
        let shape = if column && width == 1 {
            &shape[..1]
        } else {
            &shape[..]
        };
        match self.integers {
            Some(integers) => integers.finish("<i8", shape, name),
            None => self.floats.finish("<f8", shape, name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_by_name() {
        let names = ["a", "b", "c"].map(str::to_owned);
        for (choice, expected) in [
            (None, vec![0, 1, 2]),
            (Some("b"), vec![1]),
            (Some("c, a"), vec![2, 0]),
            (Some("-b"), vec![0, 2]),
            (Some("-a,c"), vec![1]),
        ] {
            assert_eq!(
                choose(choice, &names).expect("there"),
                expected,
                "{choice:?}"
            );
        }
        let twice = ["a", "b", "a"].map(str::to_owned);
        for choice in [None, Some("b")] {
            let error = choose(choice, &twice).expect_err("ambiguous");
            assert_eq!(error.to_string(), "two columns are called `a`");
        }
        for choice in ["d", "a,d", "-d", "", "-a,b,c"] {
            assert!(choose(Some(choice), &names).is_err(), "{choice}");
        }
    }
}
