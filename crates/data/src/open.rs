use std::{fs::File, io::Read, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::SafetensorsField;
use influence_calculators::ZarrField;
use influence_core::FieldSource;

use crate::{
    array_path::{ArrayPath, TableForm},
    formats::{self, Columns, Texts, Unclear},
    text,
};

/// What a folder that is a Zarr array has, by version.
const ZARR: [&str; 2] = ["zarr.json", ".zarray"];
/// What a folder that is a Zarr group of version 2 has.
const ZARR_GROUP: &str = ".zgroup";

/// An array that is there.
pub(super) struct Opened {
    /// Its numbers.
    pub(super) field: Arc<dyn FieldSource>,
    /// What its columns are called, if it is a table.
    pub(super) columns: Option<Vec<String>>,
    /// How the table is written, as far as that was said or chosen.
    pub(super) form: TableForm,
    /// What was chosen that nobody said, and should be known, in sentences.
    pub(super) remarks: Vec<String>,
}

impl Opened {
    /// An array that is no table.
    pub(super) fn plain(field: impl FieldSource + 'static) -> Self {
        Self {
            field: Arc::new(field),
            columns: None,
            form: TableForm::default(),
            remarks: Vec::new(),
        }
    }
}

impl From<Columns> for Opened {
    fn from(columns: Columns) -> Self {
        Self {
            columns: Some(columns.names),
            form: columns.form,
            remarks: columns.remarks,
            ..Self::plain(columns.field)
        }
    }
}

/// Opens an array by what is there: folders by what is in them, files by their ending or else by how they begin.
///
/// # Errors
/// When nothing is there, it is of no known kind, or the reader of its kind refuses it.
pub(super) fn array(at: &ArrayPath) -> Result<Opened> {
    check_there(at)?;
    let ArrayPath { path, part, .. } = at;
    let part = part.as_deref();
    if path.is_dir() {
        return folder(path, part);
    }
    formats::refuse_foreign(path)?;
    Ok(match kind(path)? {
        Kind::Npy => Opened::plain(formats::npy(path)?),
        Kind::Safetensors => Opened::plain(SafetensorsField::open(path, part)?),
        Kind::Npz => Opened::plain(formats::npz(path, part)?),
        Kind::Parquet => formats::parquet(at)?.into(),
        Kind::Csv => formats::csv(at)?.into(),
        Kind::Idx => Opened::plain(formats::idx(path)?),
    })
}

/// The texts of a column of a table or the lines of a text file, if that is what is there.
///
/// # Errors
/// When it is there and cannot be read.
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
    Ok(match kind(&at.path)? {
        Kind::Csv => Some(formats::csv_texts(at)?),
        Kind::Parquet => Some(formats::parquet_texts(at)?),
        _ => None,
    })
}

/// Opens what has a row for each of so many samples; where it is not clear whether the first line is one, their number tells, and a note says so.
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

/// Whether it is a text file, a line for each point.
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

fn folder(path: &Path, part: Option<&str>) -> Result<Opened> {
    if is_zarr(path) {
        return Ok(Opened::plain(ZarrField::open(
            path,
            part.unwrap_or_default(),
        )?));
    }
    ensure!(
        formats::is_images(path),
        "{} is a folder, but no zarr array (it has neither zarr.json nor .zarray), and has no folders of images, one for each class",
        path.display()
    );
    Ok(Opened::plain(formats::images(path, part)?))
}

enum Kind {
    Npy,
    Safetensors,
    Npz,
    Parquet,
    Csv,
    Idx,
}

fn kind(path: &Path) -> Result<Kind> {
    Ok(match ending(path).as_str() {
        "npy" => Kind::Npy,
        "safetensors" => Kind::Safetensors,
        "npz" => Kind::Npz,
        "parquet" | "pq" => Kind::Parquet,
        "csv" | "tsv" => Kind::Csv,
        "gz" if ["csv", "tsv"]
            .contains(&&*ending(Path::new(path.file_stem().unwrap_or_default()))) =>
        {
            Kind::Csv
        }
        _ => {
            let mut start = Vec::new();
            let file = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
            file.with_context(|| path.display().to_string())?;
            match start.as_slice() {
                [0x93, b'N', b'U', b'M'] => Kind::Npy,
                [b'P', b'K', ..] => Kind::Npz,
                [b'P', b'A', b'R', b'1'] => Kind::Parquet,
                [0, 0, 0x08..=0x0e, _] | [0x1f, 0x8b, ..] => Kind::Idx,
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
