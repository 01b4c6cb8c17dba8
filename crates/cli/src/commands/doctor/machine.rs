use std::path::PathBuf;

use bytesize::ByteSize;
use influence_data::disk;
use influence_jobs::memory;
use serde::Serialize;

/// Below this there is no room to unpack data of a usual size.
const LITTLE_SPACE: u64 = 1 << 30;

/// What computes.
#[derive(Debug, Serialize)]
pub(super) struct Processor {
    /// How many threads compute where nothing else is said.
    threads: usize,
    /// The vector instructions that matter for products of matrices.
    vectors: Vec<&'static str>,
    /// Whether products of matrices were compiled for AVX-512 too.
    avx512_kernels: bool,
}

impl Processor {
    pub(super) fn detect() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            vectors: vectors(),
            // The workspace turns this on for burn, and it means nothing elsewhere.
            avx512_kernels: cfg!(target_arch = "x86_64"),
        }
    }

    pub(super) fn line(&self) -> String {
        let cores = match self.threads {
            1 => "1 core".to_owned(),
            threads => format!("{threads} cores"),
        };
        let vectors = match self.vectors.as_slice() {
            [] => "no AVX2, AVX-512 or NEON, so matrix products are several times slower".into(),
            vectors => vectors.join(", "),
        };
        let kernels = match (self.avx512_kernels, self.vectors.contains(&"AVX-512")) {
            (true, true) => ", with kernels for it",
            (true, false) => "; kernels for AVX-512 stay unused",
            (false, _) => "",
        };
        format!("{cores}, {vectors}{kernels}")
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> Vec<&'static str> {
    let known = [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
    ];
    let found = known.into_iter().filter(|(_, there)| *there);
    found.map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn vectors() -> Vec<&'static str> {
    match std::arch::is_aarch64_feature_detected!("neon") {
        true => vec!["NEON"],
        false => Vec::new(),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors() -> Vec<&'static str> {
    Vec::new()
}

/// The memory of the machine, in bytes.
#[derive(Debug, Serialize)]
pub(super) struct MachineMemory {
    pub(super) total: usize,
    pub(super) available: usize,
}

impl MachineMemory {
    pub(super) fn detect() -> Option<Self> {
        Some(Self {
            total: memory::total()?,
            available: memory::available()?,
        })
    }
}

/// The folder in which formats are unpacked that cannot be read by range.
#[derive(Debug, Serialize)]
pub(super) struct Temporary {
    folder: PathBuf,
    writable: bool,
    free_bytes: Option<u64>,
}

impl Temporary {
    pub(super) fn detect() -> Self {
        let folder = std::env::temp_dir();
        Self {
            writable: tempfile::tempfile_in(&folder).is_ok(),
            free_bytes: disk::free(&folder),
            folder,
        }
    }

    pub(super) fn line(&self) -> String {
        let folder = self.folder.display();
        if !self.writable {
            return format!(
                "{folder} cannot be written to: set TMPDIR to a folder that can, or use .npy, .safetensors or Zarr, which need none"
            );
        }
        let free = self.free_bytes.map_or_else(
            || "free space not reported by this system".to_owned(),
            |bytes| format!("{} free", ByteSize::b(bytes)),
        );
        let advice = match self.free_bytes {
            Some(bytes) if bytes < LITTLE_SPACE => "; set TMPDIR to a folder with more for",
            _ => ", to unpack",
        };
        format!("{folder}, {free}{advice} .npz, .csv, .parquet, IDX and images")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_what_follows() {
        let processor = |vectors: &[&'static str]| Processor {
            threads: 2,
            vectors: vectors.to_vec(),
            avx512_kernels: true,
        };
        for (vectors, expected) in [
            (
                &["AVX2", "AVX-512"][..],
                "2 cores, AVX2, AVX-512, with kernels for it",
            ),
            (&["AVX2"], "2 cores, AVX2; kernels for AVX-512 stay unused"),
        ] {
            assert_eq!(processor(vectors).line(), expected);
        }
        assert!(processor(&[]).line().contains("several times slower"));

        let temporary = |writable, free_bytes| Temporary {
            folder: "/t".into(),
            writable,
            free_bytes,
        };
        for (temporary, expected) in [
            (
                temporary(true, Some(2 << 30)),
                "/t, 2.0 GiB free, to unpack",
            ),
            (
                temporary(true, Some(1 << 20)),
                "set TMPDIR to a folder with more",
            ),
            (temporary(true, None), "not reported by this system"),
            (
                temporary(false, None),
                "/t cannot be written to: set TMPDIR",
            ),
        ] {
            let line = temporary.line();
            assert!(line.contains(expected), "{line}");
        }
    }
}
