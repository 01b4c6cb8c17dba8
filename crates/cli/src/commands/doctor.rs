//! `influence doctor`: what this program and this machine can do.

mod machine;
mod speed;

use std::io::Write;

use anyhow::Result;
use bytesize::ByteSize;
use influence_backend_burn::device;
use influence_calculators::Plan;
use serde::Serialize;

use crate::args::DoctorArguments;
use machine::{MachineMemory, Processor, Temporary};
use speed::Speed;

/// Devices by the cargo feature that brings them.
const DEVICES: [(&str, bool); 4] = [
    ("flex", cfg!(feature = "flex")),
    ("ndarray", cfg!(feature = "ndarray")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("cuda", cfg!(feature = "cuda")),
];
/// Stores by the cargo feature that brings them.
const STORES: [(&str, bool); 5] = [
    ("object-store", cfg!(feature = "object-store")),
    ("s3", cfg!(feature = "s3")),
    ("gcs", cfg!(feature = "gcs")),
    ("azure", cfg!(feature = "azure")),
    ("http", cfg!(feature = "http")),
];

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    optimised: bool,
    system: String,
    features: Vec<&'static str>,
    features_off: Vec<&'static str>,
    processor: Processor,
    memory: Option<MachineMemory>,
    /// Bytes for a computation where nothing else is said.
    default_bound: usize,
    temporary: Temporary,
    devices: Vec<Speed>,
}

/// Prints what was found, a line for each thing, with what follows from it where something is
/// missing.
///
/// # Errors
/// When the writer fails.
pub(super) fn run(arguments: &DoctorArguments, out: &mut impl Write) -> Result<()> {
    let findings = Findings::collect();
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &findings)?;
        return Ok(writeln!(out)?);
    }
    for (name, text) in findings.lines() {
        writeln!(out, "{name:<15} {text}")?;
    }
    Ok(())
}

impl Findings {
    fn collect() -> Self {
        let features = |on: bool| {
            let all = DEVICES.into_iter().chain(STORES);
            all.filter(move |(_, there)| *there == on)
                .map(|(name, _)| name)
                .collect()
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            features: features(true),
            features_off: features(false),
            processor: Processor::detect(),
            memory: MachineMemory::detect(),
            default_bound: Plan::MEMORY,
            temporary: Temporary::detect(),
            devices: device::available()
                .iter()
                .map(|name| Speed::measure(name))
                .collect(),
        }
    }

    fn lines(&self) -> Vec<(String, String)> {
        let named = |name: &str, text: String| (name.to_owned(), text);
        let mut lines = vec![
            named("version", self.build()),
            named("features", self.built_in()),
            named("processor", self.processor.line()),
            named("memory", self.available()),
            named(
                "bound",
                format!(
                    "chunks are cut for {} where neither --memory nor compute.memory says otherwise; a fit takes what its method needs, and is refused where that is not available",
                    ByteSize::b(self.default_bound as u64)
                ),
            ),
            named("temporary", self.temporary.line()),
        ];
        let devices = self.devices.iter();
        lines.extend(devices.map(|speed| (format!("device {}", speed.device), speed.line())));
        for (feature, there) in DEVICES {
            if !there {
                let text = format!("not in this build; build with --features {feature} to have it");
                lines.push((format!("device {feature}"), text));
            }
        }
        lines
    }

    fn build(&self) -> String {
        let optimised = if self.optimised {
            "optimised"
        } else {
            "not optimised, so many times slower; build with --release"
        };
        format!("{}, {}, {optimised}", self.version, self.system)
    }

    fn built_in(&self) -> String {
        let on = match self.features.as_slice() {
            [] => "none, so there is no device; build with --features flex".to_owned(),
            features => features.join(", "),
        };
        match self.features_off.as_slice() {
            [] => on,
            off => format!("{on}; off: {}", off.join(", ")),
        }
    }

    fn available(&self) -> String {
        let Some(memory) = &self.memory else {
            return "not reported by this system; give --memory if it is less than 2 GiB".into();
        };
        let [total, available] =
            [memory.total, memory.available].map(|bytes| ByteSize::b(bytes as u64));
        let advice = if memory.available < self.default_bound {
            "; less than the bound below: give --memory"
        } else {
            ""
        };
        format!("{total}, {available} available{advice}")
    }
}
