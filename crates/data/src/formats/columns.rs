use std::io::Write;

use anyhow::{Context, Result, bail, ensure};

use super::{npy::NpyField, spool::Spool};
use crate::{
    array_path::{Decimal, TableForm},
    labels::{shown, twice},
};

/// How an index of pandas begins where it is a column of a table; one without a name has none.
const INDEX: [&str; 2] = ["Unnamed: ", "__index_level_"];
/// The letters of a value that messages show.
const SHOWN: usize = 60;
/// With fewer rows than these, a column that counts them may do so by chance.
const COUNTED: usize = 5;

/// A value of a table is text where a number is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected a number, got {got}")]
pub(crate) struct NotANumber {
    /// Row and column.
    pub(super) place: String,
    /// The value, or its kind.
    pub(super) got: String,
}

/// Columns of numbers of a table.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Their numbers.
    pub(crate) field: NpyField,
    /// The names of the columns.
    pub(crate) names: Vec<String>,
    /// How the table is written: what was configured, and what was found out.
    pub(crate) form: TableForm,
    /// Choices that nobody configured and a reader should know of, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// The texts of a column of a table.
#[derive(Debug)]
pub(crate) struct Texts {
    /// One of each row.
    pub(crate) rows: Vec<String>,
    /// How the table is written: what was configured, and what was found out.
    pub(crate) form: TableForm,
    /// Choices that nobody configured and a reader should know of, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// The columns that are meant of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Their places.
    pub(super) columns: Vec<usize>,
    /// Columns that are an index, and hence not among all.
    pub(super) left_out: Vec<String>,
}

/// Which columns of a table are meant: `a`, `a,b`, or `-a,b` for all but these; all without a
/// choice.
///
/// An index that was written along is none of all columns, but can be named.
pub(super) fn choose(
    choice: Option<&str>,
    names: &[String],
    is_index: impl Fn(&str) -> bool,
) -> Result<Chosen> {
    if let Some([first, _]) = twice(names) {
        bail!("two columns are called `{}`", names[first]);
    }
    let (except, listed) = match choice {
        None => (true, None),
        Some(choice) => match choice.strip_prefix('-') {
            Some(listed) => (true, Some(listed)),
            None => (false, Some(choice)),
        },
    };
    let find = |name: &str| {
        let found = names.iter().position(|known| known == name);
        found.with_context(|| format!("there is no column `{name}`; there are {}", shown(names)))
    };
    let named = listed
        .into_iter()
        .flat_map(|listed| listed.split(','))
        .map(str::trim);
    let named: Vec<usize> = named.map(find).collect::<Result<_>>()?;
    if !except {
        return Ok(Chosen {
            columns: named,
            left_out: Vec::new(),
        });
    }
    let others = (0..names.len()).filter(|column| !named.contains(column));
    let (index, columns): (Vec<usize>, Vec<usize>) =
        others.partition(|&column| names.len() > 1 && is_index(&names[column]));
    ensure!(
        !columns.is_empty(),
        "no column is left without {}",
        listed.map_or("the index".to_owned(), |listed| format!("`{listed}`"))
    );
    let left_out = index.into_iter().map(|column| names[column].clone());
    Ok(Chosen {
        columns,
        left_out: left_out.collect(),
    })
}

/// Whether a column is an index by its name: as pandas, R and polars write it.
pub(super) fn is_index(name: &str) -> bool {
    name.is_empty() || INDEX.iter().any(|start| name.starts_with(start))
}

/// The remark on columns that are left out.
pub(super) fn left_out(columns: &[String]) -> Option<String> {
    let quoted = columns.iter().map(|name| match name.as_str() {
        "" => "the column without a name".to_owned(),
        name => format!("column `{name}`"),
    });
    let quoted: Vec<String> = quoted.collect();
    let (are, them) = match columns.len() {
        0 => return None,
        1 => ("is an index and is", "it"),
        _ => ("are an index and are", "them"),
    };
    let quoted = quoted.join(", ");
    Some(format!(
        "{quoted} {are} left out of the columns; to keep {them}, name every column that is meant, such as FILE#a,b"
    ))
}

/// A value as messages show it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A number of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Integer(i64),
    Float(f64),
}

