//! The files that `torch.save` writes: an archive, or before PyTorch 1.6 pickles with the numbers
//! behind them.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use zip::{
    ZipArchive, ZipReadOptions,
    read::{ArchiveOffset, Config},
};

use super::{
    object::{Element, PickleNode, View},
    pickle::Pickle,
};

/// The longest pickle that is read.
const MOST_PICKLE: u64 = 100 << 20;

/// The numbers of a file, by the name of their storage.
pub(super) struct Container {
    form: Form,
    /// The storage that was read last: tensors of one storage follow each other.
    last: Option<(Rc<str>, Vec<u8>)>,
}

enum Form {
    Archive {
        archive: ZipArchive<BufReader<File>>,
        folder: String,
    },
    /// Where in the file the bytes of each storage are, and how many.
    Stream {
        file: File,
        places: HashMap<Rc<str>, (u64, u64)>,
    },
}

impl Container {
    /// Opens a file, and reads what was saved but for its numbers.
    ///
    /// # Errors
    /// When the file is of another kind, damaged, or from a machine with another order of bytes.
    pub(super) fn open(path: &Path) -> Result<(Pickle, Self)> {
        let mut file = BufReader::new(File::open(path)?);
        let start = file.fill_buf()?;
        let (pickle, form) = if start.starts_with(b"PK") {
            archive(file)?
        } else {
            stream(file)?
        };
        Ok((pickle, Self { form, last: None }))
    }

    /// The numbers of a tensor in its own order, as bytes.
    ///
    /// # Errors
    /// When the file holds fewer than it says.
    pub(super) fn read(&mut self, view: &View) -> Result<Vec<u8>> {
        if self
            .last
            .as_ref()
            .is_none_or(|(key, _)| *key != view.storage)
        {
            let bytes = self.form.storage(&view.storage)?;
            self.last = Some((view.storage.clone(), bytes));
        }
        let bytes = self.last.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let size = view.element.size;
        let held = bytes.len() / size;
        ensure!(
            view.end <= held,
            "a tensor needs {} numbers, but the file holds {held} of them",
            view.end
        );
        ensure!(
            view.numbers <= held,
            "a tensor of shape {:?} repeats its {held} numbers; save it as `tensor.clone()`",
            view.shape
        );
        let mut numbers = Vec::with_capacity(view.numbers * size);
        for index in view.indices() {
            numbers.extend_from_slice(&bytes[index * size..(index + 1) * size]);
        }
        Ok(numbers)
    }
}

impl Form {
    fn storage(&mut self, key: &str) -> Result<Vec<u8>> {
        match self {
            Self::Archive { archive, folder } => {
                member(archive, &format!("{folder}data/{key}"), None)
            }
            Self::Stream { file, places } => {
                let place = places.get(key).copied();
                let (start, length) =
                    place.with_context(|| format!("there is no storage {key}"))?;
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::new();
                file.take(length).read_to_end(&mut bytes)?;
                ensure!(bytes.len() as u64 == length, "the file is cut short");
                Ok(bytes)
            }
        }
    }
}

fn archive(file: BufReader<File>) -> Result<(Pickle, Form)> {
    // The file begins with the archive. Where `zip` has to look for its beginning, it can take the
    // second entry of the directory for the first.
    let beginning = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let mut archive = ZipArchive::with_config(beginning, file)?;
    let names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.to_string()))
        .collect();
    let Some(folder) = folder(&names) else {
        bail!(other_archive(&names));
    };
    let has = |name: &str| {
        names
            .iter()
            .any(|known| *known == format!("{folder}{name}"))
    };
    if has("constants.pkl") {
        bail!(
            "a program of TorchScript; save its weights: torch.save(torch.jit.load(FILE).state_dict(), \"weights.pt\")"
        );
    }
    if has("byteorder") {
        let order = member(&mut archive, &format!("{folder}byteorder"), Some(64))?;
        ensure!(order.trim_ascii() == b"little", OTHER_ORDER);
    }
    let bytes = member(
        &mut archive,
        &format!("{folder}data.pkl"),
        Some(MOST_PICKLE),
    )?;
    let pickle = Pickle::read(&mut &bytes[..])?;
    Ok((pickle, Form::Archive { archive, folder }))
}

const OTHER_ORDER: &str = "the numbers are in the order of a big-endian machine; load the file with torch and save it on another";

/// The folder of the archive that holds the pickle.
fn folder(names: &[String]) -> Option<String> {
    let folders = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"));
    let folders = folders.filter(|folder| folder.is_empty() || folder.ends_with('/'));
    folders
        .min_by_key(|folder| folder.len())
        .map(ToOwned::to_owned)
}

