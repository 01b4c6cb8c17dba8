use std::{fs::File, io::Read, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use influence_core::FieldSource;

use crate::{
    array_path::{ArrayPath, TableForm},
    error::Error,
    formats::{self, Columns, SafetensorsField, Texts, Unclear},
    readers::Readers,
    text,
};

/// The metadata file of a Zarr array, by version.
const ZARR: [&str; 2] = ["zarr.json", ".zarray"];
/// The metadata file of a Zarr group of version 2.
const ZARR_GROUP: &str = ".zgroup";

/// An array that has been opened.
pub(super) struct OpenedArray {
    /// Its numbers.
    pub(super) field: Arc<dyn FieldSource>,
    /// What its columns are called, if it is a table.
    pub(super) columns: Option<Vec<String>>,
    /// How the table is written: what was configured, and what was found out.
    pub(super) form: TableForm,
    /// Choices that nobody configured and a reader should know of, in sentences.
    pub(super) remarks: Vec<String>,
}

impl OpenedArray {
    /// An array that is not a table.
    pub(super) fn plain(field: impl FieldSource + 'static) -> Self {
        Self {
            field: Arc::new(field),
            columns: None,
            form: TableForm::default(),
            remarks: Vec::new(),
        }
    }
}

impl From<Columns> for OpenedArray {
    fn from(columns: Columns) -> Self {
        Self {
            columns: Some(columns.names),
            form: columns.form,
            remarks: columns.remarks,
            ..Self::plain(columns.field)
        }
    }
}

/// Opens one array of numbers, samples along its first axis, whatever its format: the numbers stay
/// where they are, or are unpacked once into a temporary file if they cannot be read by range.
///
/// Zarr arrays are opened by their own reader, which is not in this crate.
///
/// `at` is a path, or a path and a part as [`ArrayPath`] reads them: `x.npy`, `a.npz#x`,
/// `t.csv#width,height`, `photos/#class`.
///
/// # Errors
/// [`Error::Array`] or an error of its format when nothing is there, it is of no known format, or
/// it holds anything but numbers; the message names the file.
pub fn field(at: impl Into<ArrayPath>) -> crate::error::Result<Arc<dyn FieldSource>> {
    let opened = array(&at.into(), Readers::default()).map_err(Error::from_any)?;
    Ok(opened.field)
}

/// Opens an array: folders by their contents, files by their ending or else by their first bytes.
///
/// # Errors
/// When there is nothing at the path, its format is not known, or the reader of the format refuses
/// it.
pub(super) fn array(at: &ArrayPath, readers: Readers) -> Result<OpenedArray> {
    check_there(at)?;
    let ArrayPath { path, part, .. } = at;
    let part = part.as_deref();
    if path.is_dir() {
        return folder(path, part, readers);
    }
    formats::refuse_foreign(path)?;
    Ok(match format(path)? {
        Format::Npy => OpenedArray::plain(formats::npy(path)?),
        Format::Safetensors => OpenedArray::plain(SafetensorsField::open(path, part)?),
        Format::Npz => OpenedArray::plain(formats::npz(path, part)?),
        Format::Parquet => formats::parquet(at)?.into(),
        Format::Csv => formats::csv(at)?.into(),
        Format::Idx => OpenedArray::plain(formats::idx(path)?),
    })
}

/// The texts of a column of a table, or the lines of a text file; `None` for any other format.
///
/// # Errors
/// When there is nothing at the path, or it cannot be read.
pub(super) fn texts(at: &ArrayPath) -> Result<Option<Texts>> {
    check_there(at)?;
    if is_text(at) {
        return Ok(Some(Texts {
            rows: text::lines(&at.path)?,
            form: TableForm::default(),
            remarks: Vec::new(),
        }));
    }
    if at.path.is_dir() {
        return Ok(None);
    }
    Ok(match format(&at.path)? {
        Format::Csv => Some(formats::csv_texts(at)?),
        Format::Parquet => Some(formats::parquet_texts(at)?),
        _ => None,
    })
}

/// Opens a file with one row per sample. Where it is not clear whether the first line is a row, the
/// known number of samples decides, and a remark says so.
///
/// # Errors
/// As `open`.
pub(super) fn beside<T>(
    at: &ArrayPath,
    samples: usize,
    remarks: &mut Vec<String>,
    open: impl Fn(&ArrayPath) -> Result<(T, usize)>,
) -> Result<T> {
    let unclear = match open(at) {
        Err(error) if error.is::<Unclear>() => error,
        outcome => return Ok(outcome?.0),
    };
    for (header, taken) in [(true, "the heading"), (false, "a point")] {
        let mut said = at.clone();
        said.form.header = Some(header);
        if let Ok((opened, rows)) = open(&said)
            && rows == samples
        {
            remarks.push(format!(
                "{}: the first line is taken for {taken}, as there are {samples} samples; set data.header = {} if it is not",
                at.path.display(),
                !header
            ));
            return Ok(opened);
        }
    }
    Err(unclear)
}

/// Whether it is a text file, with a line for each point.
pub(super) fn is_text(at: &ArrayPath) -> bool {
    ending(&at.path) == "txt"
}

fn check_there(at: &ArrayPath) -> Result<()> {
    if let Some(before) = at.before_unknown_part() {
        if is_zarr(before) {
            let shown = at.path.display().to_string();
            let part = shown.strip_prefix(&*before.to_string_lossy());
            let part = part.unwrap_or_default().trim_start_matches('#');
            bail!(
                "{shown} does not exist; an array in a zarr group is written as {}/{part}",
                before.display()
            );
        }
        if before.is_file() {
            formats::refuse_foreign(before)?;
        }
        bail!(
            "{} is there, but no part of it can be named by `#`: that is known of {}; an array in a zarr group is GROUP.zarr/ARRAY",
            before.display(),
            ArrayPath::endings_with_parts()
        );
    }
    ensure!(at.path.exists(), "{} does not exist", at.path.display());
    Ok(())
}

/// Whether a folder is a Zarr array or group.
fn is_zarr(folder: &Path) -> bool {
    let mut known = ZARR.iter().chain([&ZARR_GROUP]);
    known.any(|file| folder.join(file).is_file())
}

fn folder(path: &Path, part: Option<&str>, readers: Readers) -> Result<OpenedArray> {
    if is_zarr(path) {
        let open = readers.zarr().with_context(|| {
            format!(
                "{}: this program has no reader of zarr arrays",
                path.display()
            )
        })?;
        return Ok(OpenedArray::plain(open(path, part.unwrap_or_default())?));
    }
    ensure!(
        formats::is_images(path),
        "{} is a folder, but not a zarr array (it has neither zarr.json nor .zarray), and has no folders of images, one for each class",
        path.display()
    );
    Ok(OpenedArray::plain(formats::images(path, part)?))
}

enum Format {
    Npy,
    Safetensors,
    Npz,
    Parquet,
    Csv,
    Idx,
}

fn format(path: &Path) -> Result<Format> {
    Ok(match ending(path).as_str() {
        "npy" => Format::Npy,
        "safetensors" => Format::Safetensors,
        "npz" => Format::Npz,
        "parquet" | "pq" => Format::Parquet,
        "csv" | "tsv" => Format::Csv,
        "gz" if ["csv", "tsv"]
            .contains(&&*ending(Path::new(path.file_stem().unwrap_or_default()))) =>
        {
            Format::Csv
        }
        _ => {
            let mut start = Vec::new();
            let file = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
            file.with_context(|| path.display().to_string())?;
            match start.as_slice() {
                [0x93, b'N', b'U', b'M'] => Format::Npy,
                [b'P', b'K', ..] => Format::Npz,
                [b'P', b'A', b'R', b'1'] => Format::Parquet,
                [0, 0, 0x08..=0x0e, _] | [0x1f, 0x8b, ..] => Format::Idx,
                _ => bail!(
                    "{}: expected a file .npy, .npz, .safetensors, .csv, .tsv, .csv.gz, .parquet or IDX, or the folder of a zarr array or of images; text as numpy.savetxt writes it is saved by numpy.save",
                    path.display()
                ),
            }
        }
    })
}

/// The ending of a file in lower case.
fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_ascii_lowercase()
}