impl Cell {
    /// An integer where it is written as one, else a float.
    pub(super) fn parse(text: &str, decimal: Decimal) -> Option<Self> {
        let text = text.trim();
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        let float = match decimal {
            Decimal::Point => text.parse(),
            // A point would separate thousands.
            Decimal::Comma if text.contains('.') => return None,
            Decimal::Comma => text.replace(',', ".").parse(),
        };
        float.ok().map(Self::Float)
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The numbers of a table on their way into an array `(rows, columns)`, or `(rows)` of a single
/// column.
///
/// They are kept as 64-bit floats and, as long as all are integers, also as 64-bit integers: class
/// numbers stay exact.
pub(super) struct Table {
    floats: Spool,
    integers: Option<Spool>,
    width: Option<usize>,
    rows: usize,
    /// For each column the number with which it counts the rows, if it does.
    counts: Vec<Option<i64>>,
}

impl Table {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            floats: Spool::new()?,
            integers: Some(Spool::new()?),
            width: None,
            rows: 0,
            counts: Vec::new(),
        })
    }

    /// Adds a row; all rows are of equal length.
    pub(super) fn push(&mut self, row: &[Cell]) -> Result<()> {
        let width = *self.width.get_or_insert(row.len());
        if row.len() != width {
            bail!(
                "row {} (counted from 0) has {} numbers, those before it have {width}",
                self.rows,
                row.len()
            );
        }
        self.count(row);
        for cell in row {
            match (*cell, &mut self.integers) {
                (Cell::Integer(value), Some(integers)) => {
                    integers.write_all(&value.to_le_bytes())?;
                }
                (Cell::Integer(_), None) => {}
                (Cell::Float(_), integers) => *integers = None,
            }
            self.floats.write_all(&cell.float().to_le_bytes())?;
        }
        self.rows += 1;
        Ok(())
    }

    fn count(&mut self, row: &[Cell]) {
        let counted = i64::try_from(self.rows).unwrap_or(i64::MAX);
        let from = row.iter().map(|cell| match cell {
            Cell::Integer(value) => value.checked_sub(counted),
            Cell::Float(_) => None,
        });
        if self.rows == 0 {
            self.counts = from.collect();
        } else {
            let counts = self.counts.iter_mut().zip(from);
            counts.for_each(|(count, from)| *count = count.filter(|count| from == Some(*count)));
        }
    }

    /// Remarks on columns that count the rows and that nobody named.
    pub(super) fn counting_remark(&self, names: &[String]) -> Option<String> {
        let column = *self.counting().first()?;
        let name = &names[column];
        Some(format!(
            "column `{name}` counts the rows, as an index does; leave it out with FILE#-{name} if it is not one of the inputs"
        ))
    }

    /// The places of columns that count the rows, from 0 or 1, if there are others.
    fn counting(&self) -> Vec<usize> {
        let counts = |column: &usize| matches!(self.counts[*column], Some(0 | 1));
        let columns = 0..self.counts.len();
        if self.rows >= COUNTED && self.counts.len() > 1 {
            columns.filter(counts).collect()
        } else {
            Vec::new()
        }
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
        let all = |choice| choose(choice, &names, is_index).map(|chosen| chosen.columns);
        for (choice, expected) in [
            (None, vec![0, 1, 2]),
            (Some("b"), vec![1]),
            (Some("c, a"), vec![2, 0]),
            (Some("-b"), vec![0, 2]),
            (Some("-a,c"), vec![1]),
        ] {
            assert_eq!(all(choice).expect("there"), expected, "{choice:?}");
        }
        let twice = ["a", "b", "a"].map(str::to_owned);
        for choice in [None, Some("b")] {
            let error = choose(choice, &twice, is_index).expect_err("ambiguous");
            assert_eq!(error.to_string(), "two columns are called `a`");
        }
        for choice in ["d", "a,d", "-d", "", "-a,b,c"] {
            assert!(all(Some(choice)).is_err(), "{choice}");
        }
    }

    #[test]
    fn an_index_is_taken_where_it_is_named() {
        for index in ["", "Unnamed: 0", "__index_level_0__"] {
            let names = [index, "a", "y"].map(str::to_owned);
            let chosen = |choice| choose(choice, &names, is_index).expect("there");
            let left_out = vec![index.to_owned()];
            for (choice, columns, left_out) in [
                (None, vec![1, 2], left_out.clone()),
                (Some("-y"), vec![1], left_out),
                (Some(&*format!("-y,{index}")), vec![1], Vec::new()),
                (Some(&*format!("a,{index}")), vec![1, 0], Vec::new()),
            ] {
                let expected = Chosen { columns, left_out };
                assert_eq!(chosen(choice), expected, "{choice:?}");
            }
            assert!(choose(Some("-a,y"), &names, is_index).is_err());
        }
        // A single column is not an index.
        let alone = choose(None, &[String::new()], is_index).expect("there");
        assert_eq!(alone.columns, [0]);
    }

    #[test]
    fn columns_that_count_the_rows_are_found() -> Result<()> {
        let mut table = Table::new()?;
        for row in 0..6 {
            let cells = [row, row + 1, row + 2, row * row].map(Cell::Integer);
            table.push(&cells)?;
        }
        assert_eq!(table.counting(), [0, 1]);
        Ok(())
    }

    #[test]
    fn decimals_are_as_they_are_said_to_be() {
        let parse = |text, decimal| Cell::parse(text, decimal);
        let half = Some(Cell::Float(0.5));
        assert_eq!(parse("0.5", Decimal::Point), half);
        assert_eq!(parse("0,5", Decimal::Comma), half);
        assert_eq!(parse("-3", Decimal::Comma), Some(Cell::Integer(-3)));
        for (text, decimal) in [
            ("0,5", Decimal::Point),
            ("0.5", Decimal::Comma),
            ("1.000,5", Decimal::Comma),
            ("1,000,5", Decimal::Comma),
        ] {
            assert_eq!(parse(text, decimal), None, "{text}");
        }
    }
}
