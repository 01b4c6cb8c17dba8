//! Archives of `torch.export.save`: which members they have, and their bytes.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use zip::{
    ZipArchive,
    read::{ArchiveOffset, Config},
};

use crate::{Error, Result, error::malformed};

use super::schema::{ExportedProgram, PayloadConfig, Versioned};

/// The major version of the format that is read.
const MAJOR: u64 = 8;

const OLDER: &str = "an exported program in the layout of an older torch, whose tensors are pickles; save it again with a newer one: torch.export.save(torch.export.load(FILE), \"m.pt2\")";

/// The members of an archive in the folder that holds them all.
pub(super) struct Archive {
    archive: ZipArchive<BufReader<File>>,
    folder: String,
}

/// Whether a file is a zip archive.
pub(crate) fn is_archive(path: &Path) -> std::io::Result<bool> {
    let mut start = [0; 4];
    let mut file = File::open(path)?;
    Ok(file.read_exact(&mut start).is_ok() && start == *b"PK\x03\x04")
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        // Looking for where an archive begins in a file, `zip` can take the second entry of the
        // directory for the first.
        let beginning = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let archive =
            ZipArchive::with_config(beginning, BufReader::new(file)).map_err(|error| {
                malformed(format_args!(
                    "this archive cannot be read, or was cut off ({error})"
                ))
            })?;
        let names: Vec<String> = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.to_string()))
            .collect();
        let folder = folder(&names)?;
        let mut opened = Self { archive, folder };
        opened.check_order()?;
        Ok(opened)
    }

    /// The program, whose version has been checked.
    pub(super) fn program(&mut self) -> Result<ExportedProgram> {
        const NAME: &str = "models/model.json";
        let bytes = self.member(NAME)?;
        let version: Versioned = json(NAME, &bytes)?;
        let schema = version.schema_version;
        if schema.major != MAJOR {
            return Err(malformed(format_args!(
                "the file has version {}.{} of PyTorch's format of exported programs, written by torch {}; version {MAJOR} is read: export the network again with torch 2.15, or another that writes version {MAJOR}",
                schema.major, schema.minor, version.torch_version
            )));
        }
        json(NAME, &bytes)
    }

    /// Where the tensors of a kind are: `weights` or `constants`.
    pub(super) fn payloads(&mut self, kind: &str) -> Result<PayloadConfig> {
        let name = format!("data/{kind}/model_{kind}_config.json");
        let pickled = format!("{}data/{kind}/model.pt", self.folder);
        if self.archive.index_for_name(&pickled).is_some() {
            return Err(malformed(OLDER));
        }
        let bytes = self.member(&name)?;
        json(&name, &bytes)
    }

    /// The bytes of a member. An archive may say of its lengths what it likes, so no more is
    /// unpacked than its bytes can hold.
    pub(super) fn member(&mut self, name: &str) -> Result<Vec<u8>> {
        let damaged = |error: &dyn std::fmt::Display| {
            malformed(format_args!("`{name}` in the archive is damaged: {error}"))
        };
        let full = format!("{}{name}", self.folder);
        let index = self
            .archive
            .index_for_name(&full)
            .ok_or_else(|| malformed(format_args!("the archive lacks `{name}`")))?;
        let entry = self
            .archive
            .by_index(index)
            .map_err(|error| damaged(&error))?;
        let most = entry
            .compressed_size()
            .saturating_mul(64)
            .saturating_add(1 << 20);
        let mut bytes = Vec::new();
        entry
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(&error))?;
        if bytes.len() as u64 > most {
            return Err(damaged(&format_args!("longer than {most} bytes")));
        }
        Ok(bytes)
    }

    fn check_order(&mut self) -> Result<()> {
        let full = format!("{}byteorder", self.folder);
        let said = self.archive.index_for_name(&full).is_some();
        if said && self.member("byteorder")?.trim_ascii() != b"little" {
            return Err(malformed(
                "the numbers are in the order of a big-endian machine; load the file with torch.export.load and save it on another",
            ));
        }
        Ok(())
    }
}

/// The folder that holds all members.
fn folder(names: &[String]) -> Result<String> {
    let with = |ending: &str| {
        let folders = names.iter().filter_map(|name| name.strip_suffix(ending));
        folders
            .filter(|folder| folder.is_empty() || folder.ends_with('/'))
            .min_by_key(|folder| folder.len())
    };
    if let Some(folder) = with("models/model.json") {
        return Ok(folder.to_owned());
    }
    Err(malformed(
        if with("serialized_exported_program.json").is_some() {
            OLDER
        } else if with("data.pkl").is_some() {
            "weights or a module that torch.save wrote, without the program that computes with them; export it: torch.export.save(torch.export.export(model.eval(), (x,), dynamic_shapes=…), \"m.pt2\")"
        } else {
            "an archive without `models/model.json`, which torch.export.save would have written"
        },
    ))
}

fn json<'a, T: serde::Deserialize<'a>>(name: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| malformed(format_args!("`{name}` in the archive: {error}")))
}
