//! Files of text: UTF-8, with a byte-order mark or without.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// The advice for a file in another encoding.
pub(super) const SAVE: &str = "save the file as UTF-8";
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The length of the byte-order mark with which a file begins.
///
/// # Errors
/// When the mark, or the zero bytes of it, are those of another encoding.
pub(super) fn check_start(start: &[u8]) -> Result<usize> {
    match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => bail!("the text is UTF-32; {SAVE}"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bail!("the text is UTF-16; {SAVE}"),
        _ if start.contains(&0) => {
            bail!("there are zero bytes, which UTF-8 text does not have, but UTF-16 does; {SAVE}")
        }
        _ if start.starts_with(MARK) => Ok(MARK.len()),
        _ => Ok(0),
    }
}

/// The lines of a text file, trimmed, and without empty ones at the end.
///
/// # Errors
/// When the file cannot be read, or is not UTF-8.
pub(super) fn lines(path: &Path) -> Result<Vec<String>> {
    let shown = || path.display().to_string();
    let bytes = fs::read(path).with_context(shown)?;
    let mark = check_start(&bytes).with_context(shown)?;
    let text = std::str::from_utf8(&bytes[mark..]).map_err(|error| {
        let before = &bytes[mark..mark + error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        anyhow::anyhow!("{}: line {line} is no UTF-8; {SAVE}", path.display())
    })?;
    let lines = text.trim_end().lines();
    Ok(lines.map(|line| line.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_empty_lines_at_the_end_are_no_names() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let read = |bytes: &[u8]| {
            fs::write(file.path(), bytes)?;
            lines(file.path())
        };
        assert_eq!(read(b"\xef\xbb\xbfcat\r\n dog\n\n")?, ["cat", "dog"]);
        assert_eq!(read(b"cat\n\ndog")?, ["cat", "", "dog"]);
        assert!(read(b"\xef\xbb\xbf")?.is_empty());
        for (bytes, expected) in [
            (&b"\xff\xfec\0a\0"[..], "UTF-16"),
            (b"c\0a\0t\0", "UTF-16"),
            (b"\xff\xfe\0\0", "UTF-32"),
            (b"cat\nK\xe4fer\n", "line 2 is no UTF-8"),
        ] {
            let error = format!("{:#}", read(bytes).expect_err(expected));
            assert!(error.contains(expected) && error.ends_with(SAVE), "{error}");
        }
        Ok(())
    }
}
