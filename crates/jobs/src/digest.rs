//! Digests that tie an output to the files it was made from.

use std::{
    fmt::Write,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const BLOCK: usize = 1 << 16;

/// `sha256:` and the digest of a file, or of all files in a folder.
///
/// # Errors
/// When one of them cannot be read.
pub fn of_path(path: &Path) -> Result<String> {
    if path.is_dir() {
        of_folder(path)
    } else {
        of_file(path)
    }
}

/// `sha256:` and the digest of an input of a computation: of a file, of all files in a folder, or
/// of an ONNX file and the files beside it that hold its tensors.
///
/// # Errors
/// When one of them cannot be read.
pub fn of_input(path: &Path) -> Result<String> {
    if path.extension().is_some_and(|ending| ending == "onnx") {
        of_network(path)
    } else {
        of_path(path)
    }
}

/// The digest of an ONNX file; where tensors are in files beside it, of all of them as
/// [`of_folder`] gives it.
fn of_network(path: &Path) -> Result<String> {
    let beside = influence_onnx::files_beside(path)?;
    if beside.is_empty() {
        return of_file(path);
    }
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let all = beside.into_iter().chain([path.to_owned()]);
    of_files(all.map(|path| (name(&path), path)).collect())
}

/// `sha256:` and the digest of a file, read in blocks.
///
/// # Errors
/// When the file cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    feed(&mut hash, path)?;
    Ok(shown(&hash.finalize()))
}

/// `sha256:` and the digest of the files in a folder and below: of each, in the order of their
/// names, the length of the name, the name with `/` between its parts, the length of the contents
/// and the contents, lengths as 64 bits in little endian.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn of_folder(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    list(folder, "", &mut files)?;
    of_files(files)
}

/// The digest of files by their names, as [`of_folder`] gives it.
fn of_files(mut files: Vec<(String, PathBuf)>) -> Result<String> {
    files.sort();
    let mut hash = Sha256::new();
    for (name, path) in files {
        // With the lengths, no two folders give the same bytes.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        let metadata = fs::metadata(&path).with_context(|| path.display().to_string())?;
        hash.update(metadata.len().to_le_bytes());
        feed(&mut hash, &path)?;
    }
    Ok(shown(&hash.finalize()))
}

fn list(folder: &Path, above: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let shown = || folder.display().to_string();
    for entry in fs::read_dir(folder).with_context(shown)? {
        let entry = entry.with_context(shown)?;
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            list(&path, &format!("{name}/"), files)?;
        } else {
            files.push((name, path));
        }
    }
    Ok(())
}

fn feed(hash: &mut Sha256, path: &Path) -> Result<()> {
    let shown = || path.display().to_string();
    let mut block = vec![0; BLOCK];
    let mut file = File::open(path).with_context(shown)?;
    loop {
        match file.read(&mut block).with_context(shown)? {
            0 => return Ok(()),
            read => hash.update(&block[..read]),
        }
    }
}

/// `sha256:` and the digest of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> String {
    shown(&Sha256::digest(bytes))
}

pub(crate) fn shown(digest: &[u8]) -> String {
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes all that is written to it
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() -> Result<()> {
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), expected);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), "abc")?;
        assert_eq!(of_file(file.path())?, expected);
        Ok(())
    }

    #[test]
    fn the_digest_of_a_folder_is_that_of_names_and_contents() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("c"))?;
        fs::write(folder.path().join("zarr.json"), "{}")?;
        fs::write(folder.path().join("c/0"), "abc")?;
        let bytes = b"\x03\0\0\0\0\0\0\0c/0\x03\0\0\0\0\0\0\0abc\x09\0\0\0\0\0\0\0zarr.json\x02\0\0\0\0\0\0\0{}";
        assert_eq!(of_path(folder.path())?, of_bytes(bytes));
        fs::rename(folder.path().join("c/0"), folder.path().join("c/1"))?;
        assert_ne!(of_path(folder.path())?, of_bytes(bytes));
        Ok(())
    }

    #[test]
    fn the_digest_of_a_network_covers_the_files_beside_it() -> Result<()> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/golden/models");
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        for name in ["new-default.onnx", "new-default.onnx.data", "new.onnx"] {
            fs::copy(golden.join("nano_gpt").join(name), path(name))?;
        }
        assert_eq!(of_input(&path("new.onnx"))?, of_file(&path("new.onnx"))?);
        let before = of_input(&path("new-default.onnx"))?;
        let mut numbers = fs::read(path("new-default.onnx.data"))?;
        numbers[0] ^= 1;
        fs::write(path("new-default.onnx.data"), numbers)?;
        assert_ne!(of_input(&path("new-default.onnx"))?, before);
        Ok(())
    }
}
