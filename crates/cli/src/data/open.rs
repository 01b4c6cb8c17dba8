use std::{fs::File, io::Read, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use influence_backend_burn::{NpyField, SafetensorsField};
use influence_calculators::ZarrField;
use influence_core::FieldSource;

use super::formats;
use crate::config::ArrayPath;

/// What a folder that is a Zarr array has, by version.
const ZARR: [&str; 2] = ["zarr.json", ".zarray"];
/// What a folder that is a Zarr group of version 2 has.
const ZARR_GROUP: &str = ".zgroup";

/// Opens an array by what is there: folders by what is in them, files by their ending or else by how they begin.
///
/// # Errors
/// When nothing is there, it is of no known kind, or the reader of its kind refuses it.
pub(super) fn array(at: &ArrayPath) -> Result<Arc<dyn FieldSource>> {
    let ArrayPath { path, part } = at;
    let (shown, part) = (path.display(), part.as_deref());
    ensure!(path.exists(), "{shown} does not exist");
    if path.is_dir() {
        return folder(path, part);
    }
    Ok(match kind(path)? {
        Kind::Npy => Arc::new(NpyField::open(path)?),
        Kind::Safetensors => Arc::new(SafetensorsField::open(path, part)?),
        Kind::Npz => Arc::new(formats::npz(path, part)?),
        Kind::Parquet => Arc::new(formats::parquet(path, part)?),
        Kind::Csv => Arc::new(formats::csv(path, part)?),
        Kind::Idx => Arc::new(formats::idx(path)?),
    })
}

fn folder(path: &Path, part: Option<&str>) -> Result<Arc<dyn FieldSource>> {
    let known = ZARR.iter().chain([&ZARR_GROUP]);
    if known.into_iter().any(|file| path.join(file).is_file()) {
        return Ok(Arc::new(ZarrField::open(path, "")?));
    }
    ensure!(
        formats::is_images(path),
        "{} is a folder, but no zarr array (it has neither zarr.json nor .zarray), and has no folders of images .png or .jpg, one for each class",
        path.display()
    );
    Ok(Arc::new(formats::images(path, part)?))
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
    let ending = path.extension().and_then(|ending| ending.to_str());
    Ok(match ending.unwrap_or_default() {
        "npy" => Kind::Npy,
        "safetensors" => Kind::Safetensors,
        "npz" => Kind::Npz,
        "parquet" => Kind::Parquet,
        "csv" => Kind::Csv,
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
                    "{}: expected a file .npy, .npz, .safetensors, .csv, .parquet or IDX, or the folder of a zarr array or of images",
                    path.display()
                ),
            }
        }
    })
}
