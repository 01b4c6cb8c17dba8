//! What a run took, kept beside its output: an output itself has the same bytes whenever and
//! wherever it is made.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::{
    digest,
    job::Job,
    memory,
    output::{Existing, is_url, write_whole},
    watch::Watch,
};

/// The metadata file of an output.
const METADATA: &str = "zarr.json";

/// What a run took.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the program.
    pub version: String,
    /// The digest of the metadata of the output, by which the record belongs to it.
    pub output: String,
    /// When it began, UTC.
    pub started: String,
    /// Whether it went on with the output of an earlier run, whose time is not counted.
    pub resumed: bool,
    /// The seconds of all phases together.
    pub seconds: f64,
    /// The seconds of each phase, in the order in which they first began.
    pub phases: Vec<PhaseTime>,
    /// The most resident memory that the process had, in bytes.
    pub peak_memory: Option<usize>,
    /// The threads that computed.
    pub threads: usize,
    /// The cores of the machine.
    pub cores: usize,
    /// The device, as configured.
    pub device: String,
}

/// The time spent in a phase.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// The name of the phase.
    pub phase: String,
    /// The seconds spent in it.
    pub seconds: f64,
}

impl Record {
    /// Writes what the run of a job took up to now beside its output, if that is a folder; warns
    /// where this fails. Without a watch that keeps the time there is nothing to record.
    pub fn keep(job: &Job, watch: &dyn Watch) {
        let output = &job.config.output.path;
        if is_url(output) || watch.phases().is_empty() {
            return;
        }
        let kept = Self::new(job, watch).and_then(|record| record.write(output));
        if let Err(error) = kept {
            watch.warn(&format!("what the run took is not recorded: {error:#}"));
        }
    }

    fn new(job: &Job, watch: &dyn Watch) -> Result<Self> {
        let phases = watch.phases();
        let seconds: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
        let started = Timestamp::now() - SignedDuration::from_secs_f64(seconds);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            output: digest::of_file(&job.config.output.path.join(METADATA))?,
            started: started.round(Unit::Second)?.to_string(),
            resumed: job.existing == Existing::Resume,
            seconds: (seconds * 1e3).round() / 1e3,
            phases: phases
                .into_iter()
                .map(|(phase, seconds)| PhaseTime {
                    phase: phase.into(),
                    seconds,
                })
                .collect(),
            peak_memory: memory::peak(),
            threads: job.config.compute.threads(),
            cores: available_parallelism().map_or(1, usize::from),
            device: job.config.device.clone(),
        })
    }

    fn write(&self, output: &Path) -> Result<()> {
        let path = beside(output);
        if path.exists() {
            let known = read(&path).is_ok();
            let shown = path.display();
            ensure!(known, "{shown} exists and is not a record of this program");
        }
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_whole(&path, &text)
    }

    /// The record of the run that wrote an output, if there is one and it belongs to it.
    pub fn of(output: &Path) -> Option<Self> {
        if is_url(output) {
            return None;
        }
        let record = read(&beside(output)).ok()?;
        let digest = digest::of_file(&output.join(METADATA)).ok()?;
        (record.output == digest).then_some(record)
    }
}

/// `influences.zarr` → `influences.run.json`
fn beside(output: &Path) -> PathBuf {
    output.with_extension("run.json")
}

fn read(path: &Path) -> Result<Record> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(output: &Path) -> Result<Record> {
        Ok(Record {
            version: "0.0.1".into(),
            output: digest::of_file(&output.join(METADATA))?,
            started: "2026-01-02T03:04:05Z".into(),
            resumed: false,
            seconds: 1.5,
            phases: vec![PhaseTime {
                phase: "fit".into(),
                seconds: 1.5,
            }],
            peak_memory: None,
            threads: 2,
            cores: 4,
            device: "cpu".into(),
        })
    }

    #[test]
    fn a_record_belongs_to_one_output() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("a.zarr");
        fs::create_dir(&output)?;
        fs::write(output.join(METADATA), "one")?;
        assert_eq!(Record::of(&output), None);
        let written = record(&output)?;
        written.write(&output)?;
        written.write(&output)?;
        assert!(folder.path().join("a.run.json").is_file());
        assert_eq!(Record::of(&output), Some(written));
        fs::write(output.join(METADATA), "two")?;
        assert_eq!(Record::of(&output), None);
        Ok(())
    }

    #[test]
    fn a_file_of_someone_else_stays() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("a.zarr");
        fs::create_dir(&output)?;
        fs::write(output.join(METADATA), "one")?;
        fs::write(folder.path().join("a.run.json"), "{\"mine\": 1}")?;
        let error = record(&output)?.write(&output).expect_err("refused");
        assert!(error.to_string().contains("not a record of this program"));
        assert_eq!(Record::of(&output), None);
        let text = fs::read_to_string(folder.path().join("a.run.json"))?;
        assert_eq!(text, "{\"mine\": 1}");
        Ok(())
    }
}
