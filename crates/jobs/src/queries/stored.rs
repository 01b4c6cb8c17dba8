//! Outputs that were written before.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use influence_calculators::StoredInfluences;
use serde_json::{Map, Value};
use toml::Table;

use super::moved::{check_digests, found};
use crate::{
    config::{Config, overrides},
    job::Job,
    models::Models,
    output::{ORIGIN, is_url, location},
};

/// An output that is there.
#[derive(Debug)]
pub struct Stored {
    /// Its path or URL.
    pub path: PathBuf,
    /// Its numbers and its attributes.
    pub influences: StoredInfluences,
}

impl Stored {
    /// Opens an output, complete or not.
    ///
    /// # Errors
    /// When there is no output, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            influences: StoredInfluences::open(location(path)?)?,
        })
    }

    /// Opens an output of one number for each test and training point.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`check_plain`](Self::check_plain).
    pub fn open_plain(path: &Path) -> Result<Self> {
        let stored = Self::open(path)?;
        stored.check_plain()?;
        Ok(stored)
    }

    /// Refuses an output of anything but one number for each test and training point.
    ///
    /// # Errors
    /// When it is such an output.
    pub fn check_plain(&self) -> Result<()> {
        let (array, shape) = (self.influences.array(), self.influences.shape());
        ensure!(
            array != "self_influences",
            "{0}: self-influences are about no test points; `influence top {0}` and `influence mislabelled {0}` show training points by them, and \
             `influence report` shows them with --self beside influences on test points",
            self.shown()
        );
        ensure!(
            array == "influences" && shape.len() == 2,
            "{}: expected the array `influences` of shape (test, train), as `influence run` writes it with mode up, got `{array}` of shape {shape:?}",
            self.shown()
        );
        Ok(())
    }

    /// Whether the test and the training points are in groups, each of which is a row or a column.
    pub fn are_groups(&self) -> [bool; 2] {
        ["test", "train"].map(|side| self.groups(side).is_some())
    }

    /// How many test and training points there are, whatever their groups.
    pub fn points(&self) -> [usize; 2] {
        let shape = self.influences.grid().shape();
        let points = |side: usize, name: &str| {
            let points = self.groups(name).and_then(|it| it["points"].as_u64());
            let points = points.and_then(|points| usize::try_from(points).ok());
            points.unwrap_or(shape[side])
        };
        [points(0, "test"), points(1, "train")]
    }

    /// What the output says of the groups of a side.
    fn groups(&self, side: &str) -> Option<&Value> {
        let groups = self.influences.attributes().get("groups")?.get(side);
        groups.filter(|groups| !groups.is_null())
    }

    /// The path, as it is written.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Refuses an output that lacks chunks.
    ///
    /// # Errors
    /// When chunks are missing.
    pub fn check_complete(&self) -> Result<()> {
        ensure!(
            self.influences.is_complete(),
            "{}: the run that wrote it did not finish; continue it with `influence run CONFIG.toml --resume`",
            self.shown()
        );
        Ok(())
    }

    /// The model and the points that the output was made from, if it says so.
    ///
    /// # Errors
    /// When the files that it was made from are not there or have changed.
    pub fn job(&self, set: &[String], models: &dyn Models) -> Result<Option<Job>> {
        let attributes = self.influences.attributes();
        if !attributes.contains_key(ORIGIN) {
            return Ok(None);
        }
        let job = origin(attributes, &self.path, set).and_then(|config| {
            let job = Job::of_inputs(config, models)?;
            check_digests(attributes, &job)?;
            Ok(job)
        });
        job.map(Some)
            .with_context(|| format!("what {} was made from", self.shown()))
    }
}

/// The configuration that an output was made with, its files where they are now.
///
/// # Errors
/// When the output does not say what it was made from, or a file is nowhere to be found.
pub fn origin(stored: &Map<String, Value>, output: &Path, set: &[String]) -> Result<Config> {
    let origin = stored.get(ORIGIN).context(
        "the output does not say what it was made from; check only its checksums, with --sample 0",
    )?;
    let mut table: Table =
        serde_json::from_value(origin.clone()).context("the configuration in the output")?;
    overrides::apply(&mut table, set)?;
    let folder = (!is_url(output)).then_some(output);
    found(Config::from_table(table)?, stored, folder)
}
