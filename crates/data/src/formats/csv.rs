mod delimiter;
mod heading;

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Cursor, Read},
    path::Path,
};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use flate2::bufread::MultiGzDecoder;

use super::{
    columns::{Cell, Columns, NotANumber, Table, Texts, choose, is_index, left_out, shortened},
    idx::GZIP,
};
use crate::{
    array_path::{ArrayPath, Decimal, Delimiter, TableForm},
    labels::shown as listed,
    text::{SAVE, check_start},
};
use heading::{COMPARED, Verdict, judge, shown};

pub(crate) use heading::Unclear;

/// The bytes from which the way a table is written is found out.
const START: u64 = 1 << 18;

/// Opens columns of a table of text: of numbers, with a heading or without, also packed by gzip.
///
/// Without a heading columns are called `0`, `1` and so on. Anything about the writing that is not
/// configured is found out from the lines.
///
/// # Errors
/// When the file cannot be read or is not UTF-8, its lines do not show how it is written, a column
/// does not exist, or a field is not a number ([`NotANumber`]); the message names row and column.
pub(crate) fn open(at: &ArrayPath) -> Result<Columns> {
    table(at).with_context(|| at.path.display().to_string())
}

/// The texts of one column, by its name unless it is the only one.
///
/// # Errors
/// When the file cannot be read, or the column is not there.
pub(crate) fn texts(at: &ArrayPath) -> Result<Texts> {
    let read = || -> Result<Texts> {
        let mut lines = CsvReader::open(at)?;
        let column = lines.single_column(at.part.as_deref())?;
        let mut texts = Vec::new();
        while let Some(record) = lines.next()? {
            texts.push(record[column].trim().to_owned());
        }
        Ok(Texts {
            rows: texts,
            form: lines.form(at.form),
            remarks: lines.remarks(&[]),
        })
    };
    read().with_context(|| at.path.display().to_string())
}

fn table(at: &ArrayPath) -> Result<Columns> {
    let choice = at.part.as_deref();
    let mut lines = CsvReader::open(at)?;
    let chosen = choose(choice, &lines.names, is_index).map_err(|error| lines.explained(error))?;
    let names: Vec<String> = chosen
        .columns
        .iter()
        .map(|&column| lines.names[column].clone())
        .collect();
    let decimal = lines.decimal;
    let (mut table, mut row) = (Table::new()?, Vec::with_capacity(names.len()));
    while let Some(record) = lines.next()? {
        row.clear();
        for (&column, name) in chosen.columns.iter().zip(&names) {
            let field = &record[column];
            let Some(cell) = Cell::parse(field, decimal) else {
                let (row, line) = (table.rows(), line(record));
                let place = format!("row {row} (counted from 0; line {line}), column `{name}`");
                let got = format!("`{}`", shortened(field));
                let error = anyhow!(NotANumber { place, got });
                return Err(if row == 0 {
                    lines.explained(error)
                } else {
                    error
                });
            };
            row.push(cell);
        }
        table.push(&row)?;
    }
    let mut remarks = lines.remarks(&chosen.left_out);
    let single = choice.is_some_and(|choice| !choice.starts_with('-'));
    if !single {
        remarks.extend(table.counting_remark(&names));
    }
    Ok(Columns {
        field: table.finish(single, at.to_string())?,
        names,
        form: lines.form(at.form),
        remarks,
    })
}

/// The lines of a table behind its heading.
struct CsvReader {
    reader: csv::Reader<Box<dyn Read>>,
    names: Vec<String>,
    delimiter: Delimiter,
    decimal: Decimal,
    /// Whether the separator of columns is not configured and is not the one of the file's ending.
    delimiter_guessed: bool,
    /// The first line and what it was taken for, where that is not configured.
    first: Option<(String, Verdict)>,
    /// Lines that were read ahead.
    ahead: VecDeque<StringRecord>,
    record: StringRecord,
}

impl CsvReader {
    fn open(at: &ArrayPath) -> Result<Self> {
        let form = at.form;
        let (start, rest) = unpacked(&at.path)?;
        let delimiter = match form.delimiter {
            Some(delimiter) => delimiter,
            None => delimiter::find(whole_lines(&start), form)?,
        };
        ensure!(
            (delimiter.0, form.decimal) != (b',', Some(Decimal::Comma)),
            "a comma cannot both separate columns and stand before decimals; set data.delimiter"
        );
        let mut lines = Self {
            reader: ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(delimiter.0)
                .from_reader(Box::new(Cursor::new(start).chain(rest))),
            names: Vec::new(),
            delimiter,
            decimal: form.decimal.unwrap_or(Decimal::Point),
            delimiter_guessed: form.delimiter.is_none() && delimiter != usual(&at.path),
            first: None,
            ahead: VecDeque::new(),
            record: StringRecord::new(),
        };
        lines.read_names(form, at.part.as_deref())?;
        Ok(lines)
    }

