use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use npyz::{DType, NpyFile};
use zip::ZipArchive;

use super::{
    c_order::by_sample,
    npy::{NpyField, check_header, check_kind},
    spool::{temporary, temporary_folder, writing},
};
use crate::disk;

/// Opens an array in an archive of numpy, by its name unless it is the only one.
///
/// # Errors
/// When the file is not such an archive, has no such array, or its size is not that of the array.
pub(crate) fn open(path: &Path, array: Option<&str>) -> Result<NpyField> {
    let shown = path.display();
    let file = File::open(path).with_context(|| shown.to_string())?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .with_context(|| format!("{shown} is no .npz archive"))?;
    let member = choose(&archive, array).with_context(|| shown.to_string())?;
    let name = format!("{shown}#{}", member.trim_end_matches(".npy"));
    let entry = archive.by_name(&member).with_context(|| name.clone())?;
    // The sizes in an archive may be false: no more is unpacked than the header of the array asks
    // for.
    let declared = declared(&archive_bytes(&name, entry)?, &name)?;
    let folder = temporary_folder();
    if let Some(free) = disk::free(&folder) {
        ensure!(
            declared <= free,
            "{name}: expected at most the {free} bytes that {} has room for, the array says that it has {declared}; set TMPDIR to a folder with more",
            folder.display()
        );
    }
    let entry = archive.by_name(&member).with_context(|| name.clone())?;
    let mut unpacked = BufWriter::new(temporary()?);
    let copied = io::copy(&mut entry.take(declared.saturating_add(1)), &mut unpacked)
        .with_context(|| format!("unpacking {name}"))?;
    ensure!(
        copied <= declared,
        "{name}: there are more bytes than the {declared} that the array says; the file is damaged"
    );
    let file = unpacked.into_inner().with_context(writing)?;
    by_sample(NpyField::from_file(file, name)?)
}

/// The bytes of a member from its beginning.
fn archive_bytes(name: &str, mut entry: impl Read) -> Result<Vec<u8>> {
    // Headers are far shorter; a longer one is not an array.
    let mut start = Vec::new();
    let read = entry.by_ref().take(1 << 16).read_to_end(&mut start);
    read.with_context(|| format!("unpacking {name}"))?;
    Ok(start)
}

/// How many bytes an array has, with its header.
fn declared(start: &[u8], name: &str) -> Result<u64> {
    check_header(start).map_err(|problem| anyhow!("{name}: {problem}"))?;
    let total = start.len();
    let mut rest = start;
    let npy = NpyFile::new(&mut rest).with_context(|| format!("{name}: not a numpy array"))?;
    let DType::Plain(kind) = npy.dtype() else {
        bail!("{name}: expected plain numbers, got a structured array");
    };
    check_kind(&kind).map_err(|problem| anyhow!("{name}: {problem}"))?;
    let size = kind.num_bytes().unwrap_or(0) as u64;
    let numbers = npy
        .shape()
        .iter()
        .try_fold(size, |bytes, &side| bytes.checked_mul(side));
    let numbers = numbers
        .with_context(|| format!("{name}: an array of shape {:?} is too large", npy.shape()))?;
    drop(npy);
    Ok(numbers.saturating_add((total - rest.len()) as u64))
}

fn choose(archive: &ZipArchive<BufReader<File>>, array: Option<&str>) -> Result<String> {
    // A name that is not text cannot be asked for.
    let mut names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()))
        .collect();
    names.sort_unstable();
    let listed = || names.join(", ");
    match (array, names.as_slice()) {
        (Some(array), names) if names.iter().any(|name| name == array) => {
            Ok(format!("{array}.npy"))
        }
        (Some(array), _) => bail!("there is no array `{array}`; the archive has {}", listed()),
        (None, [only]) => Ok(format!("{only}.npy")),
        (None, []) => bail!("the archive has no arrays"),
        (None, _) => bail!(
            "name one of the arrays, such as FILE.npz#{}; the archive has {}",
            names[0],
            listed()
        ),
    }
}