/// The kind of an archive that holds no pickle.
fn other_archive(names: &[String]) -> &'static str {
    let any = |is: &dyn Fn(&str) -> bool| names.iter().any(|name| is(name));
    if any(&|name| {
        name.ends_with("archive_format") || name.ends_with("serialized_exported_program.json")
    }) {
        "a program that torch.export saved; save its weights: torch.save(torch.export.load(FILE).state_dict, \"weights.pt\")"
    } else if any(&|name| has_ending(name, "npy")) {
        "an archive of numpy; weights are read from safetensors or PyTorch"
    } else if any(&|name| has_ending(name, "h5")) {
        "a model of Keras; weights are read from safetensors or PyTorch"
    } else {
        "an archive without a `data.pkl`, which torch.save would have written"
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// A member of an archive; an archive may say of its lengths what it likes, so no more is unpacked
/// than its bytes can hold.
fn member(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    most: Option<u64>,
) -> Result<Vec<u8>> {
    let index = archive
        .index_for_name(name)
        .with_context(|| format!("the archive lacks `{name}`"))?;
    // `torch.save` can leave the checksum out, which is then 0.
    let unchecked = archive.by_index_raw(index)?.crc32() == 0;
    let options = ZipReadOptions::new().ignore_crc32(unchecked);
    let entry = archive.by_index_with_options(index, options)?;
    let packed = entry.compressed_size();
    let most = most.unwrap_or_else(|| packed.saturating_mul(64).saturating_add(1 << 20));
    let mut bytes = Vec::new();
    entry
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("unpacking `{name}`"))?;
    ensure!(
        bytes.len() as u64 <= most,
        "`{name}` is longer than {most} bytes"
    );
    Ok(bytes)
}

/// Three pickles (a magic number, a version, the machine), what was saved, the names of the
/// storages, and their numbers.
fn stream(mut file: BufReader<File>) -> Result<(Pickle, Form)> {
    let magic = Pickle::read(&mut file)?;
    ensure!(
        matches!(magic.node(magic.root), PickleNode::Other),
        "a pickle, but none that torch.save wrote"
    );
    let version = Pickle::read(&mut file)?;
    ensure!(
        matches!(version.node(version.root), PickleNode::Int(1001)),
        "a pickle, but none that torch.save wrote"
    );
    check_order(&Pickle::read(&mut file)?)?;
    let pickle = Pickle::read(&mut file)?;
    let keys = Pickle::read(&mut file)?;
    let places = places(&mut file, &pickle, &keys)?;
    let file = file.into_inner();
    Ok((pickle, Form::Stream { file, places }))
}

fn check_order(machine: &Pickle) -> Result<()> {
    let PickleNode::Dict(about) = machine.node(machine.root) else {
        bail!("a pickle, but none that torch.save wrote");
    };
    let order = about
        .iter()
        .find(|(key, _)| machine.node(*key).key().as_deref() == Some("little_endian"));
    let little =
        order.is_some_and(|(_, order)| matches!(machine.node(*order), PickleNode::Bool(true)));
    ensure!(little, OTHER_ORDER);
    Ok(())
}

/// Where the numbers of each storage are: one after another, each behind their number.
fn places(
    file: &mut BufReader<File>,
    pickle: &Pickle,
    keys: &Pickle,
) -> Result<HashMap<Rc<str>, (u64, u64)>> {
    let PickleNode::List(list) = keys.node(keys.root) else {
        bail!("the names of the storages are no list");
    };
    let elements: HashMap<&str, &Element> = pickle
        .storages()
        .map(|storage| (&*storage.key, &storage.element))
        .collect();
    let end = file.get_ref().metadata()?.len();
    let mut places = HashMap::new();
    for &key in list {
        let key = keys.node(key).key().context("a storage has no name")?;
        let element = elements.get(&*key).copied();
        let element = element.with_context(|| format!("no tensor is of storage {key}"))?;
        ensure!(
            element.size > 0,
            "numbers of type {} are not known",
            element.name
        );
        let mut count = [0; 8];
        file.read_exact(&mut count)
            .context("the file is cut short")?;
        let length = u64::from_le_bytes(count).checked_mul(element.size as u64);
        let start = file.stream_position()?;
        let stop = length
            .and_then(|length| start.checked_add(length))
            .filter(|&stop| stop <= end);
        let (length, stop) = length.zip(stop).context("the file is cut short")?;
        places.insert(key, (start, length));
        file.seek(SeekFrom::Start(stop))?;
    }
    Ok(places)
}
