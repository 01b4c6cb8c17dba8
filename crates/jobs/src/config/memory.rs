use std::str::FromStr;

use anyhow::{Error, Result, anyhow, ensure};
use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;

const EXPECTED: &str = "expected a size, as 512MiB, 2GB or a number of bytes";

/// Less would not hold the gradients of a few samples of a small model and what the program itself
/// takes.
const LEAST: ByteSize = ByteSize::mib(64);

/// A bound on memory, 64 MiB or more: `512MiB` (powers of 1024), `2GB` (powers of 1000), or a
/// number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(u64);

impl Memory {
    /// The number of bytes, as far as this machine can address them.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size: ByteSize = text
            .trim()
            .parse()
            .map_err(|_| anyhow!("{EXPECTED}, got `{text}`"))?;
        ensure!(size >= LEAST, "must be at least 64MiB, got {text}");
        Ok(Self(size.as_u64()))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse(),
            Value::Integer(bytes) => bytes.to_string().parse(),
            other => Err(anyhow!("{EXPECTED}, got {other}")),
        };
        size.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("67108864", 64 << 20),
            ("64MiB", 64 << 20),
            ("512 MiB", 512 << 20),
            ("2GB", 2_000_000_000),
            ("1.5gib", 3 << 29),
        ] {
            let memory: Memory = text.parse().expect(text);
            assert_eq!(memory.bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_or_too_small_is_refused() {
        for text in ["", "much", "-1", "-1GiB", "1.5", "2XB", "nanGB", "1e9"] {
            let message = text.parse::<Memory>().expect_err(text).to_string();
            assert!(message.contains("512MiB, 2GB"), "{text}: {message}");
        }
        for text in ["0", "63MiB", "64MB"] {
            let message = text.parse::<Memory>().expect_err(text).to_string();
            assert!(message.contains("at least 64MiB"), "{text}: {message}");
        }
    }
}
