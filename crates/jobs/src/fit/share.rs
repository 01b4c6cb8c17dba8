//! A fit by several processes, or by one that may be killed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use influence_cluster::{Error, StoredSums, World};
use influence_core::Share;

use super::{Affordable, of_model, with_settings};
use crate::{
    fit_place,
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
    /// Where sums are kept: a folder, or a URL.
    pub sums: PathBuf,
}

impl Affordable<'_> {
    /// Goes on with a fit that several processes do together, as far as it comes, and keeps its
    /// expensive parts in a file, or at a URL, once all shares are there; it is the same, byte for
    /// byte, as the one of [`fit_and_save`](Self::fit_and_save).
    ///
    /// `sums` has the share, and says where sums are kept until the fit is done:
    /// [`fit_place::sums`]. What is kept there is not computed again: a share that was killed, the
    /// whole among them, goes on where it was.
    ///
    /// # Errors
    /// [`Waiting`] when sums of other shares are missing; as [`fit_and_save`](Self::fit_and_save).
    pub fn fit_share(&self, path: &Path, sums: StoredSums, watch: &dyn Watch) -> Result<()> {
        fit_share(self.job(), path, sums, watch)
    }

    /// Fits with all processes of an MPI job, of which the first one keeps the expensive parts in a
    /// file; that file is the same, byte for byte, as the one of
    /// [`fit_and_save`](Self::fit_and_save).
    ///
    /// # Errors
    /// As [`fit_and_save`](Self::fit_and_save); when processes fit something else.
    pub fn fit_together(&self, path: &Path, world: &World, watch: &dyn Watch) -> Result<()> {
        watch.stage(Stage::Fit);
        let job = self.job();
        let settings = job.fit_settings()?.with_summation(world.summation());
        let source = if world.is_first() {
            FitSource::FitAndSave(path)
        } else {
            FitSource::Fit
        };
        with_settings(&settings, job, &*job.model, source, watch).map(drop)
    }
}

fn fit_share(job: &Job, path: &Path, sums: StoredSums, watch: &dyn Watch) -> Result<()> {
    watch.stage(Stage::Fit);
    let stored = Arc::new(sums);
    if !stored.has_begun()? && is_done(job, path, watch)? {
        return Ok(());
    }
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
    if is_done(job, path, watch)? {
        remove(&stored, watch);
        return Ok(());
    }
    Err(Waiting {
        share: stored.share(),
        missing: missing.to_string(),
        sums: stored.place().to_owned(),
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

/// Whether this fit is kept there.
fn is_done(job: &Job, path: &Path, watch: &dyn Watch) -> Result<bool> {
    let source = FitSource::Load(path);
    Ok(fit_place::exists(path)? && of_model(job, &*job.model, source, watch).is_ok())
}