    /// Reads ahead, and takes the first line for the heading or for a point.
    fn read_names(&mut self, form: TableForm, choice: Option<&str>) -> Result<()> {
        ensure!(self.read()?, "the file is empty");
        let first = self.record.clone();
        while self.ahead.len() < COMPARED && self.read()? {
            self.ahead.push_back(self.record.clone());
        }
        let below = self.ahead.make_contiguous();
        if form.decimal.is_none() {
            check_decimals(below)?;
        }
        let headed = if let Some(headed) = form.header {
            headed
        } else {
            let verdict = judge(&first, below, self.decimal, choice)?;
            self.first = Some((shown(&first), verdict));
            verdict.is_heading()
        };
        if headed {
            self.names = first.iter().map(|name| name.trim().to_owned()).collect();
        } else {
            self.names = (0..first.len()).map(|column| column.to_string()).collect();
            self.ahead.push_front(first);
        }
        Ok(())
    }

    /// Reads a line into the record, whatever it has.
    fn read(&mut self) -> Result<bool> {
        self.reader
            .read_record(&mut self.record)
            .map_err(|error| match error.kind() {
                ErrorKind::Utf8 { pos, .. } => {
                    let line = pos.as_ref().map_or(0, csv::Position::line);
                    anyhow!("line {line} is no UTF-8; {SAVE}")
                }
                _ => error.into(),
            })
    }

    fn next(&mut self) -> Result<Option<&StringRecord>> {
        match self.ahead.pop_front() {
            Some(record) => self.record = record,
            None if self.read()? => {}
            None => return Ok(None),
        }
        let (expected, got) = (self.names.len(), self.record.len());
        ensure!(
            expected == got,
            "line {} has {got} fields, the first line has {expected}, separated by `{}`",
            line(&self.record),
            self.delimiter
        );
        Ok(Some(&self.record))
    }

    fn single_column(&self, choice: Option<&str>) -> Result<usize> {
        let chosen = choose(choice, &self.names, is_index);
        let chosen = chosen.map_err(|error| self.explained(error))?;
        match chosen.columns.as_slice() {
            [column] => Ok(*column),
            _ => Err(self.explained(anyhow!(
                "name one column, such as FILE.csv#{}; there are {}",
                self.names[0],
                listed(&self.names)
            ))),
        }
    }

    /// What the first line was taken for, where that is not configured.
    fn guess(&self) -> Option<String> {
        let (first, verdict) = self.first.as_ref()?;
        Some(if verdict.is_heading() {
            format!(
                "the first line, `{first}`, was taken for the heading; set data.header = false if it is a point"
            )
        } else {
            format!(
                "the first line, `{first}`, was taken for a point; set data.header = true if it is the heading"
            )
        })
    }

    fn explained(&self, error: Error) -> Error {
        match self.guess() {
            Some(guess) => error.context(guess),
            None => error,
        }
    }

    /// Whether the first line is taken for the heading, where that is less than certain.
    fn uncertain(&self) -> Option<bool> {
        match self.first.as_ref()?.1 {
            Verdict::PerhapsHeading => Some(true),
            Verdict::PerhapsPoint => Some(false),
            Verdict::Heading | Verdict::Point => None,
        }
    }

    /// How the table is written: what is configured, and what was found out.
    fn form(&self, said: TableForm) -> TableForm {
        said.or(TableForm {
            header: self.uncertain(),
            delimiter: self.delimiter_guessed.then_some(self.delimiter),
            decimal: None,
        })
    }

    /// Remarks on the choices made.
    fn remarks(&self, left: &[String]) -> Vec<String> {
        let guess = self.guess().filter(|_| self.uncertain().is_some());
        let delimiter = self.delimiter_guessed.then(|| {
            format!(
                "columns are taken to be separated by `{}`; set data.delimiter if they are not",
                self.delimiter
            )
        });
        guess
            .into_iter()
            .chain(delimiter)
            .chain(left_out(left))
            .collect()
    }
}

/// Refuses numbers with a comma where the mark of decimals is not configured.
fn check_decimals(below: &[StringRecord]) -> Result<()> {
    let with_comma = |field: &&str| {
        field.contains(',')
            && Cell::parse(field, Decimal::Point).is_none()
            && Cell::parse(field, Decimal::Comma).is_some()
    };
    let mut fields = below.iter().flat_map(StringRecord::iter);
    match fields.find(with_comma) {
        Some(field) => bail!(
            "there are numbers such as `{}`; set data.decimal = \",\" (`influence init`: --decimal) if the comma stands before decimals, else \".\"",
            shortened(field)
        ),
        None => Ok(()),
    }
}

/// The beginning of a file without its byte-order mark, and the rest.
fn unpacked(path: &Path) -> Result<(Vec<u8>, Box<dyn Read>)> {
    let mut file = BufReader::new(File::open(path)?);
    let packed = file.fill_buf()?.starts_with(&GZIP);
    let mut file: Box<dyn Read> = if packed {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut start = Vec::new();
    file.by_ref().take(START).read_to_end(&mut start)?;
    let mark = check_start(&start)?;
    start.drain(..mark);
    Ok((start, file))
}

/// The lines that are whole, all of them in a file that is read to its end.
fn whole_lines(start: &[u8]) -> &[u8] {
    let cut = (start.len() as u64) + 3 >= START;
    let end = start.iter().rposition(|&byte| byte == b'\n');
    match end {
        Some(end) if cut => &start[..=end],
        _ => start,
    }
}

/// The delimiter that is expected by the ending.
fn usual(path: &Path) -> Delimiter {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let tabs = [".tsv", ".tsv.gz"]
        .iter()
        .any(|ending| name.ends_with(ending));
    Delimiter(if tabs { b'\t' } else { b',' })
}

fn line(record: &StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

#[cfg(test)]
mod tests;
