//! The separator of the columns of a table.

use anyhow::{Result, bail};
use csv::{ReaderBuilder, StringRecord};

use super::{super::columns::Cell, heading::COMPARED};
use crate::array_path::{Decimal, Delimiter, TableForm};

/// The characters that may separate columns, the usual one first.
const KNOWN: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter of a table by its first lines, where the form does not say it.
///
/// # Errors
/// When more than one fits as well.
pub(super) fn find(start: &[u8], form: TableForm) -> Result<Delimiter> {
    let known = KNOWN
        .into_iter()
        .filter(|&byte| form.decimal != Some(Decimal::Comma) || byte != b',');
    let mut fits: Vec<(usize, u8)> = known
        .filter_map(|byte| Some((fit(start, byte)?, byte)))
        .collect();
    // As `numpy.savetxt` writes it.
    if fits.is_empty() && fit(start, b' ') == Some(100) {
        fits.push((100, b' '));
    }
    let best = fits.iter().map(|(share, _)| *share).max();
    fits.retain(|(share, _)| Some(*share) == best);
    match fits.as_slice() {
        [] if form.decimal == Some(Decimal::Comma) => Ok(Delimiter(b';')),
        [] => Ok(Delimiter(KNOWN[0])),
        [(_, only)] => Ok(Delimiter(*only)),
        [(_, first), (_, second), ..] => bail!(
            "columns may be separated by `{}` or `{}`; set data.delimiter (`influence init`: --delimiter)",
            Delimiter(*first),
            Delimiter(*second)
        ),
    }
}

/// How much of a table is columns of numbers, in percent, if the delimiter makes as many columns of
/// every line, and more than one.
fn fit(start: &[u8], delimiter: u8) -> Option<usize> {
    let records = records(start, delimiter)?;
    let columns = records.first()?.len();
    let below = records.get(1..).unwrap_or_default();
    let even = records.iter().all(|record| record.len() == columns);
    if columns < 2 || !even {
        return None;
    }
    let filled = |record: &StringRecord| record.iter().all(|field| !field.trim().is_empty());
    if delimiter == b' ' && !records.iter().all(filled) {
        return None;
    }
    let is_number = |field: &str| {
        Cell::parse(field, Decimal::Point).is_some()
            || delimiter != b',' && Cell::parse(field, Decimal::Comma).is_some()
    };
    let of_numbers = |column: &usize| below.iter().all(|record| is_number(&record[*column]));
    Some(100 * (0..columns).filter(of_numbers).count() / columns)
}

/// The whole lines at the beginning of a table.
fn records(start: &[u8], delimiter: u8) -> Option<Vec<StringRecord>> {
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(start);
    let records = reader.into_records().take(COMPARED);
    records.collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_tell_what_separates_columns() -> Result<()> {
        let comma = TableForm {
            decimal: Some(Decimal::Comma),
            ..TableForm::default()
        };
        for (text, form, expected) in [
            ("a,b\n1,2\n", TableForm::default(), b','),
            ("a;b\n1;2\n", TableForm::default(), b';'),
            ("a\tb\n1\t2\n", TableForm::default(), b'\t'),
            ("a|b\n1|2\n", TableForm::default(), b'|'),
            ("1.5 2\n3 4\n", TableForm::default(), b' '),
            ("New York\nSan Francisco\n", TableForm::default(), b','),
            ("a\n1\n", TableForm::default(), b','),
            ("1,5;2,5;3,5\n1,5;2,5;3,5\n", TableForm::default(), b';'),
            ("1,5;2,5\n1,5;2,5\n", comma, b';'),
            ("1,5\n2,5\n", comma, b';'),
            // Text with another delimiter in it.
            ("a,b\n1,x;y\n2,z;w\n", TableForm::default(), b','),
            ("a,b\n1,\"x\ty\"\n2,\"z\"\n", TableForm::default(), b','),
        ] {
            let found = find(text.as_bytes(), form)?;
            assert_eq!(found, Delimiter(expected), "{text}");
        }
        let unclear = "a,b;c\nx,y;z\n";
        let error = find(unclear.as_bytes(), TableForm::default()).expect_err("unclear");
        assert!(error.to_string().contains("`,` or `;`"), "{error}");
        Ok(())
    }
}
