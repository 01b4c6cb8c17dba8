//! A fit by several processes, or by one that may be killed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use influence_cluster::{Error, StoredSums};
use influence_core::Share;

use super::{Affordable, of_model, with_settings};
use crate::{
    job::Job,
    models::FitSource,
    watch::{Stage, Watch},
};

/// The share of a fit is done as far as it can be, and others are not.
#[derive(Debug, thiserror::Error)]
#[error(
    "share {share}: {missing}; its own part is kept in {}: run the other shares, then this one again",
    sums.display()
)]
pub struct Waiting {
    /// The share.
    pub share: Share,
    /// What is missing, in words, with the pass over the data.
    pub missing: String,
    /// The folder in which sums are kept.
    pub sums: PathBuf,
}

impl Affordable<'_> {
    /// Goes on with a fit that several processes do together, as far as it comes, and keeps its
    /// expensive parts in a file once all shares are there; that file is the same, byte for byte,
    /// as the one of [`fit_and_save`](Self::fit_and_save).
    ///
    /// Sums are kept in a folder beside the file, its name with `.shares` appended, until the fit
    /// is done. What is kept there is not computed again: a share that was killed, the whole among
    /// them, goes on where it was.
    ///
    /// # Errors
    /// [`Waiting`] when sums of other shares are missing; as [`fit_and_save`](Self::fit_and_save).
    pub fn fit_share(&self, path: &Path, share: Share, watch: &dyn Watch) -> Result<()> {
        fit_share(self.job(), path, share, watch)
    }
}

fn fit_share(job: &Job, path: &Path, share: Share, watch: &dyn Watch) -> Result<()> {
    watch.stage(Stage::Fit);
    let sums = beside(path);
    if !sums.exists() && is_done(job, path, watch) {
        return Ok(());
    }
    let stored = Arc::new(StoredSums::new(&sums, share));
    let settings = job.fit_settings()?.with_summation(stored.clone());
    let source = FitSource::FitAndSave(path);
    let Err(error) = with_settings(&settings, job, &*job.model, source, watch) else {
        remove(&stored, watch);
        return Ok(());
    };
    let Some(missing @ Error::Waiting { .. }) = Error::of(error.as_ref()) else {
        return Err(error);
    };
    // Another share may have come to the end, and removed what this one was waiting for.
    if is_done(job, path, watch) {
        remove(&stored, watch);
        return Ok(());
    }
    Err(Waiting {
        share,
        missing: missing.to_string(),
        sums,
    }
    .into())
}

/// Removes sums that are no longer needed.
fn remove(stored: &StoredSums, watch: &dyn Watch) {
    if let Err(error) = stored.remove() {
        watch.warn(&format!(
            "the sums of the shares are not needed any more, but could not be removed, so remove them yourself: {error}"
        ));
    }
}

/// Whether this fit is kept in the file.
fn is_done(job: &Job, path: &Path, watch: &dyn Watch) -> bool {
    let source = FitSource::Load(path);
    path.exists() && of_model(job, &*job.model, source, watch).is_ok()
}

/// The folder of the sums of a fit that is kept in this file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".shares");
    name.into()
}
