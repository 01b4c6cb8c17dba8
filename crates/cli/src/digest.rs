//! Digests that tie an output to the files it was made from.

use std::{fmt::Write, fs::File, io::Read, path::Path};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const BLOCK: usize = 1 << 16;

/// `sha256:` and the digest of a file, read in blocks.
///
/// # Errors
/// When the file cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    loop {
        match file
            .read(&mut block)
            .with_context(|| path.display().to_string())?
        {
            0 => return Ok(shown(&hash.finalize())),
            read => hash.update(&block[..read]),
        }
    }
}

/// `sha256:` and the digest of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> String {
    shown(&Sha256::digest(bytes))
}

fn shown(digest: &[u8]) -> String {
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
}
